from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from broker.core.rtp_packet cimport RtpPacket
from broker.core.unit cimport UnitBuilder
from broker.core.waiting_packets cimport WaitingPackets

cdef class Depacketiser(UnitBuilder):
    cdef bint _synchronised
    # What the sender says that its first packet has for a number, or -1; and what that of the first to come was.
    cdef int _said
    cdef uint16_t _first
    cdef uint16_t _expected
    # Bit n: packet `_expected - 1 - n` came.
    cdef uint64_t _seen
    cdef int _late_expected
    cdef int _late_in_a_row
    cdef bint _ssrc_known
    cdef bint _ssrc_fixed
    cdef uint32_t _ssrc
    cdef int _payload_type
    # Packets that wait for one before them, at most `_window`; None if none ever waits.
    cdef WaitingPackets _waiting
    cdef int _window
    cdef int64_t _window_ns
    cdef list _left
    cdef readonly uint64_t packets
    cdef readonly uint64_t octets
    cdef readonly uint64_t lost_packets
    cdef readonly uint64_t late_packets
    cdef readonly uint64_t duplicate_packets
    cdef readonly uint64_t reordered_packets
    cdef readonly uint64_t foreign_packets
    cdef readonly uint64_t malformed_packets
    cdef readonly uint64_t ssrc_changes

    # Takes one packet; units that it completes are appended to `out`.
    cdef int push(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1

    # What each codec does in its own way.
    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int _take_extension(self, const uint8_t* extension) except -1

    cdef int _process(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1
    cdef inline bint _is_other_type(self, int payload_type) noexcept:
        return self._payload_type >= 0 and payload_type != self._payload_type

    cdef bint _follow_source(self, RtpPacket* rtp, bint* hole) noexcept
    cdef int _begin_as_said(self, const uint8_t* packet, Py_ssize_t size) except -1
    cdef bint _advance(self, uint16_t sequence, uint32_t timestamp, bint* hole) noexcept
    cdef int _sort_in(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1
    cdef int _hold(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1
    cdef int _release_first(self, list out) except -1
    cdef int _release_due(self, list out) except -1
    cdef int _give_up(self, list out) except -1
    cdef int _give_up_all(self, list out) except -1
    cdef int _give_up_late(self, int64_t now_ns, list out) except -1
