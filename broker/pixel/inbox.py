"""The bounded queue between the event loop and one camera's decoder thread.

What overflows is dropped from the old end, whole runs of frames at a time, and told as a `Dropped` in their place.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from broker.client import WireFrame
from trueframe.v1 import frames_pb2

MAX_ITEMS = 2048
MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Dropped:
    """Frames up to `last_seq` of `epoch` that found no room."""

    epoch: int
    last_seq: int


Arrival = WireFrame | frames_pb2.Gap | frames_pb2.EpochStarted | frames_pb2.EpochEnded
Waiting = Arrival | Dropped


class Inbox:
    """A queue of one camera's items in order. `put` and `close` on one thread, `take` on another."""

    def __init__(self, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._items: deque[Waiting] = deque()
        self._bytes = 0
        self._join_points = 0
        self._changed = threading.Condition()
        self._closed = False
        self.dropped_frames = 0

    def put(self, item: Arrival) -> None:
        """Appends an item; never blocks for room."""
        with self._changed:
            self._items.append(item)
            if isinstance(item, WireFrame):
                self._bytes += item.payload_size
                self._join_points += joins(item)
            while len(self._items) > self._max_items or self._bytes > self._max_bytes:
                if not self._drop_oldest_run():
                    break
            self._changed.notify()

    def _drop_oldest_run(self) -> bool:
        """Drops the oldest frames up to the next join point, or to what is no frame."""
        dropped: WireFrame | None = None
        before: list[Waiting] = []
        while len(self._items) > 1:
            item = self._items[0]
            if not isinstance(item, WireFrame):
                if dropped is not None:
                    break
                before.append(self._items.popleft())
                continue
            if dropped is not None and joins(item):
                break
            self._forget(item)
            self._items.popleft()
            self.dropped_frames += 1
            dropped = item
        if dropped is not None:
            if before and isinstance(before[-1], Dropped) and before[-1].epoch == dropped.epoch:
                before.pop()  # the new one says it too
            self._items.appendleft(Dropped(dropped.epoch, dropped.seq))
        self._items.extendleft(reversed(before))
        return dropped is not None

    def _forget(self, item: WireFrame) -> None:
        self._bytes -= item.payload_size
        self._join_points -= joins(item)

    def take(self) -> tuple[Waiting | None, bool]:
        """Waits for the oldest item: (item, whether a join point waits behind it); (None, False) once closed."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            if self._closed:
                return None, False
            item = self._items.popleft()
            if isinstance(item, WireFrame):
                self._forget(item)
            return item, self._join_points > 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits at this moment."""
        return not self._items

    def close(self) -> None:
        """Wakes the taker for the last time; what waits is discarded."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


def joins(frame: WireFrame) -> bool:
    """Whether decoding can begin at the frame."""
    return frame.join_point in (frames_pb2.JOIN_POINT_EXACT, frames_pb2.JOIN_POINT_RECOVERS_AFTER)
