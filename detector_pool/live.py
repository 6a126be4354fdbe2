"""A camera's pictures without a hole: live out of the pixel host's memory, and what that missed out of its trail.

A source that is to begin behind a given frame, or whose pixel host was gone for a while, first follows the trail,
faster than frames come, and goes over to the ring at the frame where the two meet: every frame once, none twice, in
between no seam. While no pixel host answers it stays on the trail.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol

from detector_pool.picture import Hole, Shot
from detector_pool.reasons import NoScore
from detector_pool.told import Told
from mesh.clocks import Clock
from mesh.ids import FrameId
from mesh.logs import get_logger

log = get_logger("detector_pool.live")

SECOND = 1_000_000_000
# As close to live as this, the ring may still hold the next picture.
NEAR_NS = SECOND
JOIN_EVERY_NS = 200_000_000
SILENT_NS = 3 * SECOND
_JOIN_WAIT_S = 0.3


class Ring(Protocol):
    """Pictures of a pixel host."""

    @property
    def session(self) -> int | None:
        """The run of the pixel host that the newest item came from."""
        ...

    def read(self, timeout_s: float | None = None) -> Shot | Hole | None:
        """As PictureSource.read."""
        ...

    def close(self) -> None:
        """As PictureSource.close."""
        ...


class Follows(Protocol):
    """What was missed: see `trail.Trail`."""

    @property
    def silent_ns(self) -> int:
        """How long nothing has come of the camera."""
        ...

    def read(self, timeout_s: float | None) -> Shot | Hole | None:
        """The next one; None at the end. Raises queue.Empty."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


class LiveSource:
    """A PictureSource that leaves nothing out that can be had. At most so many follow trails at once as `turns` has."""

    def __init__(
        self,
        after: FrameId | None,
        open_ring: Callable[[FrameId | None], Ring],
        open_trail: Callable[[FrameId], Follows],
        turns: threading.Semaphore,
        clock: Clock,
    ) -> None:
        self._open_ring = open_ring
        self._open_trail = open_trail
        self._turns = turns
        self._clock = clock
        self._told = Told(after)
        self._trail: Follows | None = None
        self._has_turn = False
        self._wants_trail = after is not None
        self._accepts_holes = False
        self._ready: list[Shot | Hole] = []
        self._next_join_ns = 0
        self._is_closed = threading.Event()
        # Read while on the trail too, without looking: so long as there is a reader the pixel host decodes the camera.
        self._ring = open_ring(None)
        self._session: int | None = None

    @property
    def is_behind(self) -> bool:
        """Whether it follows the trail, or waits for its turn to."""
        return self._wants_trail

    def read(self, timeout_s: float | None = None) -> Shot | Hole | None:
        """The next picture or hole; None after `timeout_s` without one, or once closed."""
        if self._is_closed.is_set():
            return None
        return self._from_trail(timeout_s) if self._wants_trail else self._from_ring(timeout_s)

    def close(self) -> None:
        """Ends a `read` under way in another thread."""
        self._is_closed.set()
        self._ring.close()
        self._leave_trail()

    # Live

    def _from_ring(self, timeout_s: float | None) -> Shot | Hole | None:
        item = self._ready.pop(0) if self._ready else self._ring.read(timeout_s)
        if item is None:
            return None
        position = self._told.position
        has_missed = isinstance(item, Hole) and item.reason is NoScore.NO_PIXELS
        if position is not None and item.id.epoch > position.epoch and self._ring.session != self._session:
            # The pixel host was gone while an epoch ended: nobody told how far that went.
            has_missed = True
        self._session = self._ring.session
        if has_missed and position is not None and not self._accepts_holes:
            log.info("pictures were missed", missed=str(item.id), after=str(position))
            self._go_back_to(position)
            return None
        if isinstance(item, Shot):
            self._accepts_holes = False
        self._note(item)
        return item

    def _go_back_to(self, position: FrameId) -> None:
        self._wants_trail = True
        self._told = Told(position)
        self._ring.close()
        self._ring = self._open_ring(None)

    # On the trail

    def _from_trail(self, timeout_s: float | None) -> Shot | Hole | None:
        self._ring.read(0)
        if not self._has_turn:
            wait_s = 0.25 if timeout_s is None else timeout_s
            if not self._turns.acquire(timeout=wait_s):
                return None
            self._has_turn = True
        trail = self._trail
        if trail is None:
            position = self._told.position
            assert position is not None
            trail = self._trail = self._open_trail(position)
        try:
            item = trail.read(timeout_s)
        except queue.Empty:
            if trail.silent_ns > SILENT_NS:
                # Nothing comes: it is all looked at, and what comes next the ring will have.
                self._go_live()
            return None
        if self._is_closed.is_set():
            return None
        if item is None:
            self._give_up()
            return None
        self._note(item)
        self._join_if_near(item)
        return item

    def _join_if_near(self, item: Shot | Hole) -> None:
        """Goes over to the ring if that has the next frame."""
        now_ns = self._clock.utc_ns()
        is_near = isinstance(item, Shot) and now_ns - item.received_ns < NEAR_NS
        if not is_near or now_ns < self._next_join_ns:
            return
        self._next_join_ns = now_ns + JOIN_EVERY_NS
        position = self._told.position
        ring = self._open_ring(position)
        first = ring.read(_JOIN_WAIT_S)
        if position is None or not isinstance(first, Shot) or first.id.epoch != position.epoch:
            # Overwritten already, or not decoded there: the trail has it.
            ring.close()
            return
        self._ring.close()
        self._ring, self._session = ring, ring.session
        self._ready.append(first)
        log.info("caught up", frame=str(first.id))
        self._leave_trail()

    def _give_up(self) -> None:
        """The trail ended early: goes on live, and what lies between is told as it is."""
        log.warning("gave up catching up", after=str(self._told.position))
        self._accepts_holes = True
        self._go_live()

    def _go_live(self) -> None:
        self._ring.close()
        self._ring = self._open_ring(self._told.position)
        self._leave_trail()

    def _note(self, item: Shot | Hole) -> None:
        self._told.add(item.id, item.count if isinstance(item, Hole) else 1)

    def _leave_trail(self) -> None:
        self._wants_trail = False
        trail, self._trail = self._trail, None
        if trail is not None:
            trail.close()
        if self._has_turn:
            self._has_turn = False
            self._turns.release()
