"""Suppression by design, and what is out of service: which alarms a rule or a maintainer takes out of the queue. Pure.

A rule suppresses while something is so: a camera is lost, a camera is out of service, a time of the week. `settled`
gives an event the marks that the situation says it should have, each change a record. What does not belong here:
storing rules and entries (`rule_book`), the wire (`wire_rules`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from enum import StrEnum

from event_center.alarm import Alarm, Deed, State, Stimulus, apply
from event_center.deeds import MAX_RECORDS
from event_center.event import Event, Kind
from event_center.policy import detector_name
from mesh.schedule import holds, parse_window

CAMERA_STATE = "camera-state"
ACTOR = "event-center"


class While(StrEnum):
    """What a rule waits for."""

    CAMERA_LOST = "camera_lost"
    CAMERA_OUT_OF_SERVICE = "camera_out_of_service"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Change:
    """One deed to a rule or an entry. Never changed, never removed."""

    at_ns: int
    actor: str
    deed: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """While this is so, these alarms are suppressed. Empty `cameras` or `detectors` mean all."""

    id: str
    condition: While
    subject: str
    """The camera, or the time of the week."""
    cameras: tuple[str, ...]
    detectors: tuple[str, ...]
    reason: str
    by: str = ""
    changed_ns: int = 0
    is_deleted: bool = False
    history: tuple[Change, ...] = ()

    def covers(self, kind: Kind, camera: str, detector: str) -> bool:
        """Whether it speaks of such an alarm. That a camera is lost never hides the alarm which says so."""
        if self.condition is While.CAMERA_LOST and kind is Kind.CAMERA and camera == self.subject:
            return False
        return (not self.cameras or camera in self.cameras) and (not self.detectors or detector in self.detectors)


@dataclass(frozen=True, slots=True)
class Entry:
    """A camera, a detector, or one detector of one camera ("" stands for all) that was taken out of service."""

    camera: str
    detector: str
    by: str
    reason: str
    since_ns: int
    until_ns: int = 0
    """When it was brought back; 0 while it is out."""
    history: tuple[Change, ...] = ()

    @property
    def key(self) -> str:
        """Names it, in the store and in records."""
        return entry_key(self.camera, self.detector)

    def covers(self, camera: str, detector: str) -> bool:
        """Whether such an alarm is out of service with it."""
        return self.until_ns == 0 and self.camera in ("", camera) and self.detector in ("", detector)


def entry_key(camera: str, detector: str) -> str:
    """The key of an entry: "gate motion", "gate *", "* motion"."""
    return f"{camera or '*'} {detector or '*'}"


@dataclass(slots=True)
class Situation:
    """What is so now: rules, entries, and cameras that give no picture."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    zone: tzinfo = UTC

    def is_active(self, rule: Rule, now_ns: int) -> bool:
        """Whether what it waits for is so."""
        if rule.is_deleted:
            return False
        match rule.condition:
            case While.CAMERA_LOST:
                return rule.subject in self.lost
            case While.CAMERA_OUT_OF_SERVICE:
                return any(one.camera == rule.subject and not one.detector and not one.until_ns
                           for one in self.entries.values())  # fmt: skip
            case While.SCHEDULE:
                return holds([parse_window(rule.subject)], now_ns, self.zone)

    def active(self, now_ns: int) -> list[Rule]:
        """Rules whose condition is so, by id."""
        return [rule for _, rule in sorted(self.rules.items()) if self.is_active(rule, now_ns)]

    def judge(self, now_ns: int) -> Judgement:
        """All that decides at this moment, to be asked of many alarms."""
        standing = tuple(entry for _, entry in sorted(self.entries.items()) if not entry.until_ns)
        ended = {rule.id: rule.history[-1] for rule in self.rules.values() if rule.is_deleted and rule.history}
        ended |= {one.key: one.history[-1] for one in self.entries.values() if one.until_ns and one.history}
        return Judgement(tuple(self.active(now_ns)), standing, ended)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Rules that are active and entries that are out, at one moment."""

    rules: tuple[Rule, ...] = ()
    entries: tuple[Entry, ...] = ()
    ended: Mapping[str, Change] = field(default_factory=dict)
    """Who ended what is over, and why."""

    def of(self, kind: Kind, camera: str, detector: str, suppressed_by: str = "") -> tuple[str, str]:
        """The rule that suppresses such an alarm and the entry it is out of service with, "" for none.

        The rule that suppresses it already goes on doing so as long as it may.
        """
        name = detector_name(detector)
        rules = [rule.id for rule in self.rules if rule.covers(kind, camera, name)]
        rule = suppressed_by if suppressed_by in rules else next(iter(rules), "")
        return rule, next((entry.key for entry in self.entries if entry.covers(camera, name)), "")


def settled(event: Event, judgement: Judgement, now_ns: int, *, is_same_change: bool = False) -> Event | None:
    """The event with the marks that the situation gives it; None if it has them."""
    alarm = event.alarm
    if alarm.state is State.NONE:
        return None
    rule, entry = judgement.of(event.kind, event.camera, event.detector, alarm.marks.suppressed_by)
    for stimulus in _due(alarm, rule, entry, judgement, now_ns):
        alarm = apply(alarm, stimulus)
    if alarm is event.alarm:
        return None
    return replace(event, alarm=alarm, version=event.version + (not is_same_change), changed_ns=now_ns)


def _due(alarm: Alarm, rule: str, entry: str, judgement: Judgement, now_ns: int) -> Iterable[Stimulus]:
    marks = alarm.marks
    # An alarm that was set aside and brought back very often is not set aside any more.
    has_room = len(alarm.records) < MAX_RECORDS
    standing = {one.id: (one.by, one.reason) for one in judgement.rules}
    standing |= {one.key: (one.by, one.reason) for one in judgement.entries}

    def begins(deed: Deed, reference: str) -> Stimulus:
        by, why = standing[reference]
        return Stimulus(deed, by or ACTOR, now_ns, why, reference=reference)

    def ends(deed: Deed, reference: str) -> Stimulus:
        change = judgement.ended.get(reference)
        by, why = (change.actor, change.text) if change else (ACTOR, "")
        return Stimulus(deed, by, now_ns, why, reference=reference)

    # What begins comes first: an alarm that goes from one hand to the other is not in the queue between them.
    if rule != marks.suppressed_by and rule and has_room:
        yield begins(Deed.SUPPRESSED, rule)
    if entry != marks.out_of_service and entry and has_room:
        yield begins(Deed.TAKEN_OUT, entry)
    if marks.suppressed_by and not rule:
        yield ends(Deed.UNSUPPRESSED, marks.suppressed_by)
    if marks.out_of_service and not entry:
        yield ends(Deed.BROUGHT_BACK, marks.out_of_service)
