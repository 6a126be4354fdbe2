"""KEYFRAMES: exact join points only, at most so many a second.

What is left out between two of them is told as one Gap for each reason, before the second: a stream of key frames
carries at most a few gaps for each. Frames that are never handed out wake nobody.
"""

from libc.stdint cimport int64_t

from broker.core.cursor cimport NOT_REQUESTED, OVERRUN, RATE_CAPPED, SUPERSEDED, Cursor
from broker.core.cursor_selective cimport SelectiveCursor
from broker.core.ring cimport KIND_FRAME, KIND_GAP, Entry, Epoch, PacketRing


cdef class KeyframesCursor(SelectiveCursor):
    """The place of a KEYFRAMES subscriber in the ring of one camera."""

    cdef bytes hand_out(self):
        cdef Entry* entry
        if self.told is None:
            entry = self.ring.at(self.next_index)
            if entry.kind == KIND_FRAME:
                self.next_exact += 1
                self.due_ns = entry.received_ns + self.interval_ns
        return SelectiveCursor.hand_out(self)

    cdef int advance(self) except -1:
        cdef PacketRing ring = self.ring
        cdef Entry* entry
        while self.next_index < ring.end:
            entry = ring.at(self.next_index)
            if entry.kind == KIND_FRAME:
                if not entry.exact:
                    self.skip(NOT_REQUESTED, 1)
                elif self.due_ns - self.interval_ns <= entry.received_ns < self.due_ns:
                    # Not before the last one: where the wall clock was set back, the cap begins anew.
                    self.skip(RATE_CAPPED, 1)
                    self.next_exact += 1
                else:
                    break
                self.next_ordinal += 1
            elif entry.kind == KIND_GAP:
                self.gap_evicted(entry.reason, entry.count)
            else:
                break
            self.next_index += 1
        return 0

    cdef int settle(self) except -1:
        cdef PacketRing ring = self.ring
        cdef int64_t evicted, exact
        if self.next_index >= ring.first:
            return 0
        evicted = ring.at(ring.first).frames_before - self.next_ordinal
        # Of frames that went before this reader began nobody knows what they were.
        exact = ring.at(ring.first).exact_before - self.next_exact if self.next_exact >= 0 else evicted
        self.place(ring.first)
        if evicted:
            self.skip(OVERRUN, exact)
            self.skip(NOT_REQUESTED, evicted - exact)
            self.run_from = ring.end
            if ring.newest_exact > self.next_index:
                self.jump(ring.newest_exact)
        return self.advance()

    cdef int supersede(self) except -1:
        if self.ring.newest_exact >= self.next_index:
            self.jump(self.ring.newest_exact)
        self.run_from = self.ring.end
        return 0

    cdef int count_jump(self, int64_t index) except -1:
        cdef int64_t frames = self.ring.at(index).frames_before - self.next_ordinal
        cdef int64_t exact = self.ring.at(index).exact_before - self.next_exact
        self.skip(SUPERSEDED, exact)
        return self.skip(NOT_REQUESTED, frames - exact)

    cdef int place(self, int64_t index) except -1:
        Cursor.place(self, index)
        self.next_exact = self.exact_before(index)
        return 0

    cdef int64_t exact_before(self, int64_t index) noexcept:
        return self.ring.at(index).exact_before if index < self.ring.end else self.ring.exact_frames

    cdef int64_t items_from(self, int64_t index) noexcept:
        return self.ring.exact_frames - self.exact_before(max(index, self.ring.first))

    cdef int64_t bytes_from(self, int64_t index) noexcept:
        cdef PacketRing ring = self.ring
        index = max(index, ring.first)
        return ring.exact_bytes - ring.at(index).exact_bytes_before if index < ring.end else 0

    cdef int64_t newest_entrance(self) noexcept:
        return self.ring.newest_exact

    # ---- where to begin

    cdef int64_t live_index(self) except -1:
        cdef PacketRing ring = self.ring
        cdef Epoch newest
        if ring.epochs and ring.newest_exact >= ring.first:
            newest = <Epoch> ring.epochs[len(ring.epochs) - 1]
            if not newest.ended and ring.at(ring.newest_exact).epoch == newest.number:
                return ring.newest_exact
        return ring.end

    cdef int64_t index_at_time(self, int64_t received_ns) except -1:
        cdef PacketRing ring = self.ring
        cdef int64_t index
        for index in range(ring.end - 1, ring.first - 1, -1):
            if ring.at(index).exact and ring.at(index).received_ns <= received_ns:
                return index
        return ring.oldest_exact()

    cdef int begin_behind(self, int64_t number, int64_t seq) except -1:
        self.next_exact = -1
        Cursor.begin_behind(self, number, seq)
        if self.next_exact < 0:
            self.next_exact = self.exact_before(self.next_index)
        return 0
