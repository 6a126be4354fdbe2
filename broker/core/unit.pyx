"""One access unit: as it is put together of what packets carry, and as it is handed out.

What belongs here: its bytes, where it begins and ends, and whether all of it is there. What does not: packets and
their order (`depacketiser`), what its bytes mean (`h264`, `h265`, `jpeg`).

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
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy


cdef enum:
    INITIAL_CAPACITY = 64 << 10
    IDLE_CAPACITY = 1 << 20


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


cdef class UnitBuilder:
    """Puts one unit after the other together; for Depacketiser only."""

    def __dealloc__(self):
        PyMem_RawFree(self._buffer)

    # ---- what a codec does in its own way ---------------------------------------------------------------------------

    cdef int _complete(self) except -1:
        """The unit is about to be handed out: appends what belongs to its end."""
        return 0

    cdef bint _head_is_whole(self) noexcept:
        """Whether the unit in progress, behind `_kept`, proves by itself that nothing before its first packet is lost."""
        return False

    # ---- where it begins and ends -----------------------------------------------------------------------------------

    cdef int _meet_hole(self, uint32_t timestamp) except -1:
        """Packets are missing before one of this time: says what that means for the unit in progress."""
        # The rest of a NAL in pieces would be glued to a wrong place: what came so far is kept.
        self._fragment_open = False
        if not self._open:
            return 0
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
        return 0

    cdef int _meet_foreign_hole(self) except -1:
        """Packets are missing before one that is not of this stream."""
        self._fragment_open = False
        if self._open:
            self._damaged = True
        else:
            # The head of the next unit may have been in it.
            self._head_unknown = True
            self._loss_to_tell = True
        return 0

    cdef int _lose_beginning(self) except -1:
        """Packets before the first that came are missing."""
        self._head_unknown = True
        if self._open:
            self._lost_before = True
        else:
            self._loss_to_tell = True
        return 0

    cdef int _close(self, bint marker, list out) except -1:
        """Hands the unit in progress out, if it is one; else keeps what belongs to the next."""
        cdef Unit unit
        cdef Py_ssize_t begin = 0
        if self._fragment_open:
            # Its last piece never came.
            self._fragment_open = False
            self._damaged = True
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

    # ---- its bytes --------------------------------------------------------------------------------------------------

    cdef int _refuse_payload(self) except -1:
        """What a packet carries is of a kind that nobody reads here."""
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
