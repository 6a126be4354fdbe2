from libc.stdint cimport int64_t, uint8_t

cdef class UnitInfo:
    cdef readonly int join_point
    cdef readonly int recovers_after
    cdef readonly bint has_sps
    cdef readonly bint has_pps
    cdef readonly bint starts_picture
    cdef readonly bint decodable
    cdef readonly bint malformed
    cdef readonly bint parameter_sets_changed
    cdef readonly int width
    cdef readonly int height
    cdef readonly int nals

cdef class H264Inspector:
    cdef dict _sps
    cdef dict _pps
    cdef object _sets
    cdef Py_ssize_t _sets_size
    cdef readonly int width
    cdef readonly int height
    cdef int _non_reference_run
    cdef int _longest_run
    cdef object _inspected
    cdef UnitInfo _info

    cpdef UnitInfo inspect(self, payload)
    cdef bint _may_keep(self, known, Py_ssize_t size)
    cdef bint _store_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info)
    cdef bint _store_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info)
