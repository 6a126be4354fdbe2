"""What an H.265 access unit says of itself: parameter sets, picture size, whether decoding can begin at it.

What belongs here: reading NAL headers, VPS, SPS, PPS, slice headers and recovery points of one epoch, base layer only.
What does not: decoding, and anything that needs the time or the id of a frame. Input is a camera's: it is bounded, and
a malformed unit is called so; nothing here raises because of what a camera sent.

**Join points.** IDR and BLA pictures are EXACT: what follows them refers to nothing before them, and leading pictures
that would (RASL behind a BLA) are shown by no decoder. A CRA picture may be followed by leading pictures that refer to
what stood before it; trailing pictures may not, and every leading picture comes before them in decoding order. Their
number cannot be known when the CRA arrives, but the SPS bounds it: none if it allows no reordering, and then the CRA is
EXACT; else RECOVERS_AFTER the bound, and one. That holds for the first picture of a stream too: its leading pictures are lost
for ever, and nobody may call them exact. A recovery point counts in output order, and is the encoder's own promise.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint8_t

from broker.core.annexb cimport end_of_nal, find_start_code
from broker.core.bits cimport RBSP_LIMIT, unescape
from broker.core.h265_bits cimport (
    H265_AUD, H265_BLA_N_LP, H265_BLA_W_LP, H265_CRA, H265_IDR_N_LP, H265_IDR_W_RADL, H265_PPS, H265_PREFIX_SEI,
    H265_SPS, H265_VPS, H265Sps, parse_h265_recovery_point, parse_h265_sps, read_h265_pps_numbers,
    read_h265_slice_start, read_h265_sps_numbers,
)
from broker.core.parameter_sets cimport CHANGED, REFUSED, Offered, ParameterSets
from broker.core.unit_info cimport UnitInfo

from broker.core.annexb import MAX_UNIT_BYTES

cdef enum:
    LEVEL_VPS = 0
    LEVEL_SPS = 1
    LEVEL_PPS = 2


cdef class H265Inspector:
    """Reads the access units of one epoch in order.

    `parameter_sets`: canonical bytes known beforehand, for instance from the SDP.
    """

    def __cinit__(self, parameter_sets=b""):
        self._sets = ParameterSets(3)
        self._inspected = None
        if len(parameter_sets):
            self.add_parameter_sets(parameter_sets)

    def add_parameter_sets(self, data):
        """Learns VPS, SPS and PPS from canonical `data` that came out of band; returns whether all could be read."""
        cdef UnitInfo info
        self._is_out_of_band = True
        try:
            info = self.inspect(data)
        finally:
            self._is_out_of_band = False
        return all(self._sets.kept) and info.has_vps and info.has_sps and info.has_pps

    @property
    def parameter_sets(self):
        """Latest VPS, then SPS, then PPS, by number, in canonical form; empty while none is known.

        What only a unit claimed and no picture used is left out, as soon as there are others.
        """
        return self._sets.joined()

    @property
    def complete(self):
        """Whether at least one VPS, an SPS that names it and a PPS that names that are known."""
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
        cdef Py_ssize_t size, rbsp_size
        cdef int kind, number, slices = 0, sets = 0, picture = -1, reorder = 16, most_leading = 32
        cdef bint unknown_set = False, opens = False
        cdef set named = None
        cdef bint glued, starts, found = False, exact_match = False, broken_link = False
        cdef int64_t recovery = 0
        cdef uint8_t rbsp[RBSP_LIMIT]
        info.join_point = 1
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            nal = <const uint8_t*> view.buf
            end = nal + view.len
            if view.len < 6 or nal[0] or nal[1] or nal[2] or nal[3] != 1:
                info.malformed = True
                return info
            while nal < end:
                nal += 4
                glued = False
                following = end_of_nal(nal, end, &glued)
                size = following - nal
                info.nals += 1
                if size < 2 or nal[0] & 0x80 or nal[1] & 0x07 == 0:
                    info.malformed = True
                    nal = following
                    continue
                kind = (nal[0] >> 1) & 0x3F
                if glued:
                    # A short start code inside: decoders take it for the end of a NAL, length-prefixed files do not.
                    info.malformed = True
                if nal[0] & 1 or nal[1] >> 3:
                    # Another layer (a second view, more detail): the base layer is complete without it.
                    pass
                elif kind < 32:
                    slices += 1
                    if picture >= 0 and kind != picture:
                        # All slices of a picture are of one kind.
                        info.malformed = True
                    picture = kind
                    number = read_h265_slice_start(nal, size, &starts)
                    if number < 0:
                        info.malformed = True
                    else:
                        if starts:
                            info.starts_picture = True
                        opens = H265_BLA_W_LP <= kind <= H265_CRA
                        entry = self._sets.find(LEVEL_PPS, number, opens)
                        if entry is not None:
                            entry = self._sets.find(LEVEL_SPS, entry[1], opens)
                        if self._sets.doubts:
                            if named is None:
                                named = set()
                            named.add(number)
                        if entry is None or self._sets.find(LEVEL_VPS, entry[1], opens) is None:
                            unknown_set = True
                        else:
                            self.width = entry[2]
                            self.height = entry[3]
                            reorder = entry[4]
                            most_leading = entry[5]
                elif kind == H265_PREFIX_SEI:
                    rbsp_size = unescape(nal + 2, size - 2 if size - 2 < RBSP_LIMIT else RBSP_LIMIT, rbsp)
                    parse_h265_recovery_point(rbsp, rbsp_size, &found, &recovery, &exact_match, &broken_link)
                elif kind == H265_VPS:
                    if size >= 4 and self._offer(LEVEL_VPS, nal[2] >> 4, nal, size, -1, (), info, damaged):
                        info.has_vps = True
                        sets += 1
                    else:
                        info.malformed = True
                elif kind == H265_SPS:
                    if self._offer_sps(nal, size, info, damaged):
                        sets += 1
                    else:
                        info.malformed = True
                elif kind == H265_PPS:
                    if self._offer_pps(nal, size, info, damaged):
                        sets += 1
                    else:
                        info.malformed = True
                nal = following
        finally:
            PyBuffer_Release(&view)
        if slices:
            if not info.starts_picture:
                info.malformed = True
        info.decodable = slices > 0 and not unknown_set
        # Where a set is unknown, no decoder can begin.
        if info.starts_picture and info.decodable:
            if picture == H265_IDR_W_RADL or picture == H265_IDR_N_LP or H265_BLA_W_LP <= picture <= H265_BLA_N_LP:
                info.join_point = 2
            elif picture == H265_CRA:
                info.join_point = 3 if most_leading else 2
                # The frame behind the last leading one is the first that is exact.
                info.recovers_after = most_leading + 1 if most_leading else 0
                info.recovers_surely = True
            elif found and exact_match:
                info.join_point = 3
                # Counted in output order: what is decoded later and shown earlier comes on top.
                info.recovers_after = <int> max(0, recovery) + most_leading + reorder
                if broken_link:
                    info.recovers_after += 16
        if self._is_out_of_band:
            self._sets.keep_all()
            self._take_only_size()
        elif self._sets.doubts:
            sets -= self._sets.finish(named, not (damaged or info.malformed), info.join_point != 1, opens)
        if not slices and not sets:
            # Nothing of it is of any use.
            info.malformed = True
        info.width = self.width
        info.height = self.height
        self._inspected = payload if isinstance(payload, bytes) else None
        self._info = info
        return info

    def with_parameter_sets(self, payload):
        """The unit with the kept sets that it lacks inserted once, behind an AUD, if it is a join point.

        Missing SPS go behind the last VPS that the unit carries, missing PPS behind its last SPS. Units that are no
        join point come back as they are.
        """
        cdef UnitInfo info = self._info if self._inspected is payload else self.inspect(payload)
        cdef Py_buffer view
        cdef const uint8_t* begin
        cdef const uint8_t* nal
        cdef const uint8_t* end
        cdef const uint8_t* following
        cdef Py_ssize_t behind_aud = 0, behind_vps = -1, behind_sps = -1
        cdef int kind, names
        cdef bint first = True
        if info.join_point == 1 or info.nals == 0:
            return payload
        carried_vps = set()
        carried_sps = set()
        carried_pps = set()
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            begin = <const uint8_t*> view.buf
            end = begin + view.len
            nal = begin
            while nal < end:
                following = find_start_code(nal + 4, end)
                kind = (nal[4] >> 1) & 0x3F if following - nal >= 7 else -1
                if 0 <= kind < 32:
                    break
                if kind == H265_AUD and first:
                    behind_aud = following - begin
                elif kind >= H265_VPS and (nal[4] & 1 or nal[5] >> 3):
                    # Sets of another layer have numbers of their own.
                    pass
                elif kind == H265_VPS:
                    carried_vps.add(nal[6] >> 4)
                    behind_vps = following - begin
                elif kind == H265_SPS:
                    carried_sps.add(read_h265_sps_numbers(nal + 4, following - nal - 4, &names))
                    behind_sps = following - begin
                elif kind == H265_PPS:
                    carried_pps.add(read_h265_pps_numbers(nal + 4, following - nal - 4, &names))
                first = False
                nal = following
        finally:
            PyBuffer_Release(&view)
        vps = self._sets.missing(LEVEL_VPS, carried_vps)
        sps = self._sets.missing(LEVEL_SPS, carried_sps)
        pps = self._sets.missing(LEVEL_PPS, carried_pps)
        if not vps and not sps and not pps:
            return payload
        if len(payload) + sum(map(len, vps)) + sum(map(len, sps)) + sum(map(len, pps)) > MAX_UNIT_BYTES:
            # A unit at the very bound stays within it: whoever keeps parameter sets can decode it all the same.
            return payload
        whole = memoryview(payload)
        for_sps = max(behind_aud, behind_vps)
        for_pps = max(for_sps, behind_sps)
        return b"".join(
            [whole[:behind_aud], *vps, whole[behind_aud:for_sps], *sps, whole[for_sps:for_pps], *pps, whole[for_pps:]]
        )

    cdef void _take_only_size(self):
        """Where one SPS is known, its size is that of the pictures to come."""
        known = <dict> self._sets.kept[LEVEL_SPS]
        if len(known) == 1:
            for entry in known.values():
                self.width = entry[2]
                self.height = entry[3]

    cdef bint _offer(
        self, int level, int number, const uint8_t* nal, Py_ssize_t size, int names, tuple facts, UnitInfo info,
        bint damaged,
    ):
        cdef Offered offered
        if self._sets.knows(level, number, nal, size):
            return True
        offered = self._sets.offer(level, number, nal, size, names, facts, damaged)
        if offered == CHANGED:
            info.parameter_sets_changed = True
        return offered != REFUSED

    cdef bint _offer_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info, bint damaged):
        cdef H265Sps sps
        if not parse_h265_sps(nal, size, &sps):
            return False
        if self._sets.knows(LEVEL_SPS, sps.number, nal, size):
            info.has_sps = True
            return True
        facts = (sps.width, sps.height, sps.reorder, sps.most_leading)
        if not self._offer(LEVEL_SPS, sps.number, nal, size, sps.vps, facts, info, damaged):
            return False
        if self.width == 0:
            self.width = sps.width
            self.height = sps.height
        info.has_sps = True
        return True

    cdef bint _offer_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info, bint damaged):
        cdef int number, sps_number
        number = read_h265_pps_numbers(nal, size, &sps_number)
        if number < 0 or not self._offer(LEVEL_PPS, number, nal, size, sps_number, (), info, damaged):
            return False
        info.has_pps = True
        return True
