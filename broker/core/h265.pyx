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
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t

from broker.core.annexb cimport end_of_nal, find_start_code
from broker.core.bits cimport PARAMETER_SET_LIMIT, PARAMETER_SETS_LIMIT, RBSP_LIMIT, unescape
from broker.core.h265_bits cimport (
    H265_AUD, H265_BLA_N_LP, H265_BLA_W_LP, H265_CRA, H265_IDR_N_LP, H265_IDR_W_RADL, H265_PPS, H265_PREFIX_SEI,
    H265_SPS, H265_VPS, H265Sps, parse_h265_recovery_point, parse_h265_sps, read_h265_pps_numbers,
    read_h265_slice_start, read_h265_sps_numbers,
)
from broker.core.unit_info cimport UnitInfo

from broker.core.annexb import MAX_UNIT_BYTES


cdef class H265Inspector:
    """Reads the access units of one epoch in order.

    `parameter_sets`: canonical bytes known beforehand, for instance from the SDP.
    """

    def __cinit__(self, parameter_sets=b""):
        self._vps = {}
        self._sps = {}
        self._pps = {}
        self._sets = None
        self._inspected = None
        if len(parameter_sets):
            self.add_parameter_sets(parameter_sets)

    def add_parameter_sets(self, data):
        """Learns VPS, SPS and PPS from canonical `data`; returns whether all of it could be read."""
        info = self.inspect(data)
        complete = bool(self._vps) and bool(self._sps) and bool(self._pps)
        return complete and info.has_vps and info.has_sps and info.has_pps

    @property
    def parameter_sets(self):
        """Latest VPS, then SPS, then PPS, by number, in canonical form; empty while none is known."""
        if self._sets is None:
            parts = []
            for sets in (self._vps, self._sps, self._pps):
                for key in sorted(sets):
                    parts.append(b"\x00\x00\x00\x01")
                    parts.append(sets[key][0])
            self._sets = b"".join(parts)
        return self._sets

    @property
    def complete(self):
        """Whether at least one VPS, an SPS that names it and a PPS that names that are known."""
        for entry in self._pps.values():
            sps = self._sps.get(entry[1])
            if sps is not None and sps[1] in self._vps:
                return True
        return False

    cpdef UnitInfo inspect(self, payload):
        """Reads one canonical access unit; what it carries of parameter sets is remembered."""
        cdef Py_buffer view
        cdef UnitInfo info = UnitInfo.__new__(UnitInfo)
        cdef const uint8_t* nal
        cdef const uint8_t* end
        cdef const uint8_t* following
        cdef Py_ssize_t size, rbsp_size
        cdef int kind, number, slices = 0, picture = -1, reorder = 16, most_leading = 32
        cdef bint unknown_set = False
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
                        entry = self._pps.get(number)
                        if entry is not None:
                            entry = self._sps.get(entry[1])
                        if entry is None or entry[1] not in self._vps:
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
                    if size < 4 or not self._keep(self._vps, nal[2] >> 4, nal, size, (), info):
                        info.malformed = True
                    else:
                        info.has_vps = True
                elif kind == H265_SPS:
                    if not self._store_sps(nal, size, info):
                        info.malformed = True
                elif kind == H265_PPS:
                    if not self._store_pps(nal, size, info):
                        info.malformed = True
                nal = following
        finally:
            PyBuffer_Release(&view)
        if slices:
            if not info.starts_picture:
                info.malformed = True
        elif not (info.has_vps or info.has_sps or info.has_pps):
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
        info.width = self.width
        info.height = self.height
        self._inspected = payload if isinstance(payload, bytes) else None
        self._info = info
        return info

    def with_parameter_sets(self, payload):
        """The unit with the known sets that it lacks inserted once, behind an AUD, if it is a join point.

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
        vps = [b"\x00\x00\x00\x01" + self._vps[key][0] for key in sorted(self._vps) if key not in carried_vps]
        sps = [b"\x00\x00\x00\x01" + self._sps[key][0] for key in sorted(self._sps) if key not in carried_sps]
        pps = [b"\x00\x00\x00\x01" + self._pps[key][0] for key in sorted(self._pps) if key not in carried_pps]
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

    cdef bint _keep(self, dict sets, int number, const uint8_t* nal, Py_ssize_t size, tuple rest, UnitInfo info):
        """Remembers a set under its number; False if it, or all together, would be too long."""
        cdef Py_ssize_t total
        if size > PARAMETER_SET_LIMIT:
            return False
        raw = PyBytes_FromStringAndSize(<const char*> nal, size)
        known = sets.get(number)
        if known is not None and known[0] == raw:
            return True
        total = self._sets_size + size - (len(known[0]) if known is not None else 0)
        if total > PARAMETER_SETS_LIMIT:
            return False
        self._sets_size = total
        if known is not None:
            info.parameter_sets_changed = True
        sets[number] = (raw, *rest)
        self._sets = None
        return True

    cdef bint _store_sps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info):
        cdef H265Sps sps
        if not parse_h265_sps(nal, size, &sps):
            return False
        rest = (sps.vps, sps.width, sps.height, sps.reorder, sps.most_leading)
        if not self._keep(self._sps, sps.number, nal, size, rest, info):
            return False
        if self.width == 0 or len(self._sps) == 1:
            self.width = sps.width
            self.height = sps.height
        info.has_sps = True
        return True

    cdef bint _store_pps(self, const uint8_t* nal, Py_ssize_t size, UnitInfo info):
        cdef int number, sps_number
        number = read_h265_pps_numbers(nal, size, &sps_number)
        if number < 0 or not self._keep(self._pps, number, nal, size, (sps_number,), info):
            return False
        info.has_pps = True
        return True
