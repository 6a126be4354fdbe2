"""Detectors made for inspections: from their type, options and model, outside of the threads that read cameras.

What cannot be made is told with a sentence instead of raising. What was made for an inspection last, and before that,
is kept: a roll-back finds it loaded.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from detector_pool.detector import Detector, DetectorType, LoadedModel, Setup
from detector_pool.fare import ModelFare
from detector_pool.options import parsed
from detector_pool.runner import Made, Task
from mesh.errors import InvalidArgument, TrueframeError
from mesh.logs import get_logger
from trueframe.v1 import models_pb2

log = get_logger("detector_pool.making")

KEPT = 3
"""Detectors of an inspection that stay made."""


class Fetches(Protocol):
    """Where models come from: `model_cache.ModelCache`."""

    def get(self, version: models_pb2.ModelVersion) -> LoadedModel:
        """The model, fetched if it is not here. Raises TrueframeError."""
        ...


@dataclass(frozen=True, slots=True)
class _Wish:
    """All that a detector is made from."""

    detector: str
    camera: str
    options: str
    digests: tuple[str, ...]


class Workshop:
    """Makes detectors. Any thread may call its methods."""

    def __init__(self, types: Mapping[str, DetectorType], models: Fetches | None = None, timezone: str = "UTC") -> None:
        self._types = types
        self._models = models
        self._timezone = timezone
        self._kept: dict[str, dict[_Wish, Made]] = {}
        self._golden: dict[str, tuple[str, bool]] = {}
        self._lock = threading.Lock()

    def knows(self, detector: str) -> bool:
        """Whether there is a detector of that name."""
        return detector in self._types

    def make(
        self, task: Task, version: models_pb2.ModelVersion | None, further: Sequence[models_pb2.ModelVersion] = ()
    ) -> Made:
        """The detector of a task. `further`: models that its options name. Its `problem` says why there is none."""
        digests = (version.digest if version is not None else "", *(one.digest for one in further))
        wish = _Wish(task.detector, task.camera, task.options, digests)
        with self._lock:
            kept = self._kept.setdefault(task.inspection, {})
            made = kept.pop(wish, None)
        if made is None:
            made = self._made(task, version, further)
        if made.detector is not None:
            with self._lock:
                kept = self._kept.setdefault(task.inspection, {})
                kept[wish] = made
                while len(kept) > KEPT:
                    del kept[next(iter(kept))]
        return made

    def forget(self, inspection: str) -> None:
        """Lets go of the detectors of an inspection."""
        with self._lock:
            self._kept.pop(inspection, None)

    def _made(
        self, task: Task, version: models_pb2.ModelVersion | None, further: Sequence[models_pb2.ModelVersion]
    ) -> Made:
        kind = self._types.get(task.detector)
        digest = version.digest if version is not None else ""
        name = f"{task.detector}@{kind.version if kind is not None else 0}"
        if kind is None:
            return Made(None, name, digest, f"detector {task.detector} is not known to this worker")
        try:
            model = self._model(kind, version)
            options = parsed(f"inspection {task.inspection}", task.options)
            models = {one.model: self._models.get(one) for one in further} if self._models is not None else {}
            detector = kind.make(Setup(task.camera, options, model, self._timezone, models))
        except TrueframeError as error:
            return Made(None, name, digest, str(error))
        except Exception as error:
            log.exception("detector cannot be made", inspection=task.inspection, error=type(error).__name__)
            return Made(None, name, digest, f"{name} cannot be made: {type(error).__name__}: {str(error)[:200]}")
        # Of rules, the source that works with the model: golden frames are about that.
        of_models = getattr(detector, "of_models", {})
        fares = [
            ModelFare(one.digest, *self._compared(one, of_models.get(one.digest, detector)))
            for one in (*((model,) if model is not None else ()), *models.values())
        ]
        own = fares.pop(0) if model is not None else ModelFare("", "", False)
        return Made(detector, detector.name, digest, "", own.golden, own.golden_differs, tuple(fares))

    def _model(self, kind: DetectorType, version: models_pb2.ModelVersion | None) -> LoadedModel | None:
        if version is None or self._models is None:
            if kind.needs_model:
                remedy = "`trueframe models publish` one, or train one."
                raise InvalidArgument(f"detector {kind.name}", "needs a model and was given none", remedy)
            return None
        return self._models.get(version)

    def _compared(self, model: LoadedModel, detector: Detector[Any]) -> tuple[str, bool]:
        from detector_pool.golden import compared

        found = self._golden.get(model.digest)
        if found is not None:
            return found
        try:
            result = compared(model, detector)
        except InvalidArgument as error:
            found = str(error), True
        else:
            how = "equal to the bit" if result.is_exact else f"equal within {result.greatest_difference:.2g}"
            found = (f"{result.frames} golden frames, {how}" if result.frames else "it has no golden frames"), False
        self._golden[model.digest] = found
        return found
