"""Picture health: blurred, covered, moved, frozen, badly exposed or noisy pictures, against the camera's own past.

Each picture is measured (`measures`), compared with the scene (`scene`) and with what is usual for this camera at this
hour of the day (`history`); what deviates for long enough (`faults`) makes the score. Changes that come slowly, as dusk
does, are followed; a switch to infrared has a background of its own. Nothing is learnt while something is wrong; what
has been wrong for a day is the new normal, and is learnt from then on.

Which faults make a score is an option. Those that the detector `signal` tells of too, a picture that stands still and
one that shows nothing, are left to it unless they are asked for: one fault is one alarm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey, RegionMask, to_canvas
from detector_pool.detector import DetectorType, FoundBox, Judging, NoScore, Observation, Setup
from detector_pool.health.faults import CHANGE, FAULTS, LOST, MEASURES, SHIFT, degrees, values_of
from detector_pool.health.history import History, Usual, usual_of
from detector_pool.health.measures import Measures, measure
from detector_pool.health.scene import SceneMemory, Seen, canvas_factor, is_grey
from detector_pool.health.structure import block_means
from detector_pool.options import Option, checked
from detector_pool.packing import pack, unpack
from detector_pool.picture import Picture, shared
from detector_pool.signal_health import SignalSettings, level, thinned

SECOND = 1_000_000_000
NAME = "health@2"
RECENT_S = 600.0
NEW_NORMAL_S = 86_400.0
_WARM_UP = 20
"""Measured pictures that make the first idea of what is usual."""
_WINDOW = 16
_STEADY = 0.97
"""Share of blocks whose change counts: a camera's own clock runs on in the others."""
_DEGREE_S = 1.5
_SMALLEST_CANVAS = 40
_WHOLE = (0.0, 0.0, 1.0, 1.0)
DEGREES = ("blur", "noise", "exposure", "freeze", "covered", "moved")
MEASURED = ("brightness", "contrast", "clipped", "noise_level", "sharpness")
SERIES = (*DEGREES, "quality", *MEASURED)
BLANK = "blank"
"""A picture that shows nothing: every measure of it is out of the ordinary."""
EVERY_FAULT = (*(fault.name for fault in FAULTS), BLANK)
BESIDE_SIGNAL = tuple(name for name in EVERY_FAULT if name not in ("freeze", BLANK))
OPTIONS = (
    Option("every_s", 0.25, "Pictures are measured so many seconds apart; those between keep the score.", 0.0, 5.0),
    Option("faults", list(BESIDE_SIGNAL), 'Which are told; "freeze" and "blank" (black, white, plain) signal tells.',
           choices=EVERY_FAULT),
)  # fmt: skip
_SIGNAL = SignalSettings()
_SIGNAL_TELLS = 0.7
"""Score from which on `signal` makes an alarm of it."""


@dataclass(slots=True, eq=False)
class HealthState:
    """All that is remembered of one camera."""

    history: History = field(default_factory=lambda: History(len(MEASURES)))
    scene: SceneMemory = field(default_factory=SceneMemory)
    warm_up: list[NDArray[np.float32]] = field(default_factory=list)
    """Values of the first pictures of a mode."""
    recent: list[Usual | None] = field(default_factory=lambda: [None, None])
    """What was usual lately, by mode of the scene."""
    changes: list[float] = field(default_factory=list)
    """How much the last pictures differed from those before them, in grey levels."""
    last_ns: int = 0
    ordinary_rest_s: float = 0.0
    """How long this camera's picture may stand still by itself."""
    over_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys((f.name for f in FAULTS), 0.0))
    """How long each fault has lasted."""
    degrees: dict[str, float] = field(default_factory=lambda: dict.fromkeys((f.name for f in FAULTS), 0.0))
    """Each fault's degree, smoothed over a second or two."""
    mode: int = 0
    series: tuple[float, ...] = ()
    """Values of the last picture that was measured, in the order of `SERIES`; none while warming up."""
    lost: float = 0.0
    """Share of the scene that the last picture did not show."""
    where: tuple[float, float, float, float] = _WHOLE
    """Where it did not."""
    is_blank: bool = False
    """The last picture showed nothing, and that is not this detector's to tell."""


class Health:
    """The detector. Holds settings, no memory of any camera."""

    name = NAME

    def __init__(self, every_s: float = 0.25, faults: Sequence[str] = EVERY_FAULT) -> None:
        self._every_ns = int(every_s * SECOND)
        self._told = tuple(fault for fault in FAULTS if fault.name in faults)
        self._tells_blank = BLANK in faults

    def start(self) -> HealthState:
        """Nothing known yet."""
        return HealthState()

    def inspect(
        self, picture: Picture, state: HealthState, regions: Sequence[RegionMask]
    ) -> tuple[Observation, HealthState]:
        """Score, what is wrong in words, and series. Regions do not matter: health is that of the whole picture.

        Series: the degree of each fault, 0 to 1 with 0.5 at the limit; `quality`, 1 for a healthy picture; and
        `brightness`, `contrast`, `clipped`, `noise_level`, `sharpness` as measured, in which slow decay shows.
        """
        now_ns = picture.received_ns
        elapsed_ns = now_ns - state.last_ns if state.last_ns else 0
        if state.last_ns and 0 <= elapsed_ns < self._every_ns:
            return self._observation(state), state
        canvas = shared(picture, "canvas", lambda one: to_canvas(one.y))
        if min(canvas.shape) < _SMALLEST_CANVAS:
            return Observation(reason=NoScore.WARMING_UP), state
        is_blank = not self._tells_blank and level(thinned(picture), _SIGNAL)[0] >= _SIGNAL_TELLS
        measures = measure(picture.y, canvas, picture.full_range)
        grey, factor = is_grey(picture), canvas_factor(picture)
        picture.confirm()
        elapsed_s = elapsed_ns / SECOND if 0 < elapsed_ns <= 5 * SECOND else 0.0
        state.last_ns = now_ns
        change = _change(canvas, state, elapsed_s)
        seen = state.scene.look(canvas, grey, measures.noise, factor, elapsed_s)
        values = values_of(measures, seen, change)
        if state.scene.mode != state.mode:
            state.mode, state.warm_up = state.scene.mode, []
        state.is_blank = is_blank
        self._judge(values, measures, seen, elapsed_s, state)
        return self._observation(state), state

    def pack(self, state: HealthState) -> bytes:
        """The state as bytes."""
        return pack(self.name, *_parts(state))

    def unpack(self, data: bytes) -> HealthState:
        """The inverse. Raises ValueError."""
        numbers, arrays = unpack(self.name, data)
        try:
            return _from_parts(numbers, arrays)
        except (KeyError, TypeError) as error:
            raise ValueError(f"is no state of {self.name} ({type(error).__name__})") from None

    def _observation(self, state: HealthState) -> Observation:
        """What the state says of the last picture that was measured."""
        if not state.series:
            return Observation(reason=NoScore.WARMING_UP)
        scores = {fault.name: _lasting(fault.name, fault.persistence_s, state) for fault in self._told}
        score = round(max(scores.values(), default=0.0), 4)
        told = [fault for fault in self._told if scores[fault.name] >= 0.5]
        series = tuple(zip(SERIES, state.series, strict=True))
        if not told:
            return Observation(min(score, 0.4999), series=series)
        first, others = told[0], ", ".join(fault.name for fault in told[1:])
        words, where = first.words, _WHOLE
        if first.name == "covered":
            words, where = f"{words}: {state.lost:.0%} of the scene cannot be seen", state.where
        said = f"{words} (also: {others})" if others else words
        return Observation(score, (FoundBox(*where, first.name, score),), said=said, series=series)

    def _judge(
        self, values: NDArray[np.float32], measures: Measures, seen: Seen, elapsed_s: float, state: HealthState
    ) -> None:
        usual = _usual(state)
        now = degrees(values, usual, measures, seen)
        if len(state.changes) < _WINDOW // 2:
            now["freeze"] = 0.0
        self._last(now, elapsed_s, state)
        self._learn(values, elapsed_s, state)
        state.lost, state.where = seen.lost, seen.where
        if not usual and max(now.values()) < 0.5:
            state.series = ()
            return
        quality = 1.0 - max(state.degrees.values())
        measured = (
            measures.brightness, measures.contrast, measures.clipped, measures.noise, measures.sharpness
        )  # fmt: skip
        state.series = tuple(round(value, 5) for value in (*(now[name] for name in DEGREES), quality, *measured))

    def _last(self, now: dict[str, float], elapsed_s: float, state: HealthState) -> None:
        """How long each fault has lasted, and its degree with flicker taken out."""
        share = 1.0 - math.exp(-elapsed_s / _DEGREE_S)
        for fault in FAULTS:
            degree = state.degrees[fault.name]
            degree += share * (now[fault.name] - degree)
            state.degrees[fault.name] = degree
            lasted = state.over_s[fault.name]
            if state.is_blank and fault.name != "freeze":
                # Whatever is wrong with nothing: it must last from when there is a picture again.
                state.over_s[fault.name] = 0.0
                continue
            if degree >= 0.5:
                state.over_s[fault.name] = lasted + elapsed_s
                continue
            if fault.name == "freeze" and lasted > 0.0:
                # It moves again by itself: so long may this camera's picture rest.
                weight = 0.15 if lasted > state.ordinary_rest_s else 0.002
                state.ordinary_rest_s += weight * (lasted - state.ordinary_rest_s)
                lasted = 0.0
            state.over_s[fault.name] = max(0.0, lasted - 2.0 * elapsed_s)

    def _learn(self, values: NDArray[np.float32], elapsed_s: float, state: HealthState) -> None:
        worst = max(state.degrees.values())
        if max(state.over_s.values()) > NEW_NORMAL_S:
            # It has been told for a day. What the camera shows now is what it will be compared with.
            state.history.forget()
            state.scene.forget()
            state.warm_up, state.recent = [], [None, None]
            state.over_s = dict.fromkeys(state.over_s, 0.0)
            return
        if state.is_blank or worst >= 0.35 or (values[CHANGE] < -2.0 and state.degrees["freeze"] > 0.1):
            return
        state.scene.learn(elapsed_s)
        recent = state.recent[state.mode]
        if recent is None or state.warm_up:
            state.warm_up.append(values)
            if len(state.warm_up) >= 3:
                state.recent[state.mode] = _first_idea(state.warm_up)
            if len(state.warm_up) >= _WARM_UP:
                state.warm_up = []
        else:
            share = np.float32(1.0 - math.exp(-elapsed_s / RECENT_S))
            away = values - recent.median
            recent.median[:] += share * np.clip(away, -3 * _REACH, 3 * _REACH)
            recent.spread[:] += share * (np.minimum(np.abs(away), _REACH) - recent.spread)
        state.history.add(values, state.last_ns)


_REACH = np.array((0.3, 0.3, 0.1, 0.3, 0.3, 0.2, 4.0, 1.0), np.float32)
"""No single picture moves what was usual lately by more than this."""


def make(setup: Setup) -> Health:
    """The detector of an inspection. Raises InvalidArgument."""
    values = checked("health", OPTIONS, setup.options)
    return Health(values["every_s"], values["faults"])


TYPE = DetectorType(
    "health", "1", "A picture that is blurred, covered, moved, frozen, badly exposed or noisy for this camera.", make,
    Judging(threshold=0.5, closing_share=0.7, min_duration_ns=SECOND // 2, merge_gap_ns=5 * SECOND), OPTIONS,
)  # fmt: skip


def _usual(state: HealthState) -> list[Usual]:
    """What a picture may be like: as at this hour on other days, or as lately. The mildest judgement counts."""
    recent = state.recent[state.mode]
    return [*state.history.usual(state.last_ns), *((recent,) if recent is not None else ())]


def _first_idea(values: list[NDArray[np.float32]]) -> Usual:
    """From the first pictures. Of the scene itself nothing is known yet: none of it is lost, by definition."""
    first = usual_of(values)
    first.median[LOST] = first.median[SHIFT] = 0.0
    return first


def _change(canvas: Grey, state: HealthState, elapsed_s: float) -> float:
    """Median over the last pictures of how much all but the liveliest blocks' change, in grey levels."""
    before = state.scene.previous
    if before is None or before.shape != canvas.shape or elapsed_s <= 0.0:
        state.changes = []
        return 1.0
    blocks = np.sort(block_means(np.abs(canvas - before), 8), axis=None)
    state.changes.append(float(blocks[int((blocks.size - 1) * _STEADY)]))
    del state.changes[:-_WINDOW]
    return float(np.median(state.changes))


def _lasting(name: str, persistence_s: float, state: HealthState) -> float:
    """Score of a fault: below 0.5 until it has lasted."""
    if name == "freeze":
        persistence_s = max(persistence_s, 3.0 * state.ordinary_rest_s)
    degree = state.degrees[name]
    if state.over_s[name] >= persistence_s:
        return degree
    return min(degree, 0.49 * (0.3 + 0.7 * state.over_s[name] / persistence_s))


_NUMBERS = ("last_ns", "ordinary_rest_s", "mode", "lost")
_TABLES = ("history", "scene")


def _parts(state: HealthState) -> tuple[dict[str, int | float], dict[str, NDArray[Any] | None]]:
    numbers: dict[str, int | float] = {name: getattr(state, name) for name in _NUMBERS}
    arrays: dict[str, NDArray[Any] | None] = {}
    for prefix, (some_numbers, some_arrays) in (("history", state.history.parts()), ("scene", state.scene.parts())):
        numbers |= {f"{prefix}.{name}": value for name, value in some_numbers.items()}
        arrays |= {f"{prefix}.{name}": value for name, value in some_arrays.items()}
    numbers["is_blank"] = int(state.is_blank)
    for name in state.over_s:
        numbers[f"over.{name}"], numbers[f"degree.{name}"] = state.over_s[name], state.degrees[name]
    arrays["warm_up"] = np.stack(state.warm_up) if state.warm_up else None
    for name, values in (("changes", state.changes), ("series", state.series), ("where", state.where)):
        arrays[name] = np.array(values, np.float64)
    for mode, recent in enumerate(state.recent):
        arrays[f"recent.{mode}"] = None if recent is None else np.stack((recent.median, recent.spread))
    return numbers, arrays


def _from_parts(numbers: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> HealthState:
    parts: list[tuple[dict[str, Any], dict[str, NDArray[Any]]]] = [({}, {}) for _ in _TABLES]
    for table, (some_numbers, some_arrays) in zip(_TABLES, parts, strict=True):
        some_numbers |= {k.partition(".")[2]: v for k, v in numbers.items() if k.startswith(f"{table}.")}
        some_arrays |= {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{table}.")}
    recents = [arrays.get(f"recent.{mode}") for mode in (0, 1)]
    where = arrays["where"].tolist()
    return HealthState(
        history=History.from_parts(len(MEASURES), *parts[0]),
        scene=SceneMemory.from_parts(*parts[1]),
        warm_up=list(arrays.get("warm_up", ())),
        recent=[None if one is None else Usual(one[0].copy(), one[1].copy()) for one in recents],
        changes=arrays["changes"].tolist(),
        last_ns=int(numbers["last_ns"]),
        ordinary_rest_s=float(numbers["ordinary_rest_s"]),
        over_s={fault.name: float(numbers[f"over.{fault.name}"]) for fault in FAULTS},
        degrees={fault.name: float(numbers[f"degree.{fault.name}"]) for fault in FAULTS},
        mode=int(numbers["mode"]),
        series=tuple(arrays["series"].tolist()),
        lost=float(numbers["lost"]),
        where=(where[0], where[1], where[2], where[3]),
        is_blank=bool(numbers["is_blank"]),
    )
