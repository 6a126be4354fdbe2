"""Why a frame has no score. The vocabulary only."""

from __future__ import annotations

from enum import Enum


class NoScore(Enum):
    """Why a frame got no score."""

    WARMING_UP = "warming up"
    NOT_DECODED = "not decoded"
    OVERRUN = "overrun"
    DETECTOR_FAILED = "detector failed"
    NOT_SAMPLED = "not sampled"
    THINNED = "thinned"
    NO_PIXELS = "no pixels"
