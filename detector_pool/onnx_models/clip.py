"""Clip: models that look at several frames at once, and score what happens in them.

Video classifiers (the score is the sum of the probabilities of the abnormal classes) and weakly supervised heads (the
score is the graph's own, as of Sultani et al., "Real-world Anomaly Detection in Surveillance Videos", CVPR 2018). The
last frames, scaled to the graph's input, are the state; every `stride` frames they are scored, and that score stands
until the next one. The whole picture is looked at: regions have no influence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, DetectorType, Judging, LoadedModel, NoScore, Observation, Setup
from detector_pool.onnx_models.candidates import sigmoid
from detector_pool.onnx_models.fields import Fields
from detector_pool.onnx_models.graph import Graph, TensorKind
from detector_pool.onnx_models.labels import check_classes, labels_of
from detector_pool.onnx_models.objects import model_of, versioned
from detector_pool.onnx_models.of_model import OfModel
from detector_pool.onnx_models.prepare import Bytes, Placement, Preparation, pixels, preparation
from detector_pool.onnx_models.sampling import SECOND, is_due
from detector_pool.onnx_models.shared import loaded, shared_runs
from detector_pool.options import Option, checked
from detector_pool.packing import pack, unpack
from detector_pool.picture import Picture
from mesh.errors import InvalidArgument

MAX_STATE_BYTES = (4 << 20) - (64 << 10)
MAX_FRAMES = 256
_PAUSE_NS = 3 * SECOND
_TIME_AXIS = {"ncthw": 2, "ntchw": 1, "nthwc": 1}
_PICTURE_AXES = {"ncthw": (0, 1, 3, 4), "ntchw": (0, 2, 3, 4), "nthwc": (0, 2, 3, 4)}

OPTIONS = (
    Option("classes", [], "What is abnormal, by the model's labels; empty: what the model says."),
    Option("stride", 0, "Frames from one scored clip to the next; 0: half a clip.", low=0, high=MAX_FRAMES),
    Option("fps", 0.0, "Frames a second that make a clip; 0: as the model says.", low=0.0, high=120.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class ClipState:
    """What is remembered of one camera."""

    frames: tuple[Bytes, ...] = ()
    """The last ones, (height, width, colours) each, as large as they lie in the graph's input."""
    fresh: int = 0
    """Frames since the last clip was scored."""
    last_ns: int = 0
    due_ns: int = 0
    score: float = -1.0
    """Of the last clip; negative before the first."""
    parts: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Of the last clip: what each abnormal class has of it."""


class ClipModel:
    """A graph over clips with its preparation and the meaning of its outputs, checked against each other."""

    def __init__(self, model: LoadedModel) -> None:
        fields = Fields.of(model)
        file = fields.text("file", "model.onnx")
        self._is_classifier = fields.text("decoder", None, ("classes", "score")) == "classes"
        self.labels = labels_of(model, fields) if self._is_classifier else ()
        self.abnormal = fields.texts("abnormal", ())
        taken, put_out = fields.table("input"), fields.table("output")
        self.fps = taken.number("fps", 8.0, 0.1, 120.0)
        graph = loaded(model, file)
        self._layout = taken.text("time", "ncthw", tuple(_TIME_AXIS))
        kind = _picture_kind(graph, self._layout)
        declared = graph.inputs[0].shape[_TIME_AXIS[self._layout]]
        self.frames = taken.whole("frames", declared, 1, MAX_FRAMES)
        if declared is not None and self.frames != declared:
            raise taken.refused(
                "frames", f"is {self.frames}, and {graph.what} takes {graph.inputs[0]}", "Leave it out."
            )
        self.preparation: Preparation = preparation(taken, graph, "clip", input_kind=kind)
        taken.done()
        usual = "logits" if self._is_classifier else "probabilities"
        self._has_logits = put_out.text("scores", usual, ("probabilities", "logits")) == "logits"
        put_out.done()
        fields.done()
        made = self.preparation
        size = self.frames * made.width * made.height * made.channels
        if size > MAX_STATE_BYTES:
            reason = f"keeps {self.frames} frames of {made.width}x{made.height}: {size / (1 << 20):.1f} MiB of state"
            raise InvalidArgument(
                graph.what, reason, "A state has at most 4 MiB: export it for fewer or smaller frames."
            )
        row = np.stack([made.noise()] * self.frames, axis=_TIME_AXIS[self._layout])
        self.runs = shared_runs(model, file, row)
        self._check(graph, self.runs.example)

    def scored(self, frames: Sequence[Bytes], place: Placement, abnormal: Sequence[str]) -> tuple[float, list[float]]:
        """The score of a clip, and the parts that abnormal classes have in it."""
        rows = [self.preparation.row(frame, place) for frame in frames]
        output = self.runs.run(np.stack(rows, axis=_TIME_AXIS[self._layout]))[0]
        values = np.asarray(output, np.float64).reshape(-1)
        if not self._is_classifier:
            values = np.asarray(sigmoid(values), np.float64) if self._has_logits else values
            return float(np.clip(values.max(), 0.0, 1.0)), []
        if self._has_logits:
            values = np.exp(values - values.max())
            values /= values.sum()
        parts = [float(values[self.labels.index(label)]) for label in abnormal]
        return min(max(sum(parts), 0.0), 1.0), parts

    def _check(self, graph: Graph, outputs: Sequence[NDArray[Any]]) -> None:
        found = ", ".join("x".join(map(str, one.shape)) for one in outputs)
        size = outputs[0].size
        is_wrong = size != len(self.labels) if self._is_classifier else size > 4 * self.frames
        if is_wrong or outputs[0].dtype.kind != "f":
            expected = (
                f"1x{len(self.labels)}, one for each label" if self._is_classifier else "1x1, or one for each part"
            )
            remedy = 'A classifier has decoder = "classes" and as many labels as outputs; a head decoder = "score".'
            raise InvalidArgument(f"decoder of {graph.what}", f"expects {expected}, but it puts out {found}", remedy)
        values = outputs[0]
        if not self._has_logits and (values.min() < -1e-3 or values.max() > 1.001):
            remedy = 'Say scores = "logits" in [output].'
            raise InvalidArgument(
                f"decoder of {graph.what}", "expects scores within 0 to 1, which these are not", remedy
            )


class Clip(OfModel[ClipState]):
    """The detector. Holds a model and settings, no memory of any camera."""

    def __init__(self, name: str, model: ClipModel, abnormal: Sequence[str], stride: int, fps: float) -> None:
        super().__init__(name, model.runs, ClipState)
        self._model = model
        self._abnormal = tuple(abnormal)
        self._stride = stride or max(1, model.frames // 2)
        self._fps = fps or model.fps

    def inspect(
        self, picture: Picture, state: ClipState, regions: Sequence[RegionMask]
    ) -> tuple[Observation, ClipState]:
        """The score of the last clip; WARMING_UP before the first is full, NOT_SAMPLED for frames left out of clips."""
        model, now_ns = self._model, picture.received_ns
        if state.last_ns and now_ns - state.last_ns > _PAUSE_NS:
            state = ClipState()
        is_looked_at, due_ns = is_due(now_ns, state.due_ns, self._fps)
        if not is_looked_at:
            return Observation(reason=NoScore.NOT_SAMPLED), state
        height, width = picture.y.shape
        place = model.preparation.placement(width, height)
        frame = pixels(picture, place, model.preparation.channels)
        picture.confirm()
        if state.frames and state.frames[0].shape != frame.shape:
            state = ClipState()
        frames = (*state.frames, frame)[-model.frames :]
        fresh, score, parts = state.fresh + 1, state.score, state.parts
        if len(frames) == model.frames and (score < 0 or fresh >= self._stride):
            score, each = model.scored(frames, place, self._abnormal)
            fresh, parts = 0, np.array(each, np.float64)
        state = ClipState(frames, fresh, now_ns, due_ns, score, parts)
        if score < 0:
            return Observation(reason=NoScore.WARMING_UP), state
        return self._told(score, parts.tolist()), state

    def _told(self, score: float, parts: list[float]) -> Observation:
        ranked = sorted(zip(parts, self._abnormal, strict=True), reverse=True) if parts else []
        said = ranked[0][1] if ranked and score >= 0.5 else ""
        return Observation(score, said=said, series=tuple((f"class.{label}", part) for part, label in ranked[:32]))

    def pack(self, state: ClipState) -> bytes:
        """The state as bytes."""
        numbers = {"fresh": state.fresh, "last_ns": state.last_ns, "due_ns": state.due_ns}
        frames = np.stack(state.frames) if state.frames else None
        score = np.array([state.score], np.float64)
        return pack(self.name, numbers, {"frames": frames, "score": score, "parts": state.parts})

    def unpack(self, data: bytes) -> ClipState:
        """The inverse. Raises ValueError."""
        numbers, arrays = unpack(self.name, data)
        try:
            frames, score, parts = (
                arrays.pop("frames", np.zeros((0, 1, 1, 1), np.uint8)),
                arrays["score"],
                arrays["parts"],
            )
            fresh, last_ns, due_ns = (int(numbers[name]) for name in ("fresh", "last_ns", "due_ns"))
        except (KeyError, TypeError) as error:
            raise ValueError(f"is no state of {self.name} ({type(error).__name__})") from None
        made = self._model.preparation
        is_good = frames.dtype == np.uint8 and frames.ndim == 4 and len(frames) <= self._model.frames
        fits = frames.shape[1] <= made.height and frames.shape[2] <= made.width
        if not is_good or not fits or score.shape != (1,) or parts.shape not in ((0,), (len(self._abnormal),)):
            raise ValueError(f"is no state of {self.name}")
        return ClipState(tuple(frames), fresh, last_ns, due_ns, float(score[0]), parts)


def make(setup: Setup) -> Detector[ClipState]:
    """Raises InvalidArgument: no model, one that does not fit, options or classes that are not known."""
    model = model_of(setup, "clip")
    options = checked("clip", OPTIONS, setup.options)
    reader = ClipModel(model)
    abnormal = tuple(options["classes"]) or reader.abnormal
    if reader.labels and not abnormal:
        remedy = 'Say abnormal = ["fighting"] in detector.toml, or name them in the inspection\'s option classes.'
        raise InvalidArgument(f"model {model.manifest['name']}", "does not say which classes are abnormal", remedy)
    check_classes(abnormal, reader.labels, f"abnormal classes of model {model.manifest['name']}")
    return Clip(versioned("clip@1", model), reader, abnormal, options["stride"], options["fps"])


def _picture_kind(graph: Graph, layout: str) -> TensorKind:
    """The input without its time, as that of a single picture."""
    kind = graph.inputs[0]
    if len(graph.inputs) != 1 or len(kind.shape) != 5:
        takes = ", ".join(map(str, graph.inputs))
        remedy = 'A clip has five sides: 1x3x16x112x112 (time = "ncthw"), 1x16x3x112x112 or 1x16x112x112x3.'
        raise InvalidArgument(graph.what, f"takes {takes}, which is no clip", remedy)
    return TensorKind(kind.name, tuple(kind.shape[axis] for axis in _PICTURE_AXES[layout]), kind.dtype)


TYPE = DetectorType(
    "clip", "1", "What happens in the last frames, scored by a model of yours that looks at several at once.",
    make, Judging(), OPTIONS, needs_model=True,
)  # fmt: skip
