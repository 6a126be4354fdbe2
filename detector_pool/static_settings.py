"""What can be tuned about the detector of still things (`static_objects.py`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StaticSettings:
    """What can be tuned. Grey levels are of 0 to 255, times in seconds, sizes in cells."""

    after_s: float = 60.0
    """Something left for so long reaches the default threshold."""
    warm_up_s: float = 3.0
    warm_up_pictures: int = 12
    slow_s: float = 15.0
    """Time constant of the slow background where nothing is."""
    fast_s: float = 1.0
    absorb_s: float = 1200.0
    """What stands there for so long belongs to the scene."""
    floor: float = 8.0
    """A cell shows something if it differs by more, and by more than its own noise explains."""
    noise_margin: float = 1.6
    ghost_s: float = 6.0
    ghost: float = 1.5
    """Where the background has so many times the edges of the picture, it shows somebody who has gone."""
    still_floor: float = 6.0
    still_after_s: float = 2.0
    moved_within_s: float = 0.4
    """A cell belongs to something that moves if it has shown the same thing for no longer."""
    quantile_per_s: float = 0.6
    """Speed at which a cell's noise estimate follows, in grey levels a second."""
    least_cells: int = 4
    lower: float = 0.6
    """What was left is at most so high, of the height of who brought it."""
    much_lower: float = 0.35
    """A thing as slim as a person who stands has to be so low."""
    slim: float = 1.6
    """Height over width from which on a thing is slim."""
    apart: float = 1.8
    """It is looked at once nothing hangs together with it that makes it so many times larger."""
    mover_s: float = 1.5
    """Time constant with which it is forgotten how high a group was before it came apart."""
    remembered_s: float = 10.0
    """How long it is remembered who was at a place where nothing is any more."""
    covered_s: float = 30.0
    """How long something left may be hidden by people before it."""
    gone_s: float = 1.5
    upset_share: float = 0.5
    flat_share: float = 0.2
    """A picture with less than this share of the background's contrast shows nothing."""
    dim: float = 3.0
    """Grey levels of contrast from which on such a picture shows a scene that has become dim."""
    dim_after_s: float = 60.0
    """How long it has to stay so before it is learned."""
    forget_after_s: float = 60.0
    max_boxes: int = 64
    max_candidates: int = 64
