from libc.stdint cimport int64_t

from broker.core.cursor cimport REASONS, Cursor

cdef class Limits:
    cdef readonly int64_t max_items
    cdef readonly int64_t max_bytes
    cdef readonly int64_t behind_ns
    # Of all cursors of the subscriber, as each last reckoned.
    cdef readonly int64_t waiting_bytes
    cdef list cursors

    cdef int relieve(self) except -1

cdef class SelectiveCursor(Cursor):
    cdef Limits limits
    cdef int64_t untold[REASONS]
    cdef bint has_untold
    cdef int64_t untold_since_ns
    # Index behind what was there when the present run began: that was wanted, and does not count as waiting.
    cdef int64_t run_from
    # Index of the entry at which a reader that fell behind will go on, as long as it has not; -1 otherwise.
    cdef int64_t unbegun
    cdef int64_t waiting_bytes

    cdef int skip(self, int reason, int64_t count) except -1
    cdef int owe_word(self) noexcept
    cdef int tell_untold(self, before) except -1
    cdef int reckon(self) except -1
    cdef int jump(self, int64_t index) except -1
    cdef bint is_behind(self, int64_t newest) noexcept
    # By each delivery: passes what it never hands out; what waits, counted from an index on; gives up what waits.
    cdef int advance(self) except -1
    cdef int64_t items_from(self, int64_t index) noexcept
    cdef int64_t bytes_from(self, int64_t index) noexcept
    cdef int64_t newest_entrance(self) noexcept
    cdef int supersede(self) except -1
    cdef int count_jump(self, int64_t index) except -1
