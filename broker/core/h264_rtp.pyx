"""H.264 from RTP (RFC 6184): packets in, access units in canonical form out, every loss marked.

What belongs here: sequence numbers, reassembly, damage. What does not: where packets come from (`interleaved`, UDP),
what the unit means (`h264`), ids and wall time. No Python object is made per packet. Everything comes from a camera and
is bounded; nothing that it sends raises.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy


cdef enum:
    INITIAL_CAPACITY = 64 << 10
    IDLE_CAPACITY = 1 << 20
    # A sequence number this far behind is a packet that comes late; further behind, the sender has started anew.
    LATE_WINDOW = 128


@cython.freelist(64)
cdef class Unit:
    """One access unit as it arrived.

    `payload`: canonical bytes; `rtp_timestamp`: 32 bit, as sent; `damaged`: part of it is missing, or may be;
    `lost_before`: packets between it and the unit before were lost, and units with them perhaps; `refused_before`:
    units between, that were too long and were thrown away; `packets`: how many carried it; `marker`: closed by the
    marker bit, not by the next timestamp; `monotonic_ns`: when the read that brought its last packet returned.
    """

    def __repr__(self):
        return (
            f"Unit({len(self.payload)} bytes, rtp_timestamp={self.rtp_timestamp}, damaged={self.damaged}, "
            f"lost_before={self.lost_before}, packets={self.packets})"
        )


cdef class H264Depacketiser:
    """Puts the access units of one RTP stream together.

    `ssrc`: take packets of this source only; None locks on to the first, and follows a change as a loss.
    `payload_type`: ignore other types; None takes all. `max_unit_bytes`: longer units are refused and counted.

    A unit closes on the marker bit, or when the timestamp changes. Units without a picture (parameter sets alone) are
    kept as the head of the next.
    """

    def __cinit__(self, ssrc=None, payload_type=None, Py_ssize_t max_unit_bytes=16 << 20):
        if max_unit_bytes < 64:
            raise ValueError("max_unit_bytes is at least 64")
        self._limit = max_unit_bytes
        self._payload_type = -1 if payload_type is None else payload_type
        self._late_expected = -1
        if ssrc is not None:
            self._ssrc = ssrc
            self._ssrc_known = True
            self._ssrc_fixed = True

    def __dealloc__(self):
        PyMem_RawFree(self._buffer)

    @property
    def ssrc(self):
        """The source in use, or None before the first packet."""
        return self._ssrc if self._ssrc_known else None

    @property
    def next_sequence(self):
        """Sequence number of the packet that comes next, or None before the first."""
        return self._expected if self._synchronised else None

    @property
    def untold_refused(self):
        """Units refused since the last unit that came out: what its `refused_before` would say of the next."""
        return self._refused_to_tell

    @property
    def untold_loss(self):
        """Whether a loss is known that no unit has told yet. After `flush`, the end of the stream has to."""
        return bool(self._loss_to_tell)

    def feed(self, packet, int64_t monotonic_ns):
        """Takes one RTP packet; returns the units that it completed (none, one or two)."""
        cdef Py_buffer view
        cdef list out = []
        PyObject_GetBuffer(packet, &view, PyBUF_SIMPLE)
        try:
            self.push(<const uint8_t*> view.buf, view.len, monotonic_ns, out)
        finally:
            PyBuffer_Release(&view)
        return out

    def flush(self):
        """Closes the unit in progress at the end of the stream. Its tail may be missing: it is marked damaged."""
        cdef list out = []
        cdef bint unfinished = self._open
        if unfinished:
            self._damaged = True
            self._close(False, out)
            self._discard()
            self._loss_to_tell = self._loss_to_tell or not out
        return out[0] if out else None

    cdef int push(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1:
        cdef Py_ssize_t at, padding
        cdef uint16_t sequence
        cdef uint32_t timestamp, ssrc
        cdef bint gap = False, marker
        if size < 12 or packet[0] >> 6 != 2:
            self.malformed_packets += 1
            return 0
        at = 12 + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            if at + 4 > size:
                self.malformed_packets += 1
                return 0
            at += 4 + 4 * ((<Py_ssize_t> packet[at + 2] << 8) | packet[at + 3])
        padding = packet[size - 1] if packet[0] & 0x20 else 0
        if at > size or padding > size - at or (packet[0] & 0x20 and padding == 0):
            self.malformed_packets += 1
            return 0
        sequence = (<uint16_t> packet[2] << 8) | packet[3]
        timestamp = _u32(packet + 4)
        ssrc = _u32(packet + 8)
        marker = packet[1] >> 7
        if not self._ssrc_known:
            self._ssrc = ssrc
            self._ssrc_known = True
        elif ssrc != self._ssrc:
            if self._ssrc_fixed:
                self.foreign_packets += 1
                return 0
            self._ssrc = ssrc
            self.ssrc_changes += 1
            self._expected = sequence
            self._late_expected = -1
            gap = True
        if not self._advance(sequence, timestamp, &gap):
            self.late_packets += 1
            return 0
        self.packets += 1
        self.octets += size
        if self._payload_type >= 0 and packet[1] & 0x7F != self._payload_type:
            self.foreign_packets += 1
            if gap:
                self._note_gap()
            return 0

        if gap:
            # The rest of a fragmented NAL behind a hole would be glued to a wrong place: what came so far is kept.
            self._fragment_open = False
            if self._open:
                self._damaged = True
        if self._open and timestamp != self._timestamp:
            if self._fragment_open:
                self._damaged = True
                self._fragment_open = False
            self._close(False, out)
        if not self._open:
            self._open = True
            self._damaged = self._damaged or gap
            self._lost_before = gap or self._loss_to_tell
            self._loss_to_tell = False
        self._timestamp = timestamp
        self._packets_in_unit += 1
        self._last_ns = monotonic_ns
        self._take_payload(packet + at, size - at - padding)
        if marker:
            if self._fragment_open:
                self._damaged = True
                self._fragment_open = False
            self._close(True, out)
        return 0

    cdef bint _advance(self, uint16_t sequence, uint32_t timestamp, bint* gap) noexcept:
        """Follows the sequence number; False for a packet that comes late or twice."""
        cdef uint16_t ahead = sequence - self._expected
        cdef bint restarted
        if not self._synchronised:
            self._synchronised = True
        elif ahead >= 0x8000:
            # Late or twice, or a sender that started anew: then a second packet in its order that is far off or newer
            # than the unit in progress tells, or that no packet comes on time any more.
            restarted = sequence == self._late_expected and (
                <uint16_t> -ahead > LATE_WINDOW or <int32_t> (timestamp - self._timestamp) > 0
            )
            self._late_expected = (sequence + 1) & 0xFFFF
            self._late_in_a_row += 1
            if not restarted and self._late_in_a_row < LATE_WINDOW:
                return False
            gap[0] = True
        elif ahead > 0:
            self.lost_packets += ahead
            gap[0] = True
        self._late_expected = -1
        self._late_in_a_row = 0
        self._expected = sequence + 1
        return True

    cdef int _note_gap(self) except -1:
        self._fragment_open = False
        if self._open:
            self._damaged = True
        else:
            # The head of the next unit may have been in it.
            self._damaged = True
            self._loss_to_tell = True
        return 0

    cdef int _close(self, bint marker, list out) except -1:
        """Hands the unit in progress out, if it is one; else keeps what belongs to the next."""
        cdef Unit unit
        if self._refusing:
            self.refused_units += 1
            self._refused_to_tell += 1
            self._discard()
            return 0
        if not self._has_picture:
            if self._used == 0:
                # Nothing usable came of it: the next unit has to tell the loss.
                self._loss_to_tell = self._loss_to_tell or self._damaged or self._lost_before
                self._open = False
                self._damaged = False
                self._lost_before = False
                self._packets_in_unit = 0
            elif self._damaged:
                self._lost_before = True
            return 0
        unit = Unit.__new__(Unit)
        unit.payload = PyBytes_FromStringAndSize(<const char*> self._buffer, self._used)
        unit.rtp_timestamp = self._timestamp
        unit.damaged = self._damaged
        unit.lost_before = self._lost_before
        unit.refused_before = self._refused_to_tell
        unit.packets = self._packets_in_unit
        unit.marker = marker
        unit.monotonic_ns = self._last_ns
        out.append(unit)
        self.units += 1
        self.damaged_units += self._damaged
        self._refused_to_tell = 0
        self._discard()
        return 0

    cdef int _discard(self) except -1:
        cdef void* smaller
        self._used = 0
        self._open = False
        self._has_picture = False
        self._damaged = False
        self._lost_before = False
        self._refusing = False
        self._fragment_open = False
        self._packets_in_unit = 0
        if self._capacity > IDLE_CAPACITY:
            # One huge unit must not cost its memory for ever: there are a hundred cameras.
            smaller = PyMem_RawRealloc(self._buffer, INITIAL_CAPACITY)
            if smaller != NULL:
                self._buffer = <uint8_t*> smaller
                self._capacity = INITIAL_CAPACITY
        return 0

    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef int kind
        cdef Py_ssize_t at, length
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
            at = 1
            while at < size:
                if size - at < 2:
                    break
                length = (<Py_ssize_t> payload[at] << 8) | payload[at + 1]
                at += 2
                if length == 0 or length > size - at:
                    at = -1
                    break
                if payload[at] & 0x80 or payload[at] & 0x1F == 0 or payload[at] & 0x1F > 23:
                    self.refused_payloads += 1
                    self._damaged = True
                else:
                    self._begin_nal(payload[at], payload + at + 1, length - 1)
                at += length
            if at != size or size == 1:
                self.malformed_packets += 1
                self._damaged = True
        else:
            # STAP-B, MTAP and FU-B exist for interleaved mode, which we never negotiate; 0, 30 and 31 mean nothing.
            self.refused_payloads += 1
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
                self.refused_payloads += 1
                self._damaged = True
                return 0
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
        cdef uint8_t* out
        if self._reserve(5 + size) == 0:
            return 0
        out = self._buffer + self._used
        out[0] = 0
        out[1] = 0
        out[2] = 0
        out[3] = 1
        out[4] = header
        if size:
            memcpy(out + 5, body, size)
        self._used += 5 + size
        if 1 <= header & 0x1F <= 5:
            self._has_picture = True
        return 0

    cdef int _append(self, const uint8_t* data, Py_ssize_t size) except -1:
        if size and self._reserve(size):
            memcpy(self._buffer + self._used, data, size)
            self._used += size
        return 0

    cdef int _reserve(self, Py_ssize_t extra) except -1:
        """Makes room for `extra` bytes; 0 if the unit would grow too long, and is refused from here on."""
        cdef Py_ssize_t capacity
        cdef void* larger
        if self._refusing:
            return 0
        if self._used + extra > self._limit:
            self._refusing = True
            self._used = 0
            return 0
        if self._used + extra > self._capacity:
            capacity = max(self._capacity * 2, <Py_ssize_t> INITIAL_CAPACITY)
            while capacity < self._used + extra:
                capacity *= 2
            larger = PyMem_RawRealloc(self._buffer, capacity)
            if larger == NULL:
                raise MemoryError
            self._buffer = <uint8_t*> larger
            self._capacity = capacity
        return 1


cdef inline uint32_t _u32(const uint8_t* data) noexcept nogil:
    return (
        (<uint32_t> data[0] << 24) | (<uint32_t> data[1] << 16) | (<uint32_t> data[2] << 8) | <uint32_t> data[3]
    )
