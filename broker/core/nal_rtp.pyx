"""NAL units from RTP payloads: what H.264 (RFC 6184) and H.265 (RFC 7798) have in common in that.

What belongs here: single NAL units, several in a packet, and pieces of one over several packets. What does not: what
a NAL's header says, and what a unit proves of its own beginning (`h264_rtp`, `h265_rtp`).
"""

from libc.stdint cimport uint8_t

from broker.core.depacketiser cimport Depacketiser


cdef inline int _kind_of(const uint8_t* header, const NalFormat* form) noexcept nogil:
    """The type of a NAL, or of a payload, whose first byte alone needs to be there."""
    return (header[0] >> form.kind_shift) & form.kind_mask


cdef inline bint _is_sound(const uint8_t* header, const NalFormat* form) noexcept nogil:
    """False if somebody on the way knows the NAL to be broken, or if it is of a temporal layer that cannot be."""
    return header[0] & 0x80 == 0 and (form.header_size < 2 or header[1] & 0x07 != 0)


cdef inline bint _is_nal(int kind, const NalFormat* form) noexcept nogil:
    """Whether a type is that of a NAL that may stand in a unit, and not of a way to carry some."""
    return form.first_kind <= kind <= form.last_kind


cdef class NalDepacketiser(Depacketiser):
    """Cuts payloads into NAL units; see Depacketiser. Use the subclass of the codec."""

    cdef int _begin_nal(self, const uint8_t* header, const uint8_t* body, Py_ssize_t size) except -1:
        return 0

    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef int kind
        if size == 0 or self._refusing:
            return 0
        kind = _kind_of(payload, &self._format)
        if kind != self._format.fragment and self._fragment_open:
            self._fragment_open = False
            self._damaged = True
        if size < self._format.header_size or not _is_sound(payload, &self._format):
            return self._note_malformed()
        if kind == self._format.fragment:
            return self._take_fragment(payload, size)
        if _is_nal(kind, &self._format):
            return self._begin_nal(payload, payload + self._format.header_size, size - self._format.header_size)
        if kind == self._format.aggregate:
            return self._take_aggregate(payload, size)
        return self._refuse_payload()

    cdef int _take_aggregate(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef int head = self._format.header_size
        cdef Py_ssize_t at = head, length
        if size == at:
            return self._note_malformed()
        while at < size:
            if size - at < 2:
                return self._note_malformed()
            length = (<Py_ssize_t> payload[at] << 8) | payload[at + 1]
            at += 2
            if length < head or length > size - at:
                return self._note_malformed()
            if _is_sound(payload + at, &self._format) and _is_nal(_kind_of(payload + at, &self._format), &self._format):
                self._begin_nal(payload + at, payload + at + head, length - head)
            else:
                self._refuse_payload()
            at += length
        return 0

    cdef int _take_fragment(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef int begin = self._format.header_size + 1, kind
        cdef uint8_t header
        cdef uint8_t nal[2]
        if size < begin:
            return self._note_malformed()
        # First piece 0x80, last piece 0x40, type of the NAL.
        header = payload[begin - 1]
        kind = header & self._format.kind_mask
        if header & 0x80:
            if self._fragment_open:
                self._damaged = True
            self._fragment_open = False
            if not _is_nal(kind, &self._format):
                return self._refuse_payload()
            nal[0] = (payload[0] & self._format.kept_bits) | (kind << self._format.kind_shift)
            nal[1] = payload[1]
            self._begin_nal(nal, payload + begin, size - begin)
            self._fragment_open = True
            self._fragment_kind = kind
        elif not self._fragment_open or kind != self._fragment_kind:
            # Its beginning never came.
            self._fragment_open = False
            self._damaged = True
            return 0
        else:
            self._append(payload + begin, size - begin)
        if header & 0x40:
            self._fragment_open = False
        return 0

    cdef int _note_malformed(self) except -1:
        self.malformed_packets += 1
        self._damaged = True
        return 0
