from libc.stdint cimport uint8_t

from broker.core.inspector cimport Inspector
from broker.core.unit_info cimport UnitInfo

cdef class H264Inspector(Inspector):
    # Pictures in a row that no other refers to, and the most there ever were.
    cdef int _non_reference_run
    cdef int _longest_run
    # Of the unit in hand.
    cdef int _intra_slices
    cdef bint _is_reference
    cdef bint _may_reorder
    cdef int _recovery
    cdef bint _exact_match
    cdef bint _broken_link

    cdef bint _read_slice(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1
    cdef bint _offer_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1
    cdef bint _offer_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1
