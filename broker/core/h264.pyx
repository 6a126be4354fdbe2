"""What an H.264 access unit says of itself: parameter sets, picture size, whether decoding can begin at it.

What belongs here: reading NAL headers, SPS, PPS, slice headers and recovery points of one epoch. What does not:
decoding, and anything that needs the time or the id of a frame. Input is a camera's: it is bounded, and a malformed
unit is called so; nothing here raises because of what a camera sent.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint32_t

from broker.core.annexb cimport end_of_nal, find_start_code
from broker.core.bits cimport PARAMETER_SET_LIMIT, RBSP_LIMIT, Bits, bits_open, ue, unescape
from broker.core.h264_bits cimport Sps, parse_recovery_point, parse_sps, read_pps_numbers
from broker.core.parameter_sets cimport CHANGED, REFUSED, Offered, ParameterSets
from broker.core.unit_info cimport UnitInfo

from broker.core.annexb import MAX_UNIT_BYTES

# Pictures that follow an open-GOP picture in decode order and may precede it in output order: no encoder in use
# places more than this many, and the stream does not say how many it will place.
cdef enum:
    LEADING_PICTURES = 16
    LEVEL_SPS = 0
    LEVEL_PPS = 1


cdef class H264Inspector:
    """Reads the access units of one epoch in order.

    `parameter_sets`: canonical bytes known beforehand, for instance from the SDP.
    """

    def __cinit__(self, parameter_sets=b""):
        self._sets = ParameterSets(2)
        self._inspected = None
        if len(parameter_sets):
            self.add_parameter_sets(parameter_sets)

    def add_parameter_sets(self, data):
        """Learns SPS and PPS from canonical `data` that came out of band; returns whether all of it could be read."""
        cdef UnitInfo info
        self._is_out_of_band = True
        try:
            info = self.inspect(data)
        finally:
            self._is_out_of_band = False
        complete = bool(self._sets.kept[LEVEL_SPS]) and bool(self._sets.kept[LEVEL_PPS])
        return complete and info.has_sps and info.has_pps

    @property
    def parameter_sets(self):
        """Latest SPS, then PPS, by number, in canonical form; empty while none is known.

        What only a unit claimed and no picture used is left out, as soon as there are others.
        """
        return self._sets.joined()

    @property
    def complete(self):
        """Whether at least one SPS and a PPS that names it are known."""
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
        cdef int kind, recovery = -1
        cdef int slices = 0, intra_slices = 0, idr_slices = 0, sets = 0
        cdef bint unknown_set = False
        cdef set named = None
        cdef bint glued, exact_match = False, broken_link = False, reference = False, may_reorder = True
        cdef uint32_t first_mb, slice_type, pps_id
        cdef uint8_t rbsp[RBSP_LIMIT]
        cdef Bits bits
        cdef Py_ssize_t rbsp_size
        info.join_point = 1
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            nal = <const uint8_t*> view.buf
            end = nal + view.len
            if view.len < 5 or nal[0] or nal[1] or nal[2] or nal[3] != 1:
                info.malformed = True
                return info
            while nal < end:
                nal += 4
                glued = False
                following = end_of_nal(nal, end, &glued)
                size = following - nal
                info.nals += 1
                if size == 0 or nal[0] & 0x80:
                    info.malformed = True
                    nal = following
                    continue
                kind = nal[0] & 0x1F
                if glued:
                    # A short start code inside: decoders take it for the end of a NAL, length-prefixed files do not.
                    info.malformed = True
                if kind == 1 or kind == 5 or kind == 2:
                    slices += 1
                    if nal[0] & 0x60:
                        reference = True
                    if kind == 5:
                        idr_slices += 1
                    rbsp_size = unescape(nal + 1, size - 1 if size < 33 else 32, rbsp)
                    bits_open(&bits, rbsp, rbsp_size)
                    first_mb = ue(&bits)
                    slice_type = ue(&bits)
                    pps_id = ue(&bits)
                    if bits.failed or slice_type > 9 or pps_id > 255:
                        info.malformed = True
                    else:
                        if first_mb == 0:
                            info.starts_picture = True
                        # I and SI slices, by themselves or for the whole picture.
                        if slice_type % 5 == 2 or slice_type % 5 == 4:
                            intra_slices += 1
                        entry = self._sets.find(LEVEL_PPS, pps_id, kind == 5)
                        if entry is not None:
                            entry = self._sets.find(LEVEL_SPS, entry[1], kind == 5)
                        if self._sets.doubts:
                            if named is None:
                                named = set()
                            named.add(pps_id)
                        if entry is None:
                            unknown_set = True
                        else:
                            self.width = entry[2]
                            self.height = entry[3]
                            may_reorder = entry[4]
                elif kind == 3 or kind == 4:
                    slices += 1
                elif kind == 6:
                    rbsp_size = unescape(nal + 1, size - 1 if size - 1 < RBSP_LIMIT else RBSP_LIMIT, rbsp)
                    parse_recovery_point(rbsp, rbsp_size, &recovery, &exact_match, &broken_link)
                elif kind == 7:
                    if self._offer_sps(nal, size, info, damaged):
                        sets += 1
                    else:
                        info.malformed = True
                elif kind == 8:
                    if self._offer_pps(nal, size, info, damaged):
                        sets += 1
                    else:
                        info.malformed = True
                elif kind == 0 or kind >= 24:
                    info.malformed = True
                nal = following
        finally:
            PyBuffer_Release(&view)
        if slices:
            if not info.starts_picture:
                info.malformed = True
            if reference:
                self._longest_run = max(self._longest_run, self._non_reference_run)
                self._non_reference_run = 0
            elif self._non_reference_run < LEADING_PICTURES:
                self._non_reference_run += 1
        info.decodable = slices > 0 and not unknown_set
        # Where a set is unknown, no decoder can begin.
        if info.starts_picture and info.decodable:
            if idr_slices:
                info.join_point = 2
            elif recovery >= 0 and exact_match:
                if recovery == 0 and intra_slices == slices and not may_reorder and not broken_link:
                    info.join_point = 2
                else:
                    info.join_point = 3
                    # The count is in reference pictures; units between them that nobody refers to come on top.
                    info.recovers_after = recovery * (1 + self._longest_run)
                    if may_reorder or broken_link:
                        # The first exact one is that behind them.
                        info.recovers_after += LEADING_PICTURES + 1
        if self._is_out_of_band:
            self._sets.keep_all()
            self._take_only_size()
        elif self._sets.doubts:
            sets -= self._sets.finish(
                named, not (damaged or info.malformed), info.join_point != 1, idr_slices > 0
            )
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

        Missing PPS go behind the last SPS that the unit carries. Units that are no join point come back as they are.
        """
        cdef UnitInfo info = self._info if self._inspected is payload else self.inspect(payload)
        cdef Py_buffer view
        cdef const uint8_t* begin
        cdef const uint8_t* nal
        cdef const uint8_t* end
        cdef const uint8_t* following
        cdef Py_ssize_t behind_aud = 0, behind_sps = -1
        cdef int kind
        cdef bint first = True
        if info.join_point == 1 or info.nals == 0:
            return payload
        carried_sps = set()
        carried_pps = set()
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            begin = <const uint8_t*> view.buf
            end = begin + view.len
            nal = begin
            while nal < end:
                kind = nal[4] & 0x1F if nal + 4 < end else 0
                if 1 <= kind <= 5:
                    break
                following = find_start_code(nal + 4, end)
                if kind == 9 and first:
                    behind_aud = following - begin
                elif kind == 7:
                    carried_sps.add(_sps_number(nal + 4, following - nal - 4))
                    behind_sps = following - begin
                elif kind == 8:
                    carried_pps.add(_pps_number(nal + 4, following - nal - 4))
                first = False
                nal = following
        finally:
            PyBuffer_Release(&view)
        sps = self._sets.missing(LEVEL_SPS, carried_sps)
        pps = self._sets.missing(LEVEL_PPS, carried_pps)
        if not sps and not pps:
            return payload
        if len(payload) + sum(map(len, sps)) + sum(map(len, pps)) > MAX_UNIT_BYTES:
            # A unit at the very bound stays within it: whoever keeps parameter sets can decode it all the same.
            return payload
        whole = memoryview(payload)
        if behind_sps < 0:
            return b"".join([whole[:behind_aud], *sps, *pps, whole[behind_aud:]])
        return b"".join([whole[:behind_aud], *sps, whole[behind_aud:behind_sps], *pps, whole[behind_sps:]])

    cdef void _take_only_size(self):
        """Where one SPS is known, its size is that of the pictures to come."""
        known = <dict> self._sets.kept[LEVEL_SPS]
        if len(known) == 1:
            for entry in known.values():
                self.width = entry[2]
                self.height = entry[3]

    cdef bint _offer_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info, bint damaged):
        cdef Sps sps
        cdef Offered offered
        if size > PARAMETER_SET_LIMIT or not parse_sps(nal, size, &sps):
            return False
        if self._sets.knows(LEVEL_SPS, sps.number, nal, size):
            info.has_sps = True
            return True
        facts = (sps.width, sps.height, bool(sps.may_reorder))
        offered = self._sets.offer(LEVEL_SPS, sps.number, nal, size, -1, facts, damaged)
        if offered == REFUSED:
            return False
        if offered == CHANGED:
            info.parameter_sets_changed = True
        if self.width == 0:
            self.width = sps.width
            self.height = sps.height
        info.has_sps = True
        return True

    cdef bint _offer_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info, bint damaged):
        cdef int number, sps_number
        cdef Offered offered
        number = read_pps_numbers(nal, size, &sps_number)
        if number < 0:
            return False
        if self._sets.knows(LEVEL_PPS, number, nal, size):
            info.has_pps = True
            return True
        offered = self._sets.offer(LEVEL_PPS, number, nal, size, sps_number, (), damaged)
        if offered == REFUSED:
            return False
        if offered == CHANGED:
            info.parameter_sets_changed = True
        info.has_pps = True
        return True


cdef int _sps_number(const uint8_t* nal, Py_ssize_t size):
    cdef Sps sps
    return sps.number if size <= PARAMETER_SET_LIMIT and parse_sps(nal, size, &sps) else -1


cdef int _pps_number(const uint8_t* nal, Py_ssize_t size):
    cdef int names
    return read_pps_numbers(nal, size, &names)
