from libc.stdint cimport uint8_t

from broker.core.parameter_sets cimport ParameterSets
from broker.core.unit_info cimport UnitInfo

# What a NAL is to whoever inserts parameter sets; not negative: the level of the set that it is.
cdef enum:
    DELIMITER = -1
    SLICE = -2
    OTHER_NAL = -3

cdef class Inspector:
    cdef ParameterSets _sets
    cdef int _header_size
    cdef bint _is_out_of_band
    cdef readonly int width
    cdef readonly int height
    # The unit that was read last, and what it said.
    cdef object _inspected
    cdef UnitInfo _info
    # Of the unit in hand.
    cdef bint _damaged
    cdef int _slices
    cdef int _set_nals
    cdef bint _unknown_set
    # A picture of it opens a sequence, so that all sets may change.
    cdef bint _opens
    # Numbers of the PPS that its slices name, as long as there is doubt about any set.
    cdef set _named

    cpdef UnitInfo inspect(self, payload, bint damaged=*)

    # What each codec does in its own way.
    cdef void _begin_unit(self)
    cdef bint _read_nal(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1
    cdef void _judge(self, UnitInfo info)
    cdef int _role_of(self, const uint8_t* nal, Py_ssize_t size, int* number) noexcept

    # What it does it with.
    cdef int _begin_with(self, int levels, int header_size, parameter_sets) except -1
    cdef tuple _sps_of_slice(self, int pps, bint opens)
    cdef bint _offer(
        self, int level, int number, const uint8_t* nal, Py_ssize_t size, int names, tuple facts, UnitInfo info
    ) except -1

    cdef void _take_only_size(self)
