from libc.stdint cimport uint8_t

from broker.core.parameter_sets cimport ParameterSets
from broker.core.unit_info cimport UnitInfo

cdef class H265Inspector:
    cdef ParameterSets _sets
    cdef bint _is_out_of_band
    cdef readonly int width
    cdef readonly int height
    cdef object _inspected
    cdef UnitInfo _info

    cpdef UnitInfo inspect(self, payload, bint damaged=*)
    cdef void _take_only_size(self)
    cdef bint _offer(
        self, int level, int number, const uint8_t* nal, Py_ssize_t size, int names, tuple facts, UnitInfo info,
        bint damaged,
    )
    cdef bint _offer_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info, bint damaged)
    cdef bint _offer_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info, bint damaged)
