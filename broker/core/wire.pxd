from libc.stdint cimport int64_t, uint64_t, uint8_t

cdef class WireFrame:
    cdef readonly str camera
    cdef readonly int64_t epoch
    cdef readonly int64_t seq
    cdef readonly int64_t received_ns
    cdef readonly int64_t monotonic_ns
    cdef int64_t _camera_time_ns
    cdef int64_t _camera_time_uncertainty_ns
    cdef int64_t _pts
    cdef bint _has_camera_time
    cdef bint _has_uncertainty
    cdef bint _has_pts
    cdef readonly int join_point
    cdef readonly unsigned int recovers_after
    cdef readonly bint damaged
    cdef readonly bint follows_damage
    cdef readonly bytes digest
    cdef bytes _batch
    cdef Py_ssize_t _item_at
    cdef Py_ssize_t _item_end
    cdef Py_ssize_t _payload_at
    cdef Py_ssize_t _payload_end
    cdef bytes _camera_utf8

    cdef bint _parse_frame(self, Py_ssize_t at, Py_ssize_t end) except False
    cdef bint _parse_id(self, Py_ssize_t at, Py_ssize_t end) except False

cdef class BatchReader:
    cdef bytes _data
    cdef Py_ssize_t _at
    cdef str _camera
    cdef bytes _camera_utf8

    cdef object _frame(self, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t at, Py_ssize_t frame_end)
    cdef object _uncommon(self, Py_ssize_t begin, Py_ssize_t end)
