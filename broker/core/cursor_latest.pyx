"""LATEST: what is newest, in runs that decode.

A run begins at a join point and goes on frame by frame; whatever is left out, the next frame handed out is a join point
again. So no frame is handed out whose references were left out. A join point that only RECOVERS_AFTER some frames
begins a run as well: the frame says so itself, as it does where a live stream begins at one.
"""

from libc.stdint cimport int64_t

from broker.core.cursor cimport NOT_REQUESTED, OVERRUN, SUPERSEDED, Cursor
from broker.core.cursor_selective cimport SelectiveCursor
from broker.core.ring cimport KIND_FRAME, Entry, PacketRing


cdef class LatestCursor(SelectiveCursor):
    """The place of a LATEST subscriber in the ring of one camera."""

    cdef int begin(self, start) except -1:
        # An epoch that does not begin with a join point: nothing there can be decoded by itself.
        self.break_run(NOT_REQUESTED)
        return SelectiveCursor.begin(self, start)

    cdef int begin_behind(self, int64_t number, int64_t seq) except -1:
        self.run_epoch, self.run_seq = number, seq
        return Cursor.begin_behind(self, number, seq)

    cdef bytes hand_out(self):
        cdef Entry* entry
        if self.told is None:
            entry = self.ring.at(self.next_index)
            if entry.kind == KIND_FRAME:
                self.run_epoch, self.run_seq = entry.epoch, entry.seq
                self.waits_because = NOT_REQUESTED
        return SelectiveCursor.hand_out(self)

    cdef int break_run(self, int reason) except -1:
        self.run_epoch = self.run_seq = -2
        self.waits_because = reason
        return 0

    cdef int advance(self) except -1:
        cdef PacketRing ring = self.ring
        cdef Entry* entry
        while self.next_index < ring.end:
            entry = ring.at(self.next_index)
            if entry.kind != KIND_FRAME or entry.joins:
                break
            if entry.epoch == self.run_epoch and entry.seq == self.run_seq + 1:
                break
            self.skip(self.waits_because, 1)
            self.next_index += 1
            self.next_ordinal += 1
        return 0

    cdef int settle(self) except -1:
        cdef PacketRing ring = self.ring
        cdef int64_t evicted
        if self.next_index >= ring.first:
            return 0
        evicted = ring.at(ring.first).frames_before - self.next_ordinal
        self.place(ring.first)
        if evicted:
            self.skip(OVERRUN, evicted)
            self.break_run(OVERRUN)
            self.run_from = ring.end
            if ring.newest_join > self.next_index:
                self.jump(ring.newest_join)
        return self.advance()

    cdef int supersede(self) except -1:
        cdef PacketRing ring = self.ring
        if ring.newest_join >= self.next_index:
            self.jump(ring.newest_join)
        else:
            # There is nothing newer to begin with: what waits goes, and so does what comes until there is.
            self.break_run(SUPERSEDED)
            self.advance()
        self.run_from = ring.end
        return 0

    cdef int count_jump(self, int64_t index) except -1:
        return self.skip(SUPERSEDED, self.ring.at(index).frames_before - self.next_ordinal)

    cdef int64_t items_from(self, int64_t index) noexcept:
        return self.ring.end - max(index, self.ring.first)

    cdef int64_t bytes_from(self, int64_t index) noexcept:
        cdef PacketRing ring = self.ring
        index = max(index, ring.first)
        return ring.taken_bytes - ring.at(index).bytes_before if index < ring.end else 0

    cdef int64_t newest_entrance(self) noexcept:
        return self.ring.newest_join
