"""What a condition makes of a frame: for whom it holds, what happened, and how near it is.

A condition is one of three kinds. It holds of single things (somebody is in a zone, is fast, lies, was left), or of the
scene (so many are there, nobody is), or it is an event of a moment (a line was crossed). What holds has to go on for
some time of the observed clock; what is not seen for a moment has not ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from detector_pool.detector import FoundBox
from detector_pool.rules.geometry import points_in
from detector_pool.rules.memory import Event, Held, RulesState, StepMemory, Thing
from detector_pool.rules.terms import (
    MAX_RATE,
    SECOND,
    Count,
    Crossing,
    Direction,
    Fall,
    Filling,
    Left,
    Passage,
    Presence,
    Speed,
    Step,
    Subject,
    Unit,
    Where,
)
from detector_pool.rules.things import LOST_NS, Ground, Seen, pace_of

SCENE = 0
"""The key of what holds of the whole scene."""
SPEED_FOR_NS = 500_000_000
FALL_FOR_NS = SECOND
LEFT_FOR_NS = 60 * SECOND
"""What is meant when a rule says no time."""
_FLICKER_NS = 500_000_000
"""A condition that does not hold of something in plain sight for so long has ended."""
_PRESENT_NS = SECOND
"""Somebody hidden for less is counted."""
_KNOWN_NS = 400_000_000
"""A thing breaks an absence once it was seen for so long: detectors see ghosts for a frame."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step has come to."""

    keys: tuple[int, ...] = ()
    """Of whom it holds now, for long enough; SCENE is the scene."""
    since_utc_ns: int = 0
    """Since when, of those."""
    events: tuple[Event, ...] = ()
    """What happened, or began to hold for long enough, at this moment."""
    progress: float = 0.0
    """How near it is, 0 to 1; 1 if it holds."""


@dataclass(frozen=True, slots=True)
class Look:
    """A frame as conditions look at it."""

    seen: Seen
    state: RulesState
    ground: Ground
    utc_ns: int
    score_above: float

    def meant(self, subject: Subject, *, is_left: bool = False) -> Iterable[Thing]:
        """Things of these classes that were seen lately, and sure enough."""
        for thing in self.state.things.values():
            if thing.is_left == is_left and thing.box[4] > self.score_above and (is_left or subject.has(thing.label)):
                yield thing


def needed_ns(step: Step) -> int:
    """For how long its condition has to hold."""
    defaults = {Speed: SPEED_FOR_NS, Fall: FALL_FOR_NS, Left: LEFT_FOR_NS}
    return step.for_ns or defaults.get(type(step.condition), 0)


def evaluated(step: Step, look: Look, memory: StepMemory) -> Outcome:
    """One step, one frame. Changes the memory."""
    match step.condition:
        case Presence(count=Count()) as presence:
            return _of_scene(step, presence, look, memory)
        case Filling() as filling:
            return _of_filling(step, filling, look, memory)
        case (Presence() | Speed() | Fall() | Left()) as condition:
            return _of_things(step, condition, look, memory)
        case Crossing(count=Count()) as crossing:
            return _of_rate(crossing, look, memory)
        case (Crossing() | Passage()) as event:
            events = tuple(_events(event, look))
            return Outcome(events=events, progress=1.0 if events else 0.0)


# What holds of single things


def _of_things(step: Step, condition: Presence | Speed | Fall | Left, look: Look, memory: StepMemory) -> Outcome:
    clock_ns, needed = look.state.clock_ns, needed_ns(step)
    holding = list(_holding(condition, look))
    for key in holding:
        held = memory.held.setdefault(key, Held(clock_ns, clock_ns, look.utc_ns))
        held.seen_ns = clock_ns
    for key, held in list(memory.held.items()):
        patience_ns = _FLICKER_NS if key in look.seen.now else LOST_NS
        if key not in holding and (clock_ns - held.seen_ns > patience_ns or key not in look.state.things):
            del memory.held[key]
    enough = {key: held for key, held in memory.held.items() if held.seen_ns - held.since_ns >= needed}
    progress = max(((h.seen_ns - h.since_ns) / max(needed, 1) for h in memory.held.values()), default=0.0)
    return Outcome(
        tuple(enough),
        min((held.since_utc_ns for held in enough.values()), default=0),
        tuple(_begun(enough, look)),
        min(progress, 1.0) if not enough else 1.0,
    )


def _begun(enough: dict[int, Held], look: Look) -> Iterable[Event]:
    for key, held in enough.items():
        if not held.is_told:
            held.is_told = True
            yield Event(look.state.clock_ns, key, look.utc_ns)


def _holding(condition: Presence | Speed | Fall | Left, look: Look) -> Iterable[int]:
    """Keys of things that it holds of in this frame."""
    now = look.seen.now
    if isinstance(condition, Left):
        for thing in look.meant(condition.subject, is_left=True):
            if thing.key in now and _is_where(thing, condition.where) and _is_of(thing, condition.subject, look):
                yield thing.key
        return
    for thing in look.meant(condition.subject):
        if not _is_where(thing, condition.where):
            continue
        match condition:
            case Fall():
                # Who lies still is often not seen any more: that is no recovery.
                if thing.fallen_ns >= 0:
                    yield thing.key
            case Speed(_, limit, unit, is_faster):
                pace = pace_of(thing, look.state, look.ground.aspect) if thing.key in now else None
                if pace is None:
                    continue
                # Fast is who surely is, slow is who looks so.
                of_body = pace.body if is_faster else pace.own
                value = of_body if unit is Unit.BODY else pace.picture
                if value > limit if is_faster else value < limit:
                    yield thing.key
            case Presence():
                if thing.key in now:
                    yield thing.key


def _is_where(thing: Thing, where: Where) -> bool:
    if not where.zones:
        return True
    return any(thing.zones.get(zone, False) for zone in where.zones) != where.is_outside


def _is_of(thing: Thing, subject: Subject, look: Look) -> bool:
    """Whether something left behind is of these classes: something that is seen there says so."""
    if subject.has(""):
        return True
    return any(_overlap(thing.box, box) > 0.3 for box in look.seen.now.values() if subject.has(box.label))


def _overlap(one: list[float], box: FoundBox) -> float:
    """The common area's share of the smaller box."""
    width = min(one[0] + one[2], box.x + box.width) - max(one[0], box.x)
    height = min(one[1] + one[3], box.y + box.height) - max(one[1], box.y)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / max(min(one[2] * one[3], box.width * box.height), 1e-9)


# What holds of the scene


def _of_scene(step: Step, condition: Presence, look: Look, memory: StepMemory) -> Outcome:
    assert condition.count is not None
    clock_ns, count = look.state.clock_ns, condition.count
    there = [
        thing.key
        for thing in look.meant(condition.subject)
        if clock_ns - thing.seen_ns <= _PRESENT_NS
        and _is_where(thing, condition.where)
        and (not count.holds_of_none or thing.seen_ns - thing.first_ns >= _KNOWN_NS)
    ]
    held = memory.held.get(SCENE)
    if count.holds(len(there)):
        held = memory.held.setdefault(SCENE, Held(clock_ns, clock_ns, look.utc_ns))
        held.seen_ns = clock_ns
    elif held and clock_ns - held.seen_ns > (0 if count.holds_of_none else _FLICKER_NS):
        memory.held.clear()
        held = None
    share = 1.0 if count.holds_of_none else min(1.0, len(there) / count.fewest)
    if held is None:
        return Outcome(progress=0.0 if count.holds_of_none else 0.5 * share)
    time_share = min(1.0, (held.seen_ns - held.since_ns) / step.for_ns) if step.for_ns else 1.0
    if held.seen_ns - held.since_ns < step.for_ns:
        return Outcome(progress=time_share if count.holds_of_none else 0.5 + 0.5 * time_share)
    return Outcome(tuple(there) or (SCENE,), held.since_utc_ns, tuple(_begun({SCENE: held}, look)), 1.0)


def _of_filling(step: Step, condition: Filling, look: Look, memory: StepMemory) -> Outcome:
    clock_ns = look.state.clock_ns
    there = [one for one in look.meant(condition.subject) if clock_ns - one.seen_ns <= _PRESENT_NS]
    share, keys = max((_filled(zone, there, look.ground) for zone in condition.zones), key=lambda found: found[0])
    held = memory.held.get(SCENE)
    if share > condition.percent / 100:
        held = memory.held.setdefault(SCENE, Held(clock_ns, clock_ns, look.utc_ns))
        held.seen_ns = clock_ns
    elif held and clock_ns - held.seen_ns > _FLICKER_NS:
        memory.held.clear()
        held = None
    if held is None:
        return Outcome(progress=min(0.5, 50 * share / condition.percent))
    lasted_ns = held.seen_ns - held.since_ns
    if lasted_ns < step.for_ns:
        return Outcome(progress=0.5 + 0.5 * lasted_ns / step.for_ns)
    return Outcome(tuple(keys) or (SCENE,), held.since_utc_ns, tuple(_begun({SCENE: held}, look)), 1.0)


def _filled(zone: str, there: Sequence[Thing], ground: Ground) -> tuple[float, list[int]]:
    """The share of a zone that boxes cover, and whose boxes do."""
    points = np.concatenate([points_in(tuple(corners)) for corners in ground.zones[zone]])
    covered, keys = np.zeros(len(points), bool), []
    for thing in there:
        x, y, width, height, _ = thing.box
        low, high = (x * ground.aspect, y), ((x + width) * ground.aspect, y + height)
        own = ((points >= low) & (points < high)).all(axis=1)
        covered |= own
        keys += [thing.key] * bool(own.any())
    return float(covered.mean()) if len(points) else 0.0, keys


# Events


def _events(condition: Crossing | Passage, look: Look) -> Iterable[Event]:
    if isinstance(condition, Crossing):
        wanted = {Direction.FORWARDS: (True,), Direction.BACKWARDS: (False,), Direction.EITHER: (True, False)}
        keys = [
            key
            for name, key, is_forwards in look.seen.crossed
            if name == condition.line and is_forwards in wanted[condition.direction]
        ]
    else:
        keys = _passed(condition, look)
    meant = {thing.key for thing in look.meant(condition.subject)}
    for key in dict.fromkeys(keys):
        if key in meant:
            yield Event(look.state.clock_ns, key, look.utc_ns)


def _passed(condition: Passage, look: Look) -> list[int]:
    """Who went into one of the zones, or out of it and into none of the others."""
    keys = []
    for name, key, is_into in look.seen.passed:
        others = [zone for zone in condition.zones if zone != name]
        zones = look.state.things[key].zones
        is_elsewhere = any(zones.get(zone, False) for zone in others)
        if name in condition.zones and is_into == condition.is_entering and not is_elsewhere:
            keys.append(key)
    return keys


def _of_rate(condition: Crossing, look: Look, memory: StepMemory) -> Outcome:
    assert condition.count is not None
    clock_ns, count = look.state.clock_ns, condition.count
    memory.times = [one for one in memory.times if clock_ns - one.clock_ns < condition.per_ns]
    memory.times += _events(condition, look)
    del memory.times[: -(MAX_RATE + 1)]
    number = len(memory.times)
    if not count.holds(number):
        memory.held.clear()
        return Outcome(progress=min(1.0, number / count.fewest))
    held = memory.held.setdefault(SCENE, Held(clock_ns, clock_ns, memory.times[0].utc_ns))
    keys = tuple({one.key: None for one in memory.times if one.key in look.seen.now}) or (SCENE,)
    return Outcome(keys, held.since_utc_ns, tuple(_begun({SCENE: held}, look)), 1.0)
