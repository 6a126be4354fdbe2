from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

cdef enum:
    PARAMETER_SET_LIMIT = 4096
    # All sets of a stream together: they are inserted at every join point, and a real camera has a few hundred bytes.
    PARAMETER_SETS_LIMIT = 16384
    RBSP_LIMIT = 4096

cdef struct Bits:
    const uint8_t* data
    Py_ssize_t size_bits
    Py_ssize_t at
    bint failed

cdef struct Sps:
    int number
    int profile
    int width
    int height
    bint may_reorder

cdef void bits_open(Bits* bits, const uint8_t* data, Py_ssize_t size) noexcept nogil
cdef uint32_t take_bits(Bits* bits, int count) noexcept nogil
cdef void skip_bits(Bits* bits, Py_ssize_t count) noexcept nogil
cdef bint flag(Bits* bits) noexcept nogil
cdef uint32_t ue(Bits* bits) noexcept nogil
cdef int64_t se(Bits* bits) noexcept nogil
cdef Py_ssize_t unescape(const uint8_t* data, Py_ssize_t size, uint8_t* out) noexcept nogil
cdef bint parse_sps(const uint8_t* nal, Py_ssize_t size, Sps* sps) noexcept nogil
cdef void parse_recovery_point(
    const uint8_t* rbsp, Py_ssize_t size, int* count, bint* exact_match, bint* broken_link
) noexcept nogil
