"""Bit-level reading of H.265: SPS, the numbers of sets and slices, recovery point SEI.

What belongs here: syntax, without memory between calls and without Python objects. What does not: what follows from
it (`h265`), and how bits are read (`bits`). Every loop is bounded by the standard's own limits.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from broker.core.bits cimport (
    HEAD_LIMIT, LARGEST_SIDE, PARAMETER_SET_LIMIT, SEI_RECOVERY_POINT, Bits, Crop, flag, open_head, open_sei_message,
    read_crop, se, skip_bits, take_bits, ue,
)


cdef enum:
    # An SPS names itself behind its profile, tier and level: 12 bytes, and 12 for each of up to six sub-layers more.
    SPS_HEAD_LIMIT = 192
    MOST_LEADING = 64
    # As many pictures as a decoder may ever have to hold back.
    MOST_REORDERED = 16


cdef void _skip_profile_tier_level(Bits* bits, int sub_layers_minus1) noexcept nogil:
    cdef int i
    cdef uint32_t present
    skip_bits(bits, 88)
    skip_bits(bits, 8)
    if sub_layers_minus1 == 0:
        return
    present = take_bits(bits, 16)
    for i in range(sub_layers_minus1):
        if (present >> (15 - 2 * i)) & 1:
            skip_bits(bits, 88)
        if (present >> (14 - 2 * i)) & 1:
            skip_bits(bits, 8)


cdef bint parse_h265_sps(const uint8_t* nal, Py_ssize_t size, H265Sps* sps) noexcept nogil:
    """Reads an SPS NAL of at most PARAMETER_SET_LIMIT bytes; False if it makes no sense."""
    cdef uint8_t rbsp[PARAMETER_SET_LIMIT]
    cdef Bits bits
    cdef uint32_t vps, sub_layers, number, chroma, width, height, i
    cdef uint32_t reorder = 0, latency = 0
    cdef int64_t shown_width, shown_height
    cdef Crop crop
    cdef bint separate = False
    if size < 4 or size > PARAMETER_SET_LIMIT:
        return False
    open_head(&bits, nal, size, 2, rbsp, PARAMETER_SET_LIMIT)
    vps = take_bits(&bits, 4)
    sub_layers = take_bits(&bits, 3)
    skip_bits(&bits, 1)
    if sub_layers > 6:
        return False
    _skip_profile_tier_level(&bits, sub_layers)
    number = ue(&bits)
    chroma = ue(&bits)
    if chroma == 3:
        separate = flag(&bits)
    width = ue(&bits)
    height = ue(&bits)
    read_crop(&bits, chroma, separate, &crop)
    ue(&bits)
    ue(&bits)
    ue(&bits)
    # The last entry is that of the whole stream.
    for i in range(sub_layers + 1 if flag(&bits) else 1):
        ue(&bits)
        reorder = ue(&bits)
        latency = ue(&bits)
    if bits.failed or number > 15 or chroma > 3 or width > LARGEST_SIDE or height > LARGEST_SIDE:
        return False
    shown_width = <int64_t> width - crop.width
    shown_height = <int64_t> height - crop.height
    if shown_width <= 0 or shown_height <= 0:
        return False
    sps.number = number
    sps.vps = vps
    sps.width = <int> shown_width
    sps.height = <int> shown_height
    sps.reorder = <int> reorder if reorder < MOST_REORDERED else MOST_REORDERED
    if reorder == 0:
        sps.most_leading = 0
    elif latency and latency <= MOST_LEADING:
        # SpsMaxLatencyPictures: how many pictures may precede one in output order and follow it in decoding order.
        sps.most_leading = sps.reorder + <int> latency - 1
    else:
        # Unsaid. A pyramid that doubles with each step places 2**n - 1; no encoder in use places more than 16 flat.
        sps.most_leading = max(16, (1 << min(sps.reorder, 6)) - 1)
    return True


cdef int read_h265_sps_numbers(const uint8_t* nal, Py_ssize_t size, int* vps) noexcept nogil:
    """The number of an SPS NAL, and in `vps` that of the VPS it names; -1 if it cannot be read."""
    cdef uint8_t rbsp[SPS_HEAD_LIMIT]
    cdef Bits bits
    cdef uint32_t names, sub_layers, number
    open_head(&bits, nal, size, 2, rbsp, SPS_HEAD_LIMIT)
    names = take_bits(&bits, 4)
    sub_layers = take_bits(&bits, 3)
    skip_bits(&bits, 1)
    if sub_layers > 6:
        return -1
    _skip_profile_tier_level(&bits, sub_layers)
    number = ue(&bits)
    if bits.failed or number > 15:
        return -1
    vps[0] = names
    return number


cdef int read_h265_pps_numbers(const uint8_t* nal, Py_ssize_t size, int* sps) noexcept nogil:
    """The number of a PPS NAL, and in `sps` that of the SPS it names; -1 if it cannot be read."""
    cdef uint8_t rbsp[HEAD_LIMIT]
    cdef Bits bits
    cdef uint32_t number, names
    open_head(&bits, nal, size, 2, rbsp, HEAD_LIMIT)
    number = ue(&bits)
    names = ue(&bits)
    if bits.failed or number > 63 or names > 15:
        return -1
    sps[0] = names
    return number


cdef int read_h265_slice_start(const uint8_t* nal, Py_ssize_t size, bint* starts_picture) noexcept nogil:
    """The number of the PPS that a slice segment names, and whether it is its picture's first; -1 if unreadable."""
    cdef uint8_t rbsp[HEAD_LIMIT]
    cdef Bits bits
    cdef uint32_t number
    cdef int kind = (nal[0] >> 1) & 0x3F
    open_head(&bits, nal, size, 2, rbsp, HEAD_LIMIT)
    starts_picture[0] = flag(&bits)
    if 16 <= kind <= 23:
        skip_bits(&bits, 1)
    number = ue(&bits)
    return -1 if bits.failed or number > 63 else <int> number


cdef void parse_h265_recovery_point(
    const uint8_t* rbsp, Py_ssize_t size, bint* found, int64_t* count, bint* exact_match, bint* broken_link
) noexcept nogil:
    """Looks for a recovery point among the messages of an SEI; leaves the results alone if there is none."""
    cdef Bits bits
    cdef int64_t pictures
    cdef bint exact, broken
    if not open_sei_message(&bits, rbsp, size, SEI_RECOVERY_POINT):
        return
    pictures = se(&bits)
    exact = flag(&bits)
    broken = flag(&bits)
    # Beyond half of the longest counter of picture order there is none.
    if not bits.failed and -32768 <= pictures <= 32767:
        found[0] = True
        count[0] = pictures
        exact_match[0] = exact
        broken_link[0] = broken
