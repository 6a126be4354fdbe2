"""What a worker reads: decoded pictures, and holes where there are none.

Values and structural types only. Who decodes, and how pictures come here, does not belong here (`pixels.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from detector_pool.reasons import NoScore
from mesh.errors import DataLoss
from mesh.ids import FrameId

Luma = NDArray[np.uint8]
T = TypeVar("T")


class Picture(Protocol):
    """A decoded picture as a detector sees it."""

    @property
    def id(self) -> FrameId:
        """The frame it shows."""
        ...

    @property
    def received_ns(self) -> int:
        """UTC nanoseconds at which the frame arrived at the broker."""
        ...

    @property
    def y(self) -> Luma:
        """Luma, uint8, (height, width), 16 is black and 235 white for most cameras."""
        ...

    @property
    def u(self) -> Luma | None:
        """Blue difference, uint8, ((height + 1) // 2, (width + 1) // 2), not contiguous; None if not at hand."""
        ...

    @property
    def v(self) -> Luma | None:
        """Red difference, as `u`."""
        ...

    @property
    def full_range(self) -> bool:
        """Luma uses 0 to 255, not 16 to 235."""
        ...

    @property
    def bt709(self) -> bool:
        """The colour matrix is BT.709, not BT.601."""
        ...

    @property
    def derived(self) -> dict[str, Any]:
        """What was made of the planes alone, by name, shared by all detectors that are shown this picture.

        Only pure functions of the planes go in, under a name that says how: `shared` does both.
        """
        ...

    def confirm(self) -> None:
        """Raises DataLoss if what was read of the planes may be of another picture."""
        ...


def _always() -> bool:
    return True


@dataclass(slots=True, eq=False)
class Shot:
    """A picture in a worker's hands: its own, or in place in the pixel host's memory and held there for a while."""

    id: FrameId
    received_ns: int
    y: Luma
    still_valid: Callable[[], bool] = _always
    """Whether all that was read of the planes until now was this picture's."""
    confirmations: int = 0
    u: Luma | None = None
    v: Luma | None = None
    full_range: bool = False
    bt709: bool = False
    derived: dict[str, Any] = field(default_factory=dict)

    def confirm(self) -> None:
        """Raises DataLoss if what was read of the planes may be of another picture."""
        if not self.still_valid():
            raise DataLoss(f"picture {self.id}", "was overwritten while it was looked at")
        self.confirmations += 1


def copied(picture: Picture) -> Shot:
    """The picture with planes of its own, to be kept for longer than it is held."""
    y, u, v = (None if plane is None else plane.copy() for plane in (picture.y, picture.u, picture.v))
    assert y is not None
    return Shot(picture.id, picture.received_ns, y, u=u, v=v, full_range=picture.full_range, bt709=picture.bt709)


def shared(picture: Picture, name: str, make: Callable[[Picture], T]) -> T:
    """What `make` makes of the picture's planes alone, made once for all detectors that are shown it."""
    if name not in picture.derived:
        picture.derived[name] = make(picture)
    made: T = picture.derived[name]
    return made


@dataclass(frozen=True, slots=True)
class Hole:
    """`count` consecutive frames, from `id` on, that have no picture, and why."""

    id: FrameId
    count: int
    reason: NoScore
    received_ns: int = 0
    """Arrival of the first of them in UTC nanoseconds; 0 when not known."""


class PictureSource(Protocol):
    """Pictures and holes of one camera. Of each epoch that it tells of, each frame comes exactly once."""

    @property
    def is_behind(self) -> bool:
        """Whether what it gives now was recorded a while ago: it catches up."""
        ...

    def read(self, timeout_s: float | None = None) -> Shot | Hole | None:
        """The next one; None after `timeout_s` seconds without one, or once closed. Raises errors of `mesh.errors`."""
        ...

    def close(self) -> None:
        """Ends a `read` under way in another thread."""
        ...
