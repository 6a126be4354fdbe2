"""Processes die, disks are full: what was received is on disk, what was not is told."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simulator.testing
from broker.client import WireFrame
from mesh.bus import FOOTAGE_PERSISTED, Bus, Message
from tests.support import auntil, until
from trueframe.v1 import footage_pb2, frames_pb2


def watermark(instance: Any, camera: str) -> tuple[int, int]:
    with instance.footage() as footage:
        found = [r.last for r in footage.recordings().recordings if r.camera == camera]
        return (found[-1].epoch, found[-1].seq) if found else (-1, -1)


def test_a_killed_media_center_loses_nothing_that_the_ring_holds(instance: Any) -> None:
    with simulator.testing.running(2, fps=25) as sim, instance.broker() as broker:
        for camera, url in sim.urls.items():
            broker.add_camera(camera, url)
        until(lambda: watermark(instance, "cam-2")[1] > 30, 30)
        for _ in range(2):
            reached = watermark(instance, "cam-1")[1]
            instance.end("media_center", signal.SIGKILL)
            instance.start("media_center")
            instance.wait_ready("media_center")
            until(lambda reached=reached: watermark(instance, "cam-1")[1] > reached + 40, 30)

        with instance.footage() as footage:
            for camera in sim.urls:
                sent = [unit.digest for unit in sim.log(camera)]
                items = list(footage.replay(camera))
                frames = [item for item in items if isinstance(item, WireFrame)]
                assert [f.seq for f in frames] == list(range(len(frames)))
                assert not [item for item in items if isinstance(item, frames_pb2.Gap)]
                at = sent.index(frames[0].digest)
                assert [f.digest for f in frames] == sent[at : at + len(frames)]


def test_footage_is_confirmed_within_two_seconds(instance: Any) -> None:
    with simulator.testing.running(1, fps=25) as sim, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        until(lambda: watermark(instance, "cam-1")[1] > 20, 30)
        received: dict[int, int] = {}
        oldest_unconfirmed_ns = []
        marks = footage.watch_persisted(["cam-1"])
        next(marks)
        for _ in range(4):
            (mark,) = next(marks)
            now_ns = time.time_ns()
            received.update(
                (row.id.seq, row.received_ns)
                for row in footage.frames("cam-1", start=mark)
                if isinstance(row, footage_pb2.IndexRow)
            )
            oldest_unconfirmed_ns.append(now_ns - received[mark.seq])
        # Right after a commit the next frame is the oldest that a crash could take; before the next one, a round older.
        assert max(oldest_unconfirmed_ns) < 1_900_000_000


def test_a_media_center_away_for_longer_than_the_ring_reaches_tells_how_many_it_missed(
    make_instance: Callable[..., Any],
) -> None:
    instance = make_instance(broker__ring_seconds=1)
    instance.up()
    with simulator.testing.running(1, fps=25) as sim, instance.broker() as broker:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        until(lambda: watermark(instance, "cam-1")[1] > 30, 30)
        instance.end("media_center", signal.SIGKILL)
        reached = len(sim.log("cam-1"))
        until(lambda: len(sim.log("cam-1")) > reached + 75, 30)
        instance.start("media_center")
        instance.wait_ready("media_center")
        until(lambda: watermark(instance, "cam-1")[1] > reached + 100, 30)

        with instance.footage() as footage:
            items = list(footage.replay("cam-1"))
            listed = footage.recordings()
        (gap,) = [item for item in items if isinstance(item, frames_pb2.Gap)]
        assert gap.reason == frames_pb2.GAP_REASON_RECORDER_LOST
        seqs = [item.seq for item in items if isinstance(item, WireFrame)]
        assert len(seqs) + gap.count == seqs[-1] + 1
        assert (gap.after.seq, gap.before.seq) == (seqs[gap.after.seq], gap.after.seq + gap.count + 1)
        assert len(listed.recordings) == 2
        assert list(listed.gaps) == [gap]


def test_a_power_cut_costs_at_most_two_seconds(instance: Any) -> None:
    with simulator.testing.running(2, fps=25) as sim, instance.broker() as broker:
        for camera, url in sim.urls.items():
            broker.add_camera(camera, url)
        until(lambda: watermark(instance, "cam-2")[1] > 30, 30)
        for module in ("broker", "media_center"):  # neither ring nor recorder is left
            instance.processes[module].send_signal(signal.SIGKILL)
        killed_ns = time.time_ns()
        for module in ("broker", "media_center"):
            instance.end(module, signal.SIGKILL)
        instance.start("media_center")
        instance.wait_ready("media_center")
        with instance.footage() as footage:
            for camera in sim.urls:
                frames = [item for item in footage.replay(camera) if isinstance(item, WireFrame)]
                sent = [unit.digest for unit in sim.log(camera)]
                at = sent.index(frames[0].digest)
                assert [frame.digest for frame in frames] == sent[at : at + len(frames)]
                assert killed_ns - frames[-1].received_ns < 2_000_000_000


def test_a_killed_broker_leaves_a_told_gap_and_a_greater_epoch(instance: Any) -> None:
    with simulator.testing.running(1, fps=25) as sim:
        with instance.broker() as broker:
            broker.add_camera("cam-1", sim.urls["cam-1"])
        until(lambda: watermark(instance, "cam-1")[1] > 60, 30)
        epoch = watermark(instance, "cam-1")[0]
        instance.end("broker", signal.SIGKILL)
        instance.start("broker")
        instance.wait_ready("broker")
        until(lambda: watermark(instance, "cam-1")[0] > epoch and watermark(instance, "cam-1")[1] > 30, 30)

        with instance.footage() as footage:
            items = list(footage.replay("cam-1"))
            listed = footage.recordings()
        kinds = [type(item).__name__ for item in items if not isinstance(item, WireFrame)]
        assert kinds == ["EpochStarted", "Gap", "EpochStarted"]
        (gap,) = [item for item in items if isinstance(item, frames_pb2.Gap)]
        assert gap.reason == frames_pb2.GAP_REASON_BROKER_LOST
        assert [r.first.epoch > epoch for r in listed.recordings] == [False, True]
        assert [g.reason for g in listed.gaps] == [gap.reason]


def test_watermarks_go_over_the_bus_in_one_message(make_instance: Callable[..., Any], tmp_path: Path) -> None:
    with nats_server(tmp_path) as url:
        instance = make_instance(nats__url=url)
        instance.up()
        with simulator.testing.running(2, fps=25) as sim, instance.broker() as broker:
            for camera, camera_url in sim.urls.items():
                broker.add_camera(camera, camera_url)
            messages = asyncio.run(collect(url))
        marks = [footage_pb2.WatchPersistedResponse.FromString(m).watermarks for m in messages]
        assert {mark.camera for message in marks for mark in message} == {"cam-1", "cam-2"}
        for camera in ("cam-1", "cam-2"):
            seqs = [mark.seq for message in marks for mark in message if mark.camera == camera]
            assert seqs == sorted(set(seqs))


async def collect(url: str) -> list[bytes]:
    messages: list[bytes] = []

    async def take(message: Message) -> None:
        messages.append(message.data)

    async with Bus(url, name="test") as bus:
        await bus.ready()
        bus.subscribe_core(FOOTAGE_PERSISTED, take)
        await auntil(lambda: len(messages) >= 8, 30)
    return messages


class nats_server:  # noqa: N801 - a context manager
    """A bus for the time of a block."""

    def __init__(self, folder: Path) -> None:
        self._ports = folder / "nats"

    def __enter__(self) -> str:
        self._ports.mkdir()
        program = Path(sys.executable).with_name("nats-server")
        arguments = ["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(self._ports)]
        self._process = subprocess.Popen([program, *arguments], stderr=subprocess.DEVNULL)
        file = until(lambda: next(self._ports.glob("*.ports"), None), 10)
        import json

        return str(json.loads(file.read_text())["nats"][0])

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)


def test_too_little_space_at_start_is_refused_in_one_friendly_line(make_instance: Callable[..., Any]) -> None:
    instance = make_instance(media_center__min_free_bytes=1 << 60)
    instance.start("media_center")
    process = instance.processes["media_center"]
    assert process.wait(20) == 1
    last = instance.log("media_center").splitlines()[-1]
    assert "footage folder" in last
    assert "MiB free" in last
    assert "media_center.min_free_bytes" in last
    assert "Traceback" not in instance.log("media_center")


def test_a_footage_folder_that_cannot_be_written_is_refused_in_one_friendly_line(
    make_instance: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    instance = make_instance(media_center__footage_dir=tmp_path / "taken" / "media")
    instance.start("media_center")
    assert instance.processes["media_center"].wait(20) == 1
    assert "cannot be written" in instance.log("media_center").splitlines()[-1]
    assert "Traceback" not in instance.log("media_center")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_puts_everything_received_on_disk(instance: Any, number: int) -> None:
    with simulator.testing.running(1, fps=25) as sim, instance.broker() as broker:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        until(lambda: watermark(instance, "cam-1")[1] > 20, 30)
        sent_before = len(sim.log("cam-1"))
        time.sleep(0.15)  # what was sent is received by now; nothing to wait for tells it
        assert instance.end("media_center", number) == 0
        instance.end("broker")
        instance.start("media_center")
        instance.wait_ready("media_center")
        with instance.footage() as footage:
            digests = [item.digest for item in footage.replay("cam-1") if isinstance(item, WireFrame)]
        sent = [unit.digest for unit in sim.log("cam-1")]
        at = sent.index(digests[0])
        assert digests == sent[at : at + len(digests)]
        assert at + len(digests) >= sent_before
