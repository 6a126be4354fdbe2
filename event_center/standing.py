"""What stands: a small row in memory for each alarm that is not laid to rest or is set aside. Pure.

It answers what is due, whom a rule concerns and how much the alarms are, without reading the store. The book fills it
at a start and keeps it true with each write.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from event_center.event import Event, Kind
from event_center.marks import Marks
from event_center.policy import Policy
from event_center.states import HOLDING, STANDING, WAITING, State
from event_center.suppression import CAMERA_STATE
from event_center.ticking import next_due_ns


@dataclass(frozen=True, slots=True)
class Row:
    """What must be known of one alarm."""

    id: str
    kind: Kind
    camera: str
    detector: str
    state: State
    priority: int
    """As escalation raised it."""
    marks: Marks
    due_ns: int
    """When the clock next does something to it; 0 for never."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much the alarms are. `standing` and `waiting`: by priority, without what is set aside."""

    standing: Counter[int] = field(default_factory=Counter)
    waiting: Counter[int] = field(default_factory=Counter)
    stale: int = 0
    shelved: int = 0
    suppressed: int = 0
    out_of_service: int = 0


class Standing:
    """All that stand."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rows: dict[str, Row] = {}
        # May hold moments that are not true any more; the rows say what is.
        self._due: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(tuple(self._rows.values()))

    def note(self, event: Event) -> None:
        """An event is so now."""
        alarm = event.alarm
        if alarm.state not in STANDING and not alarm.marks.is_set_aside:
            self._rows.pop(event.id, None)
            return
        row = Row(
            event.id, event.kind, event.camera, event.detector, alarm.state, event.shown_priority, alarm.marks,
            next_due_ns(event, self._policy),
        )  # fmt: skip
        before = self._rows.get(event.id)
        self._rows[event.id] = row
        if row.due_ns and (before is None or before.due_ns != row.due_ns):
            heapq.heappush(self._due, (row.due_ns, row.id))

    def due(self, now_ns: int, most: int) -> list[str]:
        """Ids of those for which something is due, the earliest first, `most` at most.

        They stay due until they are noted with another moment.
        """
        found: dict[str, int] = {}
        while self._due and self._due[0][0] <= now_ns and len(found) < most:
            at_ns, event_id = heapq.heappop(self._due)
            row = self._rows.get(event_id)
            if row is not None and row.due_ns == at_ns:
                found[event_id] = at_ns
        for event_id, at_ns in found.items():
            heapq.heappush(self._due, (at_ns, event_id))
        return list(found)

    @property
    def next_due_ns(self) -> int:
        """When something may be due next, UTC nanoseconds; 0 for never."""
        return self._due[0][0] if self._due else 0

    def lost_cameras(self) -> frozenset[str]:
        """Cameras whose alarm says that they give no picture."""
        return frozenset(
            row.camera for row in self._rows.values()
            if row.kind is Kind.CAMERA and row.detector == CAMERA_STATE and row.state in HOLDING
        )  # fmt: skip

    def load(self, cameras: frozenset[str] | None = None) -> Load:
        """How much they are: of all cameras, or of these."""
        load = Load()
        counts: Counter[str] = Counter()
        for row in self._rows.values():
            if cameras is not None and row.camera not in cameras:
                continue
            counts.update(row.marks.words)
            if row.state in STANDING and not row.marks.is_set_aside:
                load.standing[row.priority] += 1
                load.waiting[row.priority] += row.state in WAITING
        return Load(load.standing, load.waiting, counts["stale"], counts["shelved"], counts["suppressed"],
                    counts["out_of_service"])  # fmt: skip
