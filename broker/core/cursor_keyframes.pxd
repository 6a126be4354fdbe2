from libc.stdint cimport int64_t

from broker.core.cursor_selective cimport SelectiveCursor

cdef class KeyframesCursor(SelectiveCursor):
    # Least time between two frames, 0 for none; and when the next one may come, by the broker's UTC.
    cdef int64_t interval_ns
    cdef int64_t due_ns
    # Exact join points before the next one, over all epochs; -1 where the ring does not know any more.
    cdef int64_t next_exact

    cdef int64_t exact_before(self, int64_t index) noexcept
