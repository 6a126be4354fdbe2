"""The detectors that this pool can run, by the name that inspections use: found by entry point.

An outsider's package names its `DetectorType` in the entry point group `trueframe.detectors`; the name of the entry
point is that of the type. One that cannot be loaded is logged and left out: the others go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from detector_pool.detector import DetectorType, Judging
from detector_pool.health.detector import TYPE as HEALTH
from detector_pool.motion import Motion
from detector_pool.normality.detector import TYPE as NORMALITY
from detector_pool.onnx_models import clip, objects, pose
from detector_pool.posture.detector import TYPE as POSTURE
from detector_pool.rules.detector import RULES
from detector_pool.signal_health import SignalHealth
from detector_pool.static_objects import STATIC
from mesh.logs import get_logger

log = get_logger("detector_pool.registry")

GROUP = "trueframe.detectors"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")

BUILT_IN: tuple[DetectorType, ...] = (
    DetectorType("motion", "1", "Things that move before a background learnt from the camera itself.",
                 lambda setup: Motion(), Judging(0.6, 0.65)),
    DetectorType("signal", "1", "A picture that shows nothing, or that stands still while frames go on.",
                 lambda setup: SignalHealth(),
                 Judging(0.7, 0.7, min_duration_ns=500_000_000, merge_gap_ns=2_000_000_000)),
    HEALTH,
    objects.TYPE,
    pose.TYPE,
    clip.TYPE,
    NORMALITY,
    POSTURE,
    RULES,
    STATIC,
)  # fmt: skip


@lru_cache(maxsize=1)
def detector_types() -> Mapping[str, DetectorType]:
    """All that are installed, by name. Those of trueframe itself cannot be replaced."""
    found = {one.name: one for one in BUILT_IN}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        if entry.name in found:
            log.error("detector has the name of another one", detector=entry.name, package=entry.value)
            continue
        loaded = _loaded(entry)
        if loaded is not None:
            found[entry.name] = loaded
    return found


def _loaded(entry: EntryPoint) -> DetectorType | None:
    try:
        kind = entry.load()
    except Exception as error:
        log.error("detector cannot be loaded", detector=entry.name, package=entry.value, error=str(error))
        return None
    if not isinstance(kind, DetectorType) or kind.name != entry.name or not _NAME.fullmatch(kind.name):
        log.error("entry point names no DetectorType of its name", detector=entry.name, package=entry.value)
        return None
    return kind
