"""When it is an alarm that inspections have nobody who carries them out: no worker, or none that can. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aggregate.reports import Tells

AFTER_NS = 20_000_000_000
"""Workers come later than the aggregate, and take over from each other within seconds."""
CONDITION = "unplaced"
MOST_NAMED = 5


class Unplaced:
    """Looks at the inspections that nobody has, as often as time passes. Times are monotonic nanoseconds."""

    def __init__(self, tells: Tells, after_ns: int = AFTER_NS) -> None:
        self._tells = tells
        self._after_ns = after_ns
        self._since_ns: dict[str, int] = {}

    def looked(self, unplaced: Sequence[str], workers: int, now_ns: int) -> None:
        """These have nobody at this moment; `workers` are there."""
        self._since_ns = {name: self._since_ns.get(name, now_ns) for name in unplaced}
        late = [name for name, since_ns in self._since_ns.items() if now_ns - since_ns >= self._after_ns]
        named = ", ".join(late[:MOST_NAMED]) + (f" and {len(late) - MOST_NAMED} more" if len(late) > MOST_NAMED else "")
        why = "no worker of the pool can, or has room" if workers else "no worker answers"
        self._tells.tell(
            CONDITION, holds=bool(late), summary=f"Nobody carries out inspections ({named}): {why}." if late else "",
            priority=2, facts={"inspections": late, "workers": workers},
        )  # fmt: skip
