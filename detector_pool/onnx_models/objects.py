"""Objects: what a model finds of the wanted classes, followed from frame to frame."""

from __future__ import annotations

from detector_pool.detector import Detector, DetectorType, Judging, LoadedModel, Setup
from detector_pool.onnx_models.decoders import OBJECTS
from detector_pool.onnx_models.labels import check_classes
from detector_pool.onnx_models.reading import PictureModel
from detector_pool.onnx_models.things import Things, ThingSettings, ThingState
from detector_pool.options import Option, checked
from mesh.errors import InvalidArgument

FOLLOWING = (
    Option("score_threshold", 0.35, "Boxes of this score are shown and begin tracks.", low=0.05, high=0.95),
    Option("nms", 0.5, "Of boxes that overlap by more than this, the best stays.", low=0.05, high=1.0),
    Option("min_size", 0.0, "Smaller things do not count; in heights of the picture.", low=0.0, high=1.0),
    Option("fps", 0.0, "Frames looked at in a second; 0: all.", low=0.0, high=120.0),
    Option("max_lost_s", 2.0, "How long something may be hidden and keep its number.", low=0.0, high=9.0),
)
OPTIONS = (
    Option("classes", ["person"], 'What is looked for, by the model\'s labels: ["person", "car"].'),
    *FOLLOWING,
)


def make(setup: Setup) -> Detector[ThingState]:
    """Raises InvalidArgument: no model, one that does not fit, options or classes that are not known."""
    model = model_of(setup, "objects")
    options = checked("objects", OPTIONS, setup.options)
    reader = PictureModel(model, OBJECTS)
    classes = tuple(options["classes"])
    if "classes" not in setup.options:
        # What the model says; else persons, where it knows any.
        classes = reader.usual_classes or (("person",) if "person" in reader.labels else reader.labels)
    if not classes:
        raise InvalidArgument("option classes of detector objects", "names none", "Leave it out, or name some.")
    check_classes(classes, reader.labels, f"classes for model {model.manifest['name']}")
    return Things(versioned("objects@1", model), reader, settings_of(classes, options))


def settings_of(classes: tuple[str, ...], options: dict[str, object]) -> ThingSettings:
    """Checked options as settings."""
    names = ("score_threshold", "nms", "min_size", "fps", "max_lost_s")
    return ThingSettings(classes, **{name: float(str(options[name])) for name in names})


def model_of(setup: Setup, detector: str) -> LoadedModel:
    """The model that a detector is made with. Raises InvalidArgument: there is none, or it is for another one."""
    if setup.model is None:
        remedy = (
            "Name one in the inspection: `trueframe models list` shows them, docs/guide/models.md tells how to add."
        )
        raise InvalidArgument(f"detector {detector}", "needs a model", remedy)
    meant = setup.model.manifest["detector"]
    if meant != detector:
        what = f"model {setup.model.manifest['name']}"
        raise InvalidArgument(what, f"is for the detector {meant}, not for {detector}", f'Say detector = "{meant}".')
    return setup.model


def versioned(name: str, model: LoadedModel) -> str:
    """The detector's name with its model's digest."""
    return f"{name}:{model.digest[:12]}"


TYPE = DetectorType(
    "objects", "1", "Objects of wanted classes, found by a model of yours and followed from frame to frame.",
    make, Judging(), OPTIONS, needs_model=True,
)  # fmt: skip
