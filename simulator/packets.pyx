"""One access unit, cut into RTP packets once and sent many times.

What belongs here: RFC 6184 packetisation (single NAL, STAP-A, FU-A) and the patching of what differs from one sending
to the next. What does not: sockets, pace, faults, RTCP.
"""

import hashlib

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy



cdef bytes START_CODE = b"\x00\x00\x00\x01"
cdef const char* HEX = "0123456789abcdef"


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

    `nals` are NAL units without start codes. `stamp_text` is the placeholder, 32 bytes, that occurs once in one of them.
    `offsets` says where each packet's interleaved header begins in the bytes of `stamped` and, last, how long they are.
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

    def __init__(self, nals, bytes stamp_text not None, int mtu=1400, bint aggregate=False):
        if len(stamp_text) != 32:
            raise ValueError("the stamp's placeholder must be 32 bytes")
        if mtu < 64 or mtu > 65000:
            raise ValueError(f"mtu of {mtu} bytes: 64 to 65000 can be sent")
        units = [bytes(nal) for nal in nals]
        if not units or not all(units):
            raise ValueError("an access unit needs NAL units, none of them empty")
        payloads = payloads_of(units, mtu, aggregate)
        self.count = len(payloads)
        wire = bytearray()
        offsets = []
        for position, payload in enumerate(payloads):
            offsets.append(len(wire))
            wire += b"$\x00" + (12 + len(payload)).to_bytes(2, "big")
            wire += bytes([0x80, 96 | (0x80 if position == self.count - 1 else 0)]) + bytes(10)
            wire += payload
        offsets.append(len(wire))
        self.offsets = tuple(offsets)
        self._wire = bytes(wire)
        self._canonical = b"".join([START_CODE + nal for nal in units])
        self.payload_bytes = sum(len(payload) for payload in payloads)
        self._stamp_in_wire = only_position(self._wire, stamp_text)
        self._stamp_in_canonical = only_position(self._canonical, stamp_text)
        # What stands before the stamp never changes: it is hashed once, here.
        self._head_hash = hashlib.sha256(self._canonical[: self._stamp_in_canonical])
        self._tail = memoryview(self._canonical)[self._stamp_in_canonical + 32 :]

    def stamped(self, uint64_t number, uint64_t sent_ns, uint32_t sequence, uint32_t rtp_timestamp, uint32_t ssrc,
                uint8_t channel):
        """All packets as they go over an interleaved connection, ready for one write."""
        cdef Py_ssize_t size = len(self._wire)
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
        cdef uint8_t* at = <uint8_t*> PyBytes_AS_STRING(out)
        cdef uint8_t* end = at + size
        cdef uint32_t length
        memcpy(at, PyBytes_AS_STRING(self._wire), size)
        put_hex(at + self._stamp_in_wire, number)
        put_hex(at + self._stamp_in_wire + 16, sent_ns)
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
        """The unit's canonical payload with this stamp: a four-byte start code before every NAL."""
        stamp = b"%016x%016x" % (number, sent_ns)
        at = self._stamp_in_canonical
        return self._canonical[:at] + stamp + self._canonical[at + 32 :]

    def digest(self, uint64_t number, uint64_t sent_ns):
        """SHA-256 of `canonical(number, sent_ns)`, 32 bytes."""
        state = self._head_hash.copy()
        state.update(b"%016x%016x" % (number, sent_ns))
        state.update(self._tail)
        return state.digest()


cdef Py_ssize_t only_position(bytes data, bytes text) except -1:
    cdef Py_ssize_t at = data.find(text)
    if at < 0 or data.find(text, at + 1) >= 0:
        raise ValueError("the stamp's placeholder must occur exactly once, unfragmented")
    return at


cdef list payloads_of(list nals, int mtu, bint aggregate):
    """RTP payloads of the NAL units, in order."""
    cdef list payloads = []
    cdef list waiting = []
    cdef int waiting_bytes = 1
    for nal in nals:
        small = aggregate and len(nal) + 3 <= mtu
        if waiting and (not small or waiting_bytes + 2 + len(nal) > mtu):
            payloads.append(stap_a(waiting))
            waiting, waiting_bytes = [], 1
        if small:
            waiting.append(nal)
            waiting_bytes += 2 + len(nal)
        elif len(nal) <= mtu:
            payloads.append(nal)
        else:
            payloads.extend(fu_a(nal, mtu))
    if waiting:
        payloads.append(stap_a(waiting))
    return payloads


cdef bytes stap_a(list nals):
    if len(nals) == 1:
        return nals[0]
    importance = max(nal[0] & 0x60 for nal in nals)
    return bytes([importance | 24]) + b"".join([len(nal).to_bytes(2, "big") + nal for nal in nals])


cdef list fu_a(bytes nal, int mtu):
    cdef list pieces = []
    cdef Py_ssize_t at = 1
    cdef Py_ssize_t size = len(nal)
    cdef Py_ssize_t room = mtu - 2
    indicator = (nal[0] & 0xE0) | 28
    kind = nal[0] & 0x1F
    while at < size:
        end = min(at + room, size)
        header = kind | (0x80 if at == 1 else 0) | (0x40 if end == size else 0)
        pieces.append(bytes([indicator, header]) + nal[at:end])
        at = end
    return pieces
