"""Where rules get their boxes: other detectors, made through the registry, each thing followed and told once.

What belongs here: which sources a set of rules needs, how they are made, and how the boxes of several become one list
of things. What does not: what rules make of it (`ruleset`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from detector_pool.detector import Detector, DetectorType, FoundBox, LoadedModel, Setup
from detector_pool.onnx_models.fields import Fields
from detector_pool.onnx_models.labels import check_classes, labels_of
from detector_pool.rules.problem import nearest
from detector_pool.rules.terms import ANY_CLASS, Rule
from detector_pool.rules.things import LEFT_LABEL
from detector_pool.tracking import Tracker, TrackerSettings
from mesh.errors import InvalidArgument

MAX_SOURCES = 4
_FOLLOWED = ("objects", "pose")
"""Sources that number things themselves."""
_CLASSLESS = ("motion", "static")
"""Sources that know no classes: whatever they find is an object."""
_SAME = 0.6
_PER_SOURCE = 8
"""Numbers of things are told apart by the source that gave them."""


@dataclass(frozen=True, slots=True)
class Source:
    """A detector that finds boxes for rules."""

    name: str
    """Of the detector, and of its model where that is named: "objects@yolox-nano"."""
    detector: Detector[Any]
    tracker: Tracker | None
    """None: it follows things itself."""
    model: str = ""
    """Digest of the model that it works with."""


def chosen(wanted: Sequence[str], model: LoadedModel | None, *, needs_left: bool) -> list[str]:
    """The sources to take: those that were named, else what the model is for, or static; and what rules cannot do
    without. Those that know classes come first, for what they say outranks the others. Raises InvalidArgument."""
    names = list(dict.fromkeys(wanted))
    if not names:
        names = [str(model.manifest["detector"])] if model else ["static"]
    if needs_left and "static" not in names:
        names.append("static")
    if len(names) > MAX_SOURCES:
        raise InvalidArgument("option sources of detector rules", f"names more than {MAX_SOURCES}", "Take fewer.")
    order = {"static": 1, "motion": 2}
    return sorted(names, key=lambda name: order.get(name, 0))


def made(
    names: Sequence[str],
    setup: Setup,
    tables: Mapping[str, Any],
    types: Mapping[str, DetectorType],
    rules: Sequence[Rule],
) -> list[Source]:
    """The sources of these names. Raises InvalidArgument: unknown, without the model it needs, or wrong options."""
    for name in tables:
        if name not in names:
            why = f"has options for {name!r:.40}, which is none of the sources ({', '.join(names)})"
            raise InvalidArgument(
                "option source of detector rules", why, f"Name it in sources, or drop [source.{name}]."
            )
    if setup.model is not None and str(setup.model.manifest["detector"]) not in names:
        meant = setup.model.manifest["detector"]
        remedy = f'Put "{meant}" among the sources, or take the model away.'
        raise InvalidArgument(
            "option sources of detector rules", f"does not name {meant!r:.40}, which the model is for", remedy
        )
    classes = _classes_by_source(names, setup, classes_of(rules))
    return [_made(name, setup, tables.get(name, {}), types, classes.get(name, [])) for name in names]


def _classes_by_source(names: Sequence[str], setup: Setup, classes: list[str]) -> dict[str, list[str]]:
    """The classes that rules name, for those sources that look for classes: of several, to each those that it knows.

    Raises InvalidArgument: one that none of several knows.
    """
    finders = [name for name in names if name.partition("@")[0] == "objects"]
    models = {name: model for name in finders if (model := _model(name, setup)) is not None}
    if len(finders) < 2:
        return dict.fromkeys(finders, classes)
    if len(models) < len(finders):
        # It is told of the one that has no model.
        return {}
    labels = {name: labels_of(model, Fields.of(model)) for name, model in models.items()}
    known = list(dict.fromkeys(one for each in labels.values() for one in each))
    if any(name.partition("@")[0] == "pose" for name in names):
        known.append("person")
    check_classes(classes, known, "rules")
    return {name: [one for one in classes if one in labels[name]] for name in finders}


def _model(name: str, setup: Setup) -> LoadedModel | None:
    detector, at, named = name.partition("@")
    if at:
        return setup.models.get(named)
    is_its_model = setup.model is not None and setup.model.manifest["detector"] == detector
    return setup.model if is_its_model else None


def _made(name: str, setup: Setup, options: Any, types: Mapping[str, DetectorType], classes: list[str]) -> Source:
    detector, at, _ = name.partition("@")
    kind = types.get(detector)
    if kind is None or detector == "rules":
        there_are = ", ".join(sorted(set(types) - {"rules"}))
        why = f"there is no detector {name!r:.40} to take boxes from{nearest(name, types)}"
        raise InvalidArgument("option sources of detector rules", why, f"There are: {there_are}.")
    if not isinstance(options, Mapping):
        raise InvalidArgument(f"option source.{name} of detector rules", "is no table", f"Write [source.{name}].")
    if at and not kind.needs_model:
        why = f"gives a model to {detector}, which takes no model"
        raise InvalidArgument("option sources of detector rules", why, f'Write "{detector}".')
    model = _model(name, setup)
    if kind.needs_model and model is None:
        remedy = f"Give the inspection a model for {detector}, name it ({detector}@MODEL), or take {name} out."
        raise InvalidArgument(
            "option sources of detector rules", f"{name} needs a model and there is none for it", remedy
        )
    if detector == "objects" and "classes" not in options and classes:
        options = {**options, "classes": classes}
    own = Setup(setup.camera, dict(options), model, setup.timezone)
    tracker = None if detector in _FOLLOWED else Tracker(TrackerSettings(sure_score=0.3, max_lost_s=2.5))
    return Source(name, kind.make(own), tracker, model.digest if model is not None else "")


def classes_of(rules: Sequence[Rule]) -> list[str]:
    """The classes that rules name, sorted; none if one of them means everything."""
    named = {one for rule in rules for step in rule.steps for one in step.condition.subject.classes}
    return [] if ANY_CLASS in named else sorted(named)


def known_classes(names: Sequence[str], tables: Mapping[str, Any]) -> list[str] | None:
    """The classes that these sources can find; None: not known before they are made, or any."""
    found: list[str] = []
    for name in names:
        detector = name.partition("@")[0]
        if detector == "pose":
            found.append("person")
        elif detector not in _CLASSLESS:
            options = tables.get(name)
            if (
                detector != "objects"
                or not isinstance(options, Mapping)
                or not isinstance(options.get("classes"), list)
            ):
                return None
            found += options["classes"]
    return found


def fused(per_source: Sequence[tuple[str, Sequence[FoundBox]]]) -> list[FoundBox]:
    """All things once. A body's key points go to the box of the person that another source found already."""
    things: list[FoundBox] = []
    for number, (name, boxes) in enumerate(per_source):
        before = [one for one in things if one.label != LEFT_LABEL]
        for box in boxes:
            if box.track <= 0:
                continue
            box = replace(box, track=box.track * _PER_SOURCE + number)
            if box.label == LEFT_LABEL:
                things.append(box)
                continue
            if name in _CLASSLESS:
                box = replace(box, label=ANY_CLASS)
            same = _same(box, before)
            if same is None:
                things.append(box)
            elif box.key_points and not same.key_points:
                things[things.index(same)] = replace(same, key_points=box.key_points)
    return things


def _same(box: FoundBox, others: Sequence[FoundBox]) -> FoundBox | None:
    """The box of another source that shows the same thing."""
    best = max(others, key=lambda other: _covered(box, other), default=None)
    if best is None or _covered(box, best) < _SAME:
        return None
    return best if ANY_CLASS in (box.label, best.label) or box.label == best.label else None


def _covered(one: FoundBox, other: FoundBox) -> float:
    """The common area's share of the smaller box."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / max(min(one.width * one.height, other.width * other.height), 1e-9)
