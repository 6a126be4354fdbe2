"""H.264 from RTP (RFC 6184): payloads in, access units in canonical form out.

What belongs here: what the header of a NAL unit says, and what a unit proves of its own beginning. What does not: how
NAL units travel (`nal_rtp`), sequence numbers and loss (`depacketiser`), what the unit means (`h264`).
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from broker.core.annexb cimport find_start_code
from broker.core.h264_bits cimport read_pps_numbers, read_slice_start, read_sps_number
from broker.core.nal_rtp cimport NalDepacketiser, NalFormat


cdef class H264Depacketiser(NalDepacketiser):
    """Puts the access units of one H.264 stream together; see Depacketiser.

    STAP-B, MTAP and FU-B exist for interleaved mode, which we never negotiate: they are refused and counted.
    """

    def __cinit__(self, *arguments, **keywords):
        self._format = NalFormat(
            header_size=1, kind_shift=0, kind_mask=0x1F, kept_bits=0x60, first_kind=1, last_kind=23,
            aggregate=24, fragment=28,
        )

    cdef int _begin_nal(self, const uint8_t* header, const uint8_t* body, Py_ssize_t size) except -1:
        cdef int kind = header[0] & 0x1F
        cdef Py_ssize_t at = self._used
        self._append_nal(header, 1, body, size)
        if 1 <= kind <= 5:
            self._has_picture = True
        elif kind == 7 or kind == 8:
            self._has_sets = True
            if not self._refusing:
                self._note_set(kind, self._buffer + at + 4, 1 + size)
        elif kind == 9:
            self._is_delimited = True
        return 0

    cdef int _note_set(self, int kind, const uint8_t* nal, Py_ssize_t size) noexcept:
        cdef int number, names
        if kind == 7:
            number = read_sps_number(nal, size)
            if number >= 0:
                self._sps_shown |= <uint32_t> 1 << number
        else:
            number = read_pps_numbers(nal, size, &names)
            if number >= 0:
                self._pps_shown[number] = 1
        return 0

    cdef bint _head_is_whole(self) noexcept:
        """Begins with a delimiter; or, in a stream without, with an SPS, and holds every set that its slices name.

        No slice of a picture stands before a parameter set of its access unit (H.264, 7.4.1.2.3), so that all slices
        are there if an SPS comes first. The delimiter, where one is used, is the first NAL of its unit. Every set that
        the stream has ever shown must be there too: a new version of one that only later units name may be lost.
        """
        cdef const uint8_t* nal = self._buffer + self._kept
        cdef const uint8_t* end = self._buffer + self._used
        cdef const uint8_t* following
        # By number: whether the SPS is here, and which SPS the PPS names, -1 if the PPS is not here.
        cdef signed char sps_here[32]
        cdef signed char pps_names[256]
        cdef int kind, first_mb, number, names
        cdef bint first_slice = True
        if end - nal < 5:
            return False
        if nal[4] & 0x1F == 9:
            return True
        if nal[4] & 0x1F != 7 or self._is_delimited:
            return False
        memset(sps_here, 0, sizeof(sps_here))
        memset(pps_names, -1, sizeof(pps_names))
        while nal < end:
            nal += 4
            if nal >= end:
                return False
            following = find_start_code(nal, end)
            kind = nal[0] & 0x1F
            if kind == 7:
                number = read_sps_number(nal, following - nal)
                if number < 0:
                    return False
                sps_here[number] = 1
            elif kind == 8:
                number = read_pps_numbers(nal, following - nal, &names)
                if number < 0:
                    return False
                pps_names[number] = names
            elif 1 <= kind <= 5 and kind != 3 and kind != 4:
                number = read_slice_start(nal, following - nal, &first_mb)
                if number < 0 or pps_names[number] < 0 or not sps_here[pps_names[number]]:
                    return False
                if first_slice and first_mb != 0:
                    return False
                first_slice = False
            nal = following
        for number in range(256):
            if self._pps_shown[number] and pps_names[number] < 0:
                return False
        for number in range(32):
            if (self._sps_shown >> number) & 1 and not sps_here[number]:
                return False
        return not first_slice
