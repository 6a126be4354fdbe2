cdef class UnitInfo:
    cdef readonly int join_point
    cdef readonly int recovers_after
    cdef readonly bint recovers_surely
    cdef readonly bint has_vps
    cdef readonly bint has_sps
    cdef readonly bint has_pps
    cdef readonly bint starts_picture
    cdef readonly bint decodable
    cdef readonly bint malformed
    cdef readonly bint parameter_sets_changed
    cdef readonly int width
    cdef readonly int height
    cdef readonly int nals
