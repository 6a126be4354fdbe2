from libc.stdint cimport uint8_t

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
