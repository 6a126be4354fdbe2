"""A camera's pictures without a hole: live out of the pixel host's memory, and what that missed out of its trail.

A source that is to begin behind a given frame, or whose pixel host was gone for a while, first follows the trail,
faster than frames come, and goes over to the ring at the frame where the two meet: every frame once, none twice, in
between no seam. While no pixel host answers it stays on the trail.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from detector_pool.picture import Hole, Shot
from detector_pool.reasons import NoScore
from detector_pool.told import Told
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited

log = get_logger("detector_pool.live")

SECOND = 1_000_000_000
SILENT_NS = 3 * SECOND
# Pictures of the ring that the trail has not come to yet; as many as that is behind at most when the two meet.
MAX_AHEAD = 8
_LOST = (NoScore.NO_PIXELS, NoScore.OVERRUN)


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
    ) -> None:
        self._open_ring = open_ring
        self._open_trail = open_trail
        self._turns = turns
        self._told = Told(after)
        self._trail: Follows | None = None
        self._has_turn = False
        self._wants_trail = after is not None
        self._accepts_holes = False
        self._ready: deque[Shot | Hole] = deque()
        self._is_closed = threading.Event()
        # Read while on the trail too: so long as there is a reader the pixel host decodes the camera.
        self._ring = open_ring(None)
        self._ahead: deque[Shot | Hole] = deque(maxlen=MAX_AHEAD)
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
        item = self._ready.popleft() if self._ready else self._ring.read(timeout_s)
        if item is None or self._was_told(item):
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
        self._ready.clear()
        self._ahead.clear()
        self._ring.close()
        self._ring = self._open_ring(None)

    # On the trail

    def _from_trail(self, timeout_s: float | None) -> Shot | Hole | None:
        self._look_ahead()
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
        self._join_if_met()
        return item

    def _look_ahead(self) -> None:
        for _ in range(MAX_AHEAD):
            try:
                item = self._ring.read(0)
            except TrueframeError as error:
                # The trail does without a ring: one that has no memory for this camera, say, may have some later.
                if rate_limited(f"ring {self._told.position}", 30.0):
                    log.warning("no ring to go over to", reason=str(error))
                return
            if item is None:
                return
            self._ahead.append(_kept(item))

    def _join_if_met(self) -> None:
        """Goes over to the ring once the trail has told a picture that the ring gave too.

        Both give pictures in the same order: what the ring gave behind that one is all that follows.
        """
        self._look_ahead()
        ahead = list(self._ahead)
        met = [at for at, item in enumerate(ahead) if isinstance(item, Shot) and self._told.has(item.id)]
        if not met:
            return
        following = [item for item in ahead[met[-1] + 1 :] if not self._was_told(item)]
        if any(isinstance(item, Hole) and item.reason in _LOST for item in following):
            return
        self._ready, self._session = deque(following), self._ring.session
        self._ahead.clear()
        log.info("caught up", frame=str(ahead[met[-1]].id))
        self._leave_trail()

    def _was_told(self, item: Shot | Hole) -> bool:
        count = item.count if isinstance(item, Hole) else 1
        return self._told.has(item.id) and self._told.has(replace(item.id, seq=item.id.seq + count - 1))

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
        had_turn, self._has_turn = self._has_turn, False
        if trail is not None or had_turn:
            # A decoder and two connections end: not while pictures wait to be looked at.
            threading.Thread(target=self._end, args=(trail, had_turn), name="trail's end", daemon=True).start()

    def _end(self, trail: Follows | None, had_turn: bool) -> None:
        try:
            if trail is not None:
                trail.close()
        finally:
            if had_turn:
                self._turns.release()


def _kept(item: Shot | Hole) -> Shot | Hole:
    """The item with a picture of its own: in the ring it is held only until the next one is read."""
    if isinstance(item, Hole):
        return item
    y, u, v = (None if plane is None else plane.copy() for plane in (item.y, item.u, item.v))
    assert y is not None
    if not item.still_valid():
        return Hole(item.id, 1, NoScore.OVERRUN, item.received_ns)
    return Shot(item.id, item.received_ns, y, u=u, v=v, full_range=item.full_range, bt709=item.bt709)
