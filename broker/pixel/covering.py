"""One decoded picture for those who see everything and for those who do not: with privacy masks covered, made once.

Here: which of both a viewer gets, and whether masks changed while it was made. Not here: which pixels a mask covers
(`mesh.masks`), who sees what (`mesh.tokens`).
"""

from __future__ import annotations

from collections.abc import Callable

from broker.pixel.planes import Planes
from mesh.masks import Masks


class Views:
    """One picture, and the same with its masks covered, made when the first asks. On the decoder thread."""

    def __init__(self, planes: Planes, masks: Callable[[], Masks] = tuple) -> None:
        """`masks`: those of the camera at present; asked again to learn whether they changed."""
        self._planes = planes
        self._masks_now = masks
        self._masks: Masks = masks()
        self._covered: Planes | None = None

    def of(self, *, covered: bool) -> tuple[Planes, Masks]:
        """The planes and what is covered in them."""
        if not covered or not self._masks:
            return self._planes, ()
        if self._covered is None:
            self._covered = self._planes.covered(self._masks)
        return self._covered, self._masks

    def is_current(self, masks: Masks, *, covered: bool) -> bool:
        """Whether what was made with these masks may still be shown. Asked with the lock that `forget` takes."""
        return not covered or masks == self._masks_now()
