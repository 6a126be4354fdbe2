"""When a subscriber's next message may begin. Pure: moments in, rests out.

A gRPC message costs the same CPU whatever it holds, so where frames hurry a rest joins several into one; where they do
not, a rest would only cost a timer. See docs/design/0011-fanout.md. What does not belong here: waiting, writing.
"""

from __future__ import annotations

MESSAGE_INTERVAL_S = 0.002
# Where so many items wait after the short rest, the long one still makes no message late; below so many after the long
# one, the short one will do again.
LONG_INTERVAL_S = 0.004
_LONG_FROM_ITEMS = 5
_SHORT_BELOW_ITEMS = 8
# Frames hurry when so many messages in a row began within so short a time of the one before.
_HURRY_S = 0.001
_HURRIES = 4
# They do so no longer when behind so many rests in a row nothing waited.
_IDLE_RESTS = 2


class Pace:
    """The pace of one subscriber. Moments are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.is_hurried = False
        self._interval_s = MESSAGE_INTERVAL_S
        self._begun_s = float("-inf")
        self._hurries = 0
        self._idle_rests = 0
        self._was_idle = False

    def begin(self, now_s: float, items: int = 1) -> None:
        """A message of so many items begins."""
        if self.is_hurried:
            if not self._was_idle:
                self._idle_rests = 0
            if self._interval_s == MESSAGE_INTERVAL_S:
                self._interval_s = LONG_INTERVAL_S if items >= _LONG_FROM_ITEMS else MESSAGE_INTERVAL_S
            elif items < _SHORT_BELOW_ITEMS:
                self._interval_s = MESSAGE_INTERVAL_S
        else:
            self._hurries = self._hurries + 1 if now_s - self._begun_s < _HURRY_S else 0
            self.is_hurried = self._hurries >= _HURRIES
        self._begun_s, self._was_idle = now_s, False

    def rest_s(self, now_s: float) -> float:
        """How long to rest before looking for the next message; 0 for not at all."""
        return max(0.0, self._begun_s + self._interval_s - now_s) if self.is_hurried else 0.0

    def found_nothing(self) -> None:
        """There was nothing to send."""
        self._was_idle = True
        if self.is_hurried:
            self._idle_rests += 1
            if self._idle_rests >= _IDLE_RESTS:
                self.is_hurried, self._hurries, self._idle_rests = False, 0, 0
                self._interval_s = MESSAGE_INTERVAL_S
