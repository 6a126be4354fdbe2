"""A followed person's key points as a vector that does not depend on where they stand, nor how near.

What belongs here: which points there are, what they are normalised by, when they count, and the names of the body's
parts. What does not: steps in time (`people`), what is usual (the graph). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector_pool.detector import FoundBox
from detector_pool.onnx_models.pose import COCO_POINTS

Floats = NDArray[np.float32]

POINTS = len(COCO_POINTS)
WAY = POINTS
"""Behind the points of the body: how far its middle has gone since the step before, in its own heights a second."""
PLACES = POINTS + 1
POINT_SCORE = 0.2
"""Points below are taken as not seen."""
FEWEST_POINTS = 6
"""A body of which less is seen counts as not seen."""
_FARTHEST = 3.0
_FASTEST = 6.0
_EDGE = 0.004


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the body, and how it is told that it is this that stands out."""

    name: str
    places: tuple[int, ...]
    said: str


PARTS = (
    Part("head", (0, 1, 2, 3, 4), "the head is held as nobody's was here"),
    Part("trunk", (5, 6, 11, 12), "the trunk is held as nobody's was here"),
    Part("arms", (7, 8, 9, 10), "the arms move as nobody's did here"),
    Part("legs", (13, 14, 15, 16), "the legs move as nobody's did here"),
    Part("way", (WAY,), "goes another way, or at another speed, than anybody here"),
)
MIRRORED = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, WAY])
"""Where each place is found in a mirror: left is right there."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One person in one frame."""

    places: Floats
    """(PLACES, 2): x and y of each point from the middle of the box, in heights of the box; the way is filled in by
    `people`. 0 where it is not seen."""
    seen: Floats
    """(PLACES,): 1 where it is, else 0."""
    middle: tuple[float, float]
    """Of the box, in heights of the picture."""
    height: float
    """Of the box, in heights of the picture."""


def body_of(box: FoundBox, aspect: float) -> Body | None:
    """The body of a box with COCO's seventeen points; None if it is cut off by the picture's edge, or hardly seen.

    `aspect`: width of the picture over its height.
    """
    if len(box.key_points) != POINTS or box.height <= 0 or is_cut_off(box):
        return None
    score = np.array([point.score for point in box.key_points], np.float32)
    is_seen = score >= POINT_SCORE
    if is_seen.sum() < FEWEST_POINTS:
        return None
    middle_x, middle_y = (box.x + box.width / 2) * aspect, box.y + box.height / 2
    at = np.array([(point.x * aspect - middle_x, point.y - middle_y) for point in box.key_points]) / box.height
    places, seen = np.zeros((PLACES, 2), np.float32), np.zeros(PLACES, np.float32)
    seen[:POINTS] = is_seen
    places[:POINTS] = np.clip(at, -_FARTHEST, _FARTHEST) * is_seen[:, None]
    return Body(places, seen, (middle_x, middle_y), box.height)


def with_way(body: Body, before: tuple[float, float, float], elapsed_s: float) -> Body:
    """The body with how it has come here. `before`: its middle and height then."""
    size = (body.height + before[2]) / 2
    way = np.array([body.middle[0] - before[0], body.middle[1] - before[1]]) / (size * elapsed_s)
    places, seen = body.places.copy(), body.seen.copy()
    places[WAY], seen[WAY] = np.clip(way, -_FASTEST, _FASTEST), 1.0
    return Body(places, seen, body.middle, body.height)


def is_cut_off(box: FoundBox) -> bool:
    """Whether the picture's edge hides a part."""
    return box.x < _EDGE or box.y < _EDGE or box.x + box.width > 1 - _EDGE or box.y + box.height > 1 - _EDGE


def odd_part(deviation: Sequence[float] | Floats, usual: Sequence[float] | Floats) -> Part:
    """The part of the body that departs most from what is usual. Both by place, (PLACES,)."""
    ratio = np.asarray(deviation, np.float64) / np.maximum(np.asarray(usual, np.float64), 1e-6)
    return max(PARTS, key=lambda part: float(np.mean(ratio[list(part.places)])))
