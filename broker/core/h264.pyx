"""What an H.264 access unit says of itself: parameter sets, picture size, whether decoding can begin at it.

What belongs here: what NAL types, SPS, PPS, slice headers and recovery points mean. What does not: decoding, anything
that needs the time or the id of a frame, and the walk over units that H.265 has too (`inspector`).
"""

from libc.stdint cimport uint8_t, uint32_t

from broker.core.bits cimport HEAD_LIMIT, RBSP_LIMIT, Bits, open_head, ue, unescape
from broker.core.h264_bits cimport Sps, parse_recovery_point, parse_sps, read_pps_numbers
from broker.core.inspector cimport DELIMITER, OTHER_NAL, SLICE, Inspector
from broker.core.unit_info cimport UnitInfo

# Pictures that follow an open-GOP picture in decode order and may precede it in output order: no encoder in use
# places more than this many, and the stream does not say how many it will place.
cdef enum:
    LEADING_PICTURES = 16
    LEVEL_SPS = 0
    LEVEL_PPS = 1


cdef class H264Inspector(Inspector):
    """Reads the H.264 access units of one epoch in order; see Inspector."""

    def __cinit__(self, parameter_sets=b""):
        self._begin_with(2, 1, parameter_sets)

    cdef void _begin_unit(self):
        self._intra_slices = 0
        self._is_reference = False
        self._may_reorder = True
        self._recovery = -1
        self._exact_match = False
        self._broken_link = False

    cdef bint _read_nal(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        cdef int kind = nal[0] & 0x1F
        cdef uint8_t rbsp[RBSP_LIMIT]
        cdef Py_ssize_t rbsp_size
        if nal[0] & 0x80 or kind == 0 or kind >= 24:
            return False
        if kind == 1 or kind == 5 or kind == 2:
            return self._read_slice(nal, size, info)
        if kind == 3 or kind == 4:
            self._slices += 1
        elif kind == 6:
            rbsp_size = unescape(nal + 1, size - 1 if size - 1 < RBSP_LIMIT else RBSP_LIMIT, rbsp)
            parse_recovery_point(rbsp, rbsp_size, &self._recovery, &self._exact_match, &self._broken_link)
        elif kind == 7:
            return self._offer_sps(nal, size, info)
        elif kind == 8:
            return self._offer_pps(nal, size, info)
        return True

    cdef bint _read_slice(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        cdef uint8_t rbsp[HEAD_LIMIT]
        cdef Bits bits
        cdef uint32_t first_mb, slice_type, pps
        cdef bint is_idr = nal[0] & 0x1F == 5
        self._slices += 1
        self._is_reference = self._is_reference or nal[0] & 0x60
        self._opens = self._opens or is_idr
        open_head(&bits, nal, size, 1, rbsp, HEAD_LIMIT)
        first_mb = ue(&bits)
        slice_type = ue(&bits)
        pps = ue(&bits)
        if bits.failed or slice_type > 9 or pps > 255:
            return False
        if first_mb == 0:
            info.starts_picture = True
        # I and SI slices, by themselves or for the whole picture.
        if slice_type % 5 == 2 or slice_type % 5 == 4:
            self._intra_slices += 1
        sps = self._sps_of_slice(pps, is_idr)
        if sps is not None:
            self._may_reorder = sps[4]
        return True

    cdef void _judge(self, UnitInfo info):
        if self._slices:
            if self._is_reference:
                self._longest_run = max(self._longest_run, self._non_reference_run)
                self._non_reference_run = 0
            elif self._non_reference_run < LEADING_PICTURES:
                self._non_reference_run += 1
        if not (info.starts_picture and info.decodable):
            return
        if self._opens:
            info.join_point = 2
        elif self._recovery >= 0 and self._exact_match:
            if (
                self._recovery == 0
                and self._intra_slices == self._slices
                and not self._may_reorder
                and not self._broken_link
            ):
                info.join_point = 2
            else:
                info.join_point = 3
                # The count is in reference pictures; units between them that nobody refers to come on top.
                info.recovers_after = self._recovery * (1 + self._longest_run)
                if self._may_reorder or self._broken_link:
                    # The first exact one is that behind them.
                    info.recovers_after += LEADING_PICTURES + 1

    cdef int _role_of(self, const uint8_t* nal, Py_ssize_t size, int* number) noexcept:
        cdef Sps sps
        cdef int kind = nal[0] & 0x1F if size > 0 else 0, names
        if 1 <= kind <= 5:
            return SLICE
        if kind == 7:
            number[0] = sps.number if parse_sps(nal, size, &sps) else -1
            return LEVEL_SPS
        if kind == 8:
            number[0] = read_pps_numbers(nal, size, &names)
            return LEVEL_PPS
        return DELIMITER if kind == 9 else OTHER_NAL

    cdef bint _offer_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        cdef Sps sps
        if not parse_sps(nal, size, &sps):
            return False
        facts = (sps.width, sps.height, bool(sps.may_reorder))
        if not self._offer(LEVEL_SPS, sps.number, nal, size, -1, facts, info):
            return False
        info.has_sps = True
        return True

    cdef bint _offer_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        cdef int sps_number, number = read_pps_numbers(nal, size, &sps_number)
        if number < 0 or not self._offer(LEVEL_PPS, number, nal, size, sps_number, (), info):
            return False
        info.has_pps = True
        return True
