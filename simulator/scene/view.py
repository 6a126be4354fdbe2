"""Where the camera hangs: the projection from the world to the picture.

The world is in metres: x to the right, y away from the camera, z up from the ground; the camera hangs above (0, 0) and
looks along y, tilted down. What belongs here: the projection, both ways. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Point = tuple[float, float, float]
NEAREST_M = 0.3


@dataclass(frozen=True, slots=True)
class View:
    """A camera position for a picture size."""

    width: int
    height: int
    height_m: float
    tilt_deg: float
    field_deg: float
    """Horizontal field of view."""
    focal_px: float = field(init=False)
    """Focal length in pixels."""
    _cos: float = field(init=False)
    _sin: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "focal_px", self.width / 2 / math.tan(math.radians(self.field_deg) / 2))
        object.__setattr__(self, "_cos", math.cos(math.radians(self.tilt_deg)))
        object.__setattr__(self, "_sin", math.sin(math.radians(self.tilt_deg)))

    def project(self, point: Point) -> tuple[float, float, float] | None:
        """Pixel x, pixel y and distance along the optical axis in metres; None behind the camera."""
        x, y, z = point
        cos, sin = self._cos, self._sin
        below = self.height_m - z
        distance = y * cos + below * sin
        if distance < NEAREST_M:
            return None
        focal = self.focal_px
        return (
            self.width / 2 + focal * x / distance,
            self.height / 2 + focal * (below * cos - y * sin) / distance,
            distance,
        )

    def fraction(self, point: Point) -> tuple[float, float]:
        """Where a point is seen, as fractions of the picture. Raises ValueError for a point behind the camera."""
        seen = self.project(point)
        if seen is None:
            raise ValueError(f"{point} is behind the camera")
        return seen[0] / self.width, seen[1] / self.height

    def rays(self, scale: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Directions of sight for a grid `scale` times as fine; a step of 1 is 1 m along the optical axis."""
        cos, sin = self._cos, self._sin
        across = ((np.arange(self.width * scale) + 0.5) / scale - self.width / 2) / self.focal_px
        down = ((np.arange(self.height * scale) + 0.5) / scale - self.height / 2) / self.focal_px
        x, v = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
        return x, (cos - v * sin).astype(np.float32), (-sin - v * cos).astype(np.float32)
