from broker.core.unit_info cimport UnitInfo

cdef class JpegInspector:
    cdef readonly int width
    cdef readonly int height

    cpdef UnitInfo inspect(self, payload, bint damaged=*)
