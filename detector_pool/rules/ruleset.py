"""Rules over tracked boxes through time, with an explicit state. Pure: time is handed in.

Everything that takes time is measured on the observed clock: the camera's time without what was not seen. A pause
between frames of up to 1.5 s counts as seen; of a longer one 1.5 s do, ways are cut, after 10 s nobody is known to be
the same, and after a minute everything begins anew. So holes, skipped frames and new epochs make nobody fast, let
nobody cross a line and prolong no stay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from detector_pool.canvas import RegionMask
from detector_pool.detector import FoundBox
from detector_pool.packing import pack, unpack
from detector_pool.rules import memory as mem
from detector_pool.rules import things
from detector_pool.rules.conditions import SCENE, Look, Outcome, evaluated
from detector_pool.rules.geometry import Point, scaled
from detector_pool.rules.memory import Event, RuleMemory, RulesState, StepMemory
from detector_pool.rules.parser import parse
from detector_pool.rules.printer import printed
from detector_pool.rules.problem import nearest
from detector_pool.rules.schedule import is_in_force, local, zone_of
from detector_pool.rules.sentences import sentence
from detector_pool.rules.terms import SECOND, Crossing, Filling, Left, Passage, Rule, Step, Where
from detector_pool.rules.things import Ground, Seen

CUT_NS = 1_500_000_000
FORGET_THINGS_NS = 10 * SECOND
FORGET_ALL_NS = 60 * SECOND
SHOWN_NS = SECOND
"""An event of a moment is shown for so long."""
MAX_BOXES = 32
"""Most boxes that one rule shows."""
_DEFAULT_ASPECT = 16 / 9


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that is true now."""

    rule: str
    boxes: tuple[FoundBox, ...]
    """Whom it is true of, each with `said`; none for an absence."""
    since_ns: int
    """UTC nanoseconds at which what it tells began."""
    said: str
    """A sentence for an operator."""


class RuleSet:
    """Some rules. Holds no memory of any camera."""

    def __init__(self, rules: Sequence[Rule], timezone: str = "UTC") -> None:
        """Raises InvalidArgument: the zone is not known."""
        self.rules = tuple(rules)
        digest = hashlib.sha256(f"{timezone}\n{printed(self.rules)}".encode()).hexdigest()[:12]
        self._state_name = f"rules-state@2:{digest}"
        self._zone = zone_of(timezone)

    @classmethod
    def of(cls, text: str, timezone: str = "UTC") -> RuleSet:
        """The rules of a text. Raises RuleError, or InvalidArgument: the zone is not known."""
        return cls(parse(text), timezone)

    @property
    def looks_for_left_things(self) -> bool:
        """Whether a rule needs evidence of what was left behind."""
        return any(isinstance(step.condition, Left) for rule in self.rules for step in rule.steps)

    def start(self) -> RulesState:
        """Nothing seen yet."""
        return RulesState(rules=[_fresh(rule) for rule in self.rules])

    def step(
        self,
        boxes: Sequence[FoundBox],
        time_ns: int,
        regions: Sequence[RegionMask],
        state: RulesState,
        *,
        aspect: float = _DEFAULT_ASPECT,
    ) -> tuple[list[Fired], list[float], RulesState]:
        """One frame: what is true now, how near each rule is (0 to 1, in their order), and the new state.

        `boxes` have `track` set; `time_ns` is the frame's UTC time; `regions` are where the camera shows them now;
        `aspect` is the picture's width over its height. The state given is not used again.
        """
        self._move_clock(time_ns, state)
        ground = _ground(regions, aspect)
        seen = things.follow(boxes, ground, state)
        now = local(time_ns, self._zone)
        fired, progress = [], []
        for number, rule in enumerate(self.rules):
            if not is_in_force(rule.schedule, now) or _missing(rule, ground):
                state.rules[number] = _fresh(rule)
                progress.append(0.0)
                continue
            truth, share = self._judged(rule, state.rules[number], seen, ground, state, time_ns)
            progress.append(share)
            if truth:
                fired.append(truth)
        return fired, progress, state

    def missing(self, regions: Sequence[RegionMask]) -> list[str]:
        """What is wrong with the names that rules use, a sentence each; such rules rest."""
        ground = _ground(regions, _DEFAULT_ASPECT)
        return [f'rule "{rule.name}" rests: {why}' for rule in self.rules if (why := _missing(rule, ground))]

    def cut(self, state: RulesState) -> RulesState:
        """Ways end here: another epoch begins, or what came between was not seen."""
        things.cut(state)
        return state

    def pack(self, state: RulesState) -> bytes:
        """The state as bytes."""
        text = json.dumps(mem.plain(state), ensure_ascii=False, separators=(",", ":")).encode()
        return pack(self._state_name, {}, {"state": np.frombuffer(text, np.uint8)})

    def unpack(self, data: bytes) -> RulesState:
        """The inverse. Raises ValueError: not a state of these rules."""
        _, arrays = unpack(self._state_name, data)
        if set(arrays) != {"state"}:
            raise ValueError("is no state of rules")
        values = json.loads(arrays["state"].tobytes())
        if not isinstance(values, list):
            raise ValueError("is no state of rules")
        return mem.of_plain(values, [len(rule.steps) for rule in self.rules])

    def _move_clock(self, time_ns: int, state: RulesState) -> None:
        elapsed_ns = time_ns - state.last_utc_ns if state.last_utc_ns else 0
        # A clock that is set back by a little shows the seam of two epochs.
        if elapsed_ns > CUT_NS or elapsed_ns < -CUT_NS:
            things.cut(state)
        if abs(elapsed_ns) > FORGET_THINGS_NS:
            state.things.clear()
            for rule, remembered in zip(self.rules, state.rules, strict=True):
                _forget_things(rule, remembered)
        if abs(elapsed_ns) > FORGET_ALL_NS:
            state.rules = [_fresh(rule) for rule in self.rules]
        state.clock_ns += min(max(elapsed_ns, 0), CUT_NS)
        state.last_utc_ns = time_ns

    def _judged(
        self, rule: Rule, remembered: RuleMemory, seen: Seen, ground: Ground, state: RulesState, time_ns: int
    ) -> tuple[Fired | None, float]:
        look = Look(seen, state, ground, time_ns, rule.score_above)
        outcomes = [evaluated(step, look, own) for step, own in zip(rule.steps, remembered.steps, strict=True)]
        if len(rule.steps) > 1:
            return self._in_turn(rule, remembered, outcomes, state)
        outcome = outcomes[0]
        if outcome.keys:
            return self._told(rule, outcome.keys, outcome.since_utc_ns, state), 1.0
        if outcome.events:
            _show(remembered, [one.key for one in outcome.events], outcome.events[0].utc_ns, state)
        return self._shown(rule, remembered, state, outcome.progress)

    def _in_turn(
        self, rule: Rule, remembered: RuleMemory, outcomes: list[Outcome], state: RulesState
    ) -> tuple[Fired | None, float]:
        """A, then B: each step's events wait for those of the next step, which have to come soon enough."""
        clock_ns, last = state.clock_ns, len(rule.steps) - 1
        earlier: list[Event] = []
        for number, outcome in enumerate(outcomes):
            events = list(outcome.events)
            if number:
                within_ns = rule.steps[number].within_ns
                earlier[:] = [one for one in earlier if clock_ns - one.clock_ns <= within_ns]
                pairs = [(_before(one, earlier), one) for one in events]
                events = [replace(one, utc_ns=first.utc_ns) for first, one in pairs if first]
            if number == last:
                if events:
                    _show(remembered, [one.key for one in events], events[0].utc_ns, state)
                break
            own = remembered.steps[number]
            own.pending = earlier = [*own.pending, *events][-mem.MAX_PENDING :]
        done = max((n + 1 for n, own in enumerate(remembered.steps) if own.pending), default=0)
        return self._shown(rule, remembered, state, done / len(rule.steps))

    def _shown(
        self, rule: Rule, remembered: RuleMemory, state: RulesState, progress: float
    ) -> tuple[Fired | None, float]:
        if remembered.shown_until_ns < state.clock_ns:
            return None, min(progress, 0.99)
        return self._told(rule, remembered.shown_keys, remembered.shown_utc_ns, state), 1.0

    def _told(self, rule: Rule, keys: Sequence[int], since_utc_ns: int, state: RulesState) -> Fired:
        said = sentence(rule, since_utc_ns, self._zone)
        shown = [state.things[key] for key in keys if key != SCENE and key in state.things]
        boxes = tuple(
            FoundBox(
                x=one.box[0],
                y=one.box[1],
                width=one.box[2],
                height=one.box[3],
                label=one.label,
                score=one.box[4],
                track=one.track,
                said=said,
            )
            for one in shown[:MAX_BOXES]
        )
        return Fired(rule.name, boxes, since_utc_ns, said)


def _before(event: Event, earlier: list[Event]) -> Event | None:
    """The first of these that it follows: an event does not follow itself, and two people may come in one frame."""
    return next((one for one in earlier if one.clock_ns < event.clock_ns or one.key != event.key), None)


def _show(remembered: RuleMemory, keys: list[int], utc_ns: int, state: RulesState) -> None:
    remembered.shown_until_ns = state.clock_ns + SHOWN_NS
    remembered.shown_utc_ns = utc_ns
    remembered.shown_keys = [key for key in keys if key != SCENE][:MAX_BOXES]


def _fresh(rule: Rule) -> RuleMemory:
    return RuleMemory([StepMemory() for _ in rule.steps])


def _forget_things(rule: Rule, remembered: RuleMemory) -> None:
    """What holds of single things, and what waits for a next step. Absences and counts stay."""
    for own in remembered.steps:
        own.pending.clear()
        own.held = {key: held for key, held in own.held.items() if key == SCENE}
    remembered.shown_until_ns = -1


def _ground(regions: Sequence[RegionMask], aspect: float) -> Ground:
    zones: dict[str, tuple[list[Point], ...]] = {}
    lines: dict[str, tuple[list[Point], ...]] = {}
    for region in regions:
        among = lines if region.is_line else zones
        if region.name:
            among[region.name] = (*among.get(region.name, ()), scaled(region.corners, aspect))
    return Ground(zones, lines, aspect)


def _missing(rule: Rule, ground: Ground) -> str:
    """The first name of a rule that no region has."""
    for step in rule.steps:
        for name in _zones_of(step):
            if name not in ground.zones:
                return f'no zone is called "{name}"{nearest(name, ground.zones)}'
        if isinstance(step.condition, Crossing) and step.condition.line not in ground.lines:
            return f'no line is called "{step.condition.line}"{nearest(step.condition.line, ground.lines)}'
    return ""


def _zones_of(step: Step) -> tuple[str, ...]:
    condition = step.condition
    if isinstance(condition, (Passage, Filling)):
        return condition.zones
    where: Where = Where() if isinstance(condition, Crossing) else condition.where
    return where.zones
