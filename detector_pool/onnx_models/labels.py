"""What classes are called: a file of the model, a list in `detector.toml`, or the 80 of COCO."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from detector_pool.detector import LoadedModel
from detector_pool.onnx_models.fields import Fields
from mesh.errors import InvalidArgument

MAX_LABELS = 4096
_MAX_LABEL = 60
COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip


def labels_of(model: LoadedModel, fields: Fields) -> tuple[str, ...]:
    """The labels in the order of classes. Raises InvalidArgument."""
    said = fields.value("labels")
    remedy = 'Say labels = "coco", a list ["person", "car"], or the name of a file with one in a line.'
    if said is None:
        raise fields.refused("labels", "is missing", remedy)
    if isinstance(said, list):
        labels = fields.texts("labels", None)
    elif said == "coco":
        return COCO
    elif isinstance(said, str):
        try:
            lines = model.read(said).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise InvalidArgument(f"file {said} of model {model.manifest['name']}", "is no text in UTF-8") from None
        labels = tuple(line.strip() for line in lines if line.strip())
    else:
        raise fields.refused("labels", f"is {said!r:.60}", remedy)
    bad = [label for label in labels if not 0 < len(label) <= _MAX_LABEL or not label.isprintable()]
    if not labels or len(labels) > MAX_LABELS or bad:
        count = f"has {bad[0]!r:.80} in it" if bad else f"are {len(labels)}"
        raise fields.refused("labels", count, f"1 to {MAX_LABELS} labels of 1 to {_MAX_LABEL} characters.")
    return labels


def check_classes(wanted: Sequence[str], labels: Sequence[str], what: str) -> None:
    """Raises InvalidArgument unless the model knows all that are wanted."""
    for one in wanted:
        if one not in labels:
            near = difflib.get_close_matches(one, labels, 1)
            there_are = ", ".join(labels[:12]) + (", ..." if len(labels) > 12 else "")
            remedy = (f"Did you mean {near[0]!r}? " if near else "") + f"There are: {there_are}."
            raise InvalidArgument(what, f"names {one!r:.60}, which the model does not know", remedy)
