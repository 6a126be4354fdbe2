"""Falls: somebody who stood a moment ago lies now.

With key points the trunk's lean tells. Without them the box does: it loses height because its top comes down while its
foot stays, and becomes wide. Somebody who walks behind a counter loses height as well, but from below. Bending,
crouching and sitting down are not told from a fall by a box alone when they are as quick and as low.
"""

from __future__ import annotations

from detector_pool.detector import FoundBox
from detector_pool.rules.memory import Sample, Thing
from detector_pool.rules.perspective import Bodies

SECOND = 1_000_000_000
_UPRIGHT_DEG, _LYING_DEG = 40.0, 60.0
_QUICK_NS = 2 * SECOND
"""From standing to lying takes no longer."""
_LOW = 0.65
"""A body that lies is seen at most so high, of what it was before."""
_UPRIGHT = 0.95
"""Height over width of somebody who stands, at least: with a shadow to the side it is no more."""
_BODY = 0.6
"""Who stood was at least so high, of what a body there usually is."""
_LYING = 1.0
_FLATTER = 0.5
"""A body that lies has at most so much of the height over width that it had."""


def looked_for_fall(thing: Thing, now: Sample, box: FoundBox, bodies: Bodies) -> None:
    """Notes in the thing whether it lies since a fall."""
    if is_cut_off(box):
        return
    if thing.fallen_ns >= 0:
        stands = now.lean_deg < _UPRIGHT_DEG if now.lean_deg >= 0 else now.height > 1.2 * now.width
        if stands:
            thing.fallen_ns = -1
        return
    recent = [one for one in thing.samples if now.clock_ns - one.clock_ns <= _QUICK_NS and one is not now]
    if len(recent) < 3:
        return
    if now.lean_deg >= 0:
        if now.lean_deg > _LYING_DEG and any(0 <= one.lean_deg < _UPRIGHT_DEG for one in recent):
            thing.fallen_ns = now.clock_ns
        return
    stood = [one for one in recent if one.height > _UPRIGHT * one.width]
    if len(stood) < 2 or now.height > _LYING * now.width:
        return
    height = sorted(one.height for one in stood)[len(stood) // 2]
    shape = sorted(one.height / one.width for one in stood)[len(stood) // 2]
    foot = sorted(one.y for one in stood)[len(stood) // 2]
    is_low = now.height < _LOW * height
    # The top comes down, the foot stays: not the other way round, as behind a counter.
    foot_stays = abs(now.y - foot) < 0.3 * height
    is_flat = now.height / now.width < _FLATTER * shape
    is_of_one_size = 0.14 * height < now.width < 1.8 * height
    if is_low and foot_stays and is_flat and is_of_one_size and _was_body(foot, height, bodies):
        thing.fallen_ns = now.clock_ns


def _was_body(foot: float, height: float, bodies: Bodies) -> bool:
    """Whether what stood there was as high as a body, as far as that is known."""
    usual = bodies.perspective(foot, height)
    return not usual.is_known or height > _BODY * usual.height(foot)


def is_cut_off(box: FoundBox) -> bool:
    """Whether the picture's edge hides a part."""
    return box.x < 0.004 or box.y < 0.004 or box.x + box.width > 0.996 or box.y + box.height > 0.996
