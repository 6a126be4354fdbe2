"""Fan-out: every subscriber reads the cameras' rings at its own pace, and is told what it does not get.

What belongs here: batches, the turns of cameras, waking. What does not: transport (`broker.service`), places in rings
(`cursor`), the rings themselves (`ring`). A subscriber has no queue of items: what it has not read stays in the rings,
so a slow one costs nothing and delays nobody. For every camera of every subscriber, at any time:
captured = delivered + the sum of not_delivered + pending. For one thread only, with the GIL held.
"""

from collections import deque

from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from broker.core.cursor cimport Cursor
from broker.core.ring cimport PacketRing, call_all

from broker.core.cursor import Counters, NotDelivered


MAX_BATCH_ITEMS = 16
MAX_BATCH_BYTES = 1 << 20


cdef class Subscriber:
    """Reads any number of cameras of a hub, losing nothing that the rings hold.

    `wake` is called, in the thread that appends, when items come and there were none: then call `take` until it gives
    b"". Close it, or use it as a context manager.
    """

    cdef Hub _hub
    cdef object _wake
    cdef dict _cursors
    cdef object _queue
    cdef readonly bint closed
    cdef readonly int64_t delivered_bytes
    cdef readonly int64_t delivered_batches

    def __cinit__(self, Hub hub not None, wake not None):
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
        cursor = Cursor.__new__(Cursor)
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
        self.delivered_bytes += size
        self.delivered_batches += 1
        return parts[0] if count == 1 else b"".join(parts)

    def counters(self, str camera not None):
        """Counters of one camera since it was added. Raises KeyError if it is not read."""
        return (<Cursor> self._cursors[camera]).counters()

    cdef int _detach(self, Cursor cursor) except -1:
        cursor.ring.readers.remove(cursor)
        if cursor.queued:
            self._queue.remove(cursor)
            cursor.queued = False
        cursor.told = None
        return 0


cdef class Hub:
    """The rings of all cameras of a broker. `max_bytes`, `max_ns`, `max_items` bound each ring."""

    cdef dict _rings
    cdef Py_ssize_t _max_bytes
    cdef int64_t _max_ns
    cdef Py_ssize_t _max_items
    cdef int64_t _subscribers

    def __cinit__(
        self, Py_ssize_t max_bytes=32 << 20, int64_t max_ns=30_000_000_000, Py_ssize_t max_items=1 << 17
    ):
        self._rings = {}
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

    def ring(self, str camera not None):
        """The ring of a camera, made if there is none."""
        found = self._rings.get(camera)
        if found is None:
            found = self._rings[camera] = PacketRing(camera, self._max_bytes, self._max_ns, self._max_items)
        return found

    def drop(self, str camera not None):
        """Forgets a camera. Subscribers that read it keep what its ring holds until they remove it."""
        del self._rings[camera]

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
        call_all(ring.take_frame(epoch, seq, received_ns, monotonic_ns, join_point, damaged, item))

    def append_item(self, str camera not None, item):
        """Gives a gap or the begin or end of an epoch to all subscribers of its camera; see PacketRing.append_item."""
        self._known(camera).append_item(item)

    cdef PacketRing _known(self, str camera):
        found = self._rings.get(camera)
        if found is None:
            raise KeyError(camera)
        return <PacketRing> found
