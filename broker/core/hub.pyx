"""Fan-out: every subscriber reads the cameras' rings at its own pace, and is told what it does not get.

What belongs here: positions, batches, gaps of overrun, counters. What does not: transport (`broker.service`) and the
rings themselves (`ring`). A subscriber has no queue of its own: what it has not read stays in the rings, so a slow one
costs nothing and delays nobody. For every camera of every subscriber, at any time:
captured = delivered + the sum of not_delivered + pending. For one thread only, with the GIL held.
"""

from collections import deque

from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from broker.core.ring cimport (
    KIND_FRAME, KIND_GAP, KIND_STARTED, Entry, Epoch, PacketRing, RingReader, call_all,
)


cdef enum:
    OVERRUN = 8
    BROKER_LOST = 2

MAX_BATCH_ITEMS = 16
MAX_BATCH_BYTES = 1 << 20


cdef class NotDelivered:
    """Frames of one camera that a subscriber did not get for one reason.

    `count`: minted frames; `unknown_gaps`: gaps told whose number of frames nobody knows; `unminted`: frames that got
    no id, as far as gaps told their number. Only `count` is part of the identity.
    """

    cdef readonly int64_t count
    cdef readonly int64_t unknown_gaps
    cdef readonly int64_t unminted

    def __repr__(self):
        return f"NotDelivered(count={self.count}, unknown_gaps={self.unknown_gaps}, unminted={self.unminted})"


cdef class Counters:
    """What a subscriber got of one camera since its first id: captured = delivered + sum(not_delivered) + pending.

    `not_delivered`: GapReason number → NotDelivered.
    """

    cdef readonly int64_t captured
    cdef readonly int64_t delivered
    cdef readonly int64_t pending
    cdef readonly dict not_delivered

    def __repr__(self):
        return (
            f"Counters(captured={self.captured}, delivered={self.delivered}, pending={self.pending}, "
            f"not_delivered={self.not_delivered})"
        )


cdef class _Cursor(RingReader):
    """The place of one subscriber in the ring of one camera."""

    cdef Subscriber subscriber
    cdef bint queued
    # Items to hand out before the next entry of the ring; None when there are none, which is nearly always.
    cdef list told
    cdef int64_t announced_epoch
    cdef int64_t first_ordinal
    cdef int64_t delivered
    cdef dict not_delivered
    # Last id handed out, or given as the start.
    cdef bint has_last
    cdef int64_t last_epoch
    cdef int64_t last_seq
    # Gaps evicted unread: reason → count, or -1.
    cdef dict unread_gaps

    cdef int appended(self, list to_wake) except -1:
        if not self.queued:
            self.queued = True
            self.subscriber._enqueue(self, to_wake)
        return 0

    cdef int gap_evicted(self, int reason, int64_t count) except -1:
        if self.unread_gaps is None:
            self.unread_gaps = {}
        known = self.unread_gaps.get(reason, 0)
        self.unread_gaps[reason] = -1 if known < 0 or count < 0 else known + count
        return 0

    cdef NotDelivered missed(self, int reason):
        found = self.not_delivered.get(reason)
        if found is None:
            found = self.not_delivered[reason] = NotDelivered.__new__(NotDelivered)
        return <NotDelivered> found

    cdef bint has_more(self) noexcept:
        return self.told is not None or self.next_index < self.ring.end

    cdef int settle(self) except -1:
        """Notices that the ring has overtaken this reader: tells the gap and goes on from the oldest join point."""
        cdef int64_t target, index, skipped
        cdef Entry* entry
        cdef NotDelivered missed
        if self.next_index >= self.ring.first:
            return 0
        target = self.ring.oldest_join()
        for index in range(self.ring.first, target):
            entry = self.ring.at(index)
            if entry.kind == KIND_GAP:
                self.gap_evicted(entry.reason, entry.count)
        skipped = self.ring.at(target).frames_before - self.next_ordinal
        self.next_index = target
        self.next_ordinal = self.ring.at(target).frames_before
        entry = self.ring.at(target)
        before = (entry.epoch, entry.seq) if entry.kind == KIND_FRAME else None
        if skipped > 0:
            missed = self.missed(OVERRUN)
            missed.count += skipped
            self._tell(OVERRUN, skipped, before)
        self._tell_unread(before)
        return 0

    cdef int _tell_unread(self, before) except -1:
        if self.unread_gaps is not None:
            gaps = self.unread_gaps
            self.unread_gaps = None
            for reason, count in gaps.items():
                self._count_gap(reason, count)
                self._tell(reason, count, before)
        return 0

    cdef int _count_gap(self, int reason, int64_t count) except -1:
        """A gap of frames that were never minted, or of an unknown number, is handed out."""
        cdef NotDelivered missed = self.missed(reason)
        if count < 0:
            missed.unknown_gaps += 1
        else:
            missed.unminted += count
        return 0

    cdef int _tell(self, int reason, int64_t count, before) except -1:
        from broker.core.wire import encode_item
        from trueframe.v1 import frames_pb2

        gap = frames_pb2.Gap(camera=self.ring.camera, reason=reason, noticed_ns=self.ring.newest_ns)
        if self.has_last:
            gap.after.camera = self.ring.camera
            gap.after.epoch = self.last_epoch
            gap.after.seq = self.last_seq
        if before is not None:
            gap.before.camera = self.ring.camera
            gap.before.epoch, gap.before.seq = before
        if count >= 0:
            gap.count = count
        if self.told is None:
            self.told = []
        self.told.append(encode_item(gap))
        return 0

    cdef int prepare(self) except -1:
        """Makes sure that what comes next is in `told`, or is the entry at `next_index`."""
        cdef Entry* entry
        cdef Epoch epoch
        if self.next_index < self.ring.first:
            self.settle()
        if self.told is None and self.next_index < self.ring.end:
            entry = self.ring.at(self.next_index)
            if entry.kind == KIND_FRAME and entry.epoch != self.announced_epoch:
                self.announced_epoch = entry.epoch
                epoch = self.ring.epoch(entry.epoch)
                if epoch is not None and epoch.started is not None:
                    self.told = [epoch.started]
        return 0

    cdef bytes hand_out(self):
        """The next item; `prepare` was called and there is one."""
        cdef Entry* entry
        cdef bytes item
        if self.told is not None:
            item = <bytes> self.told.pop(0)
            if not self.told:
                self.told = None
            return item
        entry = self.ring.at(self.next_index)
        self.next_index += 1
        if entry.kind == KIND_FRAME:
            self.next_ordinal += 1
            self.delivered += 1
            self.has_last = True
            self.last_epoch = entry.epoch
            self.last_seq = entry.seq
        elif entry.kind == KIND_GAP:
            self._count_gap(entry.reason, entry.count)
        elif entry.kind == KIND_STARTED:
            self.announced_epoch = entry.epoch
        return <bytes> <object> entry.item

    # ---- where to begin

    cdef int begin(self, start) except -1:
        cdef PacketRing ring = self.ring
        self.announced_epoch = -1
        self.not_delivered = {}
        if start is None:
            self._place(self._live())
        elif isinstance(start, int):
            self._place(self._at_time(start))
        else:
            if isinstance(start, tuple):
                epoch, seq = start
            else:
                if start.camera != ring.camera:
                    raise ValueError(f"a start of {start.camera!r} for {ring.camera!r}")
                epoch, seq = start.epoch, start.seq
            self.has_last = True
            self.last_epoch = epoch
            self.last_seq = seq
            return self._after(epoch, seq)
        self.first_ordinal = self.next_ordinal
        return 0

    cdef int _place(self, int64_t index) except -1:
        self.next_index = index
        self.next_ordinal = self.ring.at(index).frames_before if index < self.ring.end else self.ring.frames
        return 0

    cdef int64_t _live(self) except -1:
        """Newest join point of the running epoch; without one its oldest item; behind everything if none runs."""
        cdef PacketRing ring = self.ring
        cdef int64_t index, oldest = ring.end
        cdef Epoch newest
        if not ring.epochs:
            return ring.end
        newest = <Epoch> ring.epochs[len(ring.epochs) - 1]
        if newest.ended:
            return ring.end
        for index in range(ring.end - 1, ring.first - 1, -1):
            if ring.at(index).epoch != newest.number:
                break
            if ring.at(index).joins:
                return index
            oldest = index
        return oldest

    cdef int64_t _at_time(self, int64_t received_ns) except -1:
        cdef PacketRing ring = self.ring
        cdef int64_t index
        for index in range(ring.end - 1, ring.first - 1, -1):
            if ring.at(index).joins and ring.at(index).received_ns <= received_ns:
                return index
        return ring.oldest_join()

    cdef int _after(self, int64_t number, int64_t seq) except -1:
        cdef PacketRing ring = self.ring
        cdef Epoch epoch = ring.epoch(number)
        cdef int64_t ordinal, index
        if epoch is not None and 0 <= seq < epoch.frames:
            ordinal = epoch.first_ordinal + seq + 1
            index = ring.behind(ordinal)
            self.first_ordinal = ordinal
            self.next_ordinal = ordinal
            self.next_index = index
            if index == ring.first and ring.evicted_gap_ordinal >= ordinal:
                self.gap_evicted(ring.evicted_gap_reason, -1)
            if index < ring.end and ring.at(index).frames_before > ordinal:
                # Evicted: `settle` counts and tells it.
                self.next_index = ring.first - 1
                self.settle()
            elif self.unread_gaps is not None:
                self._tell_unread(None)
            return 0
        # An id of another broker, or of an epoch too long ago: what lies between is unknown, and so is its number.
        if not ring.epochs or number > (<Epoch> ring.epochs[len(ring.epochs) - 1]).number:
            index = ring.end
        elif epoch is not None:
            index = ring.behind(epoch.first_ordinal + epoch.frames)
        else:
            index = ring.first
            while index < ring.end and ring.at(index).epoch <= number:
                index += 1
            if index == ring.first and ring.evicted_items:
                index = ring.oldest_join()
        self._place(index)
        self.first_ordinal = self.next_ordinal
        before = None
        if index < ring.end and ring.at(index).kind == KIND_FRAME:
            before = (ring.at(index).epoch, ring.at(index).seq)
        reason = OVERRUN if ring.epochs_forgotten else BROKER_LOST
        self._count_gap(reason, -1)
        self._tell(reason, -1, before)
        return 0

    cdef Counters counters(self):
        cdef Counters result = Counters.__new__(Counters)
        self.settle()
        result.captured = self.ring.frames - self.first_ordinal
        result.delivered = self.delivered
        result.pending = self.ring.frames - self.next_ordinal
        result.not_delivered = dict(self.not_delivered)
        return result


cdef class Subscriber:
    """Reads any number of cameras of a hub, losing nothing that the rings hold.

    `wake` is called, in the thread that appends, when items come and there were none: then call `take` until it gives
    b"". Close it, or use it as a context manager: an open subscriber is known to the rings.
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
        cdef _Cursor cursor
        cdef list to_wake = []
        if self.closed:
            raise ValueError("the subscriber is closed")
        if camera in self._cursors:
            raise ValueError(f"{camera} is read already")
        cursor = _Cursor.__new__(_Cursor)
        cursor.subscriber = self
        cursor.ring = self._hub._known(camera)
        cursor.begin(start)
        self._cursors[camera] = cursor
        cursor.ring.readers.append(cursor)
        if cursor.has_more():
            cursor.queued = True
            self._enqueue(cursor, to_wake)
        call_all(to_wake)

    def remove(self, str camera not None):
        """Stops reading a camera; returns its last counters. Raises KeyError if it is not read."""
        cdef _Cursor cursor = self._cursors.pop(camera)
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
        cdef _Cursor cursor
        queue = self._queue
        while count < max_items and len(queue):
            cursor = <_Cursor> queue[0]
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
        return (<_Cursor> self._cursors[camera]).counters()

    cdef int _enqueue(self, _Cursor cursor, list to_wake) except -1:
        if len(self._queue) == 0:
            to_wake.append(self._wake)
        self._queue.append(cursor)
        return 0

    cdef int _detach(self, _Cursor cursor) except -1:
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
