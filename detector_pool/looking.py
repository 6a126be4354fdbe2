"""An inspection carried out over recorded pictures: its detector, made with the models it names, and its regions, which
follow the camera.

What belongs here: making the detector of an inspection from models that are at hand, and one look after the other. What
does not: reading footage, comparing with what was said then (`reinspect`), judging (`footage_inspection`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aggregate.client import Inspection
from detector_pool.detector import Detector, DetectorType, LoadedModel, Observation, Setup
from detector_pool.options import checked, models_named, parsed
from detector_pool.picture import Shot
from detector_pool.reasons import NoScore
from detector_pool.registry import detector_types
from detector_pool.runner import Task
from detector_pool.steering import Steering, follower_for
from mesh.errors import InvalidArgument
from mesh.logs import get_logger
from mesh.zones import site_zone

log = get_logger("detector_pool.looking")


def models_of(inspection: Inspection) -> tuple[str, ...]:
    """Names of the models that an inspection runs, its own first. Raises InvalidArgument: no such detector."""
    kind = _kind(inspection)
    named = models_named(kind.options, parsed(inspection.id, inspection.options))
    has_own = bool(inspection.model) or kind.needs_model
    return tuple(dict.fromkeys((*((_own_name(inspection),) if has_own else ()), *named)))


def made_for(inspection: Inspection, loaded: Iterable[LoadedModel] = ()) -> Detector[Any]:
    """The detector of an inspection, with its options and these models; one of another name counts as its own.

    Schedules of rules are read in the zone of this machine. Raises InvalidArgument.
    """
    kind = _kind(inspection)
    given = parsed(f"inspection {inspection.id}", inspection.options)
    options = checked(kind.name, kind.options, given)
    named = models_named(kind.options, given)
    by_name = {str(model.manifest["name"]): model for model in loaded}
    own = by_name.get(_own_name(inspection)) or next((m for name, m in by_name.items() if name not in named), None)
    if own is not None and kind.needs_model and (wanted := own.manifest["detector"]) != kind.name:
        what = f"model {own.manifest.get('name', own.digest[:12])}"
        raise InvalidArgument(what, f"is for detector {wanted}, and {inspection.id} is of {kind.name}")
    models = {name: by_name[name] for name in named if name in by_name}
    # Options as they were given: some detectors tell an option that was left out from its default.
    values = {name: options[name] for name in given}
    return kind.make(Setup(inspection.camera, values, own, site_zone("").key, models))


def moved_to(inspection: Inspection, camera: str) -> Inspection:
    """The same inspection for another camera's pictures, with the models that it has where it is."""
    moved = Inspection()
    moved.CopyFrom(inspection)
    if _kind(inspection).needs_model:
        moved.model = _own_name(inspection)
    moved.camera = camera
    moved.id = f"{camera}.{inspection.id.removeprefix(inspection.camera + '.')}"
    return moved


def _kind(inspection: Inspection) -> DetectorType:
    kind = detector_types().get(inspection.detector)
    if kind is None:
        there_are = ", ".join(sorted(detector_types()))
        raise InvalidArgument(f"detector {inspection.detector!r:.60}", "is not known here", f"There are: {there_are}.")
    return kind


def _own_name(inspection: Inspection) -> str:
    return inspection.model or f"{inspection.camera}.{inspection.detector}"


class Look:
    """Looks at the pictures of one inspection, one after the other."""

    def __init__(self, task: Task, detector: Detector[Any], state: Any = None, following: bytes = b"") -> None:
        """`state`: of the detector, to go on from; `following`: how the regions followed the camera up to there."""
        self.detector = detector
        self._task = task
        self._state = detector.start() if state is None else state
        self._steering = Steering(follower_for(task.regions, are_fixed=task.has_fixed_regions), following)

    def begin_anew(self) -> None:
        """The detector knows nothing from here on; the regions stay where they are."""
        self._state = self.detector.start()

    def look(self, shot: Shot) -> Observation:
        """What the detector says of a picture. One on which it raises is DETECTOR_FAILED, and it begins anew."""
        try:
            regions = self._steering.regions(shot, self._task.regions)
            observation, self._state = self.detector.inspect(shot, self._state, regions)
        except Exception as error:
            log.info("detector fails on it", frame=str(shot.id), error=str(error))
            self.begin_anew()
            return Observation(reason=NoScore.DETECTOR_FAILED)
        return observation
