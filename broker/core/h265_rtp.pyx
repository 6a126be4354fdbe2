"""H.265 from RTP (RFC 7798): payloads in, access units in canonical form out.

What belongs here: single NAL units, aggregation packets and fragmentation units, and what a unit proves of its own
beginning. What does not: headers, sequence numbers and loss (`depacketiser`), what the unit means (`h265`).

Decoding order numbers (`sprop-max-don-diff` above 0) are not read: whoever reads the SDP refuses such a stream, because
its NALs may come in another order than that of decoding. PACI packets carry no NAL of their own kind here either; no
camera is known to send one, and they are refused and counted.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from broker.core.annexb cimport find_start_code
from broker.core.depacketiser cimport Depacketiser
from broker.core.h265_bits cimport (
    H265_AUD, H265_PPS, H265_SPS, H265_VPS, read_h265_pps_numbers, read_h265_slice_start, read_h265_sps_numbers,
)


cdef enum:
    AGGREGATE = 48
    FRAGMENT = 49


cdef class H265Depacketiser(Depacketiser):
    """Puts the access units of one H.265 stream together; see Depacketiser."""

    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef int kind
        if size == 0 or self._refusing:
            return 0
        kind = (payload[0] >> 1) & 0x3F
        if kind != FRAGMENT and self._fragment_open:
            self._fragment_open = False
            self._damaged = True
        if size < 2 or payload[0] & 0x80 or payload[1] & 0x07 == 0:
            # Too short, known to be broken, or of a temporal layer that cannot be.
            self.malformed_packets += 1
            self._damaged = True
        elif kind < AGGREGATE:
            self._begin_nal(payload, payload + 2, size - 2)
        elif kind == FRAGMENT:
            self._take_fragment(payload, size)
        elif kind == AGGREGATE:
            self._take_aggregate(payload, size)
        else:
            self._refuse_payload()
        return 0

    cdef int _take_aggregate(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef Py_ssize_t at = 2, length
        while at < size:
            if size - at < 2:
                break
            length = (<Py_ssize_t> payload[at] << 8) | payload[at + 1]
            at += 2
            if length < 2 or length > size - at:
                at = -1
                break
            if payload[at] & 0x80 or payload[at + 1] & 0x07 == 0 or (payload[at] >> 1) & 0x3F >= AGGREGATE:
                self._refuse_payload()
            else:
                self._begin_nal(payload + at, payload + at + 2, length - 2)
            at += length
        if at != size or size == 2:
            self.malformed_packets += 1
            self._damaged = True
        return 0

    cdef int _take_fragment(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef uint8_t header
        cdef uint8_t nal[2]
        if size < 3:
            self.malformed_packets += 1
            self._damaged = True
            return 0
        header = payload[2]
        if header & 0x80:
            if self._fragment_open:
                self._damaged = True
            self._fragment_open = False
            if header & 0x3F >= AGGREGATE:
                return self._refuse_payload()
            nal[0] = (payload[0] & 0x81) | ((header & 0x3F) << 1)
            nal[1] = payload[1]
            self._begin_nal(nal, payload + 3, size - 3)
            self._fragment_open = True
            self._fragment_kind = header & 0x3F
        elif not self._fragment_open or header & 0x3F != self._fragment_kind:
            # Its beginning never came.
            self._fragment_open = False
            self._damaged = True
            return 0
        else:
            self._append(payload + 3, size - 3)
        if header & 0x40:
            self._fragment_open = False
        return 0

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
        if size < 3 or _layer(nal):
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
            if _layer(nal):
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


cdef inline int _layer(const uint8_t* nal) noexcept nogil:
    return ((nal[0] & 1) << 5) | (nal[1] >> 3)
