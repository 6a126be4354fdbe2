"""What a detector sees: one decoded picture of a frame, and where pictures come from.

Structural types only, so that the pixel host's `Picture` fits without an import. Who decodes does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mesh.ids import FrameId

Luma = NDArray[np.uint8]


class Picture(Protocol):
    """A decoded picture. Its planes may be overwritten once the source hands out the next one."""

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


class PictureSource(Protocol):
    """Pictures of one camera, in the order they are shown, from now on."""

    def __iter__(self) -> Iterator[Picture]:
        """Blocks for the next picture; ends when the source was closed."""
        ...

    def close(self) -> None:
        """Ends the iteration; may be called from another thread."""
        ...
