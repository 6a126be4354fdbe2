"""What can be wrong with a picture, and how wrong it is against what is usual. A table and pure functions.

A degree is z^2 / (z^2 + limit^2) of the robust deviation z = (value - median) / (1.4826 MAD + floor): 0.5 at the limit.
The floors say what no operator would call a fault, however steady a camera is otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector_pool.health.history import Usual
from detector_pool.health.measures import Measures
from detector_pool.health.scene import Seen

MEASURES = ("brightness", "contrast", "clipped", "noise", "sharpness", "lost", "shift", "change")
BRIGHTNESS, CONTRAST, CLIPPED, NOISE, SHARPNESS, LOST, SHIFT, CHANGE = range(8)
_BRIGHT = 120.0
ALL_CLIPPED = 0.9
"""A picture of which so much is black or white shows nothing, whatever is usual."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault."""

    name: str
    persistence_s: float
    """It must last for so long."""
    words: str


FAULTS = (
    Fault("covered", 5.0, "something is before the lens"),
    Fault("moved", 5.0, "the camera looks elsewhere than usual, or something else is held before it"),
    Fault("freeze", 6.0, "the picture stands still though frames go on"),
    Fault("exposure", 15.0, "the picture is exposed as never at this hour"),
    Fault("blur", 8.0, "the picture is blurred"),
    Fault("noise", 15.0, "the picture is noisier than usual at this hour"),
)
"""Those that explain others come first."""


@dataclass(frozen=True, slots=True)
class _Limit:
    measure: int
    floor: float
    limit: float
    below: bool = False
    above: bool = True


_LIMITS: Mapping[str, tuple[_Limit, ...]] = {
    # Logarithms: 0.7 darker or brighter is a half or the double.
    "exposure": (_Limit(BRIGHTNESS, 0.12, 5.0, below=True), _Limit(CLIPPED, 0.03, 5.0)),
    "noise": (_Limit(NOISE, 0.14, 5.0),),
    "blur": (_Limit(SHARPNESS, 0.08, 5.0, below=True, above=False),),
    "freeze": (_Limit(CHANGE, 0.35, 4.0, below=True, above=False),),
}
_LOST = _Limit(LOST, 0.04, 5.0)
_SHIFT = _Limit(SHIFT, 1.0, 6.0)


def values_of(measures: Measures, seen: Seen, change: float) -> NDArray[np.float32]:
    """Measures as histories keep them, in the order of `MEASURES`. `change`: of blocks since the picture before."""
    return np.array(
        (
            math.log(measures.brightness),
            math.log(measures.contrast),
            measures.clipped,
            math.log1p(measures.noise),
            math.log(measures.sharpness),
            seen.lost,
            seen.shift_px,
            math.log(change + 0.1),
        ),
        np.float32,
    )


def degrees(values: NDArray[np.float32], usual: Sequence[Usual], measures: Measures, seen: Seen) -> dict[str, float]:
    """How wrong a picture is, 0 to 1 by name of the fault, against what is usual: the mildest of several counts.

    Without anything usual only what is wrong with any camera is told.
    """
    found = {
        name: max(min((_degree(values, one, limit) for one in usual), default=0.0) for limit in limits)
        for name, limits in _LIMITS.items()
    }
    if measures.clipped > ALL_CLIPPED:
        found["exposure"] = max(found["exposure"], 0.9)
    lost = shift = 0.0
    if seen.is_known:
        # What drowns in light is not hidden behind something.
        drowned = measures.clipped if measures.brightness > _BRIGHT else 0.0
        lost = min((_degree(values, one, _LOST) for one in usual), default=0.0) * max(0.0, 1.0 - 2.0 * drowned)
        shift = min((_degree(values, one, _SHIFT) for one in usual), default=0.0)
    # Where edges were lost and others came, the camera may look elsewhere, or a picture is held before it.
    other = min(max((seen.lost_edges - 0.1) / 0.3, 0.0), 1.0)
    found["covered"] = lost * (1.0 - 0.5 * other)
    found["moved"] = max(lost * other, shift)
    return found


def _degree(values: NDArray[np.float32], usual: Usual, limit: _Limit) -> float:
    at = limit.measure
    away = float(values[at]) - float(usual.median[at])
    if (away > 0 and not limit.above) or (away < 0 and not limit.below):
        return 0.0
    z = away / (1.4826 * float(usual.spread[at]) + limit.floor)
    return z * z / (z * z + limit.limit * limit.limit)
