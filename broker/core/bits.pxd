# Bit-level reading of NAL units: fixed-length and Exp-Golomb codes, emulation prevention, messages of SEI, cropping.
#
# What belongs here: what H.264 and H.265 have in common. What does not: the syntax of either (`h264_bits`, `h265_bits`).
# A read past the end sets `failed` and gives zeros, so that a parser checks once, at its end.

from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef enum:
    PARAMETER_SET_LIMIT = 4096
    # All sets of a stream together: they are inserted at every join point, and a real camera has a few hundred bytes.
    PARAMETER_SETS_LIMIT = 16384
    RBSP_LIMIT = 4096
    # Where only the beginning of a NAL matters.
    HEAD_LIMIT = 32
    SEI_RECOVERY_POINT = 6
    LARGEST_SIDE = 16384

cdef struct Bits:
    const uint8_t* data
    Py_ssize_t size_bits
    Py_ssize_t at
    bint failed

# Samples of luma that are cut off a picture: both sides together.
cdef struct Crop:
    int64_t width
    int64_t height


cdef inline void bits_open(Bits* bits, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    bits.data = data
    bits.size_bits = size * 8
    bits.at = 0
    bits.failed = False


cdef inline uint32_t take_bits(Bits* bits, int count) noexcept nogil:
    """Up to 32 bits, most significant first."""
    cdef uint32_t value = 0
    cdef int i
    if count > bits.size_bits - bits.at:
        bits.failed = True
        bits.at = bits.size_bits
        return 0
    for i in range(count):
        value = (value << 1) | ((bits.data[bits.at >> 3] >> (7 - (bits.at & 7))) & 1)
        bits.at += 1
    return value


cdef inline void skip_bits(Bits* bits, Py_ssize_t count) noexcept nogil:
    if count < 0 or count > bits.size_bits - bits.at:
        bits.failed = True
        bits.at = bits.size_bits
    else:
        bits.at += count


cdef inline bint flag(Bits* bits) noexcept nogil:
    return take_bits(bits, 1)


cdef inline uint32_t ue(Bits* bits) noexcept nogil:
    """Unsigned Exp-Golomb code; at most 2**32 - 2."""
    cdef int zeros = 0
    while not bits.failed and take_bits(bits, 1) == 0:
        zeros += 1
        if zeros > 31:
            bits.failed = True
    if bits.failed:
        return 0
    return ((<uint32_t> 1 << zeros) - 1) + take_bits(bits, zeros)


cdef inline int64_t se(Bits* bits) noexcept nogil:
    cdef int64_t code = ue(bits)
    return (code + 1) // 2 if code & 1 else -(code // 2)


cdef inline Py_ssize_t unescape(const uint8_t* data, Py_ssize_t size, uint8_t* out) noexcept nogil:
    """Copies NAL bytes without emulation prevention bytes; `out` holds at least `size`."""
    cdef Py_ssize_t i, written = 0
    cdef int zeros = 0
    for i in range(size):
        if zeros >= 2 and data[i] == 3:
            zeros = 0
            continue
        zeros = zeros + 1 if data[i] == 0 else 0
        out[written] = data[i]
        written += 1
    return written


cdef inline void open_head(
    Bits* bits, const uint8_t* nal, Py_ssize_t size, int header_size, uint8_t* rbsp, Py_ssize_t limit
) noexcept nogil:
    """Opens at most `limit` bytes of a NAL behind its header; `rbsp` holds as many."""
    size -= header_size
    bits_open(bits, rbsp, unescape(nal + header_size, size if size <= limit else limit, rbsp))


cdef inline bint open_sei_message(Bits* bits, const uint8_t* rbsp, Py_ssize_t size, int wanted) noexcept nogil:
    """Opens the first message of type `wanted` in an SEI; False if there is none."""
    cdef Py_ssize_t at = 0, length
    cdef int kind
    while at < size and rbsp[at] != 0x80:
        kind = 0
        while at < size and rbsp[at] == 0xFF:
            kind += 255
            at += 1
        if at >= size:
            return False
        kind += rbsp[at]
        at += 1
        length = 0
        while at < size and rbsp[at] == 0xFF:
            length += 255
            at += 1
        if at >= size:
            return False
        length += rbsp[at]
        at += 1
        if length > size - at:
            return False
        if kind == wanted:
            bits_open(bits, rbsp + at, length)
            return True
        at += length
    return False


cdef inline void read_crop(Bits* bits, uint32_t chroma, bint separate, Crop* crop) noexcept nogil:
    """Reads the cropping of an SPS whose pictures have this chroma_format_idc; beyond all measure, it fails."""
    cdef uint32_t left = 0, right = 0, top = 0, bottom = 0
    if flag(bits):
        left = ue(bits)
        right = ue(bits)
        top = ue(bits)
        bottom = ue(bits)
    if left > LARGEST_SIDE or right > LARGEST_SIDE or top > LARGEST_SIDE or bottom > LARGEST_SIDE:
        bits.failed = True
    # Counted in samples of chroma where that has fewer.
    crop.width = (<int64_t> left + right) * (1 if chroma == 0 or chroma == 3 or separate else 2)
    crop.height = (<int64_t> top + bottom) * (2 if chroma == 1 and not separate else 1)
