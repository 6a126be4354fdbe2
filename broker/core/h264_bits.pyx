"""Bit-level reading of H.264: Exp-Golomb codes, SPS, recovery point SEI.

What belongs here: syntax, without memory between calls and without Python objects. What does not: what follows from
it (`h264`). A read past the end sets `failed` and gives zeros, so that a parser checks once, at its end; every loop
is bounded by the standard's own limits.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t


cdef void bits_open(Bits* bits, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    bits.data = data
    bits.size_bits = size * 8
    bits.at = 0
    bits.failed = False


cdef uint32_t take_bits(Bits* bits, int count) noexcept nogil:
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


cdef void skip_bits(Bits* bits, Py_ssize_t count) noexcept nogil:
    if count < 0 or count > bits.size_bits - bits.at:
        bits.failed = True
        bits.at = bits.size_bits
    else:
        bits.at += count


cdef bint flag(Bits* bits) noexcept nogil:
    return take_bits(bits, 1)


cdef uint32_t ue(Bits* bits) noexcept nogil:
    """Unsigned Exp-Golomb code; at most 2**32 - 2."""
    cdef int zeros = 0
    while not bits.failed and take_bits(bits, 1) == 0:
        zeros += 1
        if zeros > 31:
            bits.failed = True
    if bits.failed:
        return 0
    return ((<uint32_t> 1 << zeros) - 1) + take_bits(bits, zeros)


cdef int64_t se(Bits* bits) noexcept nogil:
    cdef int64_t code = ue(bits)
    return (code + 1) // 2 if code & 1 else -(code // 2)


cdef Py_ssize_t unescape(const uint8_t* data, Py_ssize_t size, uint8_t* out) noexcept nogil:
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


cdef void _skip_scaling_list(Bits* bits, int size) noexcept nogil:
    cdef int64_t last = 8, following = 8
    cdef int i
    for i in range(size):
        if following != 0:
            following = (last + se(bits)) & 0xFF
        if following != 0:
            last = following


cdef void _skip_hrd(Bits* bits) noexcept nogil:
    cdef uint32_t count = ue(bits)
    cdef uint32_t i
    if count > 31:
        bits.failed = True
        return
    skip_bits(bits, 8)
    for i in range(count + 1):
        ue(bits)
        ue(bits)
        flag(bits)
    skip_bits(bits, 20)


cdef int _reordered_frames(Bits* bits) noexcept nogil:
    """Reads VUI; max_num_reorder_frames, or -1 where it is not said."""
    cdef bint nal_hrd, vcl_hrd
    if flag(bits):
        if take_bits(bits, 8) == 255:
            skip_bits(bits, 32)
    if flag(bits):
        skip_bits(bits, 1)
    if flag(bits):
        skip_bits(bits, 4)
        if flag(bits):
            skip_bits(bits, 24)
    if flag(bits):
        ue(bits)
        ue(bits)
    if flag(bits):
        skip_bits(bits, 65)
    nal_hrd = flag(bits)
    if nal_hrd:
        _skip_hrd(bits)
    vcl_hrd = flag(bits)
    if vcl_hrd:
        _skip_hrd(bits)
    if nal_hrd or vcl_hrd:
        skip_bits(bits, 1)
    skip_bits(bits, 1)
    if not flag(bits):
        return -1
    skip_bits(bits, 1)
    ue(bits)
    ue(bits)
    ue(bits)
    ue(bits)
    return <int> (ue(bits) & 0xFF)


cdef bint parse_sps(const uint8_t* nal, Py_ssize_t size, Sps* sps) noexcept nogil:
    """Reads an SPS NAL of at most PARAMETER_SET_LIMIT bytes; False if it makes no sense."""
    cdef uint8_t rbsp[PARAMETER_SET_LIMIT]
    cdef Bits bits
    cdef uint32_t number, chroma = 1, poc_type, mbs_wide, map_units, cycle, i
    cdef uint32_t left = 0, right = 0, top = 0, bottom = 0
    cdef int64_t width, height, unit_x, unit_y
    cdef bint separate = False, frame_mbs_only
    cdef int profile, reordered = -1
    if size < 4 or size > PARAMETER_SET_LIMIT:
        return False
    bits_open(&bits, rbsp, unescape(nal + 1, size - 1, rbsp))
    profile = take_bits(&bits, 8)
    skip_bits(&bits, 16)
    number = ue(&bits)
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        chroma = ue(&bits)
        if chroma == 3:
            separate = flag(&bits)
        ue(&bits)
        ue(&bits)
        skip_bits(&bits, 1)
        if flag(&bits):
            for i in range(12 if chroma == 3 else 8):
                if flag(&bits):
                    _skip_scaling_list(&bits, 16 if i < 6 else 64)
    ue(&bits)
    poc_type = ue(&bits)
    if poc_type == 0:
        ue(&bits)
    elif poc_type == 1:
        skip_bits(&bits, 1)
        se(&bits)
        se(&bits)
        cycle = ue(&bits)
        if cycle > 255:
            return False
        for i in range(cycle):
            se(&bits)
    ue(&bits)
    skip_bits(&bits, 1)
    mbs_wide = ue(&bits)
    map_units = ue(&bits)
    frame_mbs_only = flag(&bits)
    if not frame_mbs_only:
        skip_bits(&bits, 1)
    skip_bits(&bits, 1)
    if flag(&bits):
        left = ue(&bits)
        right = ue(&bits)
        top = ue(&bits)
        bottom = ue(&bits)
    if bits.failed or number > 31 or chroma > 3 or poc_type > 2 or mbs_wide > 1023 or map_units > 1023:
        return False
    if left > 16384 or right > 16384 or top > 16384 or bottom > 16384:
        return False
    if flag(&bits) and not bits.failed:
        reordered = _reordered_frames(&bits)
        if bits.failed:
            # A truncated VUI is common enough; the picture size stands before it.
            reordered = -1
    unit_x = 1 if chroma == 0 or chroma == 3 or separate else 2
    unit_y = (2 if chroma == 1 and not separate else 1) * (1 if frame_mbs_only else 2)
    width = (<int64_t> mbs_wide + 1) * 16 - unit_x * (<int64_t> left + right)
    height = (<int64_t> map_units + 1) * 16 * (1 if frame_mbs_only else 2) - unit_y * (<int64_t> top + bottom)
    if width <= 0 or height <= 0 or width > 16384 or height > 16384:
        return False
    sps.number = number
    sps.profile = profile
    sps.width = <int> width
    sps.height = <int> height
    if reordered >= 0:
        sps.may_reorder = reordered > 0
    else:
        # Baseline has no B slices, and with type 2 output order is decode order by definition.
        sps.may_reorder = poc_type != 2 and profile != 66
    return True


cdef void parse_recovery_point(
    const uint8_t* rbsp, Py_ssize_t size, int* count, bint* exact_match, bint* broken_link
) noexcept nogil:
    """Looks for a recovery point among the messages of an SEI; leaves the results alone if there is none."""
    cdef Py_ssize_t at = 0, length
    cdef int kind
    cdef uint32_t frames
    cdef Bits bits
    while at < size and rbsp[at] != 0x80:
        kind = 0
        while at < size and rbsp[at] == 0xFF:
            kind += 255
            at += 1
        if at >= size:
            return
        kind += rbsp[at]
        at += 1
        length = 0
        while at < size and rbsp[at] == 0xFF:
            length += 255
            at += 1
        if at >= size:
            return
        length += rbsp[at]
        at += 1
        if length > size - at:
            return
        if kind == 6:
            bits_open(&bits, rbsp + at, length)
            frames = ue(&bits)
            exact_match[0] = flag(&bits)
            broken_link[0] = flag(&bits)
            if not bits.failed and frames <= 65535:
                count[0] = frames
            return
        at += length
