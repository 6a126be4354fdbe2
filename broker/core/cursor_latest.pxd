from libc.stdint cimport int64_t

from broker.core.cursor_selective cimport SelectiveCursor

cdef class LatestCursor(SelectiveCursor):
    # The newest frame of the run that is being handed out; the next one may only be its successor, or a join point.
    cdef int64_t run_epoch
    cdef int64_t run_seq
    # Why frames are left out until the next join point.
    cdef int waits_because

    cdef int break_run(self, int reason) except -1
