"""Access units from RTP packets (RFC 3550): what all codecs have in common; every loss marked.

What belongs here: which packets are of the stream, their sequence numbers, order and loss. What does not: where
packets come from (`interleaved`, `datagrams`), a header by itself (`rtp_packet`), what a loss means for a unit (`unit`),
how a codec is cut into payloads (`nal_rtp`, `jpeg_rtp`), what the unit means (`h264`, `h265`, `jpeg`), ids and wall
time. No Python object is made per packet. Everything comes from a camera and is bounded; nothing that it sends raises.

**Order.** Over TCP packets come in order, and one behind its time is late or a duplicate. Over UDP, `reorder_packets`
and `reorder_ns` bound how many packets, and how long, wait for a missing one.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_RawFree
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from broker.core.rtp_packet cimport (
    RtpPacket, is_onvif_time, is_rtp, payload_type_of, read_ntp, read_rtp, sequence_of, ssrc_of,
)
from broker.core.unit cimport UnitBuilder
from broker.core.waiting_packets cimport PLACED_BETWEEN, PLACED_TWICE, Held, Placed, WaitingPackets


cdef enum:
    # A sequence number this far behind is a packet that comes late; further behind, the sender has started anew.
    LATE_WINDOW = 128
    # So many packets may be missing before the first that comes; a sender that says more is taken to be wrong.
    BELIEVED_AT_MOST = 1000
    MAX_WINDOW = 4096


cdef class Depacketiser(UnitBuilder):
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
            self._waiting = WaitingPackets(reorder_packets)
        if ssrc is not None:
            self._ssrc = ssrc
            self._ssrc_known = True
            self._ssrc_fixed = True

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
        return self._waiting.count if self._window else 0

    @property
    def deadline_ns(self):
        """Monotonic time at which `expire` has something to do, or None while nothing waits."""
        return self._waiting.since_ns + self._window_ns if self.held_packets and self._window_ns else None

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
        self._lose_beginning()

    def expire(self, int64_t now_ns):
        """Waits no longer for packets whose time is over; returns the units that this completed."""
        cdef list out = []
        if self._window:
            self._give_up_late(now_ns, out)
        return out

    def flush(self):
        """Closes the unit in progress at the end of the stream. Its tail may be missing: it is marked damaged.

        None if there is nothing (left). With reordering, packets that wait may make more units: call until None.
        """
        cdef list out = self._left if self._left is not None else []
        self._left = None
        if self._window:
            self._give_up_all(out)
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

    # ---- what a codec does in its own way, besides what UnitBuilder names -------------------------------------------

    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1:
        """Takes what one packet carries of the unit in progress; sets `_damaged`, `_has_picture`, `_has_sets`."""
        return self._refuse_payload()

    cdef int _take_extension(self, const uint8_t* extension) except -1:
        """Reads the ONVIF replay extension; its bounds were checked. The latest packet's stands for the unit."""
        if is_onvif_time(extension):
            self._extension_flags = extension[12] & 0xF0
            if read_ntp(extension + 4, &self._extension_ntp_ns):
                self._extension_known = True
        return 0

    # ---- one packet in order ----------------------------------------------------------------------------------------

    @cython.final
    cdef int _process(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1:
        cdef RtpPacket rtp
        cdef bint hole = False
        if not read_rtp(packet, size, &rtp):
            self.malformed_packets += 1
            return 0
        if (not self._ssrc_known or rtp.ssrc != self._ssrc) and not self._follow_source(&rtp, &hole):
            self.foreign_packets += 1
            return 0
        if not self._advance(rtp.sequence, rtp.timestamp, &hole):
            return 0
        self.packets += 1
        self.octets += size
        if self._is_other_type(rtp.payload_type):
            self.foreign_packets += 1
            return self._meet_foreign_hole() if hole else 0
        if hole:
            self._meet_hole(rtp.timestamp)
        if self._open and rtp.timestamp != self._timestamp:
            self._close(False, out)
        self._go_on(rtp.timestamp, hole, monotonic_ns)
        if rtp.extension != NULL:
            self._take_extension(rtp.extension)
        self._take_payload(rtp.payload, rtp.payload_size)
        if rtp.marker:
            self._close(True, out)
        return 0

    cdef bint _follow_source(self, RtpPacket* rtp, bint* hole) noexcept:
        """Locks on to a source, or goes over to another one; False for a packet of a source that is none of ours."""
        # Another source of another type (repair, metadata) beside ours is no new start of ours.
        if self._ssrc_fixed or self._is_other_type(rtp.payload_type):
            return False
        if self._ssrc_known:
            self.ssrc_changes += 1
            self._expected = rtp.sequence
            self._seen = 0
            self._late_expected = -1
            hole[0] = True
        self._ssrc = rtp.ssrc
        self._ssrc_known = True
        return True

    cdef int _begin_as_said(self, const uint8_t* packet, Py_ssize_t size) except -1:
        """With the first packet of ours: those between the one that was said to be first and it are waited for."""
        cdef uint16_t sequence, missing
        if not is_rtp(packet, size) or (self._ssrc_fixed and ssrc_of(packet) != self._ssrc):
            return 0
        if self._is_other_type(payload_type_of(packet)):
            return 0
        sequence = sequence_of(packet)
        missing = sequence - <uint16_t> self._said
        if not self._synchronised and 0 < missing <= BELIEVED_AT_MOST:
            self._ssrc = ssrc_of(packet)
            self._ssrc_known = True
            self._synchronised = True
            self._first = sequence
            self._expected = <uint16_t> self._said
        self._said = -1
        return 0

    @cython.final
    cdef bint _advance(self, uint16_t sequence, uint32_t timestamp, bint* hole) noexcept:
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
            hole[0] = True
            self._seen = 0
            ahead = 0
        elif ahead > 0:
            self.lost_packets += ahead
            hole[0] = True
        self._seen = (self._seen << (ahead + 1) if ahead < 63 else 0) | 1
        self._late_expected = -1
        self._late_in_a_row = 0
        self._expected = sequence + 1
        return True

    # ---- packets that overtook others -------------------------------------------------------------------------------

    cdef int _sort_in(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1:
        """Like `_process`, for packets that may have overtaken others: those wait until their turn comes."""
        cdef uint16_t ahead, expected
        self._give_up_late(monotonic_ns, out)
        if not is_rtp(packet, size) or not self._synchronised:
            return self._process(packet, size, monotonic_ns, out)
        if ssrc_of(packet) != self._ssrc:
            if not self._ssrc_fixed and not self._is_other_type(payload_type_of(packet)):
                # Those that wait belong to the source before.
                self._give_up_all(out)
            return self._process(packet, size, monotonic_ns, out)
        expected = self._expected
        ahead = sequence_of(packet) - expected
        if ahead == 0:
            if self._waiting.count:
                self.reordered_packets += 1
            self._process(packet, size, monotonic_ns, out)
            return self._release_due(out)
        if ahead < 0x8000:
            return self._hold(packet, size, monotonic_ns, out)
        self._process(packet, size, monotonic_ns, out)
        if self._expected != expected and self._waiting.count:
            # The sender started anew: nothing will come before those that wait, and their place is gone.
            self.late_packets += self._waiting.count
            self._waiting.forget()
        return 0

    cdef int _hold(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1:
        cdef Placed placed = self._waiting.put(packet, size, sequence_of(packet), self._expected, monotonic_ns)
        if placed == PLACED_TWICE:
            self.duplicate_packets += 1
        elif placed == PLACED_BETWEEN:
            self.reordered_packets += 1
        while self._waiting.has_too_many():
            self._give_up(out)
        return 0

    cdef int _release_first(self, list out) except -1:
        """Processes the first packet that waits."""
        cdef Held first = self._waiting.take()
        try:
            self._process(first.data, first.size, first.monotonic_ns, out)
        finally:
            PyMem_RawFree(first.data)
        return 0

    cdef int _release_due(self, list out) except -1:
        """Processes those whose turn has come; the others wait from when the first of them came."""
        while self._waiting.is_due(self._expected):
            self._release_first(out)
        self._waiting.wait_anew()
        return 0

    cdef int _give_up(self, list out) except -1:
        """Waits no longer for what is missing before the first that waits."""
        self._release_first(out)
        return self._release_due(out)

    cdef int _give_up_all(self, list out) except -1:
        while self._waiting.count:
            self._give_up(out)
        return 0

    cdef int _give_up_late(self, int64_t now_ns, list out) except -1:
        while self._waiting.count and self._window_ns and self._waiting.since_ns + self._window_ns <= now_ns:
            self._give_up(out)
        return 0
