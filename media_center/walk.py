"""From rows to the stream they stand for: runs of frames, what was told between them, and the gaps that ids betray.

Pure. What does not belong here: where rows come from (`footage`) and payloads (`payloads`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from media_center.catalogue import Segment, decode_note, epoch_started
from media_center.expired import Stretch
from media_center.gap_reasons import TAKES_IDS, may_hide_an_end
from media_center.index import SegmentRows
from media_center.rows import FRAME, Rows
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2


@dataclass(frozen=True, slots=True)
class Run:
    """Frames of one segment whose seq grows by one from row to row."""

    segment: int
    """Position of the segment in the view walked over."""
    first_row: int
    rows: Rows
    epoch: int


Told = frames_pb2.Gap | frames_pb2.EpochStarted | frames_pb2.EpochEnded


class Walker:
    """Walks one camera's rows in recorded order. Remembers what came last, so that it can go on later."""

    def __init__(self, camera: str, after: FrameId | None = None) -> None:
        """`after`: the frame before the first row, if a gap between the two is to be told."""
        self.camera = camera
        self.expired: Sequence[Stretch] = ()
        """What retention has deleted: what is missing there is told as such."""
        self._last = after
        self._epoch_told = -1  # whoever begins to read is told the epoch first, as live
        self._has_ended = False
        self._known_missing = 0
        self._has_told_end = False  # by a gap, of the epoch that the last frame belongs to
        self._is_behind_hole = False  # a fragment that was written there is missing

    def feed(self, segment: int, found: SegmentRows, first_row: int, stop_row: int) -> list[Run | Told]:
        """The stream that rows [first_row, stop_row) of a segment stand for."""
        rows = found.rows[first_row:stop_row]
        if not len(rows):
            return []
        kinds = rows["kind"]
        seqs = rows["seq"].astype(np.int64)
        is_note = kinds != FRAME
        starts_run = np.ones(len(rows), bool)
        starts_run[1:] = is_note[1:] | is_note[:-1] | (np.diff(seqs) != 1)
        holes = {hole - first_row for hole in found.holes}
        for hole in holes:
            if 0 <= hole < len(rows):
                starts_run[hole] = True
        bounds = [*np.flatnonzero(starts_run).tolist(), len(rows)]
        stream: list[Run | Told] = []
        for start, stop in itertools.pairwise(bounds):
            # What was lost before a frame that is asked for, and that the answer begins with, is not asked for.
            begins_inside = self._last is None and (segment, first_row + start) != (0, 0)
            self._is_behind_hole = self._is_behind_hole or (start in holes and not begins_inside)
            if is_note[start]:
                self._take_note(found, rows[start], stream)
            else:
                run = Run(segment, first_row + start, rows[start:stop], found.epoch)
                self._take_run(found, run, stream)
        return stream

    def _take_note(self, found: SegmentRows, row: np.void, stream: list[Run | Told]) -> None:
        item = decode_note(found, int(row["offset"]))
        kind = item.WhichOneof("kind") if item is not None else None
        if item is None or kind is None:
            return
        if kind == "gap":
            gap = item.gap
            self._has_told_end = self._has_told_end or may_hide_an_end(gap)
            if gap.reason in TAKES_IDS:
                self._known_missing += gap.count
            stream.append(gap)
        elif kind == "epoch_started":
            if item.epoch_started.epoch > self._epoch_told:
                self._epoch_told = item.epoch_started.epoch
                stream.append(item.epoch_started)
        elif kind == "epoch_ended":
            self._take_end(item.epoch_ended, stream)

    def _take_end(self, ended: frames_pb2.EpochEnded, stream: list[Run | Told]) -> None:
        last = self._last
        if last is not None:
            begun = last.seq if last.epoch == ended.epoch else -1
            end = FrameId(self.camera, ended.epoch, (ended.last_seq if ended.HasField("last_seq") else begun) + 1)
            self._tell_missing(end, None, ended.ended_ns, stream)
            if ended.HasField("last_seq"):
                self._move_to(ended.epoch, ended.last_seq)
        self._has_ended = True
        self._has_told_end = self._is_behind_hole = False
        stream.append(ended)

    def pass_over(self, record: Segment) -> list[Told]:
        """What is told before an unbroken segment, whose rows need not be read; it then counts as walked."""
        stream: list[Run | Told] = []
        self._take_frames(record.epoch, (record.first_seq, record.last_seq), record.first_ns, stream)
        return [item for item in stream if not isinstance(item, Run)]

    def begin(self, gone: Sequence[Stretch], before: FrameId | None, *, is_whole: bool) -> list[Told]:
        """What stands before the first row, where older footage was deleted. `is_whole`: all of it was asked for."""
        frames = sum(one.frames for one in gone)
        gap = frames_pb2.Gap(
            camera=self.camera,
            before=before.to_proto() if before is not None else None,
            reason=frames_pb2.GAP_REASON_EXPIRED,
            count=frames if is_whole else None,
            noticed_ns=max(one.to_ns for one in gone),
        )
        return [gap]

    def pass_behind(self, gone: Sequence[Stretch], *, is_whole: bool) -> Told:
        """What stands behind the last row, where everything newer was deleted; it then counts as walked."""
        gap = frames_pb2.Gap(
            camera=self.camera,
            after=self._last.to_proto() if self._last is not None else None,
            reason=frames_pb2.GAP_REASON_EXPIRED,
            count=sum(one.frames for one in gone) if is_whole else None,
            noticed_ns=max(one.to_ns for one in gone),
        )
        self._move_to(*gone[-1].last)
        return gap

    def lose(self, record: Segment, *, has_expired: bool = False) -> list[Told]:
        """What stands in place of a segment that cannot be read, or was deleted since the walk began."""
        if not record.frames:
            return []
        stream: list[Run | Told] = []
        if self._last is not None:
            first = FrameId(self.camera, record.epoch, record.first_seq)
            self._tell_before(first, record.first_ns, stream)
        gap = frames_pb2.Gap(
            camera=self.camera,
            after=self._last.to_proto() if self._last is not None else None,
            reason=frames_pb2.GAP_REASON_EXPIRED if has_expired else frames_pb2.GAP_REASON_UNREADABLE,
            count=record.frames,
            noticed_ns=record.first_ns,
        )
        self._move_to(record.epoch, record.last_seq)
        return [*(item for item in stream if not isinstance(item, Run)), gap]

    def reach(self, before: FrameId, noticed_ns: int) -> list[Told]:
        """What is missing right before a frame that is not walked over itself."""
        stream: list[Run | Told] = []
        self._tell_before(before, noticed_ns, stream)
        return [item for item in stream if not isinstance(item, Run)]

    def _take_run(self, found: SegmentRows, run: Run, stream: list[Run | Told]) -> None:
        if run.epoch > self._epoch_told and (started := epoch_started(found)) is not None:
            self._epoch_told = run.epoch
            stream.append(started)
        seqs = run.rows["seq"]
        self._take_frames(run.epoch, (int(seqs[0]), int(seqs[-1])), int(run.rows["received_ns"][0]), stream)
        stream.append(run)

    def _take_frames(self, epoch: int, seqs: tuple[int, int], first_ns: int, stream: list[Run | Told]) -> None:
        self._tell_before(FrameId(self.camera, epoch, seqs[0]), first_ns, stream)
        self._move_to(epoch, seqs[1])

    def _tell_before(self, first: FrameId, noticed_ns: int, stream: list[Run | Told]) -> None:
        self._tell_missing(first, first, noticed_ns, stream)

    def _tell_missing(
        self, end: FrameId, before: FrameId | None, noticed_ns: int, stream: list[Run | Told]
    ) -> None:  # fmt: skip
        """Tells what is missing between the last frame and the id `end`. `before`: the frame there, if there is one."""
        missing, is_known = self._missing_before(end)
        gone = self._expired_before(end)
        if gone and self._last is not None and (missing or self._last.epoch != end.epoch):
            # Inside an epoch ids tell how many there were; what was lost beside what was deleted is not told apart.
            count = missing if self._last.epoch == end.epoch else sum(one.frames for one in gone)
            self._tell_gap(before, count, frames_pb2.GAP_REASON_EXPIRED, noticed_ns, stream)
        elif missing:
            self._tell_gap(before, missing if is_known else None, self._reason(), noticed_ns, stream)
        elif self._is_behind_hole:
            # All that was in the fragment had no ids: a gap it told, or how the epoch began.
            self._tell_gap(before, None, self._reason(), noticed_ns, stream)

    def _reason(self) -> frames_pb2.GapReason.ValueType:
        if self._is_behind_hole:
            return frames_pb2.GAP_REASON_UNREADABLE
        return frames_pb2.GAP_REASON_RECORDER_LOST

    def _expired_before(self, first: FrameId) -> list[Stretch]:
        """What was deleted between the last frame and one that comes now."""
        if self._last is None or not self.expired:
            return []
        last, end = (self._last.epoch, self._last.seq), (first.epoch, first.seq)
        return [one for one in self.expired if one.last > last and one.first < end]

    def _move_to(self, epoch: int, seq: int) -> None:
        self._last = FrameId(self.camera, epoch, seq)
        self._has_ended = False
        self._known_missing = 0
        self._has_told_end = self._is_behind_hole = False

    def _missing_before(self, first: FrameId) -> tuple[int, bool]:
        """Frames between the last one and `first` that nothing has told of, and whether their number is known."""
        last = self._last
        if last is None:
            return 0, True
        if last.epoch == first.epoch:
            return max(0, first.seq - last.seq - 1 - self._known_missing), True
        if self._has_ended:
            return max(0, first.seq - self._known_missing), True
        return (0, True) if self._has_told_end else (1, False)

    def _tell_gap(
        self, before: FrameId | None, count: int | None, reason: frames_pb2.GapReason.ValueType, noticed_ns: int,
        stream: list[Run | Told],
    ) -> None:  # fmt: skip
        stream.append(
            frames_pb2.Gap(
                camera=self.camera,
                after=self._last.to_proto() if self._last is not None else None,
                before=before.to_proto() if before is not None else None,
                reason=reason,
                count=count,
                noticed_ns=noticed_ns,
            )
        )
