from libc.stdint cimport int64_t

from broker.core.ring cimport PacketRing, RingReader

cdef enum:
    BROKER_LOST = 2
    NOT_REQUESTED = 5
    RATE_CAPPED = 6
    SUPERSEDED = 7
    OVERRUN = 8
    # Reasons are counted in arrays; a number that this broker does not know counts as 0, unspecified.
    REASONS = 16

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
    # By reason: minted frames that were not delivered; gaps of unknown number; frames that got no id.
    cdef int64_t left_out[REASONS]
    cdef int64_t unknown_gaps[REASONS]
    cdef int64_t unminted[REASONS]
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
    cdef int64_t pending_bytes(self) except -1
    cdef int settle(self) except -1
    cdef int leave(self) except -1
    cdef int announce(self) except -1
    cdef bytes pass_on(self)
    cdef int tell(self, int reason, int64_t count, before) except -1
    cdef int tell_unread(self, before) except -1
    cdef int count_gap(self, int reason, int64_t count) except -1
    cdef int place(self, int64_t index) except -1
    cdef int64_t live_index(self) except -1
    cdef int64_t index_at_time(self, int64_t received_ns) except -1
    cdef int begin_behind(self, int64_t number, int64_t seq) except -1
