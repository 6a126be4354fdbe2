"""Privacy masks: polygons that cover parts of a picture, and the pixels that they cover. Pure.

Belongs here: what a mask is, its bounds, its form in JSON, which pixels it covers, covering them. Does not belong here:
who sees a picture without them (`mesh.tokens`), where masks are kept and which pictures there are.

Deterministic: the same masks cover the same pixels on every machine. Covered is every pixel within a margin of a
polygon, so that neither chroma that is shared with a neighbour, nor a compression block that spills over, nor a mask
that was drawn a little too small shows anything. Pictures are covered before they are scaled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesh.errors import InvalidArgument

MAX_MASKS = 16
MAX_CORNERS = 32
MAX_NAME_CHARACTERS = 80
GREY = 96
"""Of covered pixels: R, G and B, or luma beside neutral chroma."""
NEUTRAL = 128
_MARGIN = 0.01
_LEAST_MARGIN = 4.0


@dataclass(frozen=True, slots=True)
class Mask:
    """A polygon. `corners`: at least three of x, y, in fractions of width and height from the upper left."""

    name: str
    corners: tuple[tuple[float, float], ...]


Masks = tuple[Mask, ...]


def checked(masks: Iterable[Mask]) -> Masks:
    """The masks. Raises InvalidArgument: too many, a name that is none or is there twice, a polygon that is none."""
    found = tuple(masks)
    if len(found) > MAX_MASKS:
        raise InvalidArgument("privacy masks", f"are {len(found)}; {MAX_MASKS} are possible")
    seen: set[str] = set()
    for mask in found:
        thing = f"privacy mask {mask.name[:40]!r}"
        if not mask.name or len(mask.name) > MAX_NAME_CHARACTERS or not mask.name.isprintable():
            raise InvalidArgument(thing, f"needs a name of 1 to {MAX_NAME_CHARACTERS} printable characters")
        if mask.name in seen:
            raise InvalidArgument(thing, "is there twice", "Give each its own name.")
        seen.add(mask.name)
        if not 3 <= len(mask.corners) <= MAX_CORNERS:
            raise InvalidArgument(thing, f"has {len(mask.corners)} corners; 3 to {MAX_CORNERS} are possible")
        if not all(0.0 <= value <= 1.0 for corner in mask.corners for value in corner):  # false for NaN too
            raise InvalidArgument(thing, "has a corner outside of the picture", "Give fractions, 0 to 1.")
    return found


def encode(masks: Masks) -> str:
    """As JSON: a list of names and corners."""
    return json.dumps([[mask.name, mask.corners] for mask in masks], ensure_ascii=False)


def decode(text: str) -> Masks:
    """The masks of `encode`. Raises InvalidArgument."""
    try:
        rows = json.loads(text or "[]")
        masks = tuple(Mask(str(name), tuple((float(x), float(y)) for x, y in corners)) for name, corners in rows)
    except (ValueError, TypeError, RecursionError):
        raise InvalidArgument("privacy masks", "are not in the form in which they are kept") from None
    return checked(masks)


def from_proto(masks: Iterable[Any]) -> Masks:
    """The masks of `PrivacyMask` messages, unchecked."""
    return tuple(Mask(mask.name, tuple((corner.x, corner.y) for corner in mask.corners)) for mask in masks)


def covered_pixels(masks: Masks, width: int, height: int) -> NDArray[np.bool_]:
    """Which pixels of a picture of that size are covered: bool, height x width, read-only."""
    bits = _covered_bits(masks, width, height)
    covered: NDArray[np.bool_] = np.unpackbits(bits, count=width * height).reshape(height, width).view(np.bool_)
    covered.setflags(write=False)
    return covered


# Every camera of a host at once, in bits: a cache with too little room for all of them would never hit.
@lru_cache(maxsize=512)
def _covered_bits(masks: Masks, width: int, height: int) -> NDArray[np.uint8]:
    covered = np.zeros((height, width), np.bool_)
    margin = max(_LEAST_MARGIN, _MARGIN * max(width, height))
    for mask in masks:
        corners = [(x * width, y * height) for x, y in mask.corners]
        left, right = _span([x for x, _ in corners], margin, width)
        top, bottom = _span([y for _, y in corners], margin, height)
        if left < right and top < bottom:
            part = covered[top:bottom, left:right]
            part |= _near(corners, margin, np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    return np.packbits(covered)


def cover_rgb(masks: Masks, picture: NDArray[np.uint8]) -> None:
    """Covers pixels in place. `picture`: uint8, height x width x 3."""
    picture[covered_pixels(masks, picture.shape[1], picture.shape[0])] = GREY


def cover_planes(masks: Masks, y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]) -> None:
    """Covers pixels of a 4:2:0 picture in place; a chroma sample wherever one of its four pixels is covered."""
    height, width = y.shape
    covered = covered_pixels(masks, width, height)
    y[covered] = GREY
    rows, columns = np.arange(0, height, 2), np.arange(0, width, 2)
    chroma = np.logical_or.reduceat(np.logical_or.reduceat(covered, rows, axis=0), columns, axis=1)
    u[chroma] = NEUTRAL
    v[chroma] = NEUTRAL


def _span(values: Sequence[float], margin: float, size: int) -> tuple[int, int]:
    return max(0, math.floor(min(values) - margin)), min(size, math.ceil(max(values) + margin))


def _near(
    corners: Sequence[tuple[float, float]], margin: float, across: NDArray[Any], down: NDArray[Any]
) -> NDArray[np.bool_]:
    """Which of the points `across` x `down` lie in a polygon (by the even-odd rule) or within a margin of its edges."""
    x, y = across[np.newaxis, :], down[:, np.newaxis]
    inside = np.zeros((len(down), len(across)), np.bool_)
    near = np.zeros_like(inside)
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        dx, dy = x1 - x0, y1 - y0
        if dy:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + dx * (y - y0) / dy)
        length = dx * dx + dy * dy
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / length, 0.0, 1.0) if length else np.zeros_like(x)
        near |= (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2 <= margin * margin
    return inside | near
