"""Reads access units of NAL units, one after the other: what H.264 and H.265 have in common in that.

What belongs here: the walk over a unit, its parameter sets and those that its slices name, and putting in the ones
that it lacks. What does not: the syntax of a codec and where decoding can begin in it (`h264`, `h265`), which sets are
trusted (`parameter_sets`). Input is a camera's: it is bounded, and a malformed unit is called so; nothing here raises
because of what a camera sent.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t

from broker.core.annexb cimport end_of_nal, find_start_code
from broker.core.parameter_sets cimport CHANGED, REFUSED, Offered, ParameterSets
from broker.core.unit_info cimport UnitInfo

from broker.core.annexb import MAX_UNIT_BYTES


cdef class Inspector:
    """Reads the access units of one epoch in order. Use the subclass of the codec.

    `parameter_sets`: canonical bytes known beforehand, for instance from the SDP.
    """

    def __cinit__(self, parameter_sets=b""):
        if type(self) is Inspector:
            raise TypeError("Inspector is what codecs have in common: use inspector_for, or a subclass")

    cdef int _begin_with(self, int levels, int header_size, parameter_sets) except -1:
        """For a subclass's __cinit__. `levels`: how many kinds of sets there are; `header_size`: of a NAL, in bytes."""
        self._sets = ParameterSets(levels)
        self._header_size = header_size
        if len(parameter_sets):
            self.add_parameter_sets(parameter_sets)
        return 0

    def add_parameter_sets(self, data):
        """Learns parameter sets from canonical `data` that came out of band; returns whether all could be read.

        That is at least one of each kind, and those of the lower kinds are in `data`.
        """
        cdef UnitInfo info
        self._is_out_of_band = True
        try:
            info = self.inspect(data)
        finally:
            self._is_out_of_band = False
        has_uppermost = info.has_vps or len(self._sets.kept) == 2
        return all(self._sets.kept) and has_uppermost and info.has_sps and info.has_pps

    @property
    def parameter_sets(self):
        """Latest VPS (H.265), then SPS, then PPS, by number, in canonical form; empty while none is known.

        What only a unit claimed and no picture used is left out, as soon as there are others.
        """
        return self._sets.joined()

    @property
    def complete(self):
        """Whether at least one PPS is known with all that it names."""
        return self._sets.complete()

    cpdef UnitInfo inspect(self, payload, bint damaged=False):
        """Reads one canonical access unit; what it carries of parameter sets is remembered.

        `damaged`: packets of it are missing or were unfit, so that its sets may not change any that work.
        """
        cdef Py_buffer view
        cdef UnitInfo info = UnitInfo.__new__(UnitInfo)
        cdef const uint8_t* nal
        cdef const uint8_t* end
        cdef const uint8_t* following
        cdef Py_ssize_t size
        cdef bint glued
        info.join_point = 1
        self._damaged = damaged
        self._slices = 0
        self._set_nals = 0
        self._unknown_set = False
        self._opens = False
        self._named = None
        self._begin_unit()
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            nal = <const uint8_t*> view.buf
            end = nal + view.len
            if view.len < 4 + self._header_size or nal[0] or nal[1] or nal[2] or nal[3] != 1:
                info.malformed = True
                return info
            while nal < end:
                nal += 4
                glued = False
                following = end_of_nal(nal, end, &glued)
                size = following - nal
                info.nals += 1
                if size < self._header_size or not self._read_nal(nal, size, info):
                    info.malformed = True
                if glued:
                    # A short start code inside: decoders take it for the end of a NAL, length-prefixed files do not.
                    info.malformed = True
                nal = following
        finally:
            PyBuffer_Release(&view)
        if self._slices and not info.starts_picture:
            info.malformed = True
        info.decodable = self._slices > 0 and not self._unknown_set
        self._judge(info)
        if self._is_out_of_band:
            self._sets.keep_all()
            self._take_only_size()
        elif self._sets.doubts:
            self._set_nals -= self._sets.finish(
                self._named, not (damaged or info.malformed), info.join_point != 1, self._opens
            )
        if not self._slices and not self._set_nals:
            # Nothing of it is of any use.
            info.malformed = True
        info.width = self.width
        info.height = self.height
        self._inspected = payload if isinstance(payload, bytes) else None
        self._info = info
        return info

    def with_parameter_sets(self, payload):
        """The unit with the kept sets that it lacks inserted once, behind an AUD, if it is a join point.

        Missing sets of a kind go behind the last that the unit carries of the kind above. Units that are no join point
        come back as they are.
        """
        cdef UnitInfo info = self._info if self._inspected is payload else self.inspect(payload)
        cdef Py_buffer view
        cdef const uint8_t* begin
        cdef const uint8_t* nal
        cdef const uint8_t* end
        cdef const uint8_t* following
        cdef Py_ssize_t place = 0, at = 0
        cdef int level, role, number = -1, levels = len(self._sets.kept)
        cdef Py_ssize_t behind[3]
        cdef bint first = True
        if info.join_point == 1 or info.nals == 0:
            return payload
        for level in range(3):
            behind[level] = 0
        carried = [set() for _ in range(levels)]
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            begin = <const uint8_t*> view.buf
            end = begin + view.len
            nal = begin
            while nal < end:
                following = find_start_code(nal + 4, end)
                role = self._role_of(nal + 4, following - nal - 4, &number)
                if role == SLICE:
                    break
                if role == DELIMITER and first:
                    place = following - begin
                elif role >= 0:
                    carried[role].add(number)
                    behind[role] = following - begin
                first = False
                nal = following
        finally:
            PyBuffer_Release(&view)
        missing = [self._sets.missing(level, carried[level]) for level in range(levels)]
        if not any(missing):
            return payload
        if len(payload) + sum([len(one) for lacking in missing for one in lacking]) > MAX_UNIT_BYTES:
            # A unit at the very bound stays within it: whoever keeps parameter sets can decode it all the same.
            return payload
        whole = memoryview(payload)
        parts = []
        for level in range(levels):
            if level:
                place = max(place, behind[level - 1])
            parts += [whole[at:place], *missing[level]]
            at = place
        return b"".join([*parts, whole[at:]])

    # ---- what a codec does in its own way ---------------------------------------------------------------------------

    cdef void _begin_unit(self):
        """Forgets what the codec's own NALs said of the unit before."""

    cdef bint _read_nal(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info) except -1:
        """Reads a NAL that is as long as its header at least, counts slices and sets; False if it is malformed."""
        return False

    cdef void _judge(self, UnitInfo info):
        """All NALs were read: whether decoding can begin here. Where a set is unknown (`decodable`), none can."""

    cdef int _role_of(self, const uint8_t* nal, Py_ssize_t size, int* number) noexcept:
        """The level of the set that a NAL is, with its `number` (-1: unreadable); else DELIMITER, SLICE or OTHER_NAL."""
        return OTHER_NAL

    # ---- parameter sets ---------------------------------------------------------------------------------------------

    cdef tuple _sps_of_slice(self, int pps, bint opens):
        """The SPS of a slice that names `pps`, by all levels; None, and noted, if one of them is unknown.

        `opens`: its picture opens a sequence.
        """
        cdef int level = len(self._sets.kept) - 1
        if self._sets.doubts:
            if self._named is None:
                self._named = set()
            self._named.add(pps)
        entry = self._sets.find(level, pps, opens)
        if entry is not None:
            entry = self._sets.find(level - 1, entry[1], opens)
        if entry is None or (level == 2 and self._sets.find(0, entry[1], opens) is None):
            self._unknown_set = True
            return None
        self.width = entry[2]
        self.height = entry[3]
        return entry

    cdef bint _offer(
        self, int level, int number, const uint8_t* nal, Py_ssize_t size, int names, tuple facts, UnitInfo info
    ) except -1:
        """Takes a set that the unit carries; False if it is too long, or too much. `facts` of an SPS: width, height, …"""
        cdef Offered offered
        if not self._sets.knows(level, number, nal, size):
            offered = self._sets.offer(level, number, nal, size, names, facts, self._damaged)
            if offered == REFUSED:
                return False
            if offered == CHANGED:
                info.parameter_sets_changed = True
            if facts and self.width == 0:
                self.width = facts[0]
                self.height = facts[1]
        self._set_nals += 1
        return True

    cdef void _take_only_size(self):
        """Where one SPS is known, its size is that of the pictures to come."""
        known = <dict> self._sets.kept[len(self._sets.kept) - 2]
        if len(known) == 1:
            for entry in known.values():
                self.width = entry[2]
                self.height = entry[3]
