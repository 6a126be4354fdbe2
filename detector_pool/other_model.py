"""An inspection's detector with another model than the one it runs with."""

from __future__ import annotations

from typing import Any

from aggregate.client import Inspection
from detector_pool.detector import Detector, LoadedModel, Setup
from detector_pool.options import checked, parsed
from detector_pool.registry import detector_types
from mesh.errors import InvalidArgument, Unsupported


def with_model(inspection: Inspection, model: LoadedModel) -> Detector[Any]:
    """The detector of an inspection, with its options, and with this model. Raises InvalidArgument, Unsupported."""
    kind = detector_types().get(inspection.detector)
    if kind is None:
        raise Unsupported(f"detector {inspection.detector}", "is not known here")
    wanted = model.manifest["detector"]
    if wanted != inspection.detector:
        raise InvalidArgument(
            f"model {model.manifest.get('name', model.digest[:12])}",
            f"is for detector {wanted}, and {inspection.id} is of {inspection.detector}",
        )
    options = checked(kind.name, kind.options, parsed(inspection.id, inspection.options))
    return kind.make(Setup(inspection.camera, options, model))
