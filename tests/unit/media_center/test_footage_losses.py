"""Disks that are slow, full or refuse: memory stays bounded and every frame that is not recorded is counted."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from media_center.cutter import Cutter, Limits
from media_center.lane import Commit
from media_center.writer import FootageWriter
from mesh.clocks import SystemClock
from tests.footage import EPOCH, Script, footage_of, gaps_in, record, replayed, seqs_in, unit
from tests.support import until
from trueframe.v1 import frames_pb2

NOT_RECORDED = frames_pb2.GAP_REASON_NOT_RECORDED


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond a size: the kernel refuses, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Recording:
    """A writer fed by hand."""

    def __init__(self, root: Path, **options: object) -> None:
        root.mkdir(exist_ok=True)
        self.commits: list[Commit] = []
        self.writer = FootageWriter(root, {}, self.commits.extend, SystemClock(), **{"sync_s": 0.01, **options})  # type: ignore[arg-type]
        self.cutter = Cutter("gate", Limits())

    def feed(self, script: Script) -> list[bool]:
        """Submits the script's items and begins it anew."""
        items, script.raw = script.items, []
        fragments = [f for item in items for f in self.cutter.take(item, 0)] + self.cutter.flush()
        return [self.writer.submit(fragment) for fragment in fragments]

    def settle(self) -> None:
        until(lambda: self.writer.queued_bytes == 0, 5)
        rounds = self.writer.rounds
        until(lambda: self.writer.rounds > rounds or self.writer.queued_bytes == 0, 5)


def test_a_full_queue_drops_whole_fragments_and_counts_their_frames(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "media", queue_bytes=30_000)
    script = Script().start()
    for _ in range(100):
        script.frame(unit(script.seq, 1000))

    taken = recording.feed(script)  # the writer has not begun: a disk that hangs

    assert taken == [True, True] + [False] * 8
    assert recording.writer.queued_bytes <= 30_000
    recording.writer.start()
    recording.settle()
    recording.feed(script.frames(10))
    assert recording.writer.stop()
    read = replayed(footage_of(tmp_path / "media"))
    assert seqs_in(read) == [*range(20), *range(100, 110)]
    (gap,) = gaps_in(read)
    assert (gap.reason, gap.count, gap.after.seq, gap.before.seq) == (NOT_RECORDED, 80, 19, 100)
    assert recording.writer.lost_frames == 80


def test_memory_does_not_grow_while_a_disk_hangs_for_long(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "media", queue_bytes=5_000)
    script = Script()
    for epoch in range(200):
        script.start(EPOCH + epoch).frames(12).gap().end()
    recording.feed(script)
    overflow = recording.writer._overflow["gate"]
    assert len(overflow._entries) <= 64
    assert recording.writer.lost_frames + recording.writer.queued_bytes // 400 >= 2390
    recording.writer.start()
    recording.settle()
    recording.feed(script.start(EPOCH + 500).frames(3).end())
    assert recording.writer.stop()
    read = replayed(footage_of(tmp_path / "media"))
    counted = sum(gap.count for gap in gaps_in(read) if gap.reason == NOT_RECORDED)
    assert counted + len(seqs_in(read)) == 2403


def test_what_the_disk_refuses_is_told_as_a_counted_gap_and_recording_goes_on(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "media")
    recording.writer.start()
    script = Script().start()
    recording.feed(script.frames(20))
    recording.settle()
    until(lambda: bool(recording.commits), 5)
    size = next((tmp_path / "media" / "gate").glob("*.mp4")).stat().st_size
    with files_at_most(size + 300):
        recording.feed(script.frames(20))
        until(lambda: recording.writer.lost_frames == 20, 5)
    recording.feed(script.frames(20))
    assert recording.writer.stop()

    read = replayed(footage_of(tmp_path / "media"))

    assert seqs_in(read) == [*range(20), *range(40, 60)]
    (gap,) = gaps_in(read)
    assert (gap.reason, gap.count, gap.after.seq, gap.before.seq) == (NOT_RECORDED, 20, 19, 40)


def test_footage_that_cannot_begin_is_told_once_it_can(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "media")
    recording.writer.start()
    script = Script().start()
    with files_at_most(100):
        recording.feed(script.frames(10))
        until(lambda: recording.writer.lost_frames == 10, 5)
    recording.feed(script.frames(10))
    assert recording.writer.stop()
    read = replayed(footage_of(tmp_path / "media"))
    assert seqs_in(read) == [*range(10, 20)]
    (gap,) = gaps_in(read)
    assert (gap.reason, gap.count, gap.before.seq) == (NOT_RECORDED, 10, 10)
    assert not gap.HasField("after")


def test_nothing_is_written_below_the_free_space_that_must_stay(tmp_path: Path) -> None:
    writer = record(tmp_path / "media", Script().start().frames(30).items, min_free_bytes=1 << 60)
    assert writer.is_full
    assert writer.lost_frames == 30
    assert not list((tmp_path / "media").rglob("*.mp4"))


def test_an_index_that_cannot_be_written_does_not_stop_recording(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "media")
    (tmp_path / "media" / "gate").mkdir()
    script = Script().start().frames(20)
    raw = list(script.raw)
    # A folder stands where the index should be.
    (tmp_path / "media" / "gate" / f"{EPOCH:019d}-{0:012d}.idx").mkdir()
    recording.writer.start()
    recording.feed(script)
    assert recording.writer.stop()
    assert recording.commits[-1].watermark is not None
    assert replayed(footage_of(tmp_path / "media")) == raw


def test_a_commit_comes_only_after_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(tmp_path / "media")
    may_sync = threading.Event()
    synced: list[int] = []

    def slow_sync(fd: int) -> None:
        assert may_sync.wait(10)
        synced.append(fd)

    monkeypatch.setattr("media_center.segment.os.fdatasync", slow_sync)
    recording.writer.start()
    recording.feed(Script().start().frames(10))
    until(lambda: list((tmp_path / "media").rglob("*.mp4")), 5)
    assert recording.commits == []
    assert [path.stat().st_size for path in (tmp_path / "media").rglob("*.idx")] == [0]
    may_sync.set()
    assert recording.writer.stop()
    assert len(synced) == 1
    assert recording.commits[-1].watermark is not None
    assert recording.commits[-1].watermark.seq == 9


def test_frames_whose_sync_failed_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(tmp_path / "media")
    recording.writer.start()
    script = Script().start()
    recording.feed(script.frames(10))
    until(lambda: bool(recording.commits), 5)

    def failing_sync(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("media_center.segment.os.fdatasync", failing_sync)
        recording.feed(script.frames(10))
        until(lambda: recording.writer.lost_frames == 10, 5)
    recording.feed(script.frames(10))
    assert recording.writer.stop()
    read = replayed(footage_of(tmp_path / "media"))
    assert seqs_in(read) == [*range(10), *range(20, 30)]
    assert [(gap.reason, gap.count) for gap in gaps_in(read)] == [(NOT_RECORDED, 10)]


def test_a_fragment_that_cannot_be_encoded_costs_itself_only(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "media")
    recording.writer.start()
    script = Script().start().frames(10)
    recording.feed(script)
    recording.feed(script.frame(b"no start code at all").frames(4))
    recording.feed(script.frames(10))
    assert recording.writer.stop()
    read = replayed(footage_of(tmp_path / "media"))
    assert seqs_in(read) == [*range(10), *range(15, 25)]
    assert [(gap.reason, gap.count) for gap in gaps_in(read)] == [(NOT_RECORDED, 5)]


def test_pictures_of_impossible_size_are_recorded_all_the_same(tmp_path: Path) -> None:
    script = Script().start(width=1 << 20, height=1 << 30).frames(10)
    record(tmp_path / "media", script.items)
    assert replayed(footage_of(tmp_path / "media")) == script.raw
