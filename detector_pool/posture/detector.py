"""The posture detector: followed people whose bodies move as nobody's did in this camera's own footage.

Its model holds two: an auto-encoder of what is usual (`graph`), trained from the camera's footage, and the pose model
whose key points that was trained on. The pose model's own detector looks at the pictures; where the same pose model is
inspected with beside this, its graph runs once a picture for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, DetectorType, FoundBox, Judging, LoadedModel, NoScore, Observation, Setup
from detector_pool.models import opened
from detector_pool.onnx_models import pose
from detector_pool.onnx_models.places import counts
from detector_pool.options import Option, checked
from detector_pool.packing import pack, unpack
from detector_pool.picture import Picture
from detector_pool.posture.body import PLACES, Floats, odd_part
from detector_pool.posture.graph import WIDTH
from detector_pool.posture.pace import STEPS, Pace
from detector_pool.posture.people import FEWEST_STEPS, ROWS, PeopleState, Step, step
from mesh.errors import InvalidArgument

if TYPE_CHECKING:
    from detector_pool.normality.runtime import Session

SCHEMA = 1
VERSION = "1"
GRAPH = "model.onnx"
POSE = "pose.zip"
"""The pose model in the model's folder, packed as it is published: so its digest is that of the published one."""
SCORE_SENTENCE = (
    "Of the person that stands out most: v^2 / (1 + v^2), where v is the error of what the auto-encoder tells back of "
    "the last 1.6 seconds, 0 at the median of footage it was not fitted to and 1 at the 98th percentile."
)
TELLING_FROM = 0.35
_WINDOWS = {"window": (STEPS, ROWS, WIDTH), "window_seen": (STEPS, ROWS, PLACES)}

OPTIONS = (
    Option("min_height", 0.08, "Smaller people are not judged; in heights of the picture.", low=0.0, high=1.0),
)  # fmt: skip


@dataclass(slots=True)
class PostureState:
    """All that is remembered of one camera."""

    pose: Any
    """Of the pose model's detector."""
    pace: Pace = field(default_factory=Pace)
    people: PeopleState = field(default_factory=PeopleState)
    window: Floats = field(default_factory=lambda: np.zeros(_WINDOWS["window"], np.float32))
    window_seen: Floats = field(default_factory=lambda: np.zeros(_WINDOWS["window_seen"], np.float32))


@dataclass(frozen=True, slots=True)
class Level:
    """What errors are measured by, from footage that the graph was not fitted to."""

    median: float
    high: float
    """98th percentile."""
    usual: tuple[float, ...]
    """Median error of each place, (PLACES,)."""

    def score(self, error: float) -> float:
        """From 0 to 1; 0.5 at the high percentile."""
        value = max(error - self.median, 0.0) / (self.high - self.median)
        return value * value / (1.0 + value * value)


class Posture:
    """The detector for one camera. Holds the models, no memory of the camera."""

    def __init__(self, setup: Setup) -> None:
        """Raises InvalidArgument: no model, or none of this detector's making."""
        model = setup.model
        if model is None:
            remedy = "Train one: trueframe train CAMERA --kind posture --from TIME --to TIME."
            raise InvalidArgument("detector posture", "needs a model", remedy)
        self._min_height = float(checked("posture", OPTIONS, setup.options)["min_height"])
        what = f"model {model.manifest.get('name', '')}"
        if model.manifest.get("schema") != SCHEMA:
            reason = f"has schema {model.manifest.get('schema')!r}; this is {SCHEMA}"
            raise InvalidArgument(what, reason, "Train the model again.")
        self.name = f"posture@{VERSION}:{model.digest[:12]}"
        self._level = _level(model.manifest, what)
        self._session = _session(model, what)
        self._pose = pose_detector(opened(model.read(POSE), f"{POSE} of {what}"))

    @property
    def provider(self) -> str:
        """The execution provider that the pose model really runs on; the auto-encoder runs on the CPU."""
        return str(getattr(self._pose, "provider", ""))

    def start(self) -> PostureState:
        """Nobody seen yet."""
        return PostureState(self._pose.start())

    def inspect(
        self, picture: Picture, state: PostureState, regions: Sequence[RegionMask]
    ) -> tuple[Observation, PostureState]:
        """Score of the person that stands out most, with the boxes of all that stand out; 0 while nobody can be judged.

        NOT_SAMPLED for frames between those that are looked at, ten a second.
        """
        steps = state.pace.due(picture.received_ns)
        if not steps:
            picture.confirm()
            return Observation(reason=NoScore.NOT_SAMPLED), state
        # Who walks into a region was outside of it before: people are followed wherever they are not ignored.
        ignored = [region for region in regions if region.is_ignored and not region.is_line]
        seen, state.pose = self._pose.inspect(picture, state.pose, ignored)
        height, width = picture.y.shape
        now = step(seen.boxes, steps, width / height, state.people)
        error, by_place = self._run(now, state)
        judged = self._judged(now, state, regions)
        scores = {row: self._level.score(float(error[row])) for row in judged}
        boxes = [
            self._told(now.boxes[row], score, by_place[row]) for row, score in scores.items() if score >= TELLING_FROM
        ]
        boxes.sort(key=lambda box: -box.score)
        series = (("people", float(len(now.boxes))), ("judged", float(len(judged))), ("waiting", float(now.waiting)))
        said = boxes[0].said if boxes else ""
        return Observation(max(scores.values(), default=0.0), tuple(boxes), said=said, series=series), state

    def pack(self, state: PostureState) -> bytes:
        """The state as bytes."""
        numbers, arrays = state.people.packable()
        found = np.frombuffer(self._pose.pack(state.pose), np.uint8)
        return pack(
            self.name,
            {**numbers, **state.pace.packable()},
            {**arrays, "pose": found, **{name: getattr(state, name) for name in _WINDOWS}},
        )

    def unpack(self, data: bytes) -> PostureState:
        """The inverse. Raises ValueError."""
        numbers, arrays = unpack(self.name, data)
        try:
            found = self._pose.unpack(arrays.pop("pose").tobytes())
            windows = {name: arrays.pop(name) for name in _WINDOWS}
        except KeyError as error:
            raise ValueError(f"is no state of {self.name}: {error}") from None
        pace, people = Pace.unpacked(numbers), PeopleState.unpacked(numbers, arrays)
        sizes = {name: one.shape for name, one in windows.items() if one.dtype == np.float32}
        if sizes != _WINDOWS or numbers or arrays:
            raise ValueError(f"is no state of {self.name}")
        return PostureState(found, pace, people, **windows)

    def _run(self, now: Step, state: PostureState) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Error of each row, and of each of its places, with the step pushed into the windows."""
        nobody = np.zeros((ROWS, WIDTH), np.float32), np.zeros((ROWS, PLACES), np.float32)
        for _ in range(now.missed):
            self._push(*nobody, state)
        out = self._push(now.places.reshape(ROWS, WIDTH), now.seen, state)
        return out["error"], out["by_place"]

    def _push(self, pose: Floats, seen: Floats, state: PostureState) -> dict[str, NDArray[np.float32]]:
        out = self._session.run(
            {"window": state.window, "window_seen": state.window_seen, "pose": pose, "pose_seen": seen}
        )
        state.window, state.window_seen = out["new_window"], out["new_window_seen"]
        return out

    def _judged(self, now: Step, state: PostureState, regions: Sequence[RegionMask]) -> list[int]:
        """Rows of those who were seen for long enough, are large enough, and are where the inspection looks."""
        often = state.window_seen.any(axis=2).sum(axis=0) >= FEWEST_STEPS
        return [
            row
            for row, box in now.boxes.items()
            if often[row] and box.height >= self._min_height and counts(box.x, box.y, box.width, box.height, regions)
        ]

    def _told(self, box: FoundBox, score: float, by_place: NDArray[np.float32]) -> FoundBox:
        said = odd_part(by_place, self._level.usual).said
        return FoundBox(
            box.x, box.y, box.width, box.height, box.label, round(score, 4), box.track, said, box.key_points
        )


def pose_detector(model: LoadedModel) -> Detector[Any]:
    """The detector that brings the key points. Raises InvalidArgument: no pose model."""
    return pose.make(Setup(model=model))


def _level(manifest: Mapping[str, Any], what: str) -> Level:
    try:
        level = Level(
            float(manifest["median"]), float(manifest["high"]), tuple(float(one) for one in manifest["usual"])
        )  # fmt: skip
        if not 0 <= level.median < level.high < float("inf") or len(level.usual) != PLACES:
            raise ValueError("the levels are no levels")
    except (KeyError, TypeError, ValueError) as error:
        remedy = "Train the model again."
        raise InvalidArgument(f"detector.toml of {what}", f"lacks or garbles its levels: {error}", remedy) from None
    return level


def _session(model: LoadedModel, what: str) -> Session:
    from detector_pool.normality.runtime import Session

    session = Session(model.read(GRAPH), what)
    expected = {**_WINDOWS, "pose": (ROWS, WIDTH), "pose_seen": (ROWS, PLACES)}
    if session.shapes != expected:
        raise InvalidArgument(what, "its graph has other inputs than posture's", "Train the model again.")
    return session


TYPE = DetectorType(
    "posture",
    VERSION,
    "People whose bodies move as nobody's did in this camera's own footage: falls, crouches, runs.",
    Posture,
    Judging(0.5, 0.7, 500_000_000, 3_000_000_000),
    OPTIONS,
    needs_model=True,
)
