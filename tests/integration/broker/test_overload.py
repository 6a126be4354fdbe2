"""Overload, in a real broker process: memory stays within what was configured, and it says so before that hurts."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from broker.client import Gap, SyncBrokerClient, WireFrame
from mesh.bus import EVENT_STREAM, Bus, Message
from mesh.errors import ResourceExhausted
from tests.broker_process import BrokerProcess, running_broker
from tests.clips import make_clip
from tests.noise_film import FRAME_BYTES, make_noise
from tests.support import auntil, until
from trueframe.v1.broker_pb2 import Load
from trueframe.v1.frames_pb2 import GAP_REASON_OVERRUN

from .test_state_events import Nats

MIB = 1 << 20


@pytest.fixture(scope="module")
def flood(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A source of about 3.5 MB a second: noise, which no codec can make small."""
    return f"{make_noise(tmp_path_factory.mktemp('flood') / 'noise.mp4')}?loop=1"


def rss_bytes(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def load_of(client: SyncBrokerClient, name: str) -> Load:
    return next(load for load in client.load() if load.name == name)


def test_rings_of_flooding_cameras_and_the_process_stay_within_what_was_configured(flood: str, tmp_path: Path) -> None:
    cameras, budget = 8, 32 * MIB
    settings = (f"broker.memory_bytes={budget}", "broker.ring_bytes=67108864", "broker.min_ring_seconds=0")
    with running_broker(tmp_path / "data", *settings) as broker, broker.sync_client() as client:
        # FFmpeg's libraries and one small ring are there already.
        client.add_camera("small", f"{make_clip(tmp_path / 'small.mp4')}?loop=1")
        until(lambda: client.get_camera("small").frames, 20, "the small camera plays")
        before = rss_bytes(broker.pid)
        for number in range(cameras):
            client.add_camera(f"cam-{number}", flood)
        stalled = [client.stream(all_cameras=True, subscriber=f"stalled-{number}") for number in range(3)]
        for stream in stalled:
            next(stream)  # and never again
        worst, used = 0, []

        def has_turned_over_twice() -> bool:
            nonlocal worst
            worst = max(worst, rss_bytes(broker.pid))
            used.append(load_of(client, "ring_memory").used)
            frames = sum(camera.frames for camera in client.list_cameras())
            return frames * FRAME_BYTES > 2 * budget

        until(has_turned_over_twice, 60, "twice the budget came from the cameras")
        assert max(used) <= budget
        assert max(used) > 0.9 * budget, "the budget was never in use"
        # What the rings hold, and what each file that is played (7 MiB) and each stalled transport has in hand.
        assert worst - before < budget + cameras * 10 * MIB, (
            f"{(worst - before) / MIB:.0f} MiB more than without cameras"
        )
        for stream in stalled:
            stream.close()
        assert all(camera.damaged_frames == 0 for camera in client.list_cameras())


def test_a_slow_reader_of_a_full_budget_is_told_what_it_lost_and_the_others_lose_nothing(
    flood: str, tmp_path: Path
) -> None:
    settings = (f"broker.memory_bytes={16 * MIB}", "broker.min_ring_seconds=0")
    with (
        running_broker(tmp_path / "data", *settings) as broker,
        broker.sync_client() as client,
        broker.sync_client() as other,
    ):
        for number in range(4):
            client.add_camera(f"cam-{number}", flood)
        slow = client.stream(all_cameras=True, subscriber="slow")
        quick = other.stream(all_cameras=True, subscriber="quick")
        next(slow)
        frames = 0
        for item in quick:
            assert not isinstance(item, Gap), item
            frames += isinstance(item, WireFrame)
            if frames >= 320:
                break
        told = next(item for item in slow if isinstance(item, Gap))
        assert told.reason == GAP_REASON_OVERRUN
        assert told.count > 0
        slow.close()
        quick.close()


def test_a_camera_that_the_rings_could_not_hold_long_enough_is_refused_and_changes_nothing(
    flood: str, tmp_path: Path
) -> None:
    settings = (f"broker.memory_bytes={40 * MIB}", "broker.min_ring_seconds=5")
    with running_broker(tmp_path / "data", *settings) as broker, broker.sync_client() as client:
        client.add_camera("cam-1", flood)
        client.add_camera("cam-2", "/nowhere.mp4")
        # A rate is believed seven seconds after the first picture.
        until(lambda: client.get_camera("cam-1").frames > 190, 40, "its bit rate is known")
        with pytest.raises(ResourceExhausted) as caught:
            client.add_camera("cam-3", flood)
        assert "camera 'cam-3'" in str(caught.value)
        assert "3 cameras of" in str(caught.value)
        assert "41.9 MB" in str(caught.value)
        assert "broker.memory_bytes" in caught.value.remedy
        assert [camera.spec.id for camera in client.list_cameras()] == ["cam-1", "cam-2"]
        client.remove_camera("cam-2")
        client.add_camera("cam-3", "/nowhere.mp4")


def add_cameras(client: SyncBrokerClient, count: int) -> None:
    """Cameras that nobody answers for."""
    for number in range(count):
        client.add_camera(f"cam-{number}", f"rtsp://127.0.0.1:9/{number}")


def test_files_that_may_not_be_opened_refuse_a_camera_before_they_are_missing(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path / "data")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        # The hard limit is inherited: what a process of its own cannot raise again.
        broker.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (110, 110)))
        with broker.sync_client() as client:
            assert load_of(client, "descriptors").limit == 110
            with pytest.raises(ResourceExhausted) as caught:
                add_cameras(client, 40)
            assert "110 files this process may open" in str(caught.value)
            assert "ulimit -n" in caught.value.remedy
            admitted = len(client.list_cameras())
            assert 3 < admitted < 40
            assert load_of(client, "descriptors").used < 110
    finally:
        broker.close()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


async def test_rings_that_are_full_are_an_alarm_on_the_bus_before_anything_is_lost(flood: str, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    async def keep(message: Message) -> None:
        told.append(json.loads(message.data))

    nats = Nats(tmp_path / "nats")
    nats.start()
    try:
        settings = (f"broker.memory_bytes={24 * MIB}", "broker.min_ring_seconds=0", f"nats.url={nats.url}")
        with running_broker(tmp_path / "data", *settings) as broker:
            async with Bus(nats.url, name="test") as bus, broker.client() as client:
                await bus.ready(15)
                await bus.ensure_stream()
                bus.subscribe_durable(EVENT_STREAM, "test", "trueframe.system.broker", keep)
                for number in range(4):
                    await client.add_camera(f"cam-{number}", flood)
                await auntil(lambda: told, 30, "the broker says that it is degraded")
                loads = {load.name: load for load in await client.load()}
    finally:
        nats.stop()
    (alarm,) = told
    assert (alarm["service"], alarm["condition"], alarm["holds"], alarm["unit"]) == (
        "broker",
        "ring_memory",
        True,
        "bytes",
    )
    assert "25.2 MB" in alarm["summary"]
    assert "broker.memory_bytes" in alarm["summary"]
    assert loads["ring_memory"].degraded
    assert "broker.memory_bytes" in loads["ring_memory"].detail
    assert not loads["descriptors"].degraded
