"""What the deliveries that leave frames out have in common: limits, being behind, and gaps that are told in good time.

What belongs here: when a reader has fallen behind, and when it is told what it did not get. What does not: which frames
a delivery hands out (`cursor_latest`, `cursor_keyframes`), how many cameras share a limit with which subscriber (`hub`).

Rules are applied when something is appended, never when somebody looks: what a reader gets depends on what came and
what it took, not on who asked for counters meanwhile.
"""

from libc.stdint cimport int64_t

from broker.core.cursor cimport REASONS, Cursor
from broker.core.ring cimport KIND_FRAME, KIND_GAP, Entry, PacketRing


# Gaps of one reason are told together, before the next item that is handed out; but at the latest after this.
cdef int64_t _TELL_WITHIN_NS = 10_000_000_000

TELL_WITHIN_NS = _TELL_WITHIN_NS


cdef class Limits:
    """What may wait for one subscriber: `max_items` of each camera, `max_bytes` of all together; 0 is no limit.

    `behind_ns`: a reader whose oldest waiting frame is so much older than the camera's newest is behind.
    """

    def __cinit__(self, int64_t max_items, int64_t max_bytes, int64_t behind_ns):
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.behind_ns = behind_ns
        self.cursors = []

    cdef int relieve(self) except -1:
        """Too many bytes wait: whoever has most waiting is superseded, until it fits."""
        cdef SelectiveCursor cursor, most
        for one in self.cursors:
            # What was evicted meanwhile, for the sake of other rings, waits no longer.
            cursor = <SelectiveCursor> one
            cursor.settle()
            cursor.reckon()
        while self.waiting_bytes > self.max_bytes:
            most = None
            for one in self.cursors:
                cursor = <SelectiveCursor> one
                if most is None or cursor.waiting_bytes > most.waiting_bytes:
                    most = cursor
            if most is None or most.waiting_bytes <= 0:
                break
            most.supersede()
            most.reckon()
        return 0


cdef class SelectiveCursor(Cursor):
    """A reader that may leave frames out. Never used by itself."""

    # ---- called by the ring

    cdef int appended(self, list to_wake) except -1:
        cdef PacketRing ring = self.ring
        self.settle()
        if self.next_index < ring.end - 1 and self.is_behind(self.newest_entrance()):
            self.supersede()
        self.advance()
        if self.has_untold and ring.newest_ns - self.untold_since_ns >= _TELL_WITHIN_NS:
            self.tell_untold(None)
        self.reckon()
        if self.limits.max_bytes and self.limits.waiting_bytes > self.limits.max_bytes:
            self.limits.relieve()
        if not self.queued and self.has_more():
            self.enqueue(to_wake)
        return 0

    cdef int gap_evicted(self, int reason, int64_t count) except -1:
        self.owe_word()
        return Cursor.gap_evicted(self, reason, count)

    # ---- called by the subscriber

    cdef int prepare(self) except -1:
        cdef Entry* entry
        self.settle()
        self.advance()
        if self.has_untold and self.told is None and self.next_index < self.ring.end:
            entry = self.ring.at(self.next_index)
            self.tell_untold((entry.epoch, entry.seq) if entry.kind == KIND_FRAME else None)
        return self.announce()

    cdef bytes hand_out(self):
        cdef bytes item = self.pass_on()
        self.advance()
        self.reckon()
        return item

    cdef int64_t pending_bytes(self) except -1:
        self.settle()
        return self.bytes_from(self.next_index)

    cdef int leave(self) except -1:
        self.limits.cursors.remove(self)
        self.limits.waiting_bytes -= self.waiting_bytes
        return Cursor.leave(self)

    cdef int begin(self, start) except -1:
        cdef PacketRing ring = self.ring
        self.unbegun = -1
        Cursor.begin(self, start)
        # Who resumes behind an id asks for what is newest; who names a time asks for what was then.
        if start is not None and not isinstance(start, int):
            if self.next_index < ring.end and self.is_behind(self.newest_entrance()):
                self.supersede()
        else:
            self.run_from = ring.end
        self.advance()
        self.limits.cursors.append(self)
        self.reckon()
        return 0

    # ---- inside

    cdef int skip(self, int reason, int64_t count) except -1:
        """Frames are not delivered: counted now, told before the next item."""
        if count:
            self.owe_word()
            self.left_out[reason] += count
            self.untold[reason] += count
        return 0

    cdef int owe_word(self) noexcept:
        if not self.has_untold:
            self.has_untold = True
            self.untold_since_ns = self.ring.newest_ns
        return 0

    cdef int tell_untold(self, before) except -1:
        cdef int reason
        for reason in range(REASONS):
            if self.untold[reason]:
                self.tell(reason, self.untold[reason], before)
                self.untold[reason] = 0
        self.has_untold = False
        return self.tell_unread(before)

    cdef int reckon(self) except -1:
        """Brings its share of the subscriber's waiting bytes up to date."""
        cdef int64_t now = self.bytes_from(max(self.next_index, self.run_from))
        self.limits.waiting_bytes += now - self.waiting_bytes
        self.waiting_bytes = now
        return 0

    cdef bint is_behind(self, int64_t newest) noexcept:
        """Whether more waits than may; or what waits is old, and at `newest` something newer can be begun with."""
        cdef PacketRing ring = self.ring
        cdef int64_t waiting_from = max(self.next_index, self.run_from, ring.first)
        if waiting_from >= ring.end:
            return False
        if self.limits.max_items and self.items_from(waiting_from) > self.limits.max_items:
            return True
        if newest <= self.next_index or newest < self.run_from:
            return False
        if self.unbegun == self.next_index:
            # It fell behind before, and has not gone on yet: nothing speaks for where it would have.
            return True
        return ring.newest_monotonic_ns - ring.at(waiting_from).monotonic_ns > self.limits.behind_ns

    cdef int jump(self, int64_t index) except -1:
        """Goes on at an entry further on; gaps on the way are told with what is left out."""
        cdef int64_t passed
        cdef Entry* entry
        for passed in range(self.next_index, index):
            entry = self.ring.at(passed)
            if entry.kind == KIND_GAP:
                self.gap_evicted(entry.reason, entry.count)
        self.count_jump(index)
        self.unbegun = index
        return self.place(index)

    # ---- by each delivery

    cdef int advance(self) except -1:
        return 0

    cdef int64_t items_from(self, int64_t index) noexcept:
        return 0

    cdef int64_t bytes_from(self, int64_t index) noexcept:
        return 0

    cdef int64_t newest_entrance(self) noexcept:
        return -1

    cdef int supersede(self) except -1:
        return 0

    cdef int count_jump(self, int64_t index) except -1:
        return 0
