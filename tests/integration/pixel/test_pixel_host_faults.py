"""The pixel host when things go wrong: damage, stalls, dead readers, cameras that are not there, wrong callers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from broker.client import WireFrame
from broker.pixel.client import Missing, MissingReason, Picture, RingReader
from mesh.errors import NotFound, PermissionDenied, Unavailable
from mesh.ids import FrameId
from simulator.testing import Simulator
from tests.broker_process import BrokerProcess
from tests.clips import make_clip
from tests.pixel_process import HostProcess
from tests.support import until


def read_for(reader: RingReader, seconds: float) -> list[Picture | Missing]:
    items: list[Picture | Missing] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        item = reader.read(0.2)
        if item is not None:
            items.append(item)
    return items


def told(items: list[Picture | Missing]) -> list[int]:
    seqs: list[int] = []
    for item in items:
        seqs += [item.id.seq] if isinstance(item, Picture) else range(item.first_id.seq, item.last_id.seq + 1)
    return seqs


def test_pictures_after_packet_loss_are_inexact_until_the_next_join_point(
    sim: Simulator, host: HostProcess, broker: BrokerProcess
) -> None:
    damage: dict[int, bool] = {}
    with host.reader("cam-1") as reader, broker.sync_client() as client:
        assert isinstance(reader.read(10), Picture)
        sim.fault("cam-1", "lose", share=0.05)
        try:
            items: list[Picture | Missing] = []
            stream = client.stream(["cam-1"])
            for item in stream:
                if isinstance(item, WireFrame):
                    damage[item.seq] = item.damaged or item.follows_damage
                items += [found for found in [reader.read(0)] if found is not None]
                if sum(damage.values()) > 10 and len(damage) > 40:
                    break
        finally:
            sim.fault("cam-1", "none")
        items += read_for(reader, 1.0)
    seqs = told(items)
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    pictures = {item.id.seq: item for item in items if isinstance(item, Picture)}
    both = [seq for seq in damage if seq in pictures]
    assert len(both) > 20
    assert all(pictures[seq].inexact for seq in both if damage[seq])
    assert any(not picture.inexact for picture in pictures.values())


def test_pictures_of_a_stream_with_b_frames_are_those_of_their_own_units(
    tmp_path: Path, host: HostProcess, broker: BrokerProcess
) -> None:
    clip = make_clip(tmp_path / "b.mp4", frames=100, fps=25, gop=25, b_frames=2)
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    decoder = av.CodecContext.create("h264", "r")
    with av.open(str(clip)) as container:
        decoder.extradata = container.streams.video[0].codec_context.extradata
    expected: dict[int, bytes] = {}
    for seq, packet in enumerate([*packets, None]):
        if packet is not None:
            packet.pts = packet.dts = seq
            packet.time_base = Fraction(1, 1)
        expected |= {frame.pts: frame.to_ndarray()[:96].tobytes() for frame in decoder.decode(packet)}
    assert len(expected) == 100
    with broker.sync_client() as client:
        client.add_camera("film", str(clip))
        until(lambda: client.get_camera("film").frames > 0, 10, "the file plays")
    shown: dict[int, bytes] = {}
    with host.reader("film") as reader:
        while not shown or max(shown) < 70:
            item = reader.read(10)
            assert isinstance(item, Picture), item
            assert item.id.seq not in shown
            shown[item.id.seq] = item.copy()[0].tobytes()
    # The last ones may still have neighbours that are shown later.
    assert sorted(shown)[:-4] == list(range(min(shown), min(shown) + len(shown) - 4))
    assert list(shown) != sorted(shown), "pictures come in presentation order"
    assert all(expected[seq] == y for seq, y in shown.items())


def test_a_stalled_pixel_host_never_shows_old_pictures_and_tells_what_it_left_out(host: HostProcess) -> None:
    with host.reader("cam-1") as reader:
        first = reader.read(10)
        assert isinstance(first, Picture)
        os.kill(host.pid, signal.SIGSTOP)
        read_for(reader, 3.0)
        os.kill(host.pid, signal.SIGCONT)
        ages: list[int] = []
        items: list[Picture | Missing] = []
        end = time.monotonic() + 4
        while time.monotonic() < end:
            item = reader.read(0.2)
            if isinstance(item, Picture):
                ages.append(time.monotonic_ns() - item.monotonic_ns)
            if item is not None:
                items.append(item)
    seqs = told(items)
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert len(ages) > 10
    assert max(ages) < 1_300_000_000
    reasons = {item.reason for item in items if isinstance(item, Missing)}
    assert reasons
    # On a busy machine the host catches up while this process waits for its turn.
    assert reasons <= {MissingReason.TOO_OLD, MissingReason.THINNED, MissingReason.OVERRUN}
    assert reasons != {MissingReason.OVERRUN}


def test_a_reader_that_is_killed_leaves_nothing_behind(host: HostProcess) -> None:
    program = (
        "import sys; from broker.pixel.client import RingReader; "
        "r = RingReader(sys.argv[1], sys.argv[2], 'cam-1'); r.read(10); print('reads', flush=True); r.read(60); "
        "[None for _ in r]"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(host.rings), host.broker.token], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with host.sync_client() as client:
        assert process.stdout.readline() == "reads\n"
        assert sum(decoder.readers for decoder in client.list_decoders()) == 1
        process.kill()
        process.wait()
        process.stdout.close()
        until(lambda: sum(decoder.readers for decoder in client.list_decoders()) == 0, 10, "the seat is free")
        until(lambda: not client.list_decoders(), 10, "the decoder ends")


def test_a_camera_that_is_not_live_says_so(host: HostProcess, broker: BrokerProcess) -> None:
    with broker.sync_client() as client, host.sync_client() as pixels:
        client.add_camera("dark", "rtsp://127.0.0.1:9/nothing")
        until(lambda: "dark" in {camera.spec.id for camera in client.list_cameras()}, 10)
        with pytest.raises(Unavailable, match=r"dark.*the camera is"):
            pixels.live_picture("dark", timeout_s=2.0)


def test_a_camera_added_later_can_be_seen_at_once(sim: Simulator, host: HostProcess, broker: BrokerProcess) -> None:
    with broker.sync_client() as client, host.sync_client() as pixels:
        client.add_camera("later", sim.urls["cam-1"])

        def picture() -> bool:
            try:
                return pixels.live_picture("later").id.camera == "later"
            except (NotFound, Unavailable):
                return False

        until(picture, 20)


async def test_a_viewer_sees_the_cameras_of_its_scope_only(host: HostProcess) -> None:
    token = host.broker.mint("guest", "viewer", ["cam-2"])
    async with host.client(token) as client:
        async with client.watch_thumbnails(max_width=64, max_height=64, max_rate=10) as watch:
            assert {(await anext(watch)).id.camera for _ in range(6)} == {"cam-2"}
        async with client.watch_thumbnails(["cam-1"], max_width=64, max_height=64) as watch:
            with pytest.raises(PermissionDenied):
                await anext(watch)
        with pytest.raises(PermissionDenied):
            await client.live_picture("cam-1")


async def test_thumbnails_go_on_when_the_broker_was_killed(own_host: HostProcess, own_broker: BrokerProcess) -> None:
    async with own_host.client() as client, client.watch_thumbnails(["cam-1"], max_width=64, max_height=64) as watch:
        epoch = (await anext(watch)).id.epoch
        own_broker.kill()
        own_broker.start()
        while (await anext(watch)).id.epoch == epoch:
            pass


def test_asking_for_more_memory_than_there_is_refuses_to_start(own_broker: BrokerProcess) -> None:
    host = HostProcess(own_broker, f"pixels.memory_bytes={1 << 40}")
    with pytest.raises(AssertionError, match=r"pixels\.memory_bytes.*are available"):
        host.start()


def test_a_second_host_on_the_same_sockets_is_refused(host: HostProcess, broker: BrokerProcess) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "broker.pixel", *host.arguments],
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert process.returncode != 0
    assert "another process serves there" in process.stderr
    with host.reader("cam-1") as reader:
        assert isinstance(reader.read(10), Picture)


def test_the_greyscale_of_a_picture_is_the_same_for_every_reader(host: HostProcess) -> None:
    with host.reader("cam-1") as one, host.reader("cam-1") as two:
        small: list[dict[FrameId, np.ndarray]] = [{}, {}]
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for reader, found in zip((one, two), small, strict=True):
                item = reader.read(0.2)
                if isinstance(item, Picture):
                    found[item.id] = item.grey(80)
    common = set(small[0]) & set(small[1])
    assert len(common) > 5
    assert all((small[0][i] == small[1][i]).all() for i in common)
