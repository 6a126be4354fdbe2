from libc.stdint cimport int64_t, uint8_t

from broker.core.inspector cimport Inspector
from broker.core.unit_info cimport UnitInfo

cdef class H265Inspector(Inspector):
    # Of the unit in hand: the NAL type of its slices, and what their SPS allows.
    cdef int _picture
    cdef int _reorder
    cdef int _most_leading
    cdef bint _has_recovery_point
    cdef int64_t _recovery
    cdef bint _exact_match
    cdef bint _broken_link

    cdef bint _read_slice(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1
    cdef bint _offer_vps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1
    cdef bint _offer_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1
    cdef bint _offer_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1
