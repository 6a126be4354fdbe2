from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

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

cdef class UnitBuilder:
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
    # It grew too long.
    cdef bint _refusing
    # The NAL at its end came in pieces, and the last piece is still to come.
    cdef bint _fragment_open
    cdef uint32_t _timestamp
    cdef int _packets_in_unit
    cdef bint _extension_known
    cdef int64_t _extension_ntp_ns
    cdef int _extension_flags
    # When the last packet of any unit came.
    cdef int64_t _last_ns
    # What the next unit has to tell of units that never came out.
    cdef bint _loss_to_tell
    cdef int _refused_to_tell
    cdef readonly uint64_t refused_payloads
    cdef readonly uint64_t refused_units
    cdef readonly uint64_t units
    cdef readonly uint64_t damaged_units

    # What each codec does in its own way.
    cdef int _complete(self) except -1
    cdef bint _head_is_whole(self) noexcept

    # What it does it with.
    cdef int _append_nal(self, const uint8_t* header, int header_size, const uint8_t* body, Py_ssize_t size) except -1
    cdef int _append(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int _refuse_payload(self) except -1

    cdef int _meet_hole(self, uint32_t timestamp) except -1
    cdef int _meet_foreign_hole(self) except -1
    cdef int _lose_beginning(self) except -1
    cdef inline void _go_on(self, uint32_t timestamp, bint hole, int64_t monotonic_ns) noexcept:
        """Takes a packet for the unit in progress, or begins it. `hole`: packets before it are missing."""
        if not self._open:
            self._open = True
            self._head_unknown = self._head_unknown or hole
            self._lost_before = hole or self._loss_to_tell
            self._loss_to_tell = False
        self._timestamp = timestamp
        self._packets_in_unit += 1
        if monotonic_ns > self._last_ns or not self.units:
            self._last_ns = monotonic_ns

    cdef int _close(self, bint marker, list out) except -1
    cdef int _discard(self) except -1
    cdef int _reserve(self, Py_ssize_t extra) except -1
