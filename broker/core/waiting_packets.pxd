from libc.stdint cimport int64_t, uint8_t, uint16_t

cdef struct Held:
    uint8_t* data
    Py_ssize_t size
    uint16_t sequence
    int64_t monotonic_ns

cdef enum Placed:
    PLACED_TWICE = 0
    PLACED_LAST = 1
    PLACED_BETWEEN = 2

cdef class WaitingPackets:
    cdef Held* _held
    cdef int _limit
    cdef Py_ssize_t _bytes
    cdef readonly int count
    # Since when the oldest of them waits for what stands before the first.
    cdef int64_t since_ns

    cdef Placed put(
        self, const uint8_t* packet, Py_ssize_t size, uint16_t sequence, uint16_t expected, int64_t monotonic_ns
    ) except? PLACED_TWICE
    cdef Held take(self) noexcept
    cdef bint is_due(self, uint16_t expected) noexcept
    cdef bint has_too_many(self) noexcept
    cdef void wait_anew(self) noexcept
    cdef void forget(self) noexcept
