"""Pixels of cameras that are not plain H.264, and of cameras that change: through simulator, broker and pixel host."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from broker.pixel.client import Missing, MissingReason, Picture, RemotePicture
from simulator import counter
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.pixel_process import HostProcess, running_pixel_host
from tests.support import until

TRAITS = {
    "cam-1": "codec=h265,bframes=2,size=320x180",
    "cam-2": "codec=mjpeg,jpeg_type=0,size=328x184",
    "cam-3": "codec=mjpeg,scheme=http,size=322x182",
    "cam-4": "size=318x178,other=size:162x122",
}
SIZES = {"cam-1": (320, 180), "cam-2": (328, 184), "cam-3": (322, 182), "cam-4": (318, 178)}


@pytest.fixture(scope="module")
def cameras() -> Iterator[Simulator]:
    with running(len(TRAITS), fps=10, gop_s=1.0, loop_s=4.0, traits=TRAITS) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def mixed(cameras: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BrokerProcess, HostProcess]]:
    with running_broker(tmp_path_factory.mktemp("mixed") / "data") as broker:
        with broker.sync_client() as client:
            for camera, url in cameras.urls.items():
                client.add_camera(camera, url)
        with running_pixel_host(broker, "pixels.slots=16") as host:
            yield broker, host


@pytest.mark.parametrize("camera", sorted(TRAITS))
def test_every_codec_shows_its_counter_in_the_ring_over_grpc_and_in_colour(
    mixed: tuple[BrokerProcess, HostProcess], camera: str
) -> None:
    _, host = mixed
    local: dict[int, tuple[np.ndarray, ...]] = {}
    with host.reader(camera) as reader, host.sync_client() as client, client.stream_pixels(camera) as stream:
        remote: list[RemotePicture] = []
        thread = threading.Thread(target=lambda: remote.extend(next(stream) for _ in range(12)))
        thread.start()
        while thread.is_alive() or len(local) < 20:
            item = reader.read(20)
            assert item is not None
            if isinstance(item, Missing):
                assert item.reason in (MissingReason.BEFORE_JOIN_POINT, MissingReason.OVERRUN, MissingReason.THINNED)
                continue
            planes = item.copy()
            colour = item.rgb(160, 90)
            local[item.id.seq] = planes
            assert counter.read(planes[0]) >= 0
            assert item.full_range == ("mjpeg" in TRAITS[camera])
            assert (item.width, item.height) == SIZES[camera] or camera == "cam-4"
            # Grey of a picture and of its colours agree when the range is the right one.
            luma = planes[0].mean() if item.full_range else (planes[0].mean() - 16) * 255 / 219
            weights = (0.2126, 0.7152, 0.0722) if item.bt709 else (0.299, 0.587, 0.114)
            assert abs(float((colour.reshape(-1, 3).mean(0) * weights).sum()) - luma) < 6
        thread.join(20)
    compared = [picture for picture in remote if picture.id.seq in local]
    assert len(compared) >= 5
    for picture in compared:
        for mine, its in zip((picture.y, picture.u, picture.v), local[picture.id.seq], strict=True):
            assert np.array_equal(mine, its)


def test_a_change_of_size_in_the_middle_reaches_local_and_remote_readers(
    cameras: Simulator, mixed: tuple[BrokerProcess, HostProcess]
) -> None:
    _, host = mixed
    with host.reader("cam-4") as reader, host.sync_client() as client, client.stream_pixels("cam-4") as stream:
        first, before = reader.read(20), next(stream)
        assert isinstance(first, Picture)
        cameras.fault("cam-4", "resize")
        sizes = [(before.width, before.height)]
        # The first one may have been the last of the old size.
        generations = [(first.width, first.height)]
        while len(set(generations)) < 2:
            item = reader.read(20)
            assert item is not None
            if isinstance(item, Picture):
                generations.append((item.width, item.height))
                assert counter.read(item.copy()[0]) >= 0
        while sizes[-1] == sizes[0]:
            picture = next(stream)
            sizes.append((picture.width, picture.height))
        assert {sizes[0], sizes[-1]} == set(generations) == {(318, 178), (162, 122)}
        assert generations.index(generations[-1]) == len(generations) - 1, "the old ones come first"
        until(lambda: {(d.width, d.height) for d in client.list_decoders() if d.camera == "cam-4"} == {sizes[-1]}, 10)
