"""What an H.265 access unit says of itself: parameter sets, picture size, whether decoding can begin at it.

What belongs here: what NAL types, VPS, SPS, PPS, slice headers and recovery points mean, base layer only. What does not:
decoding, anything that needs the time or the id of a frame, and the walk over units that H.264 has too (`inspector`).

**Join points.** IDR and BLA pictures are EXACT: what follows them refers to nothing before them, and leading pictures
that would (RASL behind a BLA) are shown by no decoder. A CRA picture may be followed by leading pictures that refer to
what stood before it; trailing pictures may not, and every leading picture comes before them in decoding order. Their
number cannot be known when the CRA arrives, but the SPS bounds it: none if it allows no reordering, and then the CRA is
EXACT; else RECOVERS_AFTER the bound, and one. That holds for the first picture of a stream too: its leading pictures are lost
for ever, and nobody may call them exact. A recovery point counts in output order, and is the encoder's own promise.
"""

from libc.stdint cimport int64_t, uint8_t

from broker.core.bits cimport RBSP_LIMIT, unescape
from broker.core.h265_bits cimport (
    H265_AUD, H265_BLA_N_LP, H265_BLA_W_LP, H265_CRA, H265_IDR_N_LP, H265_IDR_W_RADL, H265_PPS, H265_PREFIX_SEI,
    H265_SPS, H265_VPS, H265Sps, h265_layer, parse_h265_recovery_point, parse_h265_sps, read_h265_pps_numbers,
    read_h265_slice_start, read_h265_sps_numbers,
)
from broker.core.inspector cimport DELIMITER, OTHER_NAL, SLICE, Inspector
from broker.core.unit_info cimport UnitInfo

cdef enum:
    LEVEL_VPS = 0
    LEVEL_SPS = 1
    LEVEL_PPS = 2


cdef class H265Inspector(Inspector):
    """Reads the H.265 access units of one epoch in order; see Inspector."""

    def __cinit__(self, parameter_sets=b""):
        self._begin_with(3, 2, parameter_sets)

    cdef void _begin_unit(self):
        self._picture = -1
        self._reorder = 16
        self._most_leading = 32
        self._has_recovery_point = False
        self._recovery = 0
        self._exact_match = False
        self._broken_link = False

    cdef bint _read_nal(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        cdef int kind
        cdef uint8_t rbsp[RBSP_LIMIT]
        cdef Py_ssize_t rbsp_size
        if nal[0] & 0x80 or nal[1] & 0x07 == 0:
            return False
        if h265_layer(nal):
            # Another layer (a second view, more detail): the base layer is complete without it.
            return True
        kind = (nal[0] >> 1) & 0x3F
        if kind < 32:
            return self._read_slice(nal, size, info)
        if kind == H265_PREFIX_SEI:
            rbsp_size = unescape(nal + 2, size - 2 if size - 2 < RBSP_LIMIT else RBSP_LIMIT, rbsp)
            parse_h265_recovery_point(
                rbsp, rbsp_size, &self._has_recovery_point, &self._recovery, &self._exact_match, &self._broken_link
            )
        elif kind == H265_VPS:
            return self._offer_vps(nal, size, info)
        elif kind == H265_SPS:
            return self._offer_sps(nal, size, info)
        elif kind == H265_PPS:
            return self._offer_pps(nal, size, info)
        return True

    cdef bint _read_slice(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        cdef int pps, kind = (nal[0] >> 1) & 0x3F
        # All slices of a picture are of one kind.
        cdef bint fits = self._picture < 0 or kind == self._picture, starts
        self._slices += 1
        self._picture = kind
        pps = read_h265_slice_start(nal, size, &starts)
        if pps < 0:
            return False
        if starts:
            info.starts_picture = True
        self._opens = H265_BLA_W_LP <= kind <= H265_CRA
        sps = self._sps_of_slice(pps, self._opens)
        if sps is not None:
            self._reorder = sps[4]
            self._most_leading = sps[5]
        return fits

    cdef void _judge(self, UnitInfo info):
        cdef int picture = self._picture
        if not (info.starts_picture and info.decodable):
            return
        if picture == H265_IDR_W_RADL or picture == H265_IDR_N_LP or H265_BLA_W_LP <= picture <= H265_BLA_N_LP:
            info.join_point = 2
        elif picture == H265_CRA:
            info.join_point = 3 if self._most_leading else 2
            # The frame behind the last leading one is the first that is exact.
            info.recovers_after = self._most_leading + 1 if self._most_leading else 0
            info.recovers_surely = True
        elif self._has_recovery_point and self._exact_match:
            info.join_point = 3
            # Counted in output order: what is decoded later and shown earlier comes on top.
            info.recovers_after = <int> max(0, self._recovery) + self._most_leading + self._reorder
            if self._broken_link:
                info.recovers_after += 16

    cdef int _role_of(self, const uint8_t* nal, Py_ssize_t size, int* number) noexcept:
        cdef int names, kind = (nal[0] >> 1) & 0x3F if size >= 3 else -1
        if 0 <= kind < 32:
            return SLICE
        if kind == H265_AUD:
            return DELIMITER
        if not H265_VPS <= kind <= H265_PPS or h265_layer(nal):
            # Sets of another layer have numbers of their own.
            return OTHER_NAL
        if kind == H265_VPS:
            number[0] = nal[2] >> 4
        elif kind == H265_SPS:
            number[0] = read_h265_sps_numbers(nal, size, &names)
        else:
            number[0] = read_h265_pps_numbers(nal, size, &names)
        return kind - H265_VPS

    cdef bint _offer_vps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        if size < 4 or not self._offer(LEVEL_VPS, nal[2] >> 4, nal, size, -1, (), info):
            return False
        info.has_vps = True
        return True

    cdef bint _offer_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        cdef H265Sps sps
        if not parse_h265_sps(nal, size, &sps):
            return False
        facts = (sps.width, sps.height, sps.reorder, sps.most_leading)
        if not self._offer(LEVEL_SPS, sps.number, nal, size, sps.vps, facts, info):
            return False
        info.has_sps = True
        return True

    cdef bint _offer_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        cdef int sps_number, number = read_h265_pps_numbers(nal, size, &sps_number)
        if number < 0 or not self._offer(LEVEL_PPS, number, nal, size, sps_number, (), info):
            return False
        info.has_pps = True
        return True
