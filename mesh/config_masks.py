"""Privacy masks in the configuration: what a camera that is added at the first start begins with."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.config_option import option


@dataclass(frozen=True, slots=True)
class MaskSeed:
    """A part of the picture that callers without the right `unmasked` do not see."""

    name: str = option("", "Its name.")
    corners: tuple[tuple[float, float], ...] = option(
        (), "Corners [x, y] of a polygon, in fractions of width and height.", at_least=0, at_most=1
    )
