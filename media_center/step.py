"""The recorded frame some frames before or behind another, and the gaps between the two.

What belongs here: counting frames in recorded order, across segments, epochs and gaps. What does not: frames found by
id and time (`footage`) and their pictures (`snapshot`). Reads files: call it in a thread.

One step further is the next frame that is recorded, whatever lies between: n steps are n times one step. Segments that
the catalogue knows as unbroken are counted without reading their rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from media_center.away import segment_size
from media_center.errors import NothingThere, NotRecorded
from media_center.footage import CameraFootage, Position
from media_center.passage import Passage
from media_center.ranges import Selection
from media_center.rows import FRAME
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2


@dataclass(frozen=True, slots=True)
class Stepped:
    """Where a number of steps leads."""

    position: Position
    gaps: list[frames_pb2.Gap]
    """What lies between the two frames, in recorded order."""


def step(footage: CameraFootage, frame: FrameId, steps: int) -> Stepped:
    """From a frame so many frames on; negative goes back, 0 is the frame itself. Raises NotRecorded, NothingThere."""
    begin = footage.find(frame)
    if begin is None:
        raise NotRecorded.frame(frame)
    if steps == 0:
        return Stepped(begin, [])
    found, left = _forward(footage, begin, steps) if steps > 0 else _back(footage, begin, -steps)
    if found is None:
        there = NothingThere.behind if steps > 0 else NothingThere.before
        raise there(frame, abs(steps) - left)
    return Stepped(found, gaps_between(footage, min(begin, found), max(begin, found)))


def gaps_between(footage: CameraFootage, first: Position, last: Position) -> list[frames_pb2.Gap]:
    """What is told between two frames, in recorded order."""
    way = Passage(Selection(first, Position(last.segment, last.row + 1), None, None, first, last), footage.camera)
    pieces = way.pieces(footage, passes_over=lambda segment: _counted(footage, segment) is not None)
    return [piece for piece in pieces if isinstance(piece, frames_pb2.Gap)]


def _forward(footage: CameraFootage, begin: Position, steps: int) -> tuple[Position | None, int]:
    """The frame so many behind `begin`; None and the steps that are left if there are not so many."""
    row = begin.row + 1
    for segment in range(begin.segment, len(footage.view)):
        count = _counted(footage, segment) if row == 0 else None
        if count is None or count >= steps:
            numbers = np.flatnonzero(footage.rows(segment).rows["kind"][row:] == FRAME)
            count = len(numbers)
            if count >= steps:
                return Position(segment, row + int(numbers[steps - 1])), 0
        steps -= count
        row = 0
    return None, steps


def _back(footage: CameraFootage, begin: Position, steps: int) -> tuple[Position | None, int]:
    """The frame so many before `begin`; None and the steps that are left if there are not so many."""
    stop: int | None = begin.row
    for segment in range(begin.segment, -1, -1):
        count = _counted(footage, segment) if stop is None else None
        if count is None or count >= steps:
            numbers = np.flatnonzero(footage.rows(segment).rows["kind"][:stop] == FRAME)
            count = len(numbers)
            if count >= steps:
                return Position(segment, int(numbers[-steps])), 0
        steps -= count
        stop = None
    return None, steps


def _counted(footage: CameraFootage, segment: int) -> int | None:
    """Frames of a segment as its record counts them; None if only its rows can tell."""
    record = footage.view[segment]
    if record.breaks or footage.view.is_open(segment):
        return None
    try:
        is_whole = segment_size(footage.view.path(segment)) >= record.size
    except OSError:
        return None
    return record.frames if is_whole else None
