"""What a report says, counted event by event. Pure.

What does not belong here: where events and coverage come from (`gather`), how it looks (`text`, `page`, `table`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from event_center.alarm import Alarm, Deed, State
from event_center.event import Event, Kind
from event_center.states import WAITING
from event_center.suppression import CAMERA_STATE
from event_center.work.labels import Verdict

HOUR_NS = 3600 * 1_000_000_000
# A report of more hours shows days.
_MOST_HOURS = 49


@dataclass(frozen=True, slots=True)
class Period:
    """From a time to before another one, UTC nanoseconds, in a site's zone."""

    from_ns: int
    to_ns: int
    zone: tzinfo

    @property
    def by_hour(self) -> bool:
        """Whether it is short enough to be shown hour by hour."""
        return self.to_ns - self.from_ns <= _MOST_HOURS * HOUR_NS

    def slot(self, at_ns: int) -> str:
        """The hour or day that a time belongs to."""
        return self.local(at_ns).strftime("%Y-%m-%d %H:00" if self.by_hour else "%Y-%m-%d")

    def slots(self) -> list[str]:
        """All hours or days of it, in order."""
        found: dict[str, None] = {}
        at_ns = self.from_ns
        while at_ns < self.to_ns:
            found.setdefault(self.slot(at_ns))
            at_ns += HOUR_NS
        return list(found)

    def local(self, at_ns: int) -> datetime:
        """A time as the site's clocks show it."""
        return datetime.fromtimestamp(at_ns / 1e9, self.zone)


@dataclass(slots=True)
class Figures:
    """Of one camera, or of all."""

    events: int = 0
    alarms: int = 0
    occurrences: int = 0
    """Events that were folded into an alarm."""
    priorities: Counter[int] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    shelved: int = 0
    unseen: int = 0
    """Alarms that still wait."""
    response_s: list[float] = field(default_factory=list)
    """From waiting to acknowledged."""
    downtime_s: float = 0.0
    scored: int = 0
    not_scored: int = 0

    @property
    def false_share(self) -> float | None:
        """Of what was labelled true or false; None if nothing was."""
        said = self.verdicts[Verdict.TRUE] + self.verdicts[Verdict.FALSE]
        return self.verdicts[Verdict.FALSE] / said if said else None

    @property
    def coverage(self) -> float | None:
        """Share of frames with a score of those that were spoken of; None if none was."""
        spoken = self.scored + self.not_scored
        return self.scored / spoken if spoken else None

    def response(self, share: float) -> float | None:
        """So much of the responses took at most so many seconds (nearest rank); None if there was none."""
        if not self.response_s:
            return None
        ordered = sorted(self.response_s)
        return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


@dataclass(slots=True)
class Report:
    """All of it. `add` events as they come, in any order, each once."""

    period: Period
    names: dict[str, str] = field(default_factory=dict)
    """Cameras that it is about, with their names."""
    whole: Figures = field(default_factory=Figures)
    cameras: dict[str, Figures] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    detectors: Counter[str] = field(default_factory=Counter)
    slots: dict[str, Counter[str]] = field(default_factory=dict)
    """Alarms by hour or day, by kind."""
    floods: int = 0
    notes: list[str] = field(default_factory=list)
    """What could not be found out."""

    def of(self, camera: str) -> Figures:
        """The figures of a camera."""
        return self.cameras.setdefault(camera, Figures())

    def add(self, event: Event) -> None:
        """Counts an event: what began in the period, and what of its downtime lies in it."""
        if self.period.from_ns <= event.started_ns < self.period.to_ns:
            self._count(event)
        if event.kind is Kind.CAMERA and event.detector == CAMERA_STATE:
            until_ns = min(event.ended_ns or self.period.to_ns, self.period.to_ns)
            down_s = max(until_ns - max(event.started_ns, self.period.from_ns), 0) / 1e9
            self.of(event.camera).downtime_s += down_s
            self.whole.downtime_s += down_s

    def cover(self, camera: str, scored: int, not_scored: int) -> None:
        """Frames of a camera that were spoken of."""
        for figures in (self.of(camera), self.whole):
            figures.scored += scored
            figures.not_scored += not_scored

    @property
    def span_s(self) -> float:
        """Length of the period."""
        return (self.period.to_ns - self.period.from_ns) / 1e9

    def rows(self) -> list[tuple[str, Figures]]:
        """Cameras by how many alarms they had, the most first."""
        known = {camera: self.cameras.get(camera, Figures()) for camera in (*self.names, *self.cameras) if camera}
        return sorted(known.items(), key=lambda row: (-row[1].alarms, -row[1].downtime_s, row[0]))

    def _count(self, event: Event) -> None:
        is_alarm = event.alarm.state is not State.NONE
        responses = response_times(event.alarm)
        for figures in (self.whole, self.of(event.camera)):
            figures.events += 1
            figures.occurrences += bool(event.folded_into)
            if event.alarm.marks.label is not None:
                figures.verdicts[event.alarm.marks.label.verdict] += 1
            if is_alarm:
                figures.alarms += 1
                figures.priorities[event.shown_priority] += 1
                figures.unseen += event.alarm.state in WAITING
                figures.shelved += any(one.stimulus.deed is Deed.SHELVED for one in event.alarm.records)
                figures.response_s += responses
        self.kinds[event.kind.value] += 1
        self.floods += bool(event.flood_scope)
        if is_alarm:
            self.detectors[event.detector.partition("@")[0]] += 1
            self.slots.setdefault(self.period.slot(event.started_ns), Counter())[event.kind.value] += 1


def response_times(alarm: Alarm) -> list[float]:
    """Seconds from waiting to acknowledged, once for each time that it was. One that was taken back does not count."""
    found: list[float] = []
    since_ns: Sequence[int] = ()
    before: Sequence[int] = ()
    for record in alarm.records:
        stimulus = record.stimulus
        if stimulus.deed is Deed.UNACKNOWLEDGED:
            since_ns = before
            del found[-1:]
        elif record.after in WAITING and record.before not in WAITING:
            since_ns = (stimulus.at_ns,)
        elif stimulus.deed is Deed.ACKNOWLEDGED and since_ns:
            found.append(max(stimulus.at_ns - since_ns[0], 0) / 1e9)
            before, since_ns = since_ns, ()
    return found
