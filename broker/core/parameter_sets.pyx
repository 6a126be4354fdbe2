"""Which parameter sets of a stream are known, and which of them have proven themselves.

What belongs here: what H.264 (SPS, PPS) and H.265 (VPS, SPS, PPS) have in common in keeping sets by number, each kind
one level, the uppermost first. What does not: reading them (`h264_bits`, `h265_bits`), and units (`h264`, `h265`).

RTP has no checksum: a packet of random bytes may read as a set. What is inserted into join points would carry it on
until the epoch ends, so a set is **kept** only if it came out of band, or in an undamaged join point, or was named by
a slice of an undamaged unit since. Until then it is **doubtful**: slices may use it, nobody else is given it. The
latest of a number counts, but for two: a damaged unit changes no set that is kept, and a kept set that is not of the
lowest level gives way only where a sequence opens, because the standards let it change nowhere else.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from broker.core.bits cimport PARAMETER_SET_LIMIT, PARAMETER_SETS_LIMIT


cdef class ParameterSets:
    """The sets of one epoch. `levels`: how many kinds there are."""

    def __cinit__(self, int levels):
        self.kept = tuple([{} for _ in range(levels)])
        self.doubtful = tuple([{} for _ in range(levels)])
        self._last = levels - 1
        self._carried = []
        self._joined = None

    cdef bint knows(self, int level, int number, const uint8_t* nal, Py_ssize_t size):
        """Whether this very set is kept and nothing contests it, as with nearly every set that comes."""
        if self.doubts:
            return False
        kept = (<dict> self.kept[level]).get(number)
        if kept is None:
            return False
        raw = (<tuple> kept)[0]
        return PyBytes_GET_SIZE(raw) == size and memcmp(PyBytes_AS_STRING(raw), nal, size) == 0

    cdef Offered offer(
        self, int level, int number, const uint8_t* nal, Py_ssize_t size, int names, tuple facts, bint damaged
    ):
        """Takes a set that the unit carries; `finish` or `keep_all` decides about it."""
        if size > PARAMETER_SET_LIMIT:
            return REFUSED
        raw = PyBytes_FromStringAndSize(<const char*> nal, size)
        kept = (<dict> self.kept[level]).get(number)
        if kept is not None and (damaged or (<tuple> kept)[0] == raw):
            if not damaged and self.doubts:
                # What came between was not meant to last.
                self._forget(level, number)
            return UNCHANGED
        doubtful = (<dict> self.doubtful[level]).get(number)
        if doubtful is not None:
            if (<tuple> doubtful)[0] == raw:
                self._carried.append((level, number))
                return UNCHANGED
            self._forget(level, number)
        if self._size + size > PARAMETER_SETS_LIMIT:
            self._make_room()
            if self._size + size > PARAMETER_SETS_LIMIT + (len((<tuple> kept)[0]) if kept is not None else 0):
                return REFUSED
        self._size += size
        self.doubts += 1
        self._joined = None
        (<dict> self.doubtful[level])[number] = (raw, names, *facts)
        self._carried.append((level, number))
        return NEW if kept is None and doubtful is None else CHANGED

    cdef tuple find(self, int level, int number, bint opens):
        """The set that a slice means, or None. `opens`: whether its picture opens a sequence, so that all may change."""
        if self.doubts:
            entry = (<dict> self.doubtful[level]).get(number)
            if entry is not None and self._serves(level, number, opens):
                return entry
        return (<dict> self.kept[level]).get(number)

    cdef int finish(self, set named, bint sound, bint joins, bint opens):
        """Ends a unit whose slices named `named`, of the lowest level; returns how many sets it carried in vain.

        Those name a set that nobody knows. `sound`: neither damaged nor malformed; `joins`: a join point.
        """
        cdef int level, number, dropped = 0
        if self._carried:
            self._carried.sort()
            for level, number in self._carried:
                entry = (<dict> self.doubtful[level]).get(number)
                if entry is None:
                    continue
                if level and entry[1] not in self.kept[level - 1] and entry[1] not in self.doubtful[level - 1]:
                    self._forget(level, number)
                    dropped += 1
                elif sound and joins and self._serves(level, number, opens):
                    self._keep(level, number)
            self._carried.clear()
        if sound and named is not None:
            for number in named:
                self._vouch(self._last, number, opens)
        return dropped

    cdef void keep_all(self):
        """Ends what came out of band: whoever wrote it down meant it, in whatever order and however many parts."""
        cdef int level, number
        for level, number in self._carried:
            if number in self.doubtful[level]:
                self._keep(level, number)
        self._carried.clear()

    cdef list missing(self, int level, set carried):
        """Kept sets of a level, by number, in canonical form, without those of `carried`."""
        table = <dict> self.kept[level]
        return [b"\x00\x00\x00\x01" + table[number][0] for number in sorted(table) if number not in carried]

    cdef bint complete(self):
        """Whether a set of the lowest level is known with all that it names, in doubt or not."""
        return self._is_whole(self.kept) or (self.doubts > 0 and self._is_whole(self._all()))

    cdef bytes joined(self):
        """The sets in canonical form; those in doubt only as long as nobody could decode without them."""
        if self._joined is None:
            tables = self.kept if self._is_whole(self.kept) else self._all()
            self._joined = b"".join(
                [b"\x00\x00\x00\x01" + table[number][0] for table in tables for number in sorted(table)]
            )
        return self._joined

    cdef bint _serves(self, int level, int number, bint opens):
        """Whether a doubtful set may be used though another of its number may be kept."""
        return opens or level == self._last or number not in self.kept[level]

    cdef bint _is_whole(self, tuple tables):
        cdef int level
        for entry in (<dict> tables[self._last]).values():
            for level in range(self._last - 1, -1, -1):
                entry = (<dict> tables[level]).get(entry[1])
                if entry is None:
                    break
            else:
                return True
        return False

    cdef tuple _all(self):
        return tuple([{**doubtful, **kept} for doubtful, kept in zip(self.doubtful, self.kept)])

    cdef void _keep(self, int level, int number):
        entry = (<dict> self.doubtful[level]).pop(number)
        self.doubts -= 1
        before = (<dict> self.kept[level]).get(number)
        if before is not None:
            self._size -= len((<tuple> before)[0])
        (<dict> self.kept[level])[number] = entry
        self._joined = None

    cdef void _forget(self, int level, int number):
        entry = (<dict> self.doubtful[level]).pop(number, None)
        if entry is not None:
            self.doubts -= 1
            self._size -= len((<tuple> entry)[0])
            self._joined = None

    cdef void _vouch(self, int level, int number, bint opens):
        """A slice named it: it is kept from now on, and what it names."""
        if number in self.doubtful[level] and self._serves(level, number, opens):
            self._keep(level, number)
        entry = (<dict> self.kept[level]).get(number)
        if level and entry is not None:
            self._vouch(level - 1, (<tuple> entry)[1], opens)

    cdef void _make_room(self):
        """Doubtful sets of earlier units go: nobody named them, and what is never named must not crowd out the rest."""
        cdef int level
        for level in range(self._last + 1):
            for number in list(self.doubtful[level]):
                if (level, number) not in self._carried:
                    self._forget(level, number)
