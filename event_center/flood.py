"""Floods: more alarms than people can follow, told as one alarm with members; and the first alarm of a group. Pure.

What counts is when alarms reach the desk, so times are those of raising. An alarm counts for its group, and for the
whole site unless its group is flooded already: one incident is one flood. What is set aside when it is raised, what is
folded into another and the alarms of floods themselves do not count.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from event_center.alarm import Alarm, Deed, State, Stimulus, apply, follow
from event_center.event import Event, Kind, event_id
from event_center.policy import SITE, Policy
from event_center.shelving import CLOCK

FLOOD_DETECTOR = "event-center.flood"
FLOOD_PRIORITY = 2
# Beyond, the oldest is forgotten: the rate is far above every threshold then.
MAX_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm that was raised. `at_ns`: UTC nanoseconds."""

    at_ns: int
    id: str
    group: str
    camera: str


@dataclass(frozen=True, slots=True)
class Flood:
    """One flood. Its alarm is an event of the same id."""

    id: str
    scope: str
    """A group, or "site"."""
    since_ns: int
    first_out: str
    members: int = 0


@dataclass(frozen=True, slots=True)
class Begun:
    """A flood began with these alarms, the oldest first; the last is the one that made it a flood."""

    flood: Flood
    members: tuple[str, ...]


@dataclass(slots=True)
class FloodWatch:
    """Alarms of the last minutes, and the floods that go on. In memory: `book` fills it again from what is stored."""

    policy: Policy
    recent: dict[str, Raised] = field(default_factory=dict)
    """By alarm, oldest first."""
    floods: dict[str, Flood] = field(default_factory=dict)
    """By scope."""
    _firsts: dict[str, tuple[str, int]] = field(default_factory=dict)

    def first_out(self, group: str, alarm: str, now_ns: int) -> str:
        """The alarm that is first of its incident once `alarm` is raised in a group: itself if it was quiet before."""
        first, last_ns = self._firsts.get(group, (alarm, now_ns))
        if now_ns - last_ns > self.policy.first_out_ns:
            first = alarm
        self._firsts[group] = first, max(now_ns, last_ns)
        return first

    def remember(self, raised: Raised, first_out: str) -> None:
        """An alarm as it was raised before a start, told oldest first."""
        self._add(raised)
        self._firsts[raised.group] = first_out or raised.id, raised.at_ns

    def raised(self, raised: Raised) -> Begun | Flood | None:
        """The flood that began with this alarm, or that it belongs to; None without one. Told again it counts once."""
        is_new = raised.id not in self.recent
        self._forget(raised.at_ns)
        self._add(raised)
        for scope in (raised.group, SITE):
            if flood := self.floods.get(scope):
                self.floods[scope] = replace(flood, members=flood.members + is_new)
                return self.floods[scope]
        for scope, most in ((raised.group, self.policy.group_flood), (SITE, self.policy.site_flood)):
            counted = self._counted(scope)
            if most and len(counted) > most:
                since_ns = raised.at_ns
                flood = Flood(event_id(since_ns, "flood", scope, str(since_ns)), scope, since_ns, counted[0].id,
                              len(counted))  # fmt: skip
                self.floods[scope] = flood
                return Begun(flood, tuple(one.id for one in counted))
        return None

    def undo(self, flood: Flood) -> None:
        """A flood that began could not be stored: it begins with the next alarm."""
        self.floods.pop(flood.scope, None)

    def unmarked(self, marked: Collection[str]) -> dict[str, tuple[str, ...]]:
        """By flood, alarms of its scope in the window that are in no flood, as `marked` says."""
        return {
            flood.id: tuple(one.id for one in self._counted(scope) if one.id not in marked)
            for scope, flood in self.floods.items()
        }

    def tick(self, now_ns: int) -> list[Flood]:
        """Floods that are over."""
        self._forget(now_ns)
        over = [flood for scope, flood in self.floods.items() if self._is_over(scope)]
        for flood in over:
            del self.floods[flood.scope]
        return over

    def rate(self, now_ns: int, cameras: frozenset[str] | None = None) -> int:
        """Alarms raised within the window, of all cameras or of these."""
        self._forget(now_ns)
        return sum(1 for one in self.recent.values() if cameras is None or one.camera in cameras)

    def cameras_of(self, flood: Flood) -> set[str]:
        """Cameras whose alarms of the last minutes belong to a flood."""
        return {one.camera for one in self.recent.values() if flood.scope in (SITE, one.group)}

    def _is_over(self, scope: str) -> bool:
        counted = [one for one in self.recent.values() if scope in (SITE, one.group)]
        return len(counted) < max(self.policy.flood_ends, 1)

    def _counted(self, scope: str) -> list[Raised]:
        if scope == SITE:
            return [one for one in self.recent.values() if one.group not in self.floods]
        return [one for one in self.recent.values() if one.group == scope]

    def _add(self, raised: Raised) -> None:
        self.recent.setdefault(raised.id, raised)
        if len(self.recent) > MAX_REMEMBERED:
            del self.recent[next(iter(self.recent))]

    def _forget(self, now_ns: int) -> None:
        while self.recent:
            oldest = next(iter(self.recent.values()))
            if oldest.at_ns > now_ns - self.policy.flood_ns:
                return
            del self.recent[oldest.id]


def flood_event(flood: Flood, policy: Policy, now_ns: int) -> Event:
    """The event of a flood that begins. Its alarm is not raised yet."""
    return Event(
        id=flood.id,
        kind=Kind.SYSTEM,
        camera="",
        detector=FLOOD_DETECTOR,
        summary=describe(flood, policy, 0),
        priority=FLOOD_PRIORITY,
        started_ns=flood.since_ns,
        changed_ns=now_ns,
        alarm=Alarm(),
        group=flood.scope,
        first_out=flood.first_out,
        flood_scope=flood.scope,
    )


def told_flood(event: Event, flood: Flood, policy: Policy, ended_ns: int, now_ns: int) -> Event | None:
    """The event of a flood with what is known of it by now; `ended_ns` 0 while it goes on. None if it says that."""
    summary = describe(flood, policy, ended_ns)
    if (summary, ended_ns) == (event.summary, event.ended_ns):
        return None
    event = replace(event, summary=summary, ended_ns=ended_ns, version=event.version + 1, changed_ns=now_ns)
    return replace(event, alarm=follow(event.alarm, holds=event.holds, actor=CLOCK, at_ns=now_ns))


def in_flood(event: Event, flood_id: str, now_ns: int) -> Event | None:
    """The event as a member of a flood; None if it is one."""
    alarm = grouped(event.alarm, flood_id, now_ns)
    if alarm is event.alarm:
        return None
    return replace(event, alarm=alarm, version=event.version + 1, changed_ns=now_ns)


def grouped(alarm: Alarm, flood_id: str, now_ns: int) -> Alarm:
    """The alarm as a member of a flood."""
    if alarm.marks.flood == flood_id or alarm.state is State.NONE:
        return alarm
    return apply(alarm, Stimulus(Deed.GROUPED, CLOCK, now_ns, reference=flood_id))


def describe(flood: Flood, policy: Policy, ended_ns: int) -> str:
    """A sentence for an operator."""
    place = "" if flood.scope == SITE else f" in {flood.scope}"
    if ended_ns:
        minutes = max(round((ended_ns - flood.since_ns) / 6e10), 1)
        lasted = f"{minutes} {'minute' if minutes == 1 else 'minutes'}"
        return f"Alarm flood{place} is over: {flood.members} alarms, it lasted {lasted}"
    return f"Alarm flood{place}: {flood.members} alarms, more than {_most(flood, policy)} in {_window(policy)}"


def _most(flood: Flood, policy: Policy) -> int:
    return policy.site_flood if flood.scope == SITE else policy.group_flood


def _window(policy: Policy) -> str:
    minutes = policy.flood_ns / 6e10
    return "a minute" if minutes == 1 else f"{minutes:g} minutes"
