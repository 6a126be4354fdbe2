"""Light that lies on the ground for a while, as a headlight's: brighter, fading gently, and no thing.

What belongs here: telling it from things in one picture. What does not: a change of light over the whole picture
(`motion.light_change`).
"""

from __future__ import annotations

import numpy as np

from detector_pool.blobs import dilated, groups
from detector_pool.canvas import Grey, Mask

LEAST = 40
"""Cells. What became brighter is looked at if so much of it hangs together."""
RISE, SHARE = 6.0, 0.6
"""From a cell to the next but one, light changes by at most so many grey levels and that share of the brightest
of them."""
FAINT = 16.0
"""Grey levels. Cells up to two beside a light belong to it if they became less bright."""


def pools_of_light(change: Grey, differs: Mask) -> Mask:
    """Cells that only became brighter, gently, from the outside of what differs inwards.

    `change`: cells less their background, grey levels of 0 to 255; `differs`: where that is more than noise. A body has
    an edge; where it is as bright as the light, it is behind that edge.
    """
    brighter: Mask = differs & (change > 0)
    light: Mask = np.zeros_like(differs)
    if int(brighter.sum()) < LEAST:
        return light
    rise, peak = np.zeros_like(change), change.copy()
    for axis in (0, 1):
        before, behind = _shifted(change, 1, axis), _shifted(change, -1, axis)
        np.maximum(rise, np.abs(before - behind), out=rise)
        np.maximum(peak, np.maximum(before, behind), out=peak)
    gentle: Mask = brighter & (rise <= RISE + SHARE * peak)
    reached: Mask = ~differs
    while True:
        more = (dilated(reached) & gentle) | reached
        if int(more.sum()) == int(reached.sum()):
            break
        reached = more
    for group in groups(reached & gentle, 1):
        if len(group) >= LEAST:
            light.ravel()[group] = True
    # At its rim it fades faster, and is faint.
    return light | (dilated(dilated(light)) & brighter & (change < FAINT))


def _shifted(values: Grey, by: int, axis: int) -> Grey:
    """The neighbour's value of each cell, one before (1) or behind (-1); at the edge its own."""
    moved = values.copy()
    if axis == 0:
        moved[max(by, 0) : len(moved) + min(by, 0)] = values[max(-by, 0) : len(values) + min(-by, 0)]
    else:
        columns = values.shape[1]
        moved[:, max(by, 0) : columns + min(by, 0)] = values[:, max(-by, 0) : columns + min(-by, 0)]
    return moved
