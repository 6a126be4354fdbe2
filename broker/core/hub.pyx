"""Fan-out: every subscriber reads the cameras' rings at its own pace, and is told what it does not get.

What belongs here: batches, the turns of cameras, waking, the memory that all rings share. What does not: transport
(`broker.service`), places in rings (`cursor` and the deliveries beside it), the rings themselves (`ring`). A subscriber
has no queue of items: what it has not read stays in the rings, so a slow one costs nothing and delays nobody. For every
camera of every subscriber, at any time: captured = delivered + the sum of not_delivered + pending. For one thread only,
with the GIL held. The interface that the rest of the broker uses stands in `broker.fanout`.
"""

from math import isfinite

from collections import deque

from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from broker.core.cursor cimport Cursor
from broker.core.cursor_keyframes cimport KeyframesCursor
from broker.core.cursor_latest cimport LatestCursor
from broker.core.cursor_selective cimport Limits, SelectiveCursor
from broker.core.ring cimport Account, PacketRing, call_all

from broker.core.cursor import Counters, NotDelivered


MAX_BATCH_ITEMS = 16
MAX_BATCH_BYTES = 1 << 20

# As trueframe.v1.Delivery numbers them.
LOSSLESS = 1
LATEST = 2
KEYFRAMES = 3

# A reader that leaves frames out is behind when what waits for it is so much older than the newest frame.
BEHIND_NS = 250_000_000


cdef class Subscriber:
    """Reads any number of cameras of a hub.

    `wake` is called, in the thread that appends, when items come and there were none: then call `take` until it gives
    b"". Close it, or use it as a context manager.

    `delivery`: LOSSLESS loses nothing that the rings hold. LATEST goes on at the newest join point when more than
    `max_pending_items` of a camera or `max_pending_bytes` of all wait (0: no limit), or when what waits is older than
    BEHIND_NS and a newer join point is there. KEYFRAMES hands out exact join points only, of each camera at most
    `max_rate` a second by their `received_ns` (0: all), and goes on at the newest one likewise. What was there when a
    run began does not count as waiting. Raises ValueError for anything else.
    """

    cdef Hub _hub
    cdef object _wake
    cdef dict _cursors
    cdef object _queue
    cdef Limits _limits
    cdef int64_t _interval_ns
    cdef readonly int delivery
    cdef readonly bint closed
    cdef readonly int64_t delivered_items
    cdef readonly int64_t delivered_bytes
    cdef readonly int64_t delivered_batches

    def __cinit__(
        self,
        Hub hub not None,
        wake not None,
        int delivery=1,
        double max_rate=0.0,
        int64_t max_pending_items=0,
        int64_t max_pending_bytes=0,
    ):
        # Closed until it is whole: a subscriber that is refused was never open.
        self.closed = True
        if delivery not in (LOSSLESS, LATEST, KEYFRAMES):
            raise ValueError(f"there is no delivery {delivery}")
        if not isfinite(max_rate) or max_rate < 0 or (max_rate > 0 and delivery != KEYFRAMES):
            raise ValueError("a rate cap is a positive number, and only for KEYFRAMES")
        if max_pending_items < 0 or max_pending_bytes < 0:
            raise ValueError("limits are not negative")
        self.closed = False
        self.delivery = delivery
        # A cap below one frame in three years is one frame in three years.
        self._interval_ns = <int64_t> min(1e9 / max_rate, 1e17) if max_rate > 0 else 0
        self._limits = Limits(max_pending_items, max_pending_bytes, BEHIND_NS)
        self._hub = hub
        self._wake = wake
        self._cursors = {}
        self._queue = deque()
        hub._subscribers += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    @property
    def cameras(self):
        """Cameras that are read, in the order they were added."""
        return list(self._cursors)

    @property
    def ready(self):
        """Whether `take` would give something now."""
        return len(self._queue) > 0

    def add(self, str camera not None, start=None):
        """Begins to read a camera. What is there already can be taken at once (and `wake` is called for it).

        `start`: None (live: newest join point on); a FrameId or (epoch, seq): behind that id; an int: newest join point
        received at or before that UTC time in ns. Raises KeyError for an unknown camera, ValueError if it is read
        already.
        """
        cdef Cursor cursor
        cdef list to_wake = []
        if self.closed:
            raise ValueError("the subscriber is closed")
        if camera in self._cursors:
            raise ValueError(f"{camera} is read already")
        cursor = self._new_cursor()
        cursor.queue = self._queue
        cursor.wake = self._wake
        cursor.ring = self._hub._known(camera)
        cursor.begin(start)
        self._cursors[camera] = cursor
        cursor.ring.readers.append(cursor)
        if cursor.has_more():
            cursor.enqueue(to_wake)
        call_all(to_wake)

    def remove(self, str camera not None):
        """Stops reading a camera; returns its last counters. Raises KeyError if it is not read."""
        cdef Cursor cursor = self._cursors.pop(camera)
        counters = cursor.counters()
        self._detach(cursor)
        return counters

    @property
    def pending_bytes(self):
        """Bytes that wait in the rings, of all cameras."""
        cdef int64_t total = 0
        for cursor in self._cursors.values():
            total += (<Cursor> cursor).pending_bytes()
        return total

    def close(self):
        """Stops reading everything."""
        if self.closed:
            return
        self.closed = True
        for cursor in self._cursors.values():
            self._detach(cursor)
        self._cursors.clear()
        self._wake = None
        self._hub._subscribers -= 1

    def take(self, Py_ssize_t max_items=16, Py_ssize_t max_bytes=1 << 20):
        """The next items of all cameras as one encoded FrameBatch; b"" when there is nothing.

        At most `max_items` and `max_bytes`, but always one item if there is one. Cameras take turns item by item, so
        that one with a backlog does not hold the others up.
        """
        cdef list parts = []
        cdef Py_ssize_t size = 0, following, count = 0
        cdef Cursor cursor
        queue = self._queue
        while count < max_items and len(queue):
            cursor = <Cursor> queue[0]
            cursor.prepare()
            if not cursor.has_more():
                queue.popleft()
                cursor.queued = False
                continue
            if cursor.told is not None:
                following = PyBytes_GET_SIZE(<bytes> cursor.told[0])
            else:
                following = cursor.ring.at(cursor.next_index).size
            if count and size + following > max_bytes:
                break
            parts.append(cursor.hand_out())
            size += following
            count += 1
            queue.popleft()
            if cursor.has_more():
                queue.append(cursor)
            else:
                cursor.queued = False
        if count == 0:
            return b""
        self.delivered_items += count
        self.delivered_bytes += size
        self.delivered_batches += 1
        return parts[0] if count == 1 else b"".join(parts)

    def counters(self, str camera not None):
        """Counters of one camera since it was added. Raises KeyError if it is not read."""
        return (<Cursor> self._cursors[camera]).counters()

    cdef Cursor _new_cursor(self):
        cdef KeyframesCursor keyframes
        cdef SelectiveCursor selective
        if self.delivery == LOSSLESS:
            return Cursor.__new__(Cursor)
        if self.delivery == LATEST:
            selective = LatestCursor.__new__(LatestCursor)
        else:
            keyframes = KeyframesCursor.__new__(KeyframesCursor)
            keyframes.interval_ns = self._interval_ns
            selective = keyframes
        selective.limits = self._limits
        return selective

    cdef int _detach(self, Cursor cursor) except -1:
        cursor.ring.readers.remove(cursor)
        if cursor.queued:
            self._queue.remove(cursor)
            cursor.queued = False
        cursor.leave()
        self._hub._left(cursor.ring)
        return 0


cdef class Hub:
    """The rings of all cameras of a broker. `max_bytes`, `max_ns`, `max_items` bound each ring.

    `budget_bytes` bounds all of them together (0: nothing more). Above it the ring that holds most gives its oldest
    group of pictures, one that is beyond its fair share and has a whole one first; every ring keeps its newest item.
    `item_cost`: what the budget counts for each item beside its bytes.
    """

    cdef dict _rings
    # Rings of cameras that were dropped and are still read: their bytes count.
    cdef list _dropped
    cdef Account _account
    cdef readonly int64_t budget_bytes
    cdef Py_ssize_t _max_bytes
    cdef int64_t _max_ns
    cdef Py_ssize_t _max_items
    cdef int64_t _subscribers

    def __cinit__(
        self,
        Py_ssize_t max_bytes=32 << 20,
        int64_t max_ns=30_000_000_000,
        Py_ssize_t max_items=1 << 17,
        int64_t budget_bytes=0,
        int64_t item_cost=0,
    ):
        if budget_bytes < 0 or item_cost < 0:
            raise ValueError("a budget is not negative, nor is what an item costs")
        self._rings = {}
        self._dropped = []
        self._account = Account()
        self._account.item_cost = item_cost
        self.budget_bytes = budget_bytes
        self._max_bytes = max_bytes
        self._max_ns = max_ns
        self._max_items = max_items

    @property
    def cameras(self):
        """Cameras that have a ring, in the order they came."""
        return list(self._rings)

    @property
    def subscribers(self):
        """How many subscribers are open."""
        return self._subscribers

    @property
    def used_bytes(self):
        """What all rings take of the budget, those of dropped cameras that are still read included."""
        return self._account.used_bytes

    def ring(self, str camera not None):
        """The ring of a camera, made if there is none."""
        cdef PacketRing ring
        found = self._rings.get(camera)
        if found is None:
            ring = PacketRing(camera, self._max_bytes, self._max_ns, self._max_items)
            ring.account = self._account
            found = self._rings[camera] = ring
        return found

    def drop(self, str camera not None):
        """Forgets a camera. Subscribers that read it keep what its ring holds until they remove it."""
        cdef PacketRing ring = <PacketRing> self._rings.pop(camera)
        if ring.readers:
            self._dropped.append(ring)
        else:
            ring.leave_account()

    def subscriber(
        self,
        wake not None,
        int delivery=1,
        double max_rate=0.0,
        int64_t max_pending_items=0,
        int64_t max_pending_bytes=0,
    ):
        """A new Subscriber of this hub."""
        return Subscriber(self, wake, delivery, max_rate, max_pending_items, max_pending_bytes)

    def append_frame(
        self,
        str camera not None,
        int64_t epoch,
        int64_t seq,
        int64_t received_ns,
        int64_t monotonic_ns,
        int join_point,
        bint damaged,
        bytes item not None,
    ):
        """Gives a frame, encoded by `wire.encode_frame`, to all subscribers of its camera."""
        cdef PacketRing ring = self._known(camera)
        cdef list to_wake = ring.take_frame(epoch, seq, received_ns, monotonic_ns, join_point, damaged, item)
        if self.budget_bytes and self._account.used_bytes > self.budget_bytes:
            self._make_room()
        call_all(to_wake)

    def append_item(self, str camera not None, item):
        """Gives a gap or the begin or end of an epoch to all subscribers of its camera; see PacketRing.append_item."""
        self._known(camera).append_item(item)
        if self.budget_bytes and self._account.used_bytes > self.budget_bytes:
            self._make_room()

    cdef int _make_room(self) except -1:
        """Rings give their oldest groups of pictures until all of them fit the budget again."""
        cdef PacketRing ring, generous, fullest
        cdef int64_t share
        rings = [*self._rings.values(), *self._dropped]
        share = self.budget_bytes // len(rings)
        while self._account.used_bytes > self.budget_bytes:
            generous = fullest = None
            for one in rings:
                ring = <PacketRing> one
                if ring.end - ring.first < 2:
                    continue
                if fullest is None or ring.cost() > fullest.cost():
                    fullest = ring
                # It has a whole group to give: decoding can begin behind it.
                if ring.cost() > share and ring.newest_join > ring.first:
                    if generous is None or ring.cost() > generous.cost():
                        generous = ring
            if fullest is None:
                break
            (generous if generous is not None else fullest).evict_group()
        return 0

    cdef int _left(self, PacketRing ring) except -1:
        """A subscriber reads a ring no more; the last one lets a dropped ring go."""
        if self._dropped and not ring.readers and ring in self._dropped:
            self._dropped.remove(ring)
            ring.leave_account()
        return 0

    cdef PacketRing _known(self, str camera):
        found = self._rings.get(camera)
        if found is None:
            raise KeyError(camera)
        return <PacketRing> found
