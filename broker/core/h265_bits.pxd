from libc.stdint cimport int64_t, uint8_t

cdef enum:
    # NAL unit types (H.265, table 7-1).
    H265_RADL_N = 6
    H265_RASL_R = 9
    H265_BLA_W_LP = 16
    H265_BLA_N_LP = 18
    H265_IDR_W_RADL = 19
    H265_IDR_N_LP = 20
    H265_CRA = 21
    H265_VPS = 32
    H265_SPS = 33
    H265_PPS = 34
    H265_AUD = 35
    H265_PREFIX_SEI = 39

cdef struct H265Sps:
    int number
    int vps
    int width
    int height
    # Pictures that may precede one in decoding order and follow it in output order.
    int reorder
    # Pictures that may follow a random access picture in decoding order and precede it in output order.
    int most_leading

cdef bint parse_h265_sps(const uint8_t* nal, Py_ssize_t size, H265Sps* sps) noexcept nogil
cdef int read_h265_sps_numbers(const uint8_t* nal, Py_ssize_t size, int* vps) noexcept nogil
cdef int read_h265_pps_numbers(const uint8_t* nal, Py_ssize_t size, int* sps) noexcept nogil
cdef int read_h265_slice_start(const uint8_t* nal, Py_ssize_t size, bint* starts_picture) noexcept nogil
cdef void parse_h265_recovery_point(
    const uint8_t* rbsp, Py_ssize_t size, bint* found, int64_t* count, bint* exact_match, bint* broken_link
) noexcept nogil


cdef inline int h265_layer(const uint8_t* nal) noexcept nogil:
    """The layer that a NAL is of; 0 is the base layer."""
    return ((nal[0] & 1) << 5) | (nal[1] >> 3)
