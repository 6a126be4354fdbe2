"""Any process may be killed at any moment: what was lost is told, the rest goes on, nothing outlives its supervisor."""

from __future__ import annotations

import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.client import FrameId, Gap, StreamItem, WireFrame
from mesh.errors import Unavailable
from simulator import sei
from tests.embedded import Embedded, embedded
from tests.support import until
from trueframe.v1 import footage_pb2
from trueframe.v1.cameras_pb2 import CAMERA_STATE_LIVE

pytestmark = pytest.mark.chaos

FPS = 10
# The simulator goes last: with it the cameras themselves are gone for a while.
VICTIMS = ("nats", "worker", "aggregate", "event center", "pixel host", "media center", "broker", "simulator")


class Watcher:
    """A lossless subscriber of every camera in a thread: all that its streams told, in order."""

    def __init__(self) -> None:
        self.told: dict[str, list[StreamItem]] = defaultdict(list)
        self.numbers: dict[FrameId, int] = {}
        self.failure: BaseException | None = None

    def watch(self, stream: Iterator[StreamItem]) -> None:
        try:
            for item in stream:
                camera = item.id.camera if isinstance(item, WireFrame) else item.camera
                self.told[camera].append(item)
                if isinstance(item, WireFrame):
                    self.numbers[item.id] = sei.read(item.payload)[0]
        except BaseException as error:
            self.failure = error

    def frames(self, camera: str) -> list[WireFrame]:
        return [item for item in list(self.told[camera]) if isinstance(item, WireFrame)]

    def last_epoch(self, camera: str) -> int:
        frames = self.frames(camera)
        return frames[-1].epoch if frames else 0


@contextmanager
def watching(instance: Embedded) -> Iterator[Watcher]:
    watcher = Watcher()
    client = instance.client()
    stream = client.broker.stream(all_cameras=True, subscriber="watcher")
    thread = threading.Thread(target=watcher.watch, args=(stream,), daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        client.close()
        thread.join(20)


@pytest.mark.timeout(400)
def test_every_part_comes_back_after_kill_9_and_every_missing_unit_lies_in_a_gap_that_was_told(tmp_path: Path) -> None:
    with embedded(tmp_path / "data", "--simulate", "4") as instance, watching(instance) as watcher:
        cameras = sorted(instance.simulator["urls"])
        until(lambda: all(len(watcher.frames(camera)) > 3 * FPS for camera in cameras), 60, "frames of every camera")
        epochs_before = {}
        for victim in VICTIMS:
            epochs = {camera: watcher.last_epoch(camera) for camera in cameras}
            counts = {camera: len(watcher.frames(camera)) for camera in cameras}
            pid = instance.children[victim]
            if victim == "broker":
                # Cameras go on sending into its sockets: what lies there dies with it.
                sent = {camera: len(instance.sent(camera)) for camera in cameras}
                os.kill(pid, signal.SIGSTOP)
                until(lambda s=sent: all(len(instance.sent(x)) > s[x] + 3 for x in cameras), 30, "units pile up")
            os.kill(pid, signal.SIGKILL)
            until(lambda p=pid, v=victim: instance.children.get(v, p) != p, 60, f"{victim} runs again")
            until(lambda c=counts: all(len(watcher.frames(x)) > c[x] + 2 * FPS for x in cameras), 60, "frames go on")
            # In turn: the next one is killed when this one has recovered, its footage included.
            newest = {camera: watcher.frames(camera)[-1].id for camera in cameras}
            until(lambda n=newest: is_recorded(instance, n), 60, "the recorder has caught up")
            if victim == "broker":
                epochs_before = epochs
        assert all(watcher.last_epoch(camera) > epochs_before[camera] for camera in cameras)
        with instance.client() as client:
            until(lambda: all(c.state == CAMERA_STATE_LIVE for c in client.broker.list_cameras()), 30, "all are live")
            assert watcher.failure is None
            missing = 0
            for camera in cameras:
                missing += assert_told(instance, watcher, camera)
                assert_recorded(client.footage, watcher, camera)
            # A broker that dies under four cameras loses something, else this test shows nothing.
            assert missing > 0


def is_recorded(instance: Embedded, newest: dict[str, FrameId]) -> bool:
    """Whether footage reaches these frames; False too while the media center is away."""
    with instance.client() as client:
        try:
            recordings = client.footage.recordings(list(newest)).recordings
        except Unavailable:
            return False
    on_disk = {recording.camera: FrameId.from_proto(recording.last) for recording in recordings}
    return all(camera in on_disk and on_disk[camera] >= frame for camera, frame in newest.items())


def assert_told(instance: Embedded, watcher: Watcher, camera: str) -> int:
    """Between two frames that follow each other in the stream, either nothing was sent or a gap was told.

    Returns how many units of the sender's log never arrived.
    """
    sent = sorted({unit.number for unit in instance.sent(camera)})
    received = {watcher.numbers[frame.id] for frame in watcher.frames(camera)}
    missing = [n for n in sent if n not in received and min(received) < n < max(received)]
    covered: set[int] = set()
    before, told = None, False
    for item in watcher.told[camera]:
        if isinstance(item, WireFrame):
            number = watcher.numbers[item.id]
            if told and before is not None:
                covered.update(range(before + 1, number))
            before, told = number, False
        elif isinstance(item, Gap):
            told = True
    untold = [number for number in missing if number not in covered]
    assert not untold, f"{camera}: {len(untold)} units are missing and no gap says so: {untold[:5]}"
    return len(missing)


def assert_recorded(footage, watcher: Watcher, camera: str) -> None:  # type: ignore[no-untyped-def]
    """At most 2 s of what was live is not on disk, and then the footage says so."""
    frames = watcher.frames(camera)
    last = frames[-1].id
    rows: set[FrameId] = set()

    def is_there() -> bool:
        rows.clear()
        rows.update(
            FrameId.from_proto(row.id) for row in footage.frames(camera) if isinstance(row, footage_pb2.IndexRow)
        )
        return last in rows

    until(is_there, 20, f"{last} is on disk")
    lost = [frame.id for frame in frames if frame.id not in rows]
    assert len(lost) <= 2 * FPS, f"{camera}: {len(lost)} frames are not on disk, from {lost[0]}"


@pytest.mark.timeout(300)
def test_no_child_outlives_a_killed_supervisor_and_the_next_start_goes_on_where_it_stopped(tmp_path: Path) -> None:
    instance = Embedded(tmp_path / "data", "--simulate", "2")
    instance.start()
    try:
        with instance.client() as client:
            until(lambda: sum(r.frames for r in client.footage.recordings().recordings) > 6 * FPS, 60, "footage")
            before = {r.camera: r for r in client.footage.recordings().recordings}
        children = list(instance.children.values())
        assert len(children) >= 8
        instance.kill()
        until(lambda: not any(is_alive(pid) for pid in children), 30, "no child is left")

        instance.start()
        with instance.client() as client:

            def goes_on() -> bool:
                answer = client.footage.recordings()
                newest = {r.camera: r for r in answer.recordings}
                return all(newest[c].last.epoch > before[c].last.epoch for c in before if c in newest)

            until(goes_on, 60, "footage of a greater epoch")
            for camera, recording in before.items():
                # Everything that was confirmed before the kill is served after it.
                first, last = FrameId.from_proto(recording.first), FrameId.from_proto(recording.last)
                kept = list(client.footage.replay(camera, start=first, end=last))
                assert sum(isinstance(item, WireFrame) for item in kept) == recording.frames
                gaps = [g for g in client.footage.recordings([camera]).gaps if g.after.epoch == last.epoch]
                assert gaps, "the time without an instance is a gap of the footage"
    finally:
        instance.stop()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
