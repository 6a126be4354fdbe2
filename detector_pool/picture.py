"""What a worker reads: decoded pictures, and holes where there are none.

Values and structural types only. Who decodes, and how pictures come here, does not belong here (`pixels.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detector_pool.reasons import NoScore
from mesh.ids import FrameId

Luma = NDArray[np.uint8]


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


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A picture that is the worker's own: nobody overwrites it."""

    id: FrameId
    received_ns: int
    y: Luma


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

    def read(self, timeout_s: float | None = None) -> Shot | Hole | None:
        """The next one; None after `timeout_s` seconds without one, or once closed. Raises errors of `mesh.errors`."""
        ...

    def close(self) -> None:
        """Ends a `read` under way in another thread."""
        ...
