"""Packets that came too early, in their order, until those before them come.

What belongs here: copies of packets, sorted and bounded. What does not: when it is time to wait no longer
(`depacketiser`).
"""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport int64_t, uint8_t, uint16_t
from libc.string cimport memcpy, memmove


cdef enum:
    MAX_HELD_BYTES = 4 << 20


cdef class WaitingPackets:
    """At most `limit` packets; one more may be put in, if one is taken out then."""

    def __cinit__(self, int limit):
        self._limit = limit
        self._held = <Held*> PyMem_RawCalloc(limit + 1, sizeof(Held))
        if self._held == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self._held != NULL:
            self.forget()
            PyMem_RawFree(self._held)

    cdef Placed put(
        self, const uint8_t* packet, Py_ssize_t size, uint16_t sequence, uint16_t expected, int64_t monotonic_ns
    ) except? PLACED_TWICE:
        """Copies a packet to its place; `expected`: the number that all of them wait for."""
        cdef int at = self.count
        cdef uint16_t ahead = sequence - expected
        cdef uint8_t* copy
        cdef bint is_last
        while at and <uint16_t> (self._held[at - 1].sequence - expected) > ahead:
            at -= 1
        if at and self._held[at - 1].sequence == sequence:
            return PLACED_TWICE
        copy = <uint8_t*> PyMem_RawMalloc(size)
        if copy == NULL:
            raise MemoryError
        memcpy(copy, packet, size)
        is_last = at == self.count
        if not is_last:
            memmove(self._held + at + 1, self._held + at, (self.count - at) * sizeof(Held))
        self._held[at].data = copy
        self._held[at].size = size
        self._held[at].sequence = sequence
        self._held[at].monotonic_ns = monotonic_ns
        if self.count == 0:
            self.since_ns = monotonic_ns
        self.count += 1
        self._bytes += size
        return PLACED_LAST if is_last else PLACED_BETWEEN

    cdef Held take(self) noexcept:
        """The first of them; its data are the caller's to free."""
        cdef Held first = self._held[0]
        self.count -= 1
        self._bytes -= first.size
        memmove(self._held, self._held + 1, self.count * sizeof(Held))
        return first

    cdef bint is_due(self, uint16_t expected) noexcept:
        """Whether the first is the next, or behind since a packet that could not be read took no place."""
        return self.count > 0 and <uint16_t> (self._held[0].sequence - expected - 1) >= 0x7FFF

    cdef bint has_too_many(self) noexcept:
        return self.count > self._limit or self._bytes > MAX_HELD_BYTES

    cdef void wait_anew(self) noexcept:
        """Those that are left wait for another one from now on: since the first of them came."""
        cdef int i
        for i in range(self.count):
            if i == 0 or self._held[i].monotonic_ns < self.since_ns:
                self.since_ns = self._held[i].monotonic_ns

    cdef void forget(self) noexcept:
        cdef int i
        for i in range(self.count):
            PyMem_RawFree(self._held[i].data)
        self.count = 0
        self._bytes = 0
