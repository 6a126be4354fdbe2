"""One camera's footage at one moment: rows on demand, and frames found by id, by time and by what decoding needs.

What belongs here: positions in recorded order. What does not: what the stream between them is (`walk`) and payloads
(`payloads`). Everything here reads files: call it in a thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from media_center.catalogue import Segment, View
from media_center.errors import unreadable
from media_center.index import NO_ROWS, SegmentRows, extend_rows, load_rows
from media_center.rows import FRAME
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2

_EXACT = frames_pb2.JOIN_POINT_EXACT
_RECOVERS = frames_pb2.JOIN_POINT_RECOVERS_AFTER


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A row: number of the segment in the view, number of the row in the segment."""

    segment: int
    row: int


def carried_over(position: Position, known: View, view: View) -> Position:
    """A position of one view in a newer one: segments count from the oldest that is left.

    Where its segment is gone, the beginning of the one behind it.
    """
    is_inside = position.segment < len(known)
    if not is_inside and not len(known):
        return Position(0, 0)
    segment = known[position.segment if is_inside else len(known) - 1]
    found = view.position_named(segment.epoch, segment.opened_seq)
    if is_inside and found is not None:
        return Position(found, position.row)
    return Position(view.position_of(segment.epoch, segment.opened_seq) + 1, 0)


class RowCache:
    """Rows of the segments used last; shared by all readers, thread-safe."""

    def __init__(self, segments: int = 128) -> None:
        self._limit = segments
        self._lock = threading.Lock()
        self._known: OrderedDict[Path, tuple[int, SegmentRows]] = OrderedDict()

    def get(self, path: Path, committed_size: int, *, is_open: bool) -> SegmentRows:
        """The rows of a segment up to its confirmed size. OSError if it cannot be read."""
        with self._lock:
            known_size, known = self._known.get(path, (0, NO_ROWS))
            if known_size == committed_size:
                self._known.move_to_end(path)
                return known
        # A segment that is followed grows by a fragment at a time: only that is read.
        rows = extend_rows(path, known, committed_size) if known_size else None
        if rows is None:
            rows = load_rows(path, committed_size, is_open=is_open)
        with self._lock:
            self._known[path] = (committed_size, rows)
            self._known.move_to_end(path)
            while len(self._known) > self._limit:
                self._known.popitem(last=False)
        return rows


class CameraFootage:
    """A camera's footage as a view of its segments shows it."""

    def __init__(self, camera: str, view: View, cache: RowCache) -> None:
        self.camera = camera
        self.view = view
        self._cache = cache

    def rows(self, segment: int) -> SegmentRows:
        """The rows of a segment; none if it cannot be read, which the gaps between its neighbours then tell."""
        record = self.view[segment]
        try:
            return self._cache.get(self.view.folder / record.name, record.size, is_open=self.view.is_open(segment))
        except OSError:
            if not self.view.has_expired(segment):
                unreadable(self.camera, record.name)
            return NO_ROWS

    def row(self, position: Position) -> np.void:
        """One row."""
        row: np.void = self.rows(position.segment).rows[position.row]
        return row

    def id_at(self, position: Position) -> FrameId:
        """The id of the frame at a position."""
        return FrameId(self.camera, self.view[position.segment].epoch, int(self.row(position)["seq"]))

    def first_at_or_after(self, epoch: int, seq: int) -> Position | None:
        """The first frame whose id is at or after the given one."""
        for segment in range(max(0, self.view.position_of(epoch, seq)), len(self.view)):
            record = self.view[segment]
            if not record.frames or (record.epoch, record.last_seq) < (epoch, seq):
                continue
            found = self.rows(segment)
            wanted = found.rows["kind"] == FRAME
            if record.epoch == epoch:
                wanted &= found.rows["seq"] >= seq
            if wanted.any():
                return Position(segment, int(np.argmax(wanted)))
        return None

    def last_at_or_before(self, epoch: int, seq: int) -> Position | None:
        """The last frame whose id is at or before the given one."""
        for segment in range(self.view.position_of(epoch, seq), -1, -1):
            record = self.view[segment]
            if not record.frames:
                continue
            found = self.rows(segment)
            wanted = found.rows["kind"] == FRAME
            if record.epoch == epoch:
                wanted &= found.rows["seq"] <= seq
            if wanted.any():
                return Position(segment, int(np.flatnonzero(wanted)[-1]))
        return None

    def find(self, frame: FrameId) -> Position | None:
        """The frame with exactly this id."""
        position = self.first_at_or_after(frame.epoch, frame.seq)
        return position if position is not None and self.id_at(position) == frame else None

    def first_received_from(self, time_ns: int) -> Position | None:
        """The first frame, in recorded order, received at or after a moment."""
        recorded = self.view.column("frames") > 0
        for segment in np.flatnonzero(recorded & (self.view.column("last_ns") >= time_ns)).tolist():
            found = self.rows(segment)
            wanted = (found.rows["kind"] == FRAME) & (found.rows["received_ns"] >= time_ns)
            if wanted.any():
                return Position(segment, int(np.argmax(wanted)))
        return None

    def last_received_until(self, time_ns: int) -> Position | None:
        """The last frame, in recorded order, received at or before a moment."""
        recorded = self.view.column("frames") > 0
        for segment in np.flatnonzero(recorded & (self.view.column("first_ns") <= time_ns))[::-1].tolist():
            found = self.rows(segment)
            wanted = (found.rows["kind"] == FRAME) & (found.rows["received_ns"] <= time_ns)
            if wanted.any():
                return Position(segment, int(np.flatnonzero(wanted)[-1]))
        return None

    def previous(self, position: Position) -> Position | None:
        """The frame before a position, in recorded order."""
        stop: int | None = position.row
        for segment in range(position.segment, -1, -1):
            frames = np.flatnonzero(self.rows(segment).rows["kind"][:stop] == FRAME)
            if len(frames):
                return Position(segment, int(frames[-1]))
            stop = None
        return None

    def following(self, position: Position) -> Position | None:
        """The frame behind a position, in recorded order."""
        row = position.row + 1
        for segment in range(position.segment, len(self.view)):
            kinds = self.rows(segment).rows["kind"][row:] == FRAME
            if kinds.any():
                return Position(segment, row + int(np.argmax(kinds)))
            row = 0
        return None

    def join_point_for(self, position: Position) -> Position | None:
        """The nearest frame at or before a position from which on decoding makes that frame exact.

        None if it is not recorded, or if a frame between the two is missing.
        """
        target = self.id_at(position)
        expected = target.seq
        stop: int | None = position.row + 1
        for segment in range(position.segment, -1, -1):
            if self.view[segment].epoch != target.epoch:
                return None
            rows = self.rows(segment).rows[:stop]
            stop = None
            numbers = np.flatnonzero(rows["kind"] == FRAME)
            frames = rows[numbers]
            seqs = frames["seq"].astype(np.int64)
            missing = np.flatnonzero(seqs != expected - np.arange(len(seqs))[::-1])
            unbroken = int(missing[-1]) + 1 if len(missing) else 0
            recovered = seqs + frames["recovers_after"] <= target.seq
            joins = (frames["join_point"] == _EXACT) | ((frames["join_point"] == _RECOVERS) & recovered)
            usable = np.flatnonzero(joins[unbroken:])
            if len(usable):
                return Position(segment, int(numbers[unbroken + usable[-1]]))
            if unbroken:
                return None
            expected -= len(seqs)
        return None

    def record(self, position: Position) -> Segment:
        """The segment of a position."""
        return self.view[position.segment]
