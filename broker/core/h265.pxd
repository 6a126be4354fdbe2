from libc.stdint cimport uint8_t

from broker.core.unit_info cimport UnitInfo

cdef class H265Inspector:
    cdef dict _vps
    cdef dict _sps
    cdef dict _pps
    cdef object _sets
    cdef Py_ssize_t _sets_size
    cdef readonly int width
    cdef readonly int height
    cdef object _inspected
    cdef UnitInfo _info

    cpdef UnitInfo inspect(self, payload)
    cdef bint _keep(self, dict sets, int number, const uint8_t* nal, Py_ssize_t size, tuple rest, UnitInfo info)
    cdef bint _store_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info)
    cdef bint _store_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info)
