"""Regions follow the camera: shake in every frame, bumps by looking for the scene, and an alarm where that fails."""

from collections.abc import Sequence

from detector_pool.canvas import RegionMask
from detector_pool.following.follower import Alignment, Follower, FollowerSettings, FollowerState
from detector_pool.following.geometry import moved as _moved

__all__ = ["Alignment", "Follower", "FollowerSettings", "FollowerState", "moved"]


def moved(regions: Sequence[RegionMask], alignment: Alignment) -> tuple[RegionMask, ...]:
    """Regions where the camera shows them now, cut off at the borders of the picture."""
    return _moved(regions, alignment.matrix)
