"""A real media center on a disk that hangs, fails and turns read-only in the middle: told, counted, and gone on."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simulator.testing
from broker.client import WireFrame
from media_center.client import SyncFootageClient
from tests.footage_cuts import build_shim
from tests.support import until
from trueframe.v1 import footage_pb2, frames_pb2

FPS = 25


class BadDisk:
    """Makes writes and syncs of the footage of an instance fail or wait."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def set(self, *, write: int = 0, sync: int = 0, write_ms: int = 0, sync_ms: int = 0) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{write} {sync} {write_ms} {sync_ms}\n")
        fresh.replace(self._file)


@pytest.fixture
def made(make_instance: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, BadDisk]:
    """A broker and a media center whose disk is in our hands."""
    instance = make_instance(media_center__slow_write_s=0.5)
    instance.start("broker")
    with monkeypatch.context() as environment:
        environment.setenv("LD_PRELOAD", str(build_shim(tmp_path)))
        environment.setenv("TF_DISK_ROOT", str(instance.footage_dir))
        environment.setenv("TF_DISK_FAULTS", str(tmp_path / "faults"))
        instance.start("media_center")
    for module in ("broker", "media_center"):
        instance.wait_ready(module)
    return instance, BadDisk(tmp_path / "faults")


def detail(footage: SyncFootageClient) -> str:
    return str(primary(footage.storage()).detail)


def primary(storage: footage_pb2.GetStorageResponse) -> footage_pb2.StorageTier:
    return storage.tiers[0]


def recorded(footage: SyncFootageClient) -> int:
    return sum(span.frames for span in footage.recordings().recordings)


def everything_adds_up(footage: SyncFootageClient, sent: list[bytes]) -> tuple[int, list[frames_pb2.Gap]]:
    """Every frame is served with its own bytes or told in a counted gap; returns how many, and the gaps."""
    items = list(footage.replay("cam-1"))
    frames = [item for item in items if isinstance(item, WireFrame)]
    gaps = [item for item in items if isinstance(item, frames_pb2.Gap)]
    first = sent.index(frames[0].digest)
    for frame in frames:
        assert frame.digest == sent[first + frame.seq - frames[0].seq]
    missing = frames[-1].seq - frames[0].seq + 1 - len(frames)
    assert missing == sum(gap.count for gap in gaps)
    return missing, gaps


@pytest.mark.parametrize("fault", ["eio-on-sync", "eio-on-write", "read-only"])
def test_a_disk_that_refuses_in_the_middle_costs_counted_frames_and_is_an_alarm_that_returns(
    made: tuple[Any, BadDisk], fault: str
) -> None:
    instance, disk = made
    # One client for all questions: a connection for each would be the load that it waits for.
    with simulator.testing.running(1, fps=FPS) as sim, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        until(lambda: recorded(footage) > 40, 30)
        assert detail(footage) == ""
        if fault == "read-only":
            disk.set(write=errno.EROFS, sync=errno.EROFS)
        else:
            disk.set(**{fault.rpartition("-")[2]: errno.EIO})
        until(lambda: "refuses to write" in detail(footage), 20)
        assert ("Read-only" if fault == "read-only" else "Input/output") in detail(footage)
        until(lambda: "frames are not recorded" in detail(footage), 20)
        # What was confirmed before is served all the while.
        assert len([item for item in footage.replay("cam-1") if isinstance(item, WireFrame)]) > 40
        disk.set()
        before = recorded(footage)
        until(lambda: recorded(footage) > before + 60, 30)
        until(lambda: "refuses to write" not in detail(footage), 20)
        sent = [unit.digest for unit in sim.log("cam-1")]
        missing, gaps = everything_adds_up(footage, sent)
    assert missing > 0
    assert {gap.reason for gap in gaps} == {frames_pb2.GAP_REASON_NOT_RECORDED}
    assert "Traceback" not in instance.log("media_center")


def test_a_disk_that_hangs_is_told_before_a_frame_is_lost(made: tuple[Any, BadDisk]) -> None:
    instance, disk = made
    # One client for all questions: a connection for each would be the load that it waits for.
    with simulator.testing.running(1, fps=FPS) as sim, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        until(lambda: recorded(footage) > 40, 30)
        disk.set(sync_ms=2500)
        until(lambda: "frames will be lost" in detail(footage), 20)
        storage = footage.storage()
        assert primary(storage).write_p99_ns > 500_000_000
        assert storage.queued_bytes < storage.queue_limit_bytes / 4
        disk.set()
        before = recorded(footage)
        until(lambda: recorded(footage) > before + 60, 30)
        sent = [unit.digest for unit in sim.log("cam-1")]
        assert everything_adds_up(footage, sent) == (0, [])
