"""The detector type `rules`: other detectors' boxes, followed, and rules over them.

    rules = 'intruder: object in "yard" for 2 s between 22:00 and 06:00'
    sources = ["motion"]

A rule that is true scores 1; below that the score says how near the nearest rule is, up to 0.49.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask
from detector_pool.detector import DetectorType, FoundBox, Judging, Observation, Setup
from detector_pool.options import Option, checked
from detector_pool.packing import pack, unpack
from detector_pool.picture import Picture, Shot
from detector_pool.rules import sources
from detector_pool.rules.check import check
from detector_pool.rules.memory import RulesState
from detector_pool.rules.ruleset import Fired, RuleSet
from detector_pool.rules.sources import Source
from detector_pool.tracking import Tracks
from mesh.errors import InvalidArgument
from mesh.logs import get_logger, rate_limited

log = get_logger("detector_pool.rules")

NEAR = 0.49
"""Score of a rule that is all but true."""
MAX_BOXES = 64
MAX_SAID = 400
SECOND = 1_000_000_000


@dataclass(slots=True)
class State:
    """All that is remembered of one camera."""

    rules: RulesState
    sources: list[Any] = field(default_factory=list)
    tracks: list[Tracks] = field(default_factory=list)
    epoch: int = -1


class Rules:
    """The detector. Holds rules and sources, no memory of any camera."""

    def __init__(self, rules: RuleSet, found_by: Sequence[Source], name: str = "rules@1") -> None:
        self._rules = rules
        self._sources = tuple(found_by)
        self._name = name

    @property
    def name(self) -> str:
        """Name with version, and with the digests of the models that sources work with."""
        return self._name

    @property
    def of_models(self) -> Mapping[str, Any]:
        """By the digest of a model, the source that works with it: golden frames are its own, not those of rules."""
        return {one.model: one.detector for one in self._sources if one.model}

    def start(self) -> State:
        """Nothing seen yet."""
        return State(
            self._rules.start(),
            [source.detector.start() for source in self._sources],
            [Tracks() for _ in self._sources],
        )

    def inspect(self, picture: Picture, state: State, regions: Sequence[RegionMask]) -> tuple[Observation, State]:
        """1 with the boxes that rules are true of; the reason of a source that has no score.

        Raises InvalidArgument if the inspection has none of the zones and lines that rules name.
        """
        missing = self._rules.missing(regions)
        if len(missing) == len(self._rules.rules):
            remedy = "Draw the zone or the line in the inspection, or change the rule."
            raise InvalidArgument("detector rules", missing[0].removesuffix("."), remedy)
        if missing and rate_limited(f"rules of {picture.id.camera}", 600.0):
            log.warning("a rule rests", camera=picture.id.camera, reason=missing[0])
        if picture.id.epoch != state.epoch:
            self._cut(state)
            state.epoch = picture.id.epoch
        per_source = []
        looked_at = picture if len(self._sources) == 1 else _held(picture)
        # Sources look at the whole picture: who walks into a zone was outside of it before.
        ignored = [region for region in regions if region.is_ignored and not region.is_line]
        reason = None
        for number, source in enumerate(self._sources):
            seen, state.sources[number] = source.detector.inspect(looked_at, state.sources[number], ignored)
            reason = reason or seen.reason
            per_source.append((source.name, self._followed(number, seen.boxes, picture.received_ns, state)))
        if reason is not None:
            return Observation(reason=reason), state
        things = sources.fused(per_source)
        aspect = picture.y.shape[1] / picture.y.shape[0]
        fired, progress, state.rules = self._rules.step(
            things, picture.received_ns, regions, state.rules, aspect=aspect
        )
        return _observed(fired, progress, missing, len(things)), state

    def pack(self, state: State) -> bytes:
        """The state as bytes."""
        numbers: dict[str, int] = {"epoch": state.epoch}
        arrays: dict[str, NDArray[Any] | None] = {"rules": np.frombuffer(self._rules.pack(state.rules), np.uint8)}
        for number, source in enumerate(self._sources):
            data = source.detector.pack(state.sources[number])
            arrays[f"source{number}"] = np.frombuffer(data, np.uint8)
            own_numbers, own_arrays = state.tracks[number].packable(f"tracks{number}_")
            numbers |= own_numbers
            arrays |= own_arrays
        return pack(self._name, numbers, arrays)

    def unpack(self, data: bytes) -> State:
        """The inverse. Raises ValueError: not a state of these rules with these sources."""
        numbers, arrays = unpack(self._name, data)
        try:
            state = State(self._rules.unpack(arrays.pop("rules").tobytes()), epoch=int(numbers.pop("epoch")))
            for number, source in enumerate(self._sources):
                state.sources.append(source.detector.unpack(arrays.pop(f"source{number}").tobytes()))
                state.tracks.append(Tracks.unpacked(numbers, arrays, f"tracks{number}_"))
        except (KeyError, TypeError) as error:
            raise ValueError(f"is no state of these rules ({type(error).__name__})") from None
        if numbers or arrays:
            raise ValueError("is a state of rules with other sources")
        return state

    def _followed(self, number: int, boxes: Sequence[FoundBox], time_ns: int, state: State) -> list[FoundBox]:
        """The boxes with tracks; those that have one keep it."""
        tracker = self._sources[number].tracker
        numbered = [box for box in boxes if box.track > 0]
        if tracker is None:
            return numbered
        free = [replace(box, label="object") if box.label == "motion" else box for box in boxes if box.track <= 0]
        followed, state.tracks[number] = tracker.step(free, time_ns, state.tracks[number])
        return [*numbered, *followed]

    def _cut(self, state: State) -> None:
        state.rules = self._rules.cut(state.rules)
        state.tracks = [Tracks(next_id=tracks.next_id) for tracks in state.tracks]


def _held(picture: Picture) -> Shot:
    """The picture's planes of its own, for sources that each change their state only if the planes still hold."""
    u, v = picture.u, picture.v
    held = Shot(
        picture.id,
        picture.received_ns,
        picture.y.copy(),
        u=None if u is None else u.copy(),
        v=None if v is None else v.copy(),
        full_range=picture.full_range,
        bt709=picture.bt709,
        derived=picture.derived,
    )
    picture.confirm()
    return held


def _observed(fired: Sequence[Fired], progress: Sequence[float], missing: Sequence[str], things: int) -> Observation:
    series = (("things", float(things)),)
    if not fired:
        score = round(NEAR * max(progress, default=0.0), 4)
        return Observation(score, said="; ".join(missing)[:MAX_SAID], series=series)
    said = "; ".join(f"{one.rule}: {one.said}" for one in fired)
    boxes = [replace(box, score=1.0, said=f"{one.rule}: {one.said}") for one in fired for box in one.boxes]
    return Observation(1.0, tuple(boxes[:MAX_BOXES]), said=said[:MAX_SAID], series=series)


OPTIONS = (
    Option("rules", "", 'Rules, one a line: `intruder: person in "yard" for 2 s`. See docs/guide/rules.md.'),
    Option("sources", [], 'Detectors whose boxes rules look at: ["motion", "pose@MODEL"]; none: what the rules need.',
           names_models=True),
    Option("source", {}, 'Options of sources, a table each: [source.objects], [source."pose@MODEL"].'),
)  # fmt: skip


def _made(setup: Setup) -> Rules:
    """Raises InvalidArgument: rules that cannot be read, with a pointer; sources that cannot be had."""
    from detector_pool.registry import detector_types

    options = checked("rules", OPTIONS, setup.options)
    rules = RuleSet.of(options["rules"], setup.timezone)
    needs_left = rules.looks_for_left_things
    names = sources.chosen(options["sources"], setup.model, needs_left=needs_left)
    check(options["rules"], classes=sources.known_classes(names, options["source"]))
    found_by = sources.made(names, setup, options["source"], detector_types(), rules.rules)
    digests = [setup.model.digest] if setup.model else []
    digests += [model.digest for model in setup.models.values()]
    name = f"rules@1:{'+'.join(digest[:12] for digest in digests)}" if digests else "rules@1"
    return Rules(rules, found_by, name)


RULES = DetectorType(
    "rules",
    "1",
    "Rules over what other detectors find, in a small language: zones, lines, dwell, crowds, speed, falls and more.",
    _made,
    Judging(0.5, 0.99, min_duration_ns=0, merge_gap_ns=3 * SECOND),
    OPTIONS,
)
