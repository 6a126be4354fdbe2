"""Pose: persons with their key points, followed from frame to frame.

The score is that of the surest person: what a pose means (a fall, a raised hand) is for rules to say.
"""

from __future__ import annotations

from detector_pool.detector import Detector, DetectorType, Judging, Setup
from detector_pool.onnx_models.decoders import POSES
from detector_pool.onnx_models.objects import FOLLOWING, model_of, settings_of, versioned
from detector_pool.onnx_models.reading import PictureModel
from detector_pool.onnx_models.things import Things, ThingState
from detector_pool.options import checked

LABELS = ("person",)
COCO_POINTS = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
    "right ankle",
)  # fmt: skip
"""The order of key points of models that have 17."""


def make(setup: Setup) -> Detector[ThingState]:
    """Raises InvalidArgument: no model, one that does not fit, options that are not known."""
    model = model_of(setup, "pose")
    options = checked("pose", FOLLOWING, setup.options)
    reader = PictureModel(model, POSES, LABELS)
    return Things(versioned("pose@1", model), reader, settings_of(LABELS, options))


TYPE = DetectorType(
    "pose", "1", "Persons with the key points of their bodies, found by a model of yours and followed.",
    make, Judging(), FOLLOWING, needs_model=True,
)  # fmt: skip
