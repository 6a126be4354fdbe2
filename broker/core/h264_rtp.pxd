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

cdef class H264Depacketiser:
    # The unit in progress.
    cdef uint8_t* _buffer
    cdef Py_ssize_t _used
    cdef Py_ssize_t _capacity
    cdef Py_ssize_t _limit
    cdef bint _open
    cdef bint _has_picture
    cdef bint _damaged
    cdef bint _lost_before
    cdef bint _refusing
    cdef bint _fragment_open
    cdef uint8_t _fragment_kind
    cdef uint32_t _timestamp
    cdef int _packets_in_unit
    cdef int64_t _last_ns
    # What the next unit has to tell of units that never came out.
    cdef bint _loss_to_tell
    cdef int _refused_to_tell
    # The stream.
    cdef bint _synchronised
    cdef uint16_t _expected
    cdef int _late_expected
    cdef int _late_in_a_row
    cdef bint _ssrc_known
    cdef bint _ssrc_fixed
    cdef uint32_t _ssrc
    cdef int _payload_type
    cdef readonly uint64_t packets
    cdef readonly uint64_t octets
    cdef readonly uint64_t lost_packets
    cdef readonly uint64_t late_packets
    cdef readonly uint64_t foreign_packets
    cdef readonly uint64_t malformed_packets
    cdef readonly uint64_t refused_payloads
    cdef readonly uint64_t refused_units
    cdef readonly uint64_t units
    cdef readonly uint64_t damaged_units
    cdef readonly uint64_t ssrc_changes

    cdef int push(self, const uint8_t* packet, Py_ssize_t size, int64_t monotonic_ns, list out) except -1
    cdef bint _advance(self, uint16_t sequence, uint32_t timestamp, bint* gap) noexcept
    cdef int _close(self, bint marker, list out) except -1
    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int _reserve(self, Py_ssize_t extra) except -1
    cdef int _begin_nal(self, uint8_t header, const uint8_t* body, Py_ssize_t size) except -1
    cdef int _append(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int _note_gap(self) except -1
    cdef int _discard(self) except -1
    cdef int _take_fragment(self, const uint8_t* payload, Py_ssize_t size) except -1
