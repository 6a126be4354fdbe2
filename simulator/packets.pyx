"""One access unit, cut into RTP packets once and sent many times.

What belongs here: laying out a unit's packets and patching what differs from one sending to the next (number, time,
sequence numbers, RTP header extension). What does not: how a codec cuts a unit into payloads (`packetise`,
`jpeg_packets`), sockets, pace, faults, RTCP.
"""

import hashlib

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy



cdef const char* HEX = "0123456789abcdef"
ONVIF_PROFILE = 0xABAC


cdef inline void put16(uint8_t* at, uint32_t value) noexcept nogil:
    at[0] = (value >> 8) & 0xFF
    at[1] = value & 0xFF


cdef inline void put32(uint8_t* at, uint32_t value) noexcept nogil:
    put16(at, value >> 16)
    put16(at + 2, value)


cdef inline void put_hex(uint8_t* at, uint64_t value) noexcept nogil:
    cdef int i
    for i in range(16):
        at[15 - i] = <uint8_t> HEX[value & 15]
        value >>= 4


cdef class UnitPackets:
    """The packets of one access unit with room for a stamp (number and send time) that every sending fills in.

    `payloads` are RTP payloads in order, `whole` is the canonical payload that a receiver puts together from them.
    `stamp_text` is the placeholder, 32 bytes, that occurs once in both; empty for units that have no room for one.
    `offsets` says where each packet's interleaved header begins in the bytes of `stamped` and, last, how long they are.
    With `extension`, the first packet carries an ONVIF header extension for the unit's NTP time, `flags` its byte of
    flags (C, E, D, T from the top). Without `marker`, no packet ends the unit.
    """

    cdef bytes _wire
    cdef bytes _canonical
    cdef readonly tuple offsets
    cdef Py_ssize_t _stamp_in_wire
    cdef Py_ssize_t _stamp_in_canonical
    cdef object _head_hash
    cdef object _tail
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t payload_bytes
    cdef readonly bint extension

    def __init__(self, payloads, bytes whole not None, bytes stamp_text not None, int payload_type=96,
                 bint marker=True, bint extension=False, int flags=0):
        if len(stamp_text) not in (0, 32):
            raise ValueError("the stamp's placeholder must be 32 bytes")
        payloads = list(payloads)
        if not payloads or not all(payloads):
            raise ValueError("an access unit needs payloads, none of them empty")
        self.count = len(payloads)
        self.extension = extension
        wire = bytearray()
        offsets = []
        for position, payload in enumerate(payloads):
            offsets.append(len(wire))
            extra = b""
            if extension and position == 0:
                extra = ONVIF_PROFILE.to_bytes(2, "big") + b"\x00\x03" + bytes(8) + bytes([flags, 0, 0, 0])
            wire += b"$\x00" + (12 + len(extra) + len(payload)).to_bytes(2, "big")
            ends = marker and position == self.count - 1
            wire += bytes([0x90 if extra else 0x80, payload_type | (0x80 if ends else 0)]) + bytes(10)
            wire += extra + payload
        offsets.append(len(wire))
        self.offsets = tuple(offsets)
        self._wire = bytes(wire)
        self._canonical = whole
        self.payload_bytes = sum(len(payload) for payload in payloads)
        self._stamp_in_wire = self._stamp_in_canonical = -1
        if stamp_text:
            self._stamp_in_wire = only_position(self._wire, stamp_text)
            self._stamp_in_canonical = only_position(whole, stamp_text)
        # What stands before the stamp never changes: it is hashed once, here.
        head = max(self._stamp_in_canonical, 0)
        self._head_hash = hashlib.sha256(whole[:head])
        self._tail = memoryview(whole)[head + len(stamp_text) :]

    def stamped(self, uint64_t number, uint64_t sent_ns, uint32_t sequence, uint32_t rtp_timestamp, uint32_t ssrc,
                uint8_t channel, uint64_t ntp=0):
        """All packets as they go over an interleaved connection, ready for one write.

        `ntp` is the camera's time as a 64-bit NTP timestamp, for the header extension.
        """
        cdef Py_ssize_t size = len(self._wire)
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
        cdef uint8_t* at = <uint8_t*> PyBytes_AS_STRING(out)
        cdef uint8_t* end = at + size
        cdef uint32_t length
        memcpy(at, PyBytes_AS_STRING(self._wire), size)
        if self._stamp_in_wire >= 0:
            put_hex(at + self._stamp_in_wire, number)
            put_hex(at + self._stamp_in_wire + 16, sent_ns)
        if self.extension:
            put32(at + 20, ntp >> 32)
            put32(at + 24, ntp & 0xFFFFFFFF)
            at[29] = sequence & 0xFF
        while at < end:
            length = (<uint32_t> at[2] << 8) | at[3]
            at[1] = channel
            put16(at + 6, sequence)
            put32(at + 8, rtp_timestamp)
            put32(at + 12, ssrc)
            sequence += 1
            at += 4 + length
        return out

    def canonical(self, uint64_t number, uint64_t sent_ns):
        """The unit's canonical payload with this stamp."""
        at = self._stamp_in_canonical
        if at < 0:
            return self._canonical
        stamp = b"%016x%016x" % (number, sent_ns)
        return self._canonical[:at] + stamp + self._canonical[at + 32 :]

    def digest(self, uint64_t number, uint64_t sent_ns):
        """SHA-256 of `canonical(number, sent_ns)`, 32 bytes."""
        state = self._head_hash.copy()
        if self._stamp_in_canonical >= 0:
            state.update(b"%016x%016x" % (number, sent_ns))
        state.update(self._tail)
        return state.digest()


cdef Py_ssize_t only_position(bytes data, bytes text) except -1:
    cdef Py_ssize_t at = data.find(text)
    if at < 0 or data.find(text, at + 1) >= 0:
        raise ValueError("the stamp's placeholder must occur exactly once, unfragmented")
    return at
