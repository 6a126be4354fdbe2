"""What rules remember of one camera, and its form as plain values that JSON carries exactly.

Times are nanoseconds of the observed clock, which stands still while nothing is seen (`ruleset`), unless a name says
`utc`. Mutable on purpose: a step changes the state it was given and hands it back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from detector_pool.rules.perspective import BANDS, Bodies

MAX_THINGS = 512
MAX_SAMPLES = 40
MAX_PENDING = 16


@dataclass(slots=True)
class Sample:
    """A thing at a moment, in picture heights: where its foot was and how large it was."""

    clock_ns: int
    x: float
    y: float
    width: float
    height: float
    lean_deg: float = -1.0
    """From key points: how far the trunk leans from upright; negative when not known."""


@dataclass(slots=True)
class Thing:
    """A followed thing."""

    key: int
    """Its own number here: it outlives a change of the tracker's."""
    track: int
    label: str
    first_ns: int
    seen_ns: int
    box: list[float]
    """x, y, width, height as fractions, and score, as last seen."""
    is_left: bool = False
    """Evidence of something left behind, not a thing that moves."""
    samples: list[Sample] = field(default_factory=list)
    zones: dict[str, bool] = field(default_factory=dict)
    lines: dict[str, list[float]] = field(default_factory=dict)
    """By line: side (-1 or 1), and x and y of the foot where it was last clearly on that side."""
    fallen_ns: int = -1
    """Since when it lies; negative if it does not."""


@dataclass(slots=True)
class Held:
    """A condition that holds, of one thing (its key) or of the whole scene (0)."""

    since_ns: int
    seen_ns: int
    since_utc_ns: int
    is_told: bool = False
    """It has held for long enough, and that was counted as an event."""


@dataclass(slots=True)
class Event:
    """Something that happened at a moment."""

    clock_ns: int
    key: int
    utc_ns: int


@dataclass(slots=True)
class StepMemory:
    """What one step of a rule remembers."""

    held: dict[int, Held] = field(default_factory=dict)
    times: list[Event] = field(default_factory=list)
    """Crossings that are counted."""
    pending: list[Event] = field(default_factory=list)
    """Times at which this step was reached and the next one was not yet."""


@dataclass(slots=True)
class RuleMemory:
    """What one rule remembers."""

    steps: list[StepMemory]
    shown_until_ns: int = -1
    """Until when an event of a moment goes on being shown."""
    shown_utc_ns: int = 0
    shown_keys: list[int] = field(default_factory=list)


@dataclass(slots=True)
class RulesState:
    """All of it."""

    last_utc_ns: int = 0
    clock_ns: int = 0
    next_key: int = 1
    things: dict[int, Thing] = field(default_factory=dict)
    rules: list[RuleMemory] = field(default_factory=list)
    bodies: Bodies = field(default_factory=Bodies.unknown)


def plain(state: RulesState) -> list[Any]:
    """As lists, numbers and texts."""
    return [
        state.last_utc_ns,
        state.clock_ns,
        state.next_key,
        [_plain_thing(thing) for thing in state.things.values()],
        [_plain_rule(rule) for rule in state.rules],
        [state.bodies.heights, state.bodies.sightings],
    ]


def of_plain(values: list[Any], steps: list[int]) -> RulesState:
    """The inverse, for rules with so many steps each. Raises ValueError."""
    try:
        last_utc_ns, clock_ns, next_key, things, rules, (heights, sightings) = values
        state = RulesState(int(last_utc_ns), int(clock_ns), int(next_key))
        for one in things[:MAX_THINGS]:
            thing = _thing(one)
            state.things[thing.key] = thing
        state.rules = [_rule(one) for one in rules]
        state.bodies = Bodies([float(one) for one in heights], [int(one) for one in sightings])
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"is no state of rules ({type(error).__name__})") from None
    if [len(rule.steps) for rule in state.rules] != steps:
        raise ValueError("is the state of other rules")
    if {len(state.bodies.heights), len(state.bodies.sightings)} != {BANDS}:
        raise ValueError("is no state of rules (sizes differ)")
    return state


def _plain_thing(thing: Thing) -> list[Any]:
    samples = [[s.clock_ns, s.x, s.y, s.width, s.height, s.lean_deg] for s in thing.samples]
    return [
        thing.key, thing.track, thing.label, thing.first_ns, thing.seen_ns, thing.box, thing.is_left, samples,
        thing.zones, thing.lines, thing.fallen_ns,
    ]  # fmt: skip


def _thing(values: list[Any]) -> Thing:
    thing = Thing(*values)
    thing.samples = [Sample(*sample) for sample in thing.samples]  # type: ignore[misc]
    return thing


def _plain_rule(rule: RuleMemory) -> list[Any]:
    steps = [
        [
            [[key, one.since_ns, one.seen_ns, one.since_utc_ns, one.is_told] for key, one in step.held.items()],
            [[one.clock_ns, one.key, one.utc_ns] for one in step.times],
            [[one.clock_ns, one.key, one.utc_ns] for one in step.pending],
        ]
        for step in rule.steps
    ]
    return [steps, rule.shown_until_ns, rule.shown_utc_ns, rule.shown_keys]


def _rule(values: list[Any]) -> RuleMemory:
    steps, until_ns, utc_ns, keys = values
    return RuleMemory(
        [
            StepMemory(
                {int(one[0]): Held(*one[1:]) for one in held},
                [Event(*one) for one in times],
                [Event(*one) for one in pending],
            )
            for held, times, pending in steps
        ],
        int(until_ns),
        int(utc_ns),
        [int(key) for key in keys],
    )
