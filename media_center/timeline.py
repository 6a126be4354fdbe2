"""Container times of a segment's samples.

What belongs here: turning monotonic arrival times and the camera's pts into strictly increasing decode times and
composition offsets. What does not: boxes (`boxes`), frame identity and true times (they are in the rows; container
time serves players only).

Decode time is arrival time. A stream without reordering is presented as it is decoded. In a stream with B-frames the
camera's pts decide presentation, anchored to arrival at every exact join point so that the camera's clock cannot
drift away, and everything is presented `REORDER_DELAY` later, which an edit list takes back.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from media_center.boxes import TIMESCALE

REORDER_DELAY = TIMESCALE // 2
"""Ticks between decoding and presentation in a stream with B-frames: covers their depth and the network's jitter."""
DEFAULT_DURATION = TIMESCALE // 30
"""Duration of a sample that has neither a successor nor a predecessor."""
_MAX_COMPOSITION = 30 * TIMESCALE
_JOIN_POINT_EXACT = 2


class Timed(Protocol):
    """What of a frame decides its container time."""

    @property
    def monotonic_ns(self) -> int:
        """Arrival on the broker host's monotonic clock."""

    @property
    def pts(self) -> int | None:
        """The camera's presentation time, in the epoch's time base."""

    @property
    def join_point(self) -> int:
        """A `JoinPoint` value."""


def ticks(duration_ns: int) -> int:
    """Nanoseconds as ticks of 1/90,000 s, rounded down."""
    return duration_ns * 9 // 100_000


@dataclass(frozen=True, slots=True)
class Placed:
    """Container times of one sample, in ticks."""

    decode: int
    duration: int
    composition: int


def has_reordering(frames: Sequence[Timed]) -> bool:
    """Whether a picture is shown before one that is decoded earlier."""
    highest: int | None = None
    for frame in frames:
        if frame.join_point == _JOIN_POINT_EXACT:
            highest = None  # nothing is shown across an exact join point, and the camera may restart its clock there
        if frame.pts is None:
            continue
        if highest is not None and frame.pts < highest:
            return True
        highest = frame.pts
    return False


class Timeline:
    """Gives each sample of one segment its times, fragment by fragment."""

    def __init__(self, time_base: tuple[int, int], presentation_delay: int) -> None:
        """`presentation_delay` in ticks is 0 for a stream without reordering; `time_base` is (num, den) seconds."""
        self.presentation_delay = presentation_delay
        self._num, self._den = time_base if time_base[1] else (0, 1)
        self._base_ns: int | None = None
        self._end = 0
        self._last_duration = DEFAULT_DURATION
        self._anchor: tuple[int, int] | None = None
        self._highest = -1

    def resume(self, last: Timed, decode: int, composition: int, duration: int, highest: int) -> None:
        """Goes on behind the sample `last` with these times; `highest` is the latest presentation time so far."""
        self._base_ns = last.monotonic_ns - decode * 100_000 // 9
        self._end = decode + max(1, duration)
        self._last_duration = max(1, duration)
        if last.pts is not None:
            self._anchor = (last.pts, decode + composition)
        self._highest = highest

    def place(self, frames: Sequence[Timed], next_monotonic_ns: int | None) -> list[Placed]:
        """Times for the next fragment's frames; `next_monotonic_ns` is the arrival of the frame behind it, if known."""
        if not frames:
            return []
        if self._base_ns is None:
            self._base_ns = frames[0].monotonic_ns
        decodes: list[int] = []
        earliest = self._end
        for frame in frames:
            decode = max(ticks(frame.monotonic_ns - self._base_ns), earliest)
            decodes.append(decode)
            earliest = decode + 1
        durations = [after - before for before, after in itertools.pairwise(decodes)]
        if durations:
            self._last_duration = durations[-1]
        if next_monotonic_ns is not None:
            self._last_duration = max(1, ticks(next_monotonic_ns - self._base_ns) - decodes[-1])
        durations.append(self._last_duration)
        self._end = decodes[-1] + durations[-1]
        placed = []
        for frame, decode, duration in zip(frames, decodes, durations, strict=True):
            composition = self._present(frame, decode) - decode if self.presentation_delay else 0
            placed.append(Placed(decode, duration, composition))
        return placed

    def _present(self, frame: Timed, decode: int) -> int:
        """Presentation time of a frame in a stream with reordering."""
        if frame.pts is not None and self._anchor is not None and frame.join_point != _JOIN_POINT_EXACT:
            pts, presented = self._anchor
            shown = presented + (frame.pts - pts) * self._num * TIMESCALE // self._den
            if 0 <= shown - decode <= _MAX_COMPOSITION:
                self._highest = max(self._highest, shown)
                return shown
        shown = max(decode + self.presentation_delay, self._highest + 1)
        if shown - decode > _MAX_COMPOSITION:
            shown = decode + self.presentation_delay
        if frame.pts is not None:
            self._anchor = (frame.pts, shown)
        self._highest = shown
        return shown
