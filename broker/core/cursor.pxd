from libc.stdint cimport int64_t

from broker.core.ring cimport RingReader

cdef class NotDelivered:
    cdef readonly int64_t count
    cdef readonly int64_t unknown_gaps
    cdef readonly int64_t unminted

cdef class Counters:
    cdef readonly int64_t captured
    cdef readonly int64_t delivered
    cdef readonly int64_t pending
    cdef readonly dict not_delivered

cdef class Cursor(RingReader):
    # The queue of the subscriber, a deque of cursors that have something, and how to wake it. Not the subscriber
    # itself: one that is forgotten unclosed must be able to go.
    cdef object queue
    cdef object wake
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
    # Gaps evicted unread: reason -> count, or -1.
    cdef dict unread_gaps

    cdef int begin(self, start) except -1
    cdef int enqueue(self, list to_wake) except -1
    cdef bint has_more(self) noexcept
    cdef int prepare(self) except -1
    cdef bytes hand_out(self)
    cdef Counters counters(self)
    cdef int settle(self) except -1
    cdef NotDelivered missed(self, int reason)
    cdef int _tell_unread(self, before) except -1
    cdef int _count_gap(self, int reason, int64_t count) except -1
    cdef int _tell(self, int reason, int64_t count, before) except -1
    cdef int _place(self, int64_t index) except -1
    cdef int64_t _live(self) except -1
    cdef int64_t _at_time(self, int64_t received_ns) except -1
    cdef int _after(self, int64_t number, int64_t seq) except -1
