"""Regions of an inspection, moved with the camera from picture to picture.

What belongs here: which regions count in which picture, and what is kept of that. What does not: how a move of the
camera is found (`following`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from detector_pool.canvas import RegionMask
from detector_pool.picture import Picture
from mesh.errors import DataLoss
from mesh.logs import get_logger, rate_limited

log = get_logger("detector_pool.steering")

UNMOVED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
# A move that no human sees is not worth telling: a five hundredth of the picture.
_WORTH_TELLING = 2e-3


class Follows(Protocol):
    """Whoever moves regions with the camera."""

    def start(self) -> Any:
        """The state before the first frame."""
        ...

    def step(self, picture: Picture, state: Any) -> tuple[Any, Any]:
        """How the camera stands now, and the state behind it. Raises DataLoss, and has learnt nothing then."""
        ...

    def moved(self, regions: Sequence[RegionMask], alignment: Any) -> tuple[RegionMask, ...]:
        """Regions where the camera shows them now."""
        ...

    def numbers(self, alignment: Any) -> tuple[float, ...]:
        """The alignment as a row-major 3x3 in fractions; empty where the regions are where they were drawn."""
        ...

    def lost(self, alignment: Any) -> str:
        """Why the regions cannot be followed, as a sentence; empty while they can."""
        ...

    def bumped(self, alignment: Any) -> str:
        """What happened to the camera lately, where regions were moved after it, as a sentence; empty otherwise."""
        ...

    def pack(self, state: Any) -> bytes:
        """The state as bytes."""
        ...

    def unpack(self, data: bytes) -> Any:
        """The inverse. Raises ValueError."""
        ...


class CameraFollower:
    """`detector_pool.following` as inspections use it."""

    def __init__(self) -> None:
        # Its imports are slow, and most inspections have no regions.
        from detector_pool.following import Follower, moved

        self._follower = Follower()
        self._moved = moved

    def start(self) -> Any:
        """The next pictures are what regions are drawn on."""
        return self._follower.start()

    def step(self, picture: Picture, state: Any) -> tuple[Any, Any]:
        """How the camera stands now."""
        return self._follower.step(picture, state)

    def moved(self, regions: Sequence[RegionMask], alignment: Any) -> tuple[RegionMask, ...]:
        """Regions where the camera shows them now."""
        return self._moved(regions, alignment)

    def numbers(self, alignment: Any) -> tuple[float, ...]:
        """The matrix, or nothing."""
        matrix = np.asarray(alignment.matrix, np.float64)
        return () if np.array_equal(matrix, np.eye(3)) else tuple(float(number) for number in matrix.ravel())

    def lost(self, alignment: Any) -> str:
        """What the follower says of a scene that it does not find."""
        return str(alignment.said) or "the scene is not found again" if alignment.is_lost else ""

    def bumped(self, alignment: Any) -> str:
        """What the follower says of a camera that it has found again elsewhere."""
        return str(alignment.said) if alignment.was_bumped else ""

    def pack(self, state: Any) -> bytes:
        """The state as bytes."""
        return self._follower.pack(state)

    def unpack(self, data: bytes) -> Any:
        """The inverse. Raises ValueError."""
        return self._follower.unpack(data)


class Steering:
    """The regions of one inspection. Without a follower they stay where they are."""

    def __init__(self, follower: Follows | None, following: bytes = b"", told: tuple[float, ...] = ()) -> None:
        """`following`: what `pack` gave; `told`: where regions were said to be. Raises ValueError: no such state."""
        self._follower = follower
        self._state: Any = None
        if follower is not None:
            self._state = follower.unpack(following) if following else follower.start()
        self._told = told
        self.alignment: tuple[float, ...] = ()
        """Where the regions are now; empty while they are where they were drawn."""
        self.lost = ""
        """Why they cannot be followed; empty while they can."""
        self.bumped = ""
        """What happened to the camera lately, where they were moved after it."""

    def regions(self, picture: Picture, drawn: tuple[RegionMask, ...]) -> tuple[RegionMask, ...]:
        """Where the regions are in this picture. Raises DataLoss: it was overwritten while it was looked at."""
        follower = self._follower
        if follower is None or not drawn:
            return drawn
        try:
            alignment, self._state = follower.step(picture, self._state)
            self.alignment, self.lost = follower.numbers(alignment), follower.lost(alignment)
            self.bumped = follower.bumped(alignment)
            return follower.moved(drawn, alignment)
        except DataLoss:
            raise
        except Exception as error:
            if rate_limited("steering", 30.0):
                log.exception("regions cannot be moved", frame=str(picture.id), error=str(error))
            self._state = follower.start()
            return drawn

    def news(self) -> tuple[float, ...]:
        """Where the regions are, if they were told to be elsewhere; a way back is told as `UNMOVED`."""
        before, now = self._told or UNMOVED, self.alignment or UNMOVED
        if max(abs(one - other) for one, other in zip(before, now, strict=True)) < _WORTH_TELLING:
            return ()
        self._told = now
        return now

    def anew(self, follower: Follows | None) -> Steering:
        """For regions that were drawn anew, on what the camera shows now."""
        return Steering(follower, told=self._told)

    def pack(self) -> bytes:
        """All that is remembered; empty without a follower."""
        return self._follower.pack(self._state) if self._follower is not None else b""


def follower_for(regions: Sequence[RegionMask], *, are_fixed: bool) -> Follows | None:
    """Who moves these regions; None where nobody has to."""
    return CameraFollower() if regions and not are_fixed else None
