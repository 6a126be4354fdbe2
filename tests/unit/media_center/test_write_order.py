"""What a power cut may leave is decided by what is synced before what: the end of a segment before the next begins."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from media_center.cutter import Cutter, Limits
from media_center.lane import Commit, Lane
from media_center.scan import scan
from media_center.writer import FootageWriter
from mesh.clocks import SystemClock
from tests.footage import EPOCH, SECOND, Script, footage_of, record, replayed

LIMITS = Limits(segment_ns=3 * SECOND, max_segment_ns=6 * SECOND)


class Watched:
    """What is written and synced, in order: ("write" or "sync", name of the file)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[str, str]] = []
        self.refuses = False
        write, sync = os.pwritev, os.fdatasync

        def watched_write(fd: int, buffers: list[bytes], offset: int) -> int:
            self.done.append(("write", self._name(fd)))
            return write(fd, buffers, offset)

        def watched_sync(fd: int) -> None:
            self.done.append(("sync", self._name(fd)))
            if self.refuses:
                raise OSError(5, "Input/output error")
            sync(fd)

        monkeypatch.setattr("media_center.segment.os.pwritev", watched_write)
        monkeypatch.setattr("media_center.segment.os.fdatasync", watched_sync)

    @staticmethod
    def _name(fd: int) -> str:
        return Path(f"/proc/self/fd/{fd}").readlink().name

    def of_segments(self) -> list[tuple[str, str]]:
        return [(what, name) for what, name in self.done if name.endswith(".mp4")]


def in_one_round(root: Path, *scripts: Script) -> tuple[FootageWriter, list[Commit]]:
    """Everything waits before the writer begins, as behind a disk that hung."""
    root.mkdir()
    commits: list[Commit] = []
    writer = FootageWriter(root, {}, commits.extend, SystemClock(), sync_s=0.01)
    for script in scripts:
        cutter = Cutter(script.camera, LIMITS)
        for fragment in [f for item in script.items for f in cutter.take(item, 0)] + cutter.flush():
            writer.submit(fragment)
    writer.start()
    assert writer.stop()
    return writer, commits


def test_nothing_of_a_segment_is_written_before_the_one_before_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    script = Script().start().frames(100, gop=5).end().start(EPOCH + 9).frames(40, gop=5)

    in_one_round(tmp_path / "media", script)

    done = watched.of_segments()
    names = sorted({name for _, name in done})
    assert len(names) > 4
    for before, behind in itertools.pairwise(names):
        last_write = max(i for i, one in enumerate(done) if one == ("write", before))
        begins = done.index(("write", behind))
        assert ("sync", before) in done[last_write:begins]
    assert replayed(footage_of(tmp_path / "media")) == script.raw


def test_a_segment_goes_on_only_behind_a_beginning_that_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    in_one_round(tmp_path / "media", Script().start().frames(28, gop=1000))
    kinds = [what for what, _ in watched.of_segments()]
    assert kinds == ["write", "sync", "write", "write", "sync"]


def test_what_may_be_written_together_takes_one_sync_for_each_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "media"
    scripts = [Script(camera).start().frames(10) for camera in ("door", "gate")]
    for script in scripts:
        record(root, script.items, limits=LIMITS)
        script.frames(19, gop=1000)
    watched = Watched(monkeypatch)
    for script in scripts:
        record(root, script.items, limits=LIMITS)
    assert sorted(kind for kind, _ in watched.of_segments()).count("sync") == 2


def test_a_sync_that_is_refused_costs_what_waited_for_it_and_is_not_tried_again_in_that_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    watched.refuses = True
    root = tmp_path / "media"
    script = Script().start().frames(100, gop=5)

    writer, _ = in_one_round(root, script)

    assert [what for what, _ in watched.of_segments()].count("sync") == 1
    assert writer.lost_frames == 100
    assert list(writer.reading().refusals) == ["gate"]


def test_a_camera_whose_next_sync_succeeds_ails_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.refuses = True
    root = tmp_path / "media"
    root.mkdir()
    writer = FootageWriter(root, {}, lambda _: None, SystemClock(), sync_s=0.001)
    cutter = Cutter("gate", LIMITS)
    writer.start()
    for number, item in enumerate(Script().start().frames(30, gop=5).items):
        for fragment in cutter.take(item, 0):
            writer.submit(fragment)
            for _ in range(2):  # it is written by then
                writer.between_rounds(lambda _: None).result(10)
            assert bool(writer.reading().refusals) == watched.refuses, number
            watched.refuses = False
    assert writer.stop()


def test_what_could_not_be_taken_back_is_gone_before_anything_is_written_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that turns read-only refuses to shorten a file as it refuses to sync it."""
    watched = Watched(monkeypatch)
    root = tmp_path / "media"
    root.mkdir()
    shorten, lane, cutter = os.ftruncate, Lane("gate", root / "gate", None), Cutter("gate", LIMITS)
    script = Script().start().frames(49, gop=1000)
    fragments = [f for item in script.items for f in cutter.take(item, 0)] + cutter.flush()
    assert len(fragments) == 5

    def refuses(fd: int, size: int) -> None:
        raise OSError(30, "Read-only file system")

    def write(*some: int) -> None:
        for number in some:
            assert lane.write(fragments[number], 1) is None

    write(0)
    assert lane.sync(1) is None
    lane.commit()
    write(1, 2)
    with monkeypatch.context() as patch:
        patch.setattr("media_center.segment.os.ftruncate", refuses)
        watched.refuses = True
        assert lane.sync(1) is not None
        watched.refuses = False
        lane.commit()
        assert lane.write(fragments[3], 1) is not None, "it would stand before what was told as lost"
    monkeypatch.setattr("media_center.segment.os.ftruncate", shorten)
    write(4)
    assert lane.sync(1) is None
    lane.commit()
    lane.close()
    (segment,) = (root / "gate").glob("*.mp4")
    found = scan(segment)
    assert (len(found.boxes), found.damaged, found.good_size) == (2, [], found.file_size)
