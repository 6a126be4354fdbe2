"""The pixel host as a process, beside a real broker and simulated cameras."""

from __future__ import annotations

import io
import itertools
import signal
import threading
from collections.abc import Iterator

import av
import pytest

from broker.client import WireFrame
from broker.pixel.client import Missing, MissingReason, Picture, RingReader
from mesh.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated, Unavailable
from mesh.ids import FrameId
from simulator import counter
from simulator.testing import Simulator
from tests.broker_process import BrokerProcess
from tests.pixel_process import HostProcess
from tests.support import until


def digests(broker: BrokerProcess, camera: str, found: dict[FrameId, bytes], stop: threading.Event) -> None:
    with broker.sync_client() as client:
        for item in client.stream([camera]):
            if isinstance(item, WireFrame):
                found[item.id] = item.digest
            if stop.is_set():
                return


def read_on(reader: RingReader) -> None:
    for _ in range(100):
        assert reader.read(10) is not None


@pytest.fixture
def digest_of(broker: BrokerProcess) -> Iterator[dict[FrameId, bytes]]:
    found: dict[FrameId, bytes] = {}
    stop = threading.Event()
    thread = threading.Thread(target=digests, args=(broker, "cam-1", found, stop))
    thread.start()
    yield found
    stop.set()
    thread.join(10)


def test_a_ring_picture_shows_what_the_sender_logged_for_that_frame(
    sim: Simulator, host: HostProcess, digest_of: dict[FrameId, bytes]
) -> None:
    until(lambda: digest_of, 10, "frames arrive")
    shown: dict[FrameId, int] = {}
    with host.reader("cam-1") as reader:
        for item in itertools.islice(reader, 40):
            assert isinstance(item, Picture), item
            value = counter.read(item.y)
            assert item.still_valid()
            assert not item.inexact
            assert (item.width, item.height) == (320, 180)
            shown[item.id] = value
    ids = sorted(shown)
    assert [i.seq for i in ids] == list(range(ids[0].seq, ids[0].seq + 40))
    until(lambda: ids[-1] in digest_of, 10, "the broker's own stream told the last id")
    sent = {unit.digest: unit.frame_in_loop for unit in sim.log("cam-1")}
    compared = [(shown[i], sent[digest_of[i]]) for i in ids if i in digest_of]
    assert len(compared) >= 30
    assert all(seen == logged for seen, logged in compared)


async def test_thumbnails_of_all_cameras_come_at_the_asked_size(host: HostProcess) -> None:
    async with host.client() as client, client.watch_thumbnails(max_width=80, max_height=80) as watch:
        seen: dict[str, int] = {}
        async for thumbnail in watch:
            if thumbnail.id.camera in ("cam-1", "cam-2"):
                assert (thumbnail.width, thumbnail.height) == (80, 45)
                assert thumbnail.array().std() > 3
                seen[thumbnail.id.camera] = seen.get(thumbnail.id.camera, 0) + 1
            if len(seen) == 2 and min(seen.values()) >= 3:
                break
        watch.choose(["cam-2"], max_width=160, max_height=45)
        async for thumbnail in watch:
            if thumbnail.width == 80 and thumbnail.height == 45 and thumbnail.id.camera == "cam-2":
                break
        decoders = [decoder for decoder in await client.list_decoders() if decoder.camera in ("cam-1", "cam-2")]
        assert len(decoders) == 2
        assert all(d.lag_ns < 1_000_000_000 and "threads=1" in d.decoder for d in decoders)


async def test_the_rate_of_thumbnails_is_capped_for_each_viewer(host: HostProcess) -> None:
    async with (
        host.client() as client,
        client.watch_thumbnails(["cam-1"], max_width=32, max_height=32, max_rate=2) as watch,
    ):
        times = [(await anext(watch)).received_ns for _ in range(4)]
    assert all(later - earlier >= 300_000_000 for earlier, later in itertools.pairwise(times))


def test_a_live_picture_is_a_png_of_a_live_frame(host: HostProcess) -> None:
    with host.sync_client() as client:
        picture = client.live_picture("cam-1")
        with av.open(io.BytesIO(picture.png)) as container:
            frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (320, 180)
        assert picture.id.camera == "cam-1"
        assert len(client.live_picture("cam-1", max_width=100).png) < len(picture.png)


def test_unknown_cameras_and_bad_choices_are_refused(host: HostProcess) -> None:
    with host.sync_client() as client:
        with pytest.raises(NotFound, match="nowhere"):
            client.live_picture("nowhere")
        with pytest.raises(InvalidArgument):
            client.live_picture("NOT A SLUG")
    with host.reader("nowhere") as reader, pytest.raises(NotFound, match="nowhere"):
        reader.read(10)


async def test_a_size_out_of_bounds_is_refused(host: HostProcess) -> None:
    async with host.client() as client:
        for width, height, rate in ((7, 90, 5), (160, 1081, 5), (160, 90, 1e9), (160, 90, -1)):
            async with client.watch_thumbnails(max_width=width, max_height=height, max_rate=rate) as watch:
                with pytest.raises(InvalidArgument):
                    await anext(watch)


def test_rings_are_for_services_in_scope_only(host: HostProcess) -> None:
    for role, cameras, error in (("viewer", None, PermissionDenied), ("service", ["cam-2"], PermissionDenied)):
        with RingReader(host.rings, host.broker.mint("x", role, cameras), "cam-1") as reader, pytest.raises(error):
            reader.read(10)
    with RingReader(host.rings, "nonsense", "cam-1") as reader, pytest.raises(Unauthenticated):
        reader.read(10)


def test_decoding_ends_when_nobody_wants_it(host: HostProcess) -> None:
    with host.sync_client() as client:
        with host.reader("cam-1") as reader:
            assert isinstance(reader.read(10), Picture)
            assert [decoder.readers for decoder in client.list_decoders() if decoder.camera == "cam-1"] == [1]
        until(lambda: not client.list_decoders(), 10, "the decoder ends")


def test_a_reader_goes_on_when_the_pixel_host_was_killed_and_is_told_what_it_missed(own_host: HostProcess) -> None:
    with own_host.reader("cam-1") as reader:
        before = [reader.read(10) for _ in range(5)]
        assert all(isinstance(item, Picture) for item in before)
        own_host.end(signal.SIGKILL)
        while (item := reader.read(0.3)) is not None:
            before.append(item)
        own_host.start()
        after = [reader.read(20) for _ in range(8)]
    told: list[int] = []
    for item in (*before, *after):
        assert item is not None
        if isinstance(item, Missing):
            told += range(item.first_id.seq, item.last_id.seq + 1)
        else:
            told.append(item.id.seq)
    assert told == list(range(told[0], told[0] + len(told)))
    assert any(isinstance(item, Missing) and item.reason is MissingReason.HOST_LOST for item in after)


def test_without_reconnecting_a_lost_host_is_an_error(own_host: HostProcess) -> None:
    with own_host.reader("cam-1", reconnect=False) as reader:
        assert isinstance(reader.read(10), Picture)
        own_host.end(signal.SIGKILL)
        with pytest.raises(Unavailable):
            read_on(reader)


def test_pictures_go_on_after_the_broker_was_killed(own_host: HostProcess, own_broker: BrokerProcess) -> None:
    with own_host.reader("cam-1") as reader:
        first = reader.read(10)
        assert isinstance(first, Picture)
        own_broker.kill()
        own_broker.start()
        while True:
            item = reader.read(30)
            assert item is not None
            if isinstance(item, Picture) and item.id.epoch > first.id.epoch:
                break


def test_a_removed_camera_ends_its_readers(sim: Simulator, host: HostProcess, broker: BrokerProcess) -> None:
    with broker.sync_client() as client:
        client.add_camera("removed", sim.urls["cam-2"])
        until(lambda: client.get_camera("removed").frames > 0, 20, "the camera is live")
        with host.reader("removed") as reader:
            assert isinstance(reader.read(10), Picture)
            client.remove_camera("removed")
            with pytest.raises(NotFound, match="removed"):
                read_on(reader)
