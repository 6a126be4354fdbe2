"""H.264 from RTP (RFC 6184): payloads in, access units in canonical form out.

What belongs here: single NAL units, STAP-A and FU-A, and what a unit proves of its own beginning. What does not:
headers, sequence numbers and loss (`depacketiser`), what the unit means (`h264`).
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from broker.core.annexb cimport find_start_code
from broker.core.depacketiser cimport Depacketiser
from broker.core.h264_bits cimport read_pps_numbers, read_slice_start, read_sps_number


cdef class H264Depacketiser(Depacketiser):
    """Puts the access units of one H.264 stream together; see Depacketiser."""

    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef int kind
        if size == 0 or self._refusing:
            return 0
        kind = payload[0] & 0x1F
        if kind != 28 and self._fragment_open:
            self._fragment_open = False
            self._damaged = True
        if payload[0] & 0x80:
            # The forbidden bit says that somebody on the way knows the payload to be broken.
            self.malformed_packets += 1
            self._damaged = True
        elif 1 <= kind <= 23:
            self._begin_nal(payload[0], payload + 1, size - 1)
        elif kind == 28:
            self._take_fragment(payload, size)
        elif kind == 24:
            self._take_aggregate(payload, size)
        else:
            # STAP-B, MTAP and FU-B exist for interleaved mode, which we never negotiate; 0, 30 and 31 mean nothing.
            self._refuse_payload()
        return 0

    cdef int _take_aggregate(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef Py_ssize_t at = 1, length
        while at < size:
            if size - at < 2:
                break
            length = (<Py_ssize_t> payload[at] << 8) | payload[at + 1]
            at += 2
            if length == 0 or length > size - at:
                at = -1
                break
            if payload[at] & 0x80 or payload[at] & 0x1F == 0 or payload[at] & 0x1F > 23:
                self._refuse_payload()
            else:
                self._begin_nal(payload[at], payload + at + 1, length - 1)
            at += length
        if at != size or size == 1:
            self.malformed_packets += 1
            self._damaged = True
        return 0

    cdef int _take_fragment(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef uint8_t header
        if size < 2:
            self.malformed_packets += 1
            self._damaged = True
            return 0
        header = payload[1]
        if header & 0x80:
            if self._fragment_open:
                self._damaged = True
            self._fragment_open = False
            if header & 0x1F == 0 or header & 0x1F > 23:
                return self._refuse_payload()
            self._begin_nal((payload[0] & 0x60) | (header & 0x1F), payload + 2, size - 2)
            self._fragment_open = True
            self._fragment_kind = header & 0x1F
        elif not self._fragment_open or header & 0x1F != self._fragment_kind:
            # Its beginning never came.
            self._fragment_open = False
            self._damaged = True
            return 0
        else:
            self._append(payload + 2, size - 2)
        if header & 0x40:
            self._fragment_open = False
        return 0

    cdef int _begin_nal(self, uint8_t header, const uint8_t* body, Py_ssize_t size) except -1:
        cdef Py_ssize_t at = self._used
        cdef int number, names
        self._append_nal(&header, 1, body, size)
        if 1 <= header & 0x1F <= 5:
            self._has_picture = True
        elif header & 0x1F == 7 or header & 0x1F == 8:
            self._has_sets = True
            if not self._refusing:
                if header & 0x1F == 7:
                    number = read_sps_number(self._buffer + at + 4, 1 + size)
                    if number >= 0:
                        self._sps_shown |= <uint32_t> 1 << number
                else:
                    number = read_pps_numbers(self._buffer + at + 4, 1 + size, &names)
                    if number >= 0:
                        self._pps_shown[number] = 1
        elif header & 0x1F == 9:
            self._is_delimited = True
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
