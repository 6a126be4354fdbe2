"""Privacy masks over the real services: every rpc that shows pictures, or hands out bytes, found in the descriptors.

A new view is in these tests by itself, by its row in `mesh.rpc_kinds`. The camera's picture changes all over from frame
to frame; beneath the mask it must not.
"""

from __future__ import annotations

import io
import itertools
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from google.protobuf import message_factory
from google.protobuf.message import Message
from numpy.typing import NDArray
from PIL import Image

from broker.pixel.client import SyncPixelClient
from mesh.channel import connect_sync
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from mesh.masks import GREY
from mesh.rpc_kinds import RpcKind, kind_of
from mesh.tokens import load_signing_key, mint_token
from tests.clips import make_clip
from tests.every_rpc import Outcome, Rpc, every_rpc, request_of
from tests.footage_instance import Instance
from tests.support import until
from trueframe.masked_pictures import masked_pictures
from trueframe.v1 import broker_pb2
from trueframe.v1.cameras_pb2 import MaskCorner, PrivacyMask
from trueframe.viewing_copy import write_pictures

RPCS = [rpc for rpc in every_rpc() if kind_of(rpc.path) in (RpcKind.PICTURE, RpcKind.RECORDED)]
VIEWS = [rpc for rpc in RPCS if kind_of(rpc.path) is RpcKind.PICTURE]
RECORDED = [rpc for rpc in RPCS if kind_of(rpc.path) is RpcKind.RECORDED]
MASK = PrivacyMask(
    name="window", corners=[MaskCorner(x=x, y=y) for x, y in ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))]
)


class Site:
    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        config = instance.config
        self.endpoints = {
            "BrokerService": config.broker.endpoint,
            "PixelService": config.pixels.endpoint,
            "FootageService": config.media_center.endpoint,
        }

    def token(self, role: str, *, unmasked: bool | None = None) -> str:
        key = load_signing_key(self.instance.data_dir / "keys" / "signing.key")
        return mint_token(key, role, role, unmasked=unmasked)

    def names(self, frame: FrameId) -> dict[str, str]:
        segment = next(iter(sorted((self.instance.footage_dir / "gate").glob("*.mp4")))).name
        return {
            "camera": "gate", "cameras": "gate", "epoch": str(frame.epoch), "seq": str(frame.seq), "name": segment,
            "max_width": "96", "max_height": "96", "to_ns": str(1 << 62), "speed": "0",
        }  # fmt: skip

    def call(self, rpc: Rpc, token: str, frame: FrameId, answers: int = 3) -> Outcome:
        with connect_sync(self.endpoints[rpc.service.rpartition(".")[2]], None) as channel:
            return rpc.call(channel, token, request_of(rpc, self.names(frame)), answers=answers)

    def newest(self) -> FrameId:
        with self.instance.footage("administrator") as footage:
            return FrameId.from_proto(footage.locate("gate", 1 << 62).id)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("masked")
    clip = make_clip(folder / "gate.mp4", size=(192, 128), frames=60, texture=60)
    instance = Instance(folder / "data", media_center__segment_s=1)
    try:
        instance.up()
        instance.start("broker.pixel")
        with instance.broker() as broker:
            broker.add_camera("gate", f"{clip.as_uri()}?loop=1")
            broker.set_privacy_masks("gate", [MASK])
        made = Site(instance)

        def serves() -> bool:
            assert instance.processes["broker.pixel"].poll() is None, instance.log("broker.pixel")
            try:
                with SyncPixelClient(instance.config.pixels.endpoint, made.token("viewer")) as pixels:
                    return pixels.live_picture("gate").masked and made.newest().seq > 30
            except TrueframeError:
                return False

        until(serves, 40, "pictures and footage of the camera")
        yield made
    finally:
        instance.stop()


def pictures_in(message: Message) -> Iterator[NDArray[Any]]:
    """Every picture in an answer, as height x width x channels; of planes the luma, enlarged chroma beside it."""
    fields = {field.name: value for field, value in message.ListFields()}
    if "png" in fields:
        with Image.open(io.BytesIO(fields["png"])) as png:
            yield np.asarray(png.convert("RGB"))
    if "rgb" in fields:
        yield np.frombuffer(fields["rgb"], np.uint8).reshape(fields["height"], fields["width"], 3)
    if "planes" in fields:
        height, width = fields["height"], fields["width"]
        half = (height + 1) // 2, (width + 1) // 2
        data = np.frombuffer(fields["planes"], np.uint8)
        luma, chroma = width * height, half[0] * half[1]
        parts = [data[:luma].reshape(height, width)]
        for start in (luma, luma + chroma):
            small = data[start : start + chroma].reshape(half)
            parts.append(small.repeat(2, 0).repeat(2, 1)[:height, :width])
        yield np.stack(parts, axis=2)
    for value in fields.values():
        for one in value if isinstance(value, list) or hasattr(value, "add") else [value]:
            if isinstance(one, Message):
                yield from pictures_in(one)


def pictures(site: Site, rpc: Rpc, token: str) -> list[NDArray[Any]]:
    """Pictures that an rpc gives, of at least two different frames."""
    found: list[NDArray[Any]] = []
    answer = message_factory.GetMessageClass(rpc.descriptor.output_type)
    newest = site.newest()
    for back in range(6):
        outcome = site.call(rpc, token, FrameId("gate", newest.epoch, newest.seq - 3 * back))
        assert outcome.status in ("OK", "DEADLINE_EXCEEDED", "CANCELLED"), (outcome.status, outcome.details)
        for data in outcome.answers:
            found += pictures_in(answer.FromString(data))
        if len({picture.tobytes() for picture in found}) >= 2 and len(found) >= 3:
            return found
    raise AssertionError(f"{rpc} gives no pictures that this test can read: {len(found)}")


def beneath(picture: NDArray[Any]) -> NDArray[Any]:
    """What lies beneath the mask."""
    height, width = picture.shape[:2]
    return picture[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]


@pytest.mark.parametrize("rpc", VIEWS, ids=str)
def test_beneath_a_mask_every_view_shows_one_colour_at_any_time(site: Site, rpc: Rpc) -> None:
    for role in ("viewer", "operator"):
        shown = pictures(site, rpc, site.token(role))
        colours = {tuple(pixel) for picture in shown for pixel in beneath(picture).reshape(-1, 3).tolist()}
        assert len(colours) == 1, f"{rpc} shows what is beneath the mask to a {role}"
        assert len({picture[:8].tobytes() for picture in shown}) > 1, "beside the mask the picture goes on"


@pytest.mark.parametrize("rpc", VIEWS, ids=str)
def test_who_has_the_right_sees_everything(site: Site, rpc: Rpc) -> None:
    for token in (site.token("administrator"), site.token("viewer", unmasked=True)):
        shown = pictures(site, rpc, token)
        assert len({tuple(pixel) for one in shown for pixel in beneath(one).reshape(-1, 3).tolist()}) > 10


@pytest.mark.parametrize("rpc", RECORDED, ids=str)
def test_packets_and_exact_files_of_a_masked_camera_need_the_right(site: Site, rpc: Rpc) -> None:
    frame = site.newest()
    outcome = site.call(rpc, site.token("maintainer", unmasked=False), frame)
    assert outcome.status == "PERMISSION_DENIED", (outcome.status, outcome.details)
    assert "privacy masks" in outcome.details
    assert "snapshots" in outcome.details
    assert not outcome.answers
    allowed = site.call(rpc, site.token("maintainer"), frame, answers=1)
    assert allowed.answers, (allowed.status, allowed.details)


def test_who_takes_all_cameras_gets_no_packets_of_masked_ones(site: Site) -> None:
    rpc = next(rpc for rpc in RECORDED if rpc.name == "StreamFrames")
    request = broker_pb2.StreamFramesRequest(all_cameras=True).SerializeToString()
    with connect_sync(site.endpoints["BrokerService"], None) as channel:
        assert not rpc.call(channel, site.token("viewer"), request).answers
        assert rpc.call(channel, site.token("viewer", unmasked=True), request).answers


def test_a_replay_that_follows_ends_when_a_mask_is_set(site: Site) -> None:
    with site.instance.broker() as broker, site.instance.footage("viewer") as footage:
        broker.set_privacy_masks("gate", [])

        def replayed() -> Any:
            try:
                stream = iter(footage.replay("gate", start=site.newest(), follow=True))
                next(stream)
            except PermissionError:
                return None
            return stream

        stream = until(replayed, 10, "a replay of the camera without masks")
        broker.set_privacy_masks("gate", [MASK])
        with pytest.raises(PermissionError, match="privacy masks"):
            deque(itertools.islice(stream, 1000), maxlen=0)


def test_a_masked_snapshot_says_so_and_carries_no_proof(site: Site) -> None:
    with site.instance.footage("operator") as footage, site.instance.footage("administrator") as owner:
        masked = footage.snapshot(site.newest())
        assert masked.masked
        assert not masked.proof
        frame = FrameId.from_proto(masked.frame.id)
        assert owner.snapshot(frame).proof
        assert owner.snapshot(frame, masked=True).png == masked.png, "and whoever has the right may ask for it so"


def test_masks_outlive_the_camera_and_a_broker_that_does_not_answer(site: Site) -> None:
    frame = site.newest()
    instance = site.instance
    instance.end("broker")
    instance.end("media_center")
    instance.start("media_center")
    instance.wait_ready("media_center")
    with instance.footage("viewer") as footage:
        with Image.open(io.BytesIO(footage.snapshot(frame).png)) as png:
            assert set(map(tuple, beneath(np.asarray(png)).reshape(-1, 3).tolist())) == {(GREY, GREY, GREY)}
        with pytest.raises(PermissionError, match="privacy masks"):
            next(iter(footage.replay("gate", start=frame)))
    instance.start("broker")
    instance.wait_ready("broker")


def test_masks_are_kept_by_the_broker_and_left_alone_by_other_changes(site: Site, tmp_path: Path) -> None:
    with site.instance.broker() as broker:
        before = broker.get_camera("gate")
        assert [mask.name for mask in before.masks] == ["window"]
        before.spec.display_name = "North"
        assert [mask.name for mask in broker.update_camera(before.spec).masks] == ["window"]
        with pytest.raises(ValueError, match="corners"):
            broker.set_privacy_masks("gate", [PrivacyMask(name="x", corners=MASK.corners[:2])])


def test_no_view_is_left_out() -> None:
    assert {rpc.name for rpc in VIEWS} >= {"GetSnapshot", "WatchThumbnails", "StreamPixels", "GetLivePicture"}


def test_a_viewing_copy_for_those_who_get_no_packets_is_made_of_masked_pictures(site: Site, tmp_path: Path) -> None:
    newest = site.newest()
    first = FrameId("gate", newest.epoch, newest.seq - 8)
    with site.instance.footage("operator") as footage:
        done = write_pictures(masked_pictures(footage, "gate", first, newest), tmp_path / "copy.mp4", {})
    assert (done.frames, done.first, done.last) == (9, first, newest)
    with av.open(str(tmp_path / "copy.mp4")) as copy:
        shown = [picture.to_ndarray(format="gray")[:128] for picture in copy.decode(video=0)]
    assert len(shown) == 9
    for picture in shown:
        # Away from the edge, where the encoder of the copy leaves ripples of what is beside it.
        assert np.ptp(beneath(picture)[16:-16, 16:-16].astype(int)) <= 4
        assert np.ptp(picture[:16].astype(int)) > 20
