from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

cdef enum:
    PARAMETER_SET_LIMIT = 4096
    # All sets of a stream together: they are inserted at every join point, and a real camera has a few hundred bytes.
    PARAMETER_SETS_LIMIT = 16384
    RBSP_LIMIT = 4096
    HEAD_LIMIT = 32

cdef struct Sps:
    int number
    int profile
    int width
    int height
    bint may_reorder

cdef bint parse_sps(const uint8_t* nal, Py_ssize_t size, Sps* sps) noexcept nogil
cdef void parse_recovery_point(
    const uint8_t* rbsp, Py_ssize_t size, int* count, bint* exact_match, bint* broken_link
) noexcept nogil
cdef int read_sps_number(const uint8_t* nal, Py_ssize_t size) noexcept nogil
cdef int read_pps_numbers(const uint8_t* nal, Py_ssize_t size, int* sps) noexcept nogil
cdef int read_slice_start(const uint8_t* nal, Py_ssize_t size, int* first_mb) noexcept nogil
