from libc.stdint cimport uint8_t, uint32_t, uint64_t

from broker.core.depacketiser cimport Depacketiser

cdef class H265Depacketiser(Depacketiser):
    # An access unit delimiter was seen: then every unit begins with one.
    cdef bint _is_delimited
    # By number, a bit each: the sets that the stream has shown.
    cdef uint32_t _vps_shown
    cdef uint32_t _sps_shown
    cdef uint64_t _pps_shown

    cdef int _begin_nal(self, const uint8_t* header, const uint8_t* body, Py_ssize_t size) except -1
    cdef int _note_set(self, int kind, const uint8_t* nal, Py_ssize_t size) noexcept
    cdef int _take_aggregate(self, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int _take_fragment(self, const uint8_t* payload, Py_ssize_t size) except -1
