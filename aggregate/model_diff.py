"""What two versions of a model said of the same frames, and how often each would have raised an alarm, judged alike.

Versions are told apart by the name under which they spoke. Reads the ledger, changes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aggregate.archive import Archive
from aggregate.judge import JudgeState, Verdict, end, judge
from aggregate.orders import Order
from aggregate.pages import page_from_document
from aggregate.rules import Rules
from mesh.errors import InvalidArgument
from mesh.ids import FrameId

HOUR_NS = 3_600_000_000_000
LONGEST_NS = 24 * HOUR_NS
# Between scores further apart than this nobody looked.
_LONGEST_STEP_NS = 2_000_000_000


@dataclass(slots=True)
class Heard:
    """What one version said, judged as it came."""

    scores: dict[FrameId, float] = field(default_factory=dict)
    alarms: int = 0
    scored_ns: int = 0
    """Time that it looked at, in nanoseconds."""
    _state: JudgeState = field(default_factory=JudgeState)
    _last_ns: int = 0

    def hear(self, verdict: Verdict, rules: Rules) -> None:
        """The next verdict."""
        if verdict.has_score:
            self.scores[verdict.id] = verdict.score
            step_ns = verdict.received_ns - self._last_ns
            self.scored_ns += step_ns if 0 < step_ns <= _LONGEST_STEP_NS else 0
            self._last_ns = verdict.received_ns
        self._state, findings = judge(self._state, rules, "diff", verdict)
        self.alarms += sum(finding.phase == "opened" for finding in findings)

    def finish(self) -> None:
        """Nothing more comes."""
        self._state, _ = end(self._state, self._last_ns)

    @property
    def alarms_per_hour(self) -> float:
        """0 where it looked at nothing."""
        return self.alarms * HOUR_NS / self.scored_ns if self.scored_ns else 0.0


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions on one camera."""

    camera: str
    frames: int
    """That both scored."""
    equal: int
    mean_difference: float
    greatest_difference: float
    greatest_at: FrameId | None
    one: Heard
    other: Heard


def compared(camera: str, one: Heard, other: Heard) -> Compared:
    """Sums up. Pure."""
    both = one.scores.keys() & other.scores.keys()
    differences = {frame: abs(one.scores[frame] - other.scores[frame]) for frame in both}
    greatest_at = max(sorted(both), key=differences.__getitem__, default=None)
    return Compared(
        camera,
        len(both),
        sum(difference == 0.0 for difference in differences.values()),
        sum(differences.values()) / len(both) if both else 0.0,
        differences[greatest_at] if greatest_at is not None else 0.0,
        greatest_at,
        one,
        other,
    )


async def heard_of(archive: Archive, orders: list[Order], short: str, rules: Rules, from_ns: int, to_ns: int) -> Heard:
    """What a version said under these orders of one camera. `short`: how its names end. Raises InvalidArgument."""
    if not 0 < to_ns - from_ns <= LONGEST_NS:
        raise InvalidArgument("range", "is empty, or longer than a day", "Let --from be within a day before --to.")
    heard = Heard()
    for order in orders:
        async for body in archive.ledger.between(order.id, from_ns, to_ns):
            # Alarms are judged in the same loop: they go first.
            await asyncio.sleep(0)
            if not str(body["detector"]).endswith(f":{short}"):
                continue
            for verdict in page_from_document(body).verdicts():
                if from_ns <= verdict.received_ns <= to_ns:
                    heard.hear(verdict, rules)
    heard.finish()
    return heard
