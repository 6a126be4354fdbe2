"""H.265 from RTP (RFC 7798): payloads in, access units in canonical form out.

What belongs here: what the header of a NAL unit says, and what a unit proves of its own beginning. What does not: how
NAL units travel (`nal_rtp`), sequence numbers and loss (`depacketiser`), what the unit means (`h265`).

Decoding order numbers (`sprop-max-don-diff` above 0) are not read: whoever reads the SDP refuses such a stream, because
its NALs may come in another order than that of decoding. PACI packets carry no NAL of their own kind here either; no
camera is known to send one, and they are refused and counted.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from broker.core.annexb cimport find_start_code
from broker.core.h265_bits cimport (
    H265_AUD, H265_PPS, H265_SPS, H265_VPS, h265_layer, read_h265_pps_numbers, read_h265_slice_start,
    read_h265_sps_numbers,
)
from broker.core.nal_rtp cimport NalDepacketiser, NalFormat


cdef class H265Depacketiser(NalDepacketiser):
    """Puts the access units of one H.265 stream together; see Depacketiser."""

    def __cinit__(self, *arguments, **keywords):
        self._format = NalFormat(
            header_size=2, kind_shift=1, kind_mask=0x3F, kept_bits=0x81, first_kind=0, last_kind=47,
            aggregate=48, fragment=49,
        )

    cdef int _begin_nal(self, const uint8_t* header, const uint8_t* body, Py_ssize_t size) except -1:
        cdef int kind = (header[0] >> 1) & 0x3F
        cdef Py_ssize_t at = self._used
        self._append_nal(header, 2, body, size)
        if kind < 32:
            self._has_picture = True
        elif kind <= H265_PPS:
            self._has_sets = True
            if not self._refusing:
                self._note_set(kind, self._buffer + at + 4, 2 + size)
        elif kind == H265_AUD:
            self._is_delimited = True
        return 0

    cdef int _note_set(self, int kind, const uint8_t* nal, Py_ssize_t size) noexcept:
        cdef int number, names
        if size < 3 or h265_layer(nal):
            return 0
        if kind == H265_VPS:
            self._vps_shown |= <uint32_t> 1 << (nal[2] >> 4)
        elif kind == H265_SPS:
            number = read_h265_sps_numbers(nal, size, &names)
            if number >= 0:
                self._sps_shown |= <uint32_t> 1 << number
        else:
            number = read_h265_pps_numbers(nal, size, &names)
            if number >= 0:
                self._pps_shown |= <uint64_t> 1 << number
        return 0

    cdef bint _head_is_whole(self) noexcept:
        """Begins with a delimiter; or, in a stream without, with a VPS, and holds every set that its slices name.

        No slice of a picture stands before a parameter set of its access unit (H.265, 7.4.2.4.4), so that all slices
        are there if a VPS comes first. The delimiter, where one is used, is the first NAL of its unit. Every set that
        the stream has ever shown must be there too: a new version of one that only later units name may be lost.
        """
        cdef const uint8_t* nal = self._buffer + self._kept
        cdef const uint8_t* end = self._buffer + self._used
        cdef const uint8_t* following
        # By number: whether it is here, and which set it names, -1 if it is not here.
        cdef signed char vps_here[16]
        cdef signed char sps_names[16]
        cdef signed char pps_names[64]
        cdef int kind, number, names
        cdef bint first_slice = True, starts
        if end - nal < 6:
            return False
        kind = (nal[4] >> 1) & 0x3F
        if kind == H265_AUD:
            return True
        if kind != H265_VPS or self._is_delimited:
            return False
        memset(vps_here, 0, sizeof(vps_here))
        memset(sps_names, -1, sizeof(sps_names))
        memset(pps_names, -1, sizeof(pps_names))
        while nal < end:
            nal += 4
            if nal + 2 >= end:
                return False
            following = find_start_code(nal, end)
            kind = (nal[0] >> 1) & 0x3F
            if h265_layer(nal):
                # Another layer needs sets of its own; the picture shown is the base layer's.
                pass
            elif kind == H265_VPS:
                vps_here[nal[2] >> 4] = 1
            elif kind == H265_SPS:
                number = read_h265_sps_numbers(nal, following - nal, &names)
                if number < 0:
                    return False
                sps_names[number] = names
            elif kind == H265_PPS:
                number = read_h265_pps_numbers(nal, following - nal, &names)
                if number < 0:
                    return False
                pps_names[number] = names
            elif kind < 32:
                number = read_h265_slice_start(nal, following - nal, &starts)
                if number < 0 or pps_names[number] < 0 or sps_names[pps_names[number]] < 0:
                    return False
                if not vps_here[sps_names[pps_names[number]]] or (first_slice and not starts):
                    return False
                first_slice = False
            nal = following
        for number in range(64):
            if (self._pps_shown >> number) & 1 and pps_names[number] < 0:
                return False
        for number in range(16):
            if (self._sps_shown >> number) & 1 and sps_names[number] < 0:
                return False
            if (self._vps_shown >> number) & 1 and not vps_here[number]:
                return False
        return not first_slice
