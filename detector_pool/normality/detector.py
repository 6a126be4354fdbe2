"""The normality detector: what a camera's own footage never showed, told with what is odd about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from detector_pool.blobs import groups
from detector_pool.canvas import Grey, RegionMask
from detector_pool.detector import DetectorType, FoundBox, Judging, LoadedModel, NoScore, Observation, Setup
from detector_pool.normality.grid import BRIEF_CHANNELS, CELL, STATE_CHANNELS, Canvas
from detector_pool.normality.heads import HEADS, Level, score_of
from detector_pool.normality.view import (
    FORGET_S,
    SECOND,
    Lighting,
    LightingState,
    Pace,
    PaceState,
    canvas_of,
    cells,
    drawn,
    lighting,
)
from detector_pool.options import checked
from detector_pool.packing import pack, unpack
from detector_pool.picture import Picture
from detector_pool.stabilise import Shift
from detector_pool.steady import Steady, SteadyState
from mesh.errors import InvalidArgument

if TYPE_CHECKING:
    from detector_pool.normality.runtime import Session

SCHEMA = 2
VERSION = "1"
SCORE_SENTENCE = (
    "The greatest of all heads' v^p / (1 + v^p), where v is the mean of now / level.now and event / level.event: of "
    "the four highest cells of the frame, and of the accumulator that links it to those before. Motion, flow and "
    "speed count as one head, with their mean as v. p is 1 for them, 4 for the others."
)
BREAK_INTERVALS = 3.0
SHOWN_FROM = 1.0
"""Cells that are off as much as one in fifty of the row's make boxes."""
TELLING_FROM = 0.35
MAX_BOXES = 8


@dataclass(slots=True)
class NormalityState:
    """All that is remembered of one camera."""

    stabiliser: SteadyState
    pace: PaceState = field(default_factory=PaceState)
    light: LightingState = field(default_factory=LightingState)
    last_ns: int = 0
    """Of the last frame that was looked at."""
    previous: Grey | None = None
    graph_state: Grey | None = None
    accumulator: Grey | None = None


_LIGHTS = (None, Lighting.DAY, Lighting.INFRARED)
_ARRAYS = ("previous", "graph_state", "accumulator")


class Normality:
    """The detector for one camera. Holds the model, no memory of the camera."""

    def __init__(self, setup: Setup) -> None:
        """Raises InvalidArgument: no model, or none of this detector's making."""
        model = setup.model
        if model is None:
            raise InvalidArgument(
                "detector normality", "needs a model", "Train one: trueframe train CAMERA --from TIME --to TIME."
            )
        checked("normality", (), setup.options)
        what = f"model {model.manifest.get('name', '')}"
        if model.manifest.get("schema") != SCHEMA:
            raise InvalidArgument(what, f"has schema {model.manifest.get('schema')!r}; this is {SCHEMA}",
                                  "Train the model again.")  # fmt: skip
        self.name = f"normality@{VERSION}:{model.digest[:12]}"
        self._modes = _modes(model, what)
        self._canvas = self._modes[0].canvas
        self._interval_ns = float(model.manifest.get("interval_ns") or SECOND / 10)
        self._pace = Pace(self._interval_ns)
        self._stabiliser = Steady()

    def _mode(self, light: Lighting) -> _Mode:
        """The model for this light, or the only one."""
        return next((mode for mode in self._modes if mode.light == light.value), self._modes[0])

    def start(self) -> NormalityState:
        """Nothing known yet."""
        return NormalityState(self._stabiliser.start())

    def inspect(
        self, picture: Picture, state: NormalityState, regions: Sequence[RegionMask]
    ) -> tuple[Observation, NormalityState]:
        """Score and boxes of one picture; NOT_SAMPLED between those looked at, WARMING_UP for the first one.

        Raises InvalidArgument: the picture is of another size than those that the model learnt from.
        """
        height, width = picture.y.shape
        if canvas_of(width, height) != self._canvas:
            raise InvalidArgument(
                f"picture of {width}x{height}",
                f"does not fit the model's canvas of {self._canvas.width}x{self._canvas.height}",
                "Train the model again with pictures of this size.",
            )
        if not self._pace.is_due(picture.received_ns, state.pace):
            picture.confirm()
            return Observation(reason=NoScore.NOT_SAMPLED), state
        was = state.light.now
        light = lighting(picture, state.light) if len(self._modes) > 1 else Lighting.DAY
        grey = drawn(picture.y)
        picture.confirm()
        if was is not None and light is not was:
            # Another world: what was seen by the other light is no help.
            state.previous, state.graph_state, state.stabiliser = None, None, self._stabiliser.start()
        now_ns = state.pace.latest_ns
        pause_ns = now_ns - state.last_ns
        if state.last_ns and not 0 <= pause_ns <= FORGET_S * SECOND:
            state.stabiliser, state.graph_state = self._stabiliser.start(), None
        grey, state.stabiliser = self._stabiliser.step(grey, state.stabiliser)
        previous, state.previous = state.previous, grey
        is_break = not 0 <= pause_ns <= BREAK_INTERVALS * self._interval_ns
        state.last_ns = now_ns
        if previous is None or is_break:
            state.accumulator = None
            if state.graph_state is not None:
                state.graph_state[:, :BRIEF_CHANNELS] = 0.0
            return Observation(reason=NoScore.WARMING_UP), state
        return self._looked(self._mode(light), previous, grey, state, tuple(regions)), state

    def pack(self, state: NormalityState) -> bytes:
        """The state as bytes."""
        numbers, arrays = self._stabiliser.parts(state.stabiliser)
        pace = state.pace
        return pack(
            self.name,
            {**numbers, "last_ns": state.last_ns, "pace_latest_ns": pace.latest_ns, "step_ns": pace.step_ns,
             "steps": pace.steps, "looked_ns": pace.looked_ns, "waited": pace.waited, "against": state.light.against,
             "light": _LIGHTS.index(state.light.now)},
            {**arrays, **{name: getattr(state, name) for name in _ARRAYS}},
        )  # fmt: skip

    def unpack(self, data: bytes) -> NormalityState:
        """The inverse. Raises ValueError."""
        numbers, arrays = unpack(self.name, data)
        try:
            pace = PaceState(
                int(numbers["pace_latest_ns"]), float(numbers["step_ns"]), int(numbers["steps"]),
                int(numbers["looked_ns"]), int(numbers["waited"]),
            )  # fmt: skip
            light = LightingState(_LIGHTS[int(numbers["light"])], int(numbers["against"]))
            held = self._stabiliser.from_parts(numbers, arrays)
            state = NormalityState(held, pace, light, int(numbers["last_ns"]))
        except (KeyError, IndexError) as error:
            raise ValueError(f"is no state of {self.name}: {error}") from None
        for name in _ARRAYS:
            setattr(state, name, arrays.get(name))
        return state

    def _looked(
        self, mode: _Mode, previous: Grey, grey: Grey, state: NormalityState, regions: tuple[RegionMask, ...]
    ) -> Observation:
        canvas, shift = self._canvas, state.stabiliser.shift
        if state.graph_state is None:
            state.graph_state = np.zeros((1, STATE_CHANNELS, canvas.rows, canvas.columns), np.float32)
        if state.accumulator is None:
            state.accumulator = np.zeros((1, len(HEADS), canvas.rows, canvas.columns), np.float32)
        looked = cells(canvas, regions, shift.dx, shift.dy)
        out = mode.session.run(
            {"previous": previous[None, None], "current": grey[None, None], "seen": looked.seen,
             "judged": looked.judged, "state": state.graph_state, "accumulator": state.accumulator}
        )  # fmt: skip
        state.graph_state, state.accumulator = out["new_state"], out["new_accumulator"]
        values = [
            level.normalised(float(now), float(event))
            for level, now, event in zip(mode.levels, out["score"], out["event"], strict=True)
        ]
        scores = [head.squashed(value) for head, value in zip(HEADS, values, strict=True)]
        best = int(np.argmax(scores))
        boxes: list[FoundBox] = []
        for number in range(len(HEADS)):
            if scores[number] >= TELLING_FROM:
                boxes += self._boxes(number, out, scores[number], shift)
        boxes.sort(key=lambda box: -box.score)
        said = next((box.said for box in boxes if box.label == HEADS[best].name), "")
        series = tuple((head.name, round(score, 5)) for head, score in zip(HEADS, scores, strict=True))
        return Observation(score_of(values), tuple(boxes[:MAX_BOXES]), said=said, series=series)

    def _boxes(self, number: int, out: dict[str, Grey], score: float, shift: Shift) -> list[FoundBox]:
        """Connected cells that are off, where the picture shows them, with what is odd about each."""
        shown, canvas = out["map"][0, number], self._canvas
        at = sum(len(head.attributes) for head in HEADS[:number])
        attributes = HEADS[number].attributes
        deviation = out["deviation"][0, at : at + len(attributes)].reshape(len(attributes), -1)
        flat = shown.ravel()
        weights = np.array([one.weight for one in attributes])
        found = []
        highest = float(flat.max())
        for group in groups(shown >= SHOWN_FROM, reach=1):
            rows, columns = np.divmod(group, canvas.columns)
            peak = int(group[flat[group].argmax()])
            # Back to where the picture, which may be shifted, shows it.
            left, right = (float(edge) * CELL + shift.dx for edge in (columns.min(), columns.max() + 1))
            top, bottom = (float(edge) * CELL + shift.dy for edge in (rows.min(), rows.max() + 1))
            x0, x1 = (min(max(value / canvas.width, 0.0), 1.0) for value in (left, right))
            y0, y1 = (min(max(value / canvas.height, 0.0), 1.0) for value in (top, bottom))
            if x1 <= x0 or y1 <= y0:
                continue
            odd = int((np.abs(deviation[:, peak]) * weights).argmax())
            said = attributes[odd].above if deviation[odd, peak] > 0 else attributes[odd].below
            share = float(flat[peak]) / highest
            found.append(FoundBox(x0, y0, x1 - x0, y1 - y0, HEADS[number].name, round(score * share, 4), said=said))
        return found


@dataclass(frozen=True, slots=True)
class _Mode:
    """The model of one light."""

    light: str
    session: Session
    canvas: Canvas
    levels: list[Level]


def _modes(model: LoadedModel, what: str) -> list[_Mode]:
    """The modes that `detector.toml` lists. Raises InvalidArgument."""
    from detector_pool.normality.runtime import Session

    found = []
    try:
        for one in model.manifest["modes"]:
            session = Session(model.read(str(one["graph"])), what)
            _, _, height, width = session.shapes["current"]
            levels = {str(head["name"]): Level(float(head["now"]), float(head["event"])) for head in one["heads"]}
            in_order = [levels[head.name] for head in HEADS]
            if not all(0 < value < float("inf") for level in in_order for value in (level.now, level.event)):
                raise ValueError("a level is not above 0")
            found.append(_Mode(str(one["light"]), session, Canvas(int(width), int(height)), in_order))
        if not found or any(one.canvas != found[0].canvas for one in found):
            raise ValueError("there are no modes, or they are of several sizes")
    except (TypeError, KeyError, ValueError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(f"detector.toml of {what}", f"lacks or garbles its modes: {error}",
                              "Train the model again.") from None  # fmt: skip
    return found


TYPE = DetectorType(
    "normality",
    VERSION,
    "What this camera's own footage never showed: faster, larger, elsewhere, the wrong way, left standing.",
    Normality,
    Judging(0.5, 0.7, 300_000_000, 3 * SECOND),
    needs_model=True,
)
