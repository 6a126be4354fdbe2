"""What a detector says, checked before anybody hears it: one that says nonsense has failed. Pure.

Boxes that reach over the edge of the picture are cut there; more than the pool takes are left out, the surest stay.
"""

from __future__ import annotations

import math
from dataclasses import replace

from detector_pool.detector import FoundBox, Observation

MAX_BOXES = 64
MAX_KEY_POINTS = 64
MAX_SERIES = 32
MAX_TRACK = 1 << 53
# Rounding of float32 takes scores of 1 a little beyond.
_SLACK = 1e-6


def sound(observation: Observation) -> Observation:
    """The observation as the pool takes it. Raises ValueError: a score, box or value that is none."""
    if observation.reason is not None:
        return observation
    score = float(observation.score)
    if not -_SLACK <= score <= 1.0 + _SLACK:
        raise ValueError(f"says the score {score!r}, which is not between 0 and 1")
    boxes = observation.boxes
    if len(boxes) > MAX_BOXES:
        kept = sorted(sorted(range(len(boxes)), key=lambda at: -boxes[at].score)[:MAX_BOXES])
        boxes = tuple(boxes[at] for at in kept)
    series = {str(name)[:60]: float(value) for name, value in observation.series[:MAX_SERIES] if math.isfinite(value)}
    return replace(
        observation,
        score=min(max(score, 0.0), 1.0),
        boxes=tuple(_sound_box(box) for box in boxes),
        series=tuple((name, value) for name, value in series.items() if name),
    )


def _sound_box(box: FoundBox) -> FoundBox:
    numbers = (box.x, box.y, box.width, box.height, box.score)
    points = box.key_points[:MAX_KEY_POINTS]
    is_finite = all(math.isfinite(number) for number in numbers)
    if not is_finite or not all(math.isfinite(n) for point in points for n in (point.x, point.y, point.score)):
        raise ValueError(f"says a box of {box.label[:40]!r} that has no place")
    if not 0 <= box.track <= MAX_TRACK:
        raise ValueError(f"says a box with the track {box.track}")
    left, top = _cut(box.x), _cut(box.y)
    right, bottom = _cut(box.x + box.width), _cut(box.y + box.height)
    if min(numbers) >= 0 and box.x + box.width <= 1 and box.y + box.height <= 1 and box.score <= 1:
        # Nothing sticks out: its numbers stay as they are, to the bit.
        return box if len(points) == len(box.key_points) else replace(box, key_points=points)
    return FoundBox(left, top, right - left, bottom - top, box.label, _cut(box.score), box.track, box.said, points)


def _cut(number: float) -> float:
    return min(max(number, 0.0), 1.0)
