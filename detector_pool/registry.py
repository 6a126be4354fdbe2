"""The detectors that this pool can run, by the name that inspections use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detector_pool.detector import Detector
from detector_pool.motion import Motion
from detector_pool.signal_health import SignalHealth

DETECTORS: dict[str, Callable[[], Detector[Any]]] = {"motion": Motion, "signal": SignalHealth}
