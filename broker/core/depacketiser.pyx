"""Access units from RTP packets (RFC 3550): what all codecs have in common; every loss marked.

What belongs here: RTP headers, sequence numbers, order, loss, where a unit begins and ends. What does not: where
packets come from (`interleaved`, UDP), how a codec is cut into payloads (`h264_rtp`, `h265_rtp`, `jpeg_rtp`), what the
unit means (`h264`, `h265`, `jpeg`), ids and wall time. No Python object is made per packet. Everything comes from a
camera and is bounded; nothing that it sends raises.

**When is a unit damaged?** The sequence numbers tell how many packets are missing between two that came, not whose they
were. So, with a hole before packet p:

* A unit that was open is damaged: its end, or the middle of it, may have been in the hole.
* A unit that p begins is damaged unless it can be known that nothing of it stood before p. Neither a new timestamp nor
  a marker before the hole tells that: the hole may hold a whole unit, or the first slice of this one. Nor does a slice
  that begins the picture: the parameter sets that it needs, changed ones perhaps, may be gone. What does tell is the
  unit itself, and each codec knows it (`_head_is_whole`):
  an access unit delimiter is the first NAL of its unit wherever one is used; a unit that begins with the parameter set
  that stands first, and holds every set that its slices name and that the stream has ever shown, and the first slice,
  lacks nothing that decoding needs, because no slice may stand before a parameter set (then only SEI may be missing,
  which no picture is decoded from); a JPEG's first fragment says offset 0.

So an IDR picture with its parameter sets behind a loss is whole, and `lost_before` only. What can not be known stays
damaged.

**Order.** Over TCP packets come in order, and one behind its time is late or a duplicate. Over UDP, `reorder_packets`
and `reorder_ns` bound how many packets, and how long, wait for a missing one.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove


cdef enum:
    INITIAL_CAPACITY = 64 << 10
    IDLE_CAPACITY = 1 << 20
    # A sequence number this far behind is a packet that comes late; further behind, the sender has started anew.
    LATE_WINDOW = 128
    # So many packets may be missing before the first that comes; a sender that says more is taken to be wrong.
    BELIEVED_AT_MOST = 1000
    MAX_WINDOW = 4096
    MAX_HELD_BYTES = 4 << 20
    ONVIF_EXTENSION = 0xABAC

# From 1900, where NTP counts from, to 1970; and the length of an era, after which its seconds begin anew (2036).
cdef int64_t NTP_TO_UNIX_S = 2208988800
cdef int64_t ERA_S = <int64_t> 1 << 32


@cython.freelist(64)
cdef class Unit:
    """One access unit as it arrived.

    `payload`: canonical bytes; `rtp_timestamp`: 32 bit, as sent; `damaged`: part of it is missing, or may be;
    `lost_before`: packets between it and the unit before were lost, and units with them perhaps; `refused_before`:
    units between, that were too long and were thrown away; `packets`: how many carried it; `marker`: closed by the
    marker bit, not by the next timestamp; `monotonic_ns`: when the read that brought its last packet returned, never
    before that of the unit before; `extension_ntp_ns`: the camera's UTC time of it, in nanoseconds, from the ONVIF
    header extension, None without one; `extension_flags`: the byte of flags beside it (C 0x80, E 0x40, D 0x20, T 0x10).
    """

    @property
    def extension_ntp_ns(self):
        return self._extension_ntp_ns if self._extension_known else None

    def __repr__(self):
        return (
            f"Unit({len(self.payload)} bytes, rtp_timestamp={self.rtp_timestamp}, damaged={self.damaged}, "
            f"lost_before={self.lost_before}, packets={self.packets})"
        )


cdef class Depacketiser:
    """Puts the access units of one RTP stream together. Use the subclass of the codec.

    `ssrc`: take packets of this source only; None locks on to the first, and follows a change as a loss.
    `payload_type`: ignore other types; None takes all. `max_unit_bytes`: longer units are refused and counted.
    `reorder_packets`: up to so many packets wait for one that is missing before them, none if 0; `reorder_ns`: for so
    long after the first of them came (0: until there are too many).

    A unit closes on the marker bit, or when the timestamp changes. Units without a picture (parameter sets alone) are
    kept as the head of the next.
    """

    def __cinit__(
        self,
        ssrc=None,
        payload_type=None,
        Py_ssize_t max_unit_bytes=16 << 20,
        *,
        int reorder_packets=0,
        int64_t reorder_ns=0,
    ):
        if type(self) is Depacketiser:
            raise TypeError("Depacketiser is what codecs have in common: use depacketiser_for, or a subclass")
        if max_unit_bytes < 64:
            raise ValueError("max_unit_bytes is at least 64")
        if not 0 <= reorder_packets <= MAX_WINDOW or reorder_ns < 0:
            raise ValueError(f"reorder_packets is 0 to {MAX_WINDOW}, and reorder_ns is not negative")
        self._limit = max_unit_bytes
        self._payload_type = -1 if payload_type is None else payload_type
        self._late_expected = -1
        self._said = -1
        self._window = reorder_packets
        self._window_ns = reorder_ns
        if reorder_packets:
            self._held = <Held*> PyMem_RawCalloc(reorder_packets + 1, sizeof(Held))
            if self._held == NULL:
                raise MemoryError
        if ssrc is not None:
            self._ssrc = ssrc
            self._ssrc_known = True
            self._ssrc_fixed = True

    def __dealloc__(self):
        if self._held != NULL:
            self._forget_held()
            PyMem_RawFree(self._held)
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

    @property
    def held_packets(self):
        """Packets that wait for one before them."""
        return self._held_count

    @property
    def deadline_ns(self):
        """Monotonic time at which `expire` has something to do, or None while nothing waits."""
        return self._held_since_ns + self._window_ns if self._held_count and self._window_ns else None

    def feed(self, packet, int64_t monotonic_ns):
        """Takes one RTP packet; returns the units that it completed (none, one or two; more after reordering)."""
        cdef Py_buffer view
        cdef list out = []
        PyObject_GetBuffer(packet, &view, PyBUF_SIMPLE)
        try:
            self.push(<const uint8_t*> view.buf, view.len, monotonic_ns, out)
        finally:
            PyBuffer_Release(&view)
        return out

    def begins_at(self, int sequence):
        """Takes the sender's word for the number of its first packet: what is missing before the first to come is lost.

        Said too late, when a unit came out already, or beyond all belief (no loss, or one of more than 1,000 packets),
        it changes nothing.
        """
        cdef uint16_t missing
        if sequence < 0 or sequence > 0xFFFF:
            return
        if not self._synchronised:
            self._said = sequence
            return
        missing = self._first - <uint16_t> sequence
        if missing == 0 or missing > BELIEVED_AT_MOST or self.units or self.refused_units or self.ssrc_changes:
            return
        self.lost_packets += missing
        self._head_unknown = True
        if self._open:
            self._lost_before = True
        else:
            self._loss_to_tell = True

    def expire(self, int64_t now_ns):
        """Waits no longer for packets whose time is over; returns the units that this completed."""
        cdef list out = []
        while self._held_count and self._window_ns and self._held_since_ns + self._window_ns <= now_ns:
            self._give_up(out)
        return out

    def flush(self):
        """Closes the unit in progress at the end of the stream. Its tail may be missing: it is marked damaged.

        None if there is nothing (left). With reordering, packets that wait may make more units: call until None.
        """
        cdef list out = self._left if self._left is not None else []
        self._left = None
        while self._held_count:
            self._give_up(out)
        if self._open:
            self._damaged = True
            units = len(out)
            self._close(False, out)
            self._discard()
            self._loss_to_tell = self._loss_to_tell or len(out) == units
        if not out:
            return None
        self._left = out
        return out.pop(0)

    cdef int push(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1:
        if self._said >= 0:
            self._begin_as_said(packet, size)
        if self._window == 0:
            return self._process(packet, size, monotonic_ns, out)
        return self._sort_in(packet, size, monotonic_ns, out)

    # ---- what a codec does in its own way ---------------------------------------------------------------------------

    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1:
        """Takes what one packet carries of the unit in progress; sets `_damaged`, `_has_picture`, `_has_sets`."""
        return self._refuse_payload()

    cdef int _complete(self) except -1:
        """The unit is about to be handed out: appends what belongs to its end."""
        return 0

    cdef bint _head_is_whole(self) noexcept:
        """Whether the unit in progress, behind `_kept`, proves by itself that nothing before its first packet is lost."""
        return False

    # ---- one packet in order ----------------------------------------------------------------------------------------

    cdef int _process(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1:
        cdef Py_ssize_t at, padding
        cdef const uint8_t* extension = NULL
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
            extension = packet + at
            at += 4 + 4 * ((<Py_ssize_t> packet[at + 2] << 8) | packet[at + 3])
        padding = packet[size - 1] if packet[0] & 0x20 else 0
        if at > size or padding > size - at or (packet[0] & 0x20 and padding == 0):
            self.malformed_packets += 1
            return 0
        sequence = (<uint16_t> packet[2] << 8) | packet[3]
        timestamp = _u32(packet + 4)
        ssrc = _u32(packet + 8)
        marker = packet[1] >> 7
        if ssrc != self._ssrc or not self._ssrc_known:
            # Another source of another type (repair, metadata) beside ours is no new start of ours.
            if self._ssrc_fixed or (self._payload_type >= 0 and packet[1] & 0x7F != self._payload_type):
                self.foreign_packets += 1
                return 0
        if not self._ssrc_known:
            self._ssrc = ssrc
            self._ssrc_known = True
        elif ssrc != self._ssrc:
            self._ssrc = ssrc
            self.ssrc_changes += 1
            self._expected = sequence
            self._seen = 0
            self._late_expected = -1
            gap = True
        if not self._advance(sequence, timestamp, &gap):
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
                if timestamp == self._timestamp or self._has_picture or self._refusing:
                    self._damaged = True
                elif self._has_sets and not self._damaged:
                    # Parameter sets of a unit whose pictures never came. This one may need them, or have its own.
                    self._kept = self._used
                    self._head_unknown = True
                    self._lost_before = True
                else:
                    # SEI or a delimiter of such a unit, or what was broken even then: no part of this one.
                    self._discard()
                    self._loss_to_tell = True
        if self._open and timestamp != self._timestamp:
            if self._fragment_open:
                self._damaged = True
                self._fragment_open = False
            self._close(False, out)
        if not self._open:
            self._open = True
            self._head_unknown = self._head_unknown or gap
            self._lost_before = gap or self._loss_to_tell
            self._loss_to_tell = False
        self._timestamp = timestamp
        self._packets_in_unit += 1
        if monotonic_ns > self._last_ns or not self.units:
            self._last_ns = monotonic_ns
        if extension != NULL:
            self._take_extension(extension)
        self._take_payload(packet + at, size - at - padding)
        if marker:
            if self._fragment_open:
                self._damaged = True
                self._fragment_open = False
            self._close(True, out)
        return 0

    cdef int _begin_as_said(self, const uint8_t* packet, Py_ssize_t size) except -1:
        """With the first packet of ours: those between the one that was said to be first and it are waited for."""
        cdef uint16_t sequence, missing
        if size < 12 or packet[0] >> 6 != 2 or (self._ssrc_fixed and _u32(packet + 8) != self._ssrc):
            return 0
        if self._payload_type >= 0 and packet[1] & 0x7F != self._payload_type:
            return 0
        sequence = (<uint16_t> packet[2] << 8) | packet[3]
        missing = sequence - <uint16_t> self._said
        if not self._synchronised and 0 < missing <= BELIEVED_AT_MOST:
            self._ssrc = _u32(packet + 8)
            self._ssrc_known = True
            self._synchronised = True
            self._first = sequence
            self._expected = <uint16_t> self._said
        self._said = -1
        return 0

    cdef bint _advance(self, uint16_t sequence, uint32_t timestamp, bint* gap) noexcept:
        """Follows the sequence number; False for a packet that comes late or twice, which is counted."""
        cdef uint16_t ahead = sequence - self._expected
        cdef uint16_t behind = self._expected - sequence
        cdef bint restarted
        if not self._synchronised:
            self._synchronised = True
            self._first = sequence
            self._seen = 0
            ahead = 0
        elif ahead >= 0x8000:
            # Late or twice, or a sender that started anew: then a second packet in its order that is far off or newer
            # than the unit in progress tells, or that no packet comes on time any more. Where packets overtake each
            # other, and pictures are not sent in the order of their times, being newer tells nothing.
            restarted = sequence == self._late_expected and (
                behind > LATE_WINDOW or (self._window == 0 and <int32_t> (timestamp - self._timestamp) > 0)
            )
            self._late_expected = (sequence + 1) & 0xFFFF
            self._late_in_a_row += 1
            if not restarted and self._late_in_a_row < LATE_WINDOW:
                if behind <= 64 and (self._seen >> (behind - 1)) & 1:
                    self.duplicate_packets += 1
                else:
                    self.late_packets += 1
                    if behind <= 64:
                        self._seen |= <uint64_t> 1 << (behind - 1)
                return False
            gap[0] = True
            self._seen = 0
            ahead = 0
        elif ahead > 0:
            self.lost_packets += ahead
            gap[0] = True
        self._seen = (self._seen << (ahead + 1) if ahead < 63 else 0) | 1
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
            self._head_unknown = True
            self._loss_to_tell = True
        return 0

    cdef int _take_extension(self, const uint8_t* extension) except -1:
        """Reads the ONVIF replay extension; its bounds were checked. The latest packet's stands for the unit."""
        cdef int64_t seconds, fraction
        if (<int> extension[0] << 8 | extension[1]) != ONVIF_EXTENSION or (<int> extension[2] << 8 | extension[3]) < 3:
            return 0
        seconds = _u32(extension + 4)
        fraction = _u32(extension + 8)
        self._extension_flags = extension[12] & 0xF0
        if seconds == 0 and fraction == 0:
            return 0
        if seconds < ERA_S // 2:
            seconds += ERA_S
        self._extension_ntp_ns = (seconds - NTP_TO_UNIX_S) * 1000000000 + (
            (fraction * 1000000000 + (<int64_t> 1 << 31)) >> 32
        )
        self._extension_known = True
        return 0

    # ---- one unit ---------------------------------------------------------------------------------------------------

    cdef int _close(self, bint marker, list out) except -1:
        """Hands the unit in progress out, if it is one; else keeps what belongs to the next."""
        cdef Unit unit
        cdef Py_ssize_t begin = 0
        if self._has_picture and not self._refusing:
            self._complete()
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
                self._head_unknown = False
                self._lost_before = False
                self._packets_in_unit = 0
                self._extension_known = False
                self._extension_flags = 0
            elif self._damaged:
                self._lost_before = True
            return 0
        if self._head_unknown and not self._damaged:
            if self._head_is_whole():
                begin = self._kept
            else:
                self._damaged = True
        unit = Unit.__new__(Unit)
        unit.payload = PyBytes_FromStringAndSize(<const char*> self._buffer + begin, self._used - begin)
        unit.rtp_timestamp = self._timestamp
        unit.damaged = self._damaged
        unit.lost_before = self._lost_before
        unit.refused_before = self._refused_to_tell
        unit.packets = self._packets_in_unit
        unit.marker = marker
        unit.monotonic_ns = self._last_ns
        unit._extension_known = self._extension_known
        unit._extension_ntp_ns = self._extension_ntp_ns
        unit.extension_flags = self._extension_flags
        out.append(unit)
        self.units += 1
        self.damaged_units += self._damaged
        self._refused_to_tell = 0
        self._discard()
        return 0

    cdef int _discard(self) except -1:
        cdef void* smaller
        self._used = 0
        self._kept = 0
        self._open = False
        self._has_picture = False
        self._has_sets = False
        self._damaged = False
        self._head_unknown = False
        self._lost_before = False
        self._refusing = False
        self._fragment_open = False
        self._packets_in_unit = 0
        self._extension_known = False
        self._extension_flags = 0
        if self._capacity > IDLE_CAPACITY:
            # One huge unit must not cost its memory for ever: there are a hundred cameras.
            smaller = PyMem_RawRealloc(self._buffer, INITIAL_CAPACITY)
            if smaller != NULL:
                self._buffer = <uint8_t*> smaller
                self._capacity = INITIAL_CAPACITY
        return 0

    cdef int _refuse_payload(self) except -1:
        self.refused_payloads += 1
        self._damaged = True
        return 0

    cdef int _append_nal(self, const uint8_t* header, int header_size, const uint8_t* body, Py_ssize_t size) except -1:
        """Appends a start code, a NAL header of one or two bytes, and what follows it."""
        cdef uint8_t* out
        if self._reserve(4 + header_size + size) == 0:
            return 0
        out = self._buffer + self._used
        out[0] = 0
        out[1] = 0
        out[2] = 0
        out[3] = 1
        out[4] = header[0]
        if header_size == 2:
            out[5] = header[1]
        if size:
            memcpy(out + 4 + header_size, body, size)
        self._used += 4 + header_size + size
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
            self._kept = 0
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

    # ---- packets that overtook others -------------------------------------------------------------------------------

    cdef int _sort_in(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1:
        """Like `_process`, for packets that may have overtaken others: those wait until their turn comes."""
        cdef uint16_t sequence, ahead, expected
        while self._held_count and self._window_ns and self._held_since_ns + self._window_ns <= monotonic_ns:
            self._give_up(out)
        if size < 12 or packet[0] >> 6 != 2 or not self._synchronised:
            return self._process(packet, size, monotonic_ns, out)
        if _u32(packet + 8) != self._ssrc:
            if not self._ssrc_fixed and (self._payload_type < 0 or packet[1] & 0x7F == self._payload_type):
                # Those that wait belong to the source before.
                while self._held_count:
                    self._give_up(out)
            return self._process(packet, size, monotonic_ns, out)
        sequence = (<uint16_t> packet[2] << 8) | packet[3]
        ahead = sequence - self._expected
        if ahead == 0:
            if self._held_count:
                self.reordered_packets += 1
            self._process(packet, size, monotonic_ns, out)
            return self._release_due(out)
        if ahead < 0x8000:
            return self._hold(packet, size, sequence, monotonic_ns, out)
        expected = self._expected
        self._process(packet, size, monotonic_ns, out)
        if self._expected != expected and self._held_count:
            # The sender started anew: nothing will come before those that wait, and their place is gone.
            self.late_packets += self._held_count
            self._forget_held()
        return 0

    cdef int _hold(
        self, const uint8_t* packet, Py_ssize_t size, uint16_t sequence, int64_t monotonic_ns, list out
    ) except -1:
        cdef int at = self._held_count
        cdef uint16_t ahead = sequence - self._expected
        cdef uint8_t* copy
        while at and <uint16_t> (self._held[at - 1].sequence - self._expected) > ahead:
            at -= 1
        if at and self._held[at - 1].sequence == sequence:
            self.duplicate_packets += 1
            return 0
        copy = <uint8_t*> PyMem_RawMalloc(size)
        if copy == NULL:
            raise MemoryError
        memcpy(copy, packet, size)
        if at < self._held_count:
            self.reordered_packets += 1
            memmove(self._held + at + 1, self._held + at, (self._held_count - at) * sizeof(Held))
        self._held[at].data = copy
        self._held[at].size = size
        self._held[at].sequence = sequence
        self._held[at].monotonic_ns = monotonic_ns
        if self._held_count == 0:
            self._held_since_ns = monotonic_ns
        self._held_count += 1
        self._held_bytes += size
        while self._held_count > self._window or self._held_bytes > MAX_HELD_BYTES:
            self._give_up(out)
        return 0

    cdef int _release_first(self, list out) except -1:
        """Processes the first packet that waits."""
        cdef Held first = self._held[0]
        self._held_count -= 1
        self._held_bytes -= first.size
        memmove(self._held, self._held + 1, self._held_count * sizeof(Held))
        try:
            self._process(first.data, first.size, first.monotonic_ns, out)
        finally:
            PyMem_RawFree(first.data)
        return 0

    cdef int _release_due(self, list out) except -1:
        """Processes those whose turn has come; the others wait from when the first of them came."""
        cdef int i
        while self._held_count and <uint16_t> (self._held[0].sequence - self._expected - 1) >= 0x7FFF:
            # Due, or behind since a packet that could not be read took no place.
            self._release_first(out)
        for i in range(self._held_count):
            if i == 0 or self._held[i].monotonic_ns < self._held_since_ns:
                self._held_since_ns = self._held[i].monotonic_ns
        return 0

    cdef int _give_up(self, list out) except -1:
        """Waits no longer for what is missing before the first that waits."""
        self._release_first(out)
        return self._release_due(out)

    cdef int _forget_held(self) noexcept:
        cdef int i
        for i in range(self._held_count):
            PyMem_RawFree(self._held[i].data)
        self._held_count = 0
        self._held_bytes = 0
        return 0


cdef inline uint32_t _u32(const uint8_t* data) noexcept nogil:
    return (
        (<uint32_t> data[0] << 24) | (<uint32_t> data[1] << 16) | (<uint32_t> data[2] << 8) | <uint32_t> data[3]
    )
