"""How often a detector fails, and when it is disabled for that. Pure: times are those at which frames were received.

Five frames in a row, or half of a minute's, disable it: its frames are told as failed without troubling it. After a
while it is tried again; what has done well for twenty frames is whole again.
"""

from __future__ import annotations

from collections import deque

from detector_pool.rate import ANOTHER_DAY_NS

SECOND = 1_000_000_000
IN_A_ROW = 5
WINDOW_NS = 60 * SECOND
FEWEST = 20
"""Frames of a minute of which half may be said."""
RETRY_NS = 300 * SECOND
WHOLE_AFTER = 20


class Faults:
    """The faults of one inspection's detector."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, bool]] = deque()
        self._failed = 0
        self._in_a_row = 0
        self._well_in_a_row = 0
        self._disabled_until_ns = 0
        self.problem = ""
        """Why it is disabled, or was a moment ago, as a sentence; empty while all is well."""

    def is_disabled(self, at_ns: int) -> bool:
        """Whether the frame received then is not shown to it."""
        # Further ahead than it was ever disabled for: the clock was set back meanwhile.
        return 0 < self._disabled_until_ns - at_ns <= RETRY_NS + ANOTHER_DAY_NS

    def went_well(self, at_ns: int) -> None:
        """It said something of a frame."""
        self._in_a_row = 0
        self._well_in_a_row += 1
        if self.problem and self._well_in_a_row >= WHOLE_AFTER:
            self.problem = ""
        self._note(at_ns, has_failed=False)

    def failed(self, at_ns: int, detector: str, why: str) -> None:
        """It failed on a frame."""
        self._in_a_row += 1
        self._well_in_a_row = 0
        self._note(at_ns, has_failed=True)
        if not self.problem and self._in_a_row >= IN_A_ROW:
            self.problem = f"{detector} failed on {self._in_a_row} frames in a row and is disabled: {_short(why)}"
        elif not self.problem and len(self._recent) >= FEWEST and 2 * self._failed >= len(self._recent):
            share = round(100 * self._failed / len(self._recent))
            self.problem = f"{detector} failed on {share} % of a minute's frames and is disabled: {_short(why)}"
        if self.problem:
            # One that has just been tried again is given no second chance.
            self._disabled_until_ns = at_ns + RETRY_NS
            self._recent.clear()
            self._failed = self._in_a_row = 0

    def _note(self, at_ns: int, *, has_failed: bool) -> None:
        if self._recent and at_ns < self._recent[-1][0] - ANOTHER_DAY_NS:
            # What came before the clock was set back would not leave the minute for as long as it went back.
            self._recent.clear()
            self._failed = 0
        self._recent.append((at_ns, has_failed))
        self._failed += has_failed
        while self._recent and self._recent[0][0] <= at_ns - WINDOW_NS:
            self._failed -= self._recent.popleft()[1]


def _short(why: str) -> str:
    return " ".join(why.split())[:200] or "it gave no reason"
