"""StreamPixels: whole pictures for readers on other machines, through a real pixel host."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from broker.pixel.client import Picture, PixelClient, RemotePicture, SyncPixelClient
from broker.pixel.scale import area_average
from mesh.errors import InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, Unavailable
from mesh.ids import FrameId
from tests.broker_process import BrokerProcess
from tests.pixel_process import HostProcess, running_pixel_host
from tests.support import until

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def local_pictures(host: HostProcess, camera: str, found: dict[FrameId, Planes], stop: threading.Event) -> None:
    with host.reader(camera) as reader:
        while not stop.is_set():
            item = reader.read(0.2)
            if isinstance(item, Picture):
                found[item.id] = item.copy()


@pytest.fixture
def local(host: HostProcess) -> Iterator[dict[FrameId, Planes]]:
    """Pictures of cam-1 out of the local ring."""
    found: dict[FrameId, Planes] = {}
    stop = threading.Event()
    thread = threading.Thread(target=local_pictures, args=(host, "cam-1", found, stop))
    thread.start()
    until(lambda: found, 30, "the local reader has pictures")
    yield found
    stop.set()
    thread.join(10)


def every_picture_is_told(pictures: Sequence[RemotePicture]) -> bool:
    return all(b.id.seq - a.id.seq == b.left_out + 1 for a, b in itertools.pairwise(pictures))


def test_a_picture_over_grpc_is_bit_equal_to_that_of_the_local_ring(
    host: HostProcess, local: dict[FrameId, Planes]
) -> None:
    with host.sync_client() as client, client.stream_pixels("cam-1") as stream:
        remote = list(itertools.islice(stream, 20))
    until(lambda: max(local).seq >= remote[-1].id.seq, 10, "the local reader is as far")
    compared = [picture for picture in remote if picture.id in local]
    assert len(compared) >= 15
    for picture in compared:
        for mine, its in zip((picture.y, picture.u, picture.v), local[picture.id], strict=True):
            assert np.array_equal(mine, its)
    assert not any(plane.flags.writeable for plane in (remote[0].y, remote[0].u, remote[0].v))
    assert (remote[0].width, remote[0].height) == (320, 180)
    assert remote[0].rgb(80, 80).shape == (45, 80, 3)
    assert every_picture_is_told(remote)


def test_a_smaller_picture_is_the_area_mean_of_the_local_one(host: HostProcess, local: dict[FrameId, Planes]) -> None:
    with host.sync_client() as client, client.stream_pixels("cam-1", max_width=101, max_height=200) as stream:
        picture = next(stream)
    assert (picture.width, picture.height) == (101, 57)
    until(lambda: picture.id in local, 10)
    y, u, v = local[picture.id]
    assert np.array_equal(picture.y, area_average(y, 101, 57))
    assert np.array_equal(picture.u, area_average(u, 51, 29))
    assert np.array_equal(picture.v, area_average(v, 51, 29))


def test_a_rate_leaves_pictures_out_and_counts_them(host: HostProcess) -> None:
    with host.sync_client() as client, client.stream_pixels("cam-1", max_rate=2.5) as stream:
        pictures = list(itertools.islice(stream, 6))
    assert every_picture_is_told(pictures)
    assert sum(picture.left_out for picture in pictures[1:]) >= 10  # ten a second are sent
    took_s = (pictures[-1].received_ns - pictures[0].received_ns) / 1e9
    assert took_s > 1.8


def test_a_reader_that_takes_nothing_for_a_while_holds_back_nobody(host: HostProcess) -> None:
    with host.sync_client() as client, client.stream_pixels("cam-1") as slow, client.stream_pixels("cam-1") as quick:
        first = next(slow)
        others = [next(quick) for _ in range(25)]
        assert every_picture_is_told(others)
        later = [first, *(next(slow) for _ in range(10))]
        assert every_picture_is_told(later)


async def test_an_asynchronous_reader_over_tcp_gets_the_same_pictures(own_broker: BrokerProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"
    with running_pixel_host(own_broker, f"pixels.endpoint={endpoint}", endpoint=endpoint) as host:
        found: dict[FrameId, Planes] = {}
        stop = threading.Event()
        thread = threading.Thread(target=local_pictures, args=(host, "cam-2", found, stop))
        thread.start()
        try:
            async with PixelClient(endpoint, host.broker.token) as client, client.stream_pixels("cam-2") as stream:
                pictures = [await anext(stream) for _ in range(15)]
                decoders = await client.list_decoders()
            until(lambda: found and max(found).seq >= pictures[-1].id.seq, 10)
        finally:
            stop.set()
            thread.join(10)
    same = [picture for picture in pictures if picture.id in found]
    assert len(same) >= 5
    assert all(np.array_equal(picture.y, found[picture.id][0]) for picture in same)
    assert [(one.camera, one.problem) for one in decoders] == [("cam-2", "")]


def test_what_cannot_be_streamed_is_refused_with_a_reason(host: HostProcess) -> None:
    def first(camera: str, client: SyncPixelClient, **options: float) -> RemotePicture:
        with client.stream_pixels(camera, **options) as stream:  # type: ignore[arg-type]
            return next(stream)

    with host.sync_client() as client:
        with pytest.raises(NotFound, match="nowhere"):
            first("nowhere", client)
        for options in ({"max_width": 7}, {"max_height": 16385}, {"max_rate": -1.0}, {"max_rate": 1e9}):
            with pytest.raises(InvalidArgument):
                first("cam-1", client, **options)
    with host.sync_client(host.broker.mint("x", "viewer", ["cam-2"])) as client, pytest.raises(PermissionDenied):
        first("cam-1", client)


def test_a_size_without_memory_is_refused_and_rings_keep_theirs(own_broker: BrokerProcess) -> None:
    # The ring of 320x180 takes 0.64 MB with its log, a size and its reader three pictures of 0.09 MB.
    with (
        running_pixel_host(own_broker, "pixels.memory_bytes=1048576") as host,
        host.reader("cam-1") as reader,
        host.sync_client() as client,
    ):
        assert isinstance(reader.read(30), Picture)
        with host.reader("cam-2") as other, pytest.raises(ResourceExhausted, match="cam-2"):
            other.read(30)
        with client.stream_pixels("cam-2") as first, client.stream_pixels("cam-1", max_width=64) as second:
            next(first)
            next(second)
            with client.stream_pixels("cam-2", max_width=319) as third, pytest.raises(ResourceExhausted, match="cam-2"):
                next(third)
            assert next(first).width == 320
        # It read nothing meanwhile: what was overwritten is told first.
        until(lambda: isinstance(reader.read(30), Picture), 30, "the ring goes on")


def test_a_stream_ends_with_its_camera_and_with_its_host(own_broker: BrokerProcess, own_host: HostProcess) -> None:
    with own_host.sync_client() as client, client.stream_pixels("cam-1") as stream:
        next(stream)
        with own_broker.sync_client() as broker:
            broker.remove_camera("cam-1")
        with pytest.raises(NotFound, match="removed"):
            list(stream)
        with client.stream_pixels("cam-2") as other:
            next(other)
            own_host.end(signal.SIGKILL)
            with pytest.raises(Unavailable):
                list(other)


def test_a_killed_remote_reader_leaves_nothing_behind(host: HostProcess) -> None:
    program = (
        "import sys; from broker.pixel.client import SyncPixelClient;"
        "c = SyncPixelClient(sys.argv[1], sys.argv[2]); s = c.stream_pixels('cam-2', max_width=111); next(s);"
        "print('reads', flush=True); [None for _ in s]"
    )
    command = [sys.executable, "-c", program, host.endpoint, host.broker.token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, host.sync_client() as client:
        assert process.stdout is not None
        assert process.stdout.readline() == "reads\n"
        assert "cam-2" in [decoder.camera for decoder in client.list_decoders()]
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        until(lambda: "cam-2" not in [d.camera for d in client.list_decoders()], 20, "nobody wants cam-2 any more")


def test_a_stream_that_is_closed_in_another_thread_ends_there(host: HostProcess) -> None:
    with host.sync_client() as client:
        stream = client.stream_pixels("cam-1")
        next(stream)
        began = time.monotonic()
        threading.Timer(0.2, stream.close).start()
        list(stream)
        assert time.monotonic() - began < 5
