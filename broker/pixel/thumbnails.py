"""Small pictures: scaled once for every size that somebody watches, the newest kept, viewers woken.

Here: which sizes are wanted of a camera and when the next is due; what one viewer has seen. Not here: gRPC
(service.py), scaling itself (scale.pyx). The decoder thread writes, the event loop reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from broker.pixel.covering import Views
from broker.pixel.scale import fit
from mesh.ids import FrameId

DEFAULT_RATE = 5.0
MAX_RATE = 60.0


@dataclass(frozen=True, slots=True)
class Size:
    """The box that a small picture fits into, in pixels."""

    max_width: int
    max_height: int
    is_covered: bool = False
    """Privacy masks are covered, where the camera has any."""


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """A scaled picture: rows of R, G, B."""

    id: FrameId
    received_ns: int
    width: int
    height: int
    rgb: bytes
    inexact: bool
    masked: bool = False


@dataclass(slots=True)
class _Wanted:
    rates: list[float]
    due_ns: int = 0
    newest: SmallPicture | None = None

    @property
    def interval_ns(self) -> int:
        return int(1e9 / max(self.rates))


class ThumbnailBoard:
    """The small pictures of one camera. `wake` is called from the decoder thread after each new one."""

    def __init__(self, camera: str, wake: Callable[[], None]) -> None:
        self._camera = camera
        self._wake = wake
        self._lock = threading.Lock()
        self._wanted: dict[Size, _Wanted] = {}

    def want(self, size: Size, rate: float) -> None:
        """Somebody watches this size at up to `rate` pictures a second."""
        with self._lock:
            self._wanted.setdefault(size, _Wanted([])).rates.append(rate)

    def unwant(self, size: Size, rate: float) -> None:
        """The inverse of `want`; with the last one the size is scaled no more."""
        with self._lock:
            wanted = self._wanted[size]
            wanted.rates.remove(rate)
            if not wanted.rates:
                del self._wanted[size]

    def newest(self, size: Size) -> SmallPicture | None:
        """The newest picture of a wanted size."""
        wanted = self._wanted.get(size)
        return wanted.newest if wanted is not None else None

    def forget(self) -> None:
        """What was made until now is shown no more: masks have changed."""
        with self._lock:
            for wanted in self._wanted.values():
                wanted.newest = None

    def picture(self, views: Views, frame_id: FrameId, received_ns: int, inexact: bool) -> None:
        """Scales a picture to every size that is due. On the decoder thread."""
        if not self._wanted:
            return
        now_ns = time.monotonic_ns()
        with self._lock:
            # A little early counts as due: frames do not come by the clock.
            due = [size for size, wanted in self._wanted.items() if now_ns >= wanted.due_ns - wanted.interval_ns // 8]
        for size in due:
            planes, masks = views.of(covered=size.is_covered)
            width, height = fit(planes.width, planes.height, size.max_width, size.max_height)
            rgb = planes.rgb24(width, height)
            small = SmallPicture(frame_id, received_ns, width, height, rgb, inexact, bool(masks))
            with self._lock:
                wanted = self._wanted.get(size)
                if wanted is None or not views.is_current(masks, covered=size.is_covered):
                    continue  # nobody watches it any more, or masks came meanwhile
                wanted.newest = small
                # On a fixed beat as long as frames keep to it, or a rate just below theirs would halve it.
                behind_ns = now_ns - wanted.due_ns
                wanted.due_ns = (wanted.due_ns if behind_ns < wanted.interval_ns else now_ns) + wanted.interval_ns
        if due:
            self._wake()
