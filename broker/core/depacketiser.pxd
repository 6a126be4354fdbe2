from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef class Unit:
    cdef readonly bytes payload
    cdef readonly uint32_t rtp_timestamp
    cdef readonly bint damaged
    cdef readonly bint lost_before
    cdef readonly int refused_before
    cdef readonly int packets
    cdef readonly bint marker
    cdef readonly int64_t monotonic_ns
    cdef readonly int extension_flags
    cdef bint _extension_known
    cdef int64_t _extension_ntp_ns

# A packet that waits for one before it.
cdef struct Held:
    uint8_t* data
    Py_ssize_t size
    uint16_t sequence
    int64_t monotonic_ns

cdef class Depacketiser:
    # The unit in progress.
    cdef uint8_t* _buffer
    cdef Py_ssize_t _used
    cdef Py_ssize_t _capacity
    cdef Py_ssize_t _limit
    cdef bint _open
    cdef bint _has_picture
    # Parameter sets are in it, which a later unit may need.
    cdef bint _has_sets
    cdef bint _damaged
    # Packets before its first one were lost: whether they were part of it is judged when it closes.
    cdef bint _head_unknown
    # How much of it is left of a unit whose pictures were lost: parameter sets, kept in case this one needs them.
    cdef Py_ssize_t _kept
    cdef bint _lost_before
    cdef bint _refusing
    cdef bint _fragment_open
    cdef uint8_t _fragment_kind
    cdef uint32_t _timestamp
    cdef int _packets_in_unit
    cdef bint _extension_known
    cdef int64_t _extension_ntp_ns
    cdef int _extension_flags
    # What the next unit has to tell of units that never came out.
    cdef bint _loss_to_tell
    cdef int _refused_to_tell
    # The stream.
    cdef int64_t _last_ns
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
    # Packets held back until one before them comes, in order.
    cdef Held* _held
    cdef int _held_count
    cdef Py_ssize_t _held_bytes
    cdef int _window
    cdef int64_t _window_ns
    cdef int64_t _held_since_ns
    cdef list _left
    cdef readonly uint64_t packets
    cdef readonly uint64_t octets
    cdef readonly uint64_t lost_packets
    cdef readonly uint64_t late_packets
    cdef readonly uint64_t duplicate_packets
    cdef readonly uint64_t reordered_packets
    cdef readonly uint64_t foreign_packets
    cdef readonly uint64_t malformed_packets
    cdef readonly uint64_t refused_payloads
    cdef readonly uint64_t refused_units
    cdef readonly uint64_t units
    cdef readonly uint64_t damaged_units
    cdef readonly uint64_t ssrc_changes

    # Takes one packet; units that it completes are appended to `out`.
    cdef int push(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1

    # What each codec does in its own way.
    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int _complete(self) except -1
    cdef bint _head_is_whole(self) noexcept

    # What it does it with.
    cdef int _append_nal(self, const uint8_t* header, int header_size, const uint8_t* body, Py_ssize_t size) except -1
    cdef int _append(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int _refuse_payload(self) except -1

    cdef int _process(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1
    cdef int _begin_as_said(self, const uint8_t* packet, Py_ssize_t size) except -1
    cdef bint _advance(self, uint16_t sequence, uint32_t timestamp, bint* gap) noexcept
    cdef int _note_gap(self) except -1
    cdef int _take_extension(self, const uint8_t* extension) except -1
    cdef int _close(self, bint marker, list out) except -1
    cdef int _discard(self) except -1
    cdef int _reserve(self, Py_ssize_t extra) except -1
    cdef int _sort_in(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1
    cdef int _hold(
        self, const uint8_t* packet, Py_ssize_t size, uint16_t sequence, int64_t monotonic_ns, list out
    ) except -1
    cdef int _release_first(self, list out) except -1
    cdef int _give_up(self, list out) except -1
    cdef int _release_due(self, list out) except -1
    cdef int _forget_held(self) noexcept
