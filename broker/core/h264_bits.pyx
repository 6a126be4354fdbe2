"""Bit-level reading of H.264: SPS, numbers of PPS and slices, recovery point SEI.

What belongs here: syntax, without memory between calls and without Python objects. What does not: what follows from
it (`h264`), and how bits are read (`bits`). Every loop is bounded by the standard's own limits.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from broker.core.bits cimport (
    HEAD_LIMIT, LARGEST_SIDE, PARAMETER_SET_LIMIT, SEI_RECOVERY_POINT, Bits, Crop, flag, open_head, open_sei_message,
    read_crop, se, skip_bits, take_bits, ue,
)


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
    cdef int64_t width, height
    cdef Crop crop
    cdef bint separate = False, frame_mbs_only
    cdef int profile, reordered = -1
    if size < 4 or size > PARAMETER_SET_LIMIT:
        return False
    open_head(&bits, nal, size, 1, rbsp, PARAMETER_SET_LIMIT)
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
    read_crop(&bits, chroma, separate, &crop)
    if bits.failed or number > 31 or chroma > 3 or poc_type > 2 or mbs_wide > 1023 or map_units > 1023:
        return False
    if flag(&bits) and not bits.failed:
        reordered = _reordered_frames(&bits)
        if bits.failed:
            # A truncated VUI is common enough; the picture size stands before it.
            reordered = -1
    # A map unit of interlaced video is two rows of macroblocks.
    width = (<int64_t> mbs_wide + 1) * 16 - crop.width
    height = ((<int64_t> map_units + 1) * 16 - crop.height) * (1 if frame_mbs_only else 2)
    if width <= 0 or height <= 0 or width > LARGEST_SIDE or height > LARGEST_SIDE:
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
    cdef Bits bits
    cdef uint32_t frames
    if not open_sei_message(&bits, rbsp, size, SEI_RECOVERY_POINT):
        return
    frames = ue(&bits)
    exact_match[0] = flag(&bits)
    broken_link[0] = flag(&bits)
    if not bits.failed and frames <= 65535:
        count[0] = frames


cdef int read_sps_number(const uint8_t* nal, Py_ssize_t size) noexcept nogil:
    """The number of an SPS NAL without reading all of it; -1 if it cannot be read."""
    cdef uint8_t rbsp[HEAD_LIMIT]
    cdef Bits bits
    cdef uint32_t number
    open_head(&bits, nal, size, 1, rbsp, HEAD_LIMIT)
    skip_bits(&bits, 24)
    number = ue(&bits)
    return -1 if bits.failed or number > 31 else <int> number


cdef int read_pps_numbers(const uint8_t* nal, Py_ssize_t size, int* sps) noexcept nogil:
    """The number of a PPS NAL, and in `sps` that of the SPS it names; -1 if it cannot be read."""
    cdef uint8_t rbsp[HEAD_LIMIT]
    cdef Bits bits
    cdef uint32_t number, names
    open_head(&bits, nal, size, 1, rbsp, HEAD_LIMIT)
    number = ue(&bits)
    names = ue(&bits)
    if bits.failed or number > 255 or names > 31:
        return -1
    sps[0] = names
    return number


cdef int read_slice_start(const uint8_t* nal, Py_ssize_t size, int* first_mb) noexcept nogil:
    """The number of the PPS that a slice NAL names, and in `first_mb` where it begins; -1 if it cannot be read."""
    cdef uint8_t rbsp[HEAD_LIMIT]
    cdef Bits bits
    cdef uint32_t first, kind, number
    open_head(&bits, nal, size, 1, rbsp, HEAD_LIMIT)
    first = ue(&bits)
    kind = ue(&bits)
    number = ue(&bits)
    if bits.failed or kind > 9 or number > 255 or first > 0x7FFFFFFF:
        return -1
    first_mb[0] = first
    return number
