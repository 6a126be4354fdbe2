"""What two versions of a model said of the same frames, and how often each would have raised an alarm, judged alike.

Versions are told apart by the name under which they spoke. Reads the ledger, changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aggregate.archive import Archive
from aggregate.judge import JudgeState, Verdict, judge
from aggregate.models import shorts_of
from aggregate.orders import Order
from aggregate.pages import page_from_document
from aggregate.rules import Rules
from mesh.errors import InvalidArgument
from mesh.ids import FrameId

HOUR_NS = 3_600_000_000_000
LONGEST_NS = 24 * HOUR_NS
# Between scores further apart than this nobody looked.
_LONGEST_STEP_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Heard:
    """What one version said in the time in which both spoke."""

    scores: dict[FrameId, float]
    alarms: int
    scored_ns: int
    """Time that it looked at, in nanoseconds."""

    @property
    def alarms_per_hour(self) -> float:
        """0 where it looked at nothing."""
        return self.alarms * HOUR_NS / self.scored_ns if self.scored_ns else 0.0


def heard(verdicts: Iterable[Verdict], rules: Rules) -> Heard:
    """Verdicts judged as they came. Pure."""
    state, last_ns, alarms, scored_ns = JudgeState(), 0, 0, 0
    scores: dict[FrameId, float] = {}
    for verdict in verdicts:
        if verdict.has_score:
            scores[verdict.id] = verdict.score
            step_ns = verdict.received_ns - last_ns
            scored_ns += step_ns if 0 < step_ns <= _LONGEST_STEP_NS else 0
            last_ns = verdict.received_ns
        state, findings = judge(state, rules, "diff", verdict)
        alarms += sum(finding.phase == "opened" for finding in findings)
    return Heard(scores, alarms, scored_ns)


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


def compared(camera: str, one: Sequence[Verdict], other: Sequence[Verdict], rules: Rules) -> Compared:
    """Two versions over the time in which both spoke, in the order of ids each. Pure."""
    times = [[verdict.received_ns for verdict in each if verdict.has_score] for each in (one, other)]
    from_ns = max((min(each) for each in times if each), default=0)
    to_ns = min((max(each) for each in times if each), default=0) if all(times) else 0
    first, second = (
        heard([verdict for verdict in each if from_ns <= verdict.received_ns <= to_ns], rules) for each in (one, other)
    )
    both = first.scores.keys() & second.scores.keys()
    differences = {frame: abs(first.scores[frame] - second.scores[frame]) for frame in both}
    greatest_at = max(sorted(both), key=differences.__getitem__, default=None)
    return Compared(
        camera,
        len(both),
        sum(difference == 0.0 for difference in differences.values()),
        sum(differences.values()) / len(both) if both else 0.0,
        differences[greatest_at] if greatest_at is not None else 0.0,
        greatest_at,
        first,
        second,
    )


async def said_by(archive: Archive, orders: list[Order], short: str, from_ns: int, to_ns: int) -> list[Verdict]:
    """What a version said under these orders of one camera. `short`: how its names end. Raises InvalidArgument."""
    if not 0 < to_ns - from_ns <= LONGEST_NS:
        raise InvalidArgument("range", "is empty, or longer than a day", "Let --from be within a day before --to.")
    found: dict[FrameId, Verdict] = {}
    for order in orders:
        async for body in archive.ledger.between(order.id, from_ns, to_ns):
            # Alarms are judged in the same loop: they go first.
            await asyncio.sleep(0)
            if short not in shorts_of(str(body["detector"])):
                continue
            for verdict in page_from_document(body).verdicts():
                if from_ns <= verdict.received_ns <= to_ns:
                    # Only what is judged: a day of boxes would be much.
                    found[verdict.id] = replace(verdict, boxes=(), series=(), said="")
    return [found[frame] for frame in sorted(found)]
