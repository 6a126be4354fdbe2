"""JPEG from RTP (RFC 2435): payloads in, complete JPEG files out.

What belongs here: the payload headers, and the file headers rebuilt from them and the standard's tables, always in the
same way: SOI, one DQT a table, DRI where there are restart markers, SOF0 (components 0, 1, 2), four DHT, SOS, the scan
as it came, EOI if the scan does not end with it. What does not: sequence numbers and loss (`depacketiser`), reading
JPEG (`jpeg`).

Every packet says where its part of the scan belongs, so a picture is known to be whole from its beginning. Behind a
hole nothing can be placed before the next picture: what came first is kept, and marked damaged. Interlaced pictures
(type-specific 1 and 2) come out one field at a time, as they were sent.

Cameras whose pictures are larger than RTP's fields can say (2040 pixels) send header segments of their own in a header
extension of the first packet (ONVIF Streaming, "JPEG over RTP"). Then these stand in the file, behind the standard's
tables, which they override, and in place of the SOF0 and SOS that would have been rebuilt. Segments spread over several
packets, and tables that only an earlier picture told, are not followed: such pictures are refused and counted.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy, memset

from broker.core.depacketiser cimport Depacketiser


cdef enum:
    MAIN_HEADER = 8
    LARGEST = 65535
    # SOI, two DQT of 16 bits, DRI, SOF0, SOS; the Huffman tables stand apart.
    LONGEST_HEADER = 2 + 2 * (5 + 128) + 6 + 19 + 14


def _zigzag():
    """Positions of an 8x8 block in the order in which JPEG writes them."""
    for diagonal in range(15):
        rows = range(max(0, diagonal - 7), min(diagonal, 7) + 1)
        for row in rows if diagonal % 2 else reversed(rows):
            yield row * 8 + diagonal - row


# ITU-T T.81, tables K.1 and K.2, row by row.
_LUMINANCE = bytes.fromhex(
    "100b0a101828333d 0c0c0e131a3a3c37 0e0d101828394538 0e11161d3357503e"
    "1216253844 6d674d 18233740516871 5c 31404e5767797865 485c5f6270646763".replace(" ", "")
)
_CHROMINANCE = bytes.fromhex(
    "1112182f63636363 1215 1a4263636363 18 1a386363636363 2f42636363636363".replace(" ", "") + "63" * 32
)


def quantisation_tables(int quality):
    """The two tables that RFC 2435, 4.2 gives a quality of 1 to 99, as JPEG writes them: 128 bytes."""
    if not 1 <= quality <= 99:
        raise ValueError(f"qualities from 1 to 99 name tables, not {quality}")
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    order = list(_zigzag())
    return bytes(
        min(max((table[place] * scale + 50) // 100, 1), 255) for table in (_LUMINANCE, _CHROMINANCE) for place in order
    )


def _huffman(kind, counts, values):
    body = bytes([kind]) + bytes(counts) + values
    return b"\xff\xc4" + (2 + len(body)).to_bytes(2, "big") + body


def _runs(*firsts_and_lengths):
    """Huffman values of the long tail: runs of neighbours."""
    return b"".join(bytes(range(first, first + length)) for first, length in firsts_and_lengths)


_TAIL = ((0x43, 8), (0x53, 8), (0x63, 8), (0x73, 8))

# ITU-T T.81, tables K.3 to K.6, with their segment headers.
cdef bytes HUFFMAN = b"".join(
    [
        _huffman(0x00, [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], bytes(range(12))),
        _huffman(
            0x10,
            [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D],
            bytes.fromhex(
                "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282"
            )
            + _runs((0x09, 2), (0x16, 5), (0x25, 6), (0x34, 7), *_TAIL, (0x83, 8), (0x92, 9), (0xA2, 9), (0xB2, 9))
            + _runs((0xC2, 9), (0xD2, 9), (0xE1, 10), (0xF1, 10)),
        ),
        _huffman(0x01, [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], bytes(range(12))),
        _huffman(
            0x11,
            [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
            bytes.fromhex(
                "0001020311040521310612415107617113223281081442 91a1b1c109233352f0156272d10a162434e125f1".replace(" ", "")
            )
            + _runs((0x17, 4), (0x26, 5), (0x35, 6), *_TAIL, (0x82, 9), (0x92, 9), (0xA2, 9), (0xB2, 9), (0xC2, 9))
            + _runs((0xD2, 9), (0xE2, 9), (0xF2, 9)),
        ),
    ]
)

# By quality: computed once.
cdef dict COMPUTED = {quality: quantisation_tables(quality) for quality in range(1, 100)}


cdef class JpegDepacketiser(Depacketiser):
    """Puts the pictures of one JPEG stream together; see Depacketiser."""

    def __cinit__(self, *arguments, **keywords):
        self._tables = {}

    def set_size(self, int width, int height):
        """Size in pixels of pictures whose packets do not say it: RTP's fields end at 2040. From the SDP."""
        if not (0 < width <= LARGEST and 0 < height <= LARGEST):
            raise ValueError(f"a JPEG has 1 to {LARGEST} pixels each way, not {width}x{height}")
        self._told_width = width
        self._told_height = height

    cdef int _take_extension(self, const uint8_t* extension) except -1:
        cdef Py_ssize_t size = 4 * ((<Py_ssize_t> extension[2] << 8) | extension[3])
        cdef const uint8_t* inner = extension + 4
        Depacketiser._take_extension(self, extension)
        if extension[0] == 0xAB and extension[1] == 0xAC and size > 16 and inner[12] == 0xFF and inner[13] == 0xD8:
            # Both extensions of ONVIF's, one behind the other.
            extension = inner + 12
            size = min(size - 16, 4 * ((<Py_ssize_t> inner[14] << 8) | inner[15]))
        if extension[0] == 0xFF and extension[1] == 0xD8:
            self._segments = extension + 4
            self._segments_size = size
        return 0

    cdef int _take_payload(self, const uint8_t* payload, Py_ssize_t size) except -1:
        self._take_part(payload, size)
        # They lie in the packet, which is gone now.
        self._segments = NULL
        return 0

    cdef int _take_part(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef Py_ssize_t at = MAIN_HEADER, offset, length
        cdef int kind, interval = 0, precision
        cdef bytes known
        if size == 0 or self._refusing:
            return 0
        if size < MAIN_HEADER:
            return self._bad_payload()
        offset = (<Py_ssize_t> payload[1] << 16) | (<Py_ssize_t> payload[2] << 8) | payload[3]
        kind = payload[4]
        if kind & 0x3F > 1 or kind > 127:
            # Types of other standards, or dynamic ones that nobody has told.
            return self._refuse_payload()
        if kind & 0x40:
            if size < at + 4:
                return self._bad_payload()
            interval = (<int> payload[at] << 8) | payload[at + 1]
            at += 4
        if offset:
            if not self._has_picture or offset != self._scan_bytes:
                # Its place is behind something that never came.
                self._damaged = True
                return 0
            if (
                kind != self._kind
                or payload[5] != self._quality
                or payload[6] != self._width_blocks
                or payload[7] != self._height_blocks
                or interval != self._interval
            ):
                return self._bad_payload()
        else:
            if self._has_picture:
                # A second beginning: two pictures under one timestamp, and no marker between.
                return self._bad_payload()
            self._kind = kind
            self._quality = payload[5]
            self._width_blocks = payload[6]
            self._height_blocks = payload[7]
            self._interval = interval
            if self._quality >= 128:
                if size < at + 4:
                    return self._bad_payload()
                precision = payload[at + 1]
                length = (<Py_ssize_t> payload[at + 2] << 8) | payload[at + 3]
                at += 4
                if length > size - at:
                    return self._bad_payload()
                if self._tables_source != self._ssrc:
                    self._tables.clear()
                    self._tables_source = self._ssrc
                known = self._tables.get(self._quality)
                if length:
                    if self._quality < 255 and (
                        known is None
                        or PyBytes_GET_SIZE(known) != 1 + length
                        or <uint8_t> PyBytes_AS_STRING(known)[0] != precision
                        or memcmp(PyBytes_AS_STRING(known) + 1, payload + at, length)
                    ):
                        if length <= 256:
                            self._tables[self._quality] = bytes([precision]) + PyBytes_FromStringAndSize(
                                <const char*> payload + at, length
                            )
                    self._begin_picture(payload + at, length, precision)
                elif known is None:
                    # Tables that were sent before we came, or never.
                    return self._refuse_payload()
                else:
                    self._begin_picture(
                        <const uint8_t*> PyBytes_AS_STRING(known) + 1,
                        PyBytes_GET_SIZE(known) - 1,
                        <uint8_t> PyBytes_AS_STRING(known)[0],
                    )
                at += length
            elif 1 <= self._quality <= 99:
                known = COMPUTED[self._quality]
                self._begin_picture(<const uint8_t*> PyBytes_AS_STRING(known), 128, 0)
            elif self._quality == 0 and self._segments != NULL:
                self._begin_picture(NULL, 0, 0)
            else:
                # 0 and 100 to 127 are reserved: which tables they mean cannot be known.
                return self._refuse_payload()
            if not self._has_picture:
                return 0
        self._append(payload + at, size - at)
        self._scan_bytes += size - at
        return 0

    cdef int _begin_picture(self, const uint8_t* tables, Py_ssize_t size, int precision) except -1:
        """Writes everything that stands before the scan."""
        cdef uint8_t header[LONGEST_HEADER]
        cdef Py_ssize_t at = 0
        cdef int width = self._width_blocks * 8, height = self._height_blocks * 8
        cdef int first = 128 if precision & 1 else 64
        cdef int second = 128 if precision & 2 else 64
        cdef bint is_single = size == first
        cdef uint8_t frame[19]
        cdef uint8_t scan[14]
        if width == 0 or height == 0:
            width = self._told_width
            height = self._told_height
            if width == 0 and self._segments == NULL:
                return self._refuse_payload()
        if tables != NULL and not is_single and size != first + second:
            return self._bad_payload()
        header[0] = 0xFF
        header[1] = 0xD8
        at = 2
        if tables != NULL:
            at = _write_table(header, at, 0, first, tables)
            if not is_single:
                at = _write_table(header, at, 1, second, tables + first)
        _write_frame(frame, width, height, precision & 3, self._kind & 1, is_single)
        if self._segments != NULL:
            return self._begin_extended(header, at, frame)
        if self._kind & 0x40:
            header[at] = 0xFF
            header[at + 1] = 0xDD
            header[at + 2] = 0
            header[at + 3] = 4
            _put16(header + at + 4, self._interval)
            at += 6
        memcpy(header + at, frame, sizeof(frame))
        self._has_picture = True
        self._scan_bytes = 0
        self._append(header, at + 19)
        self._append(<const uint8_t*> PyBytes_AS_STRING(HUFFMAN), PyBytes_GET_SIZE(HUFFMAN))
        self._append(scan, _write_scan(scan, frame + 10, 3))
        return 0

    cdef int _begin_extended(self, const uint8_t* header, Py_ssize_t size, const uint8_t* frame) except -1:
        """Writes what stands before the scan where the camera sent segments: `header` is SOI and tables, as rebuilt."""
        cdef const uint8_t* data = self._segments
        cdef Py_ssize_t at = 0, length, end = self._segments_size
        cdef uint8_t interval[6]
        cdef uint8_t scan[14]
        cdef int scan_size = _write_scan(scan, frame + 10, 3)
        cdef bint has_frame = False, has_tables = size > 2, has_interval = False, has_scan = False
        while at + 1 < end and not has_scan:
            if data[at] != 0xFF:
                return self._bad_payload()
            if data[at + 1] == 0xFF:
                at += 1
                continue
            if at + 4 > end:
                return self._bad_payload()
            length = (<Py_ssize_t> data[at + 2] << 8) | data[at + 3]
            if length < 2 or length > end - at - 2:
                return self._bad_payload()
            if data[at + 1] == 0xDB:
                has_tables = True
            elif data[at + 1] == 0xDD:
                has_interval = True
            elif data[at + 1] == 0xDA:
                has_scan = True
            elif 0xC0 <= data[at + 1] <= 0xCF and data[at + 1] != 0xC4 and data[at + 1] != 0xC8 and data[at + 1] != 0xCC:
                has_frame = True
                if length < 8 or length != 8 + 3 * data[at + 9] or data[at + 9] not in (1, 3):
                    return self._bad_payload()
                scan_size = _write_scan(scan, data + at + 10, data[at + 9])
            elif data[at + 1] < 0xC0 or data[at + 1] == 0xD8 or data[at + 1] == 0xD9:
                return self._bad_payload()
            at += 2 + length
        if not has_tables or not (has_frame or frame[7] or frame[8]) or (has_scan and at != end):
            return self._refuse_payload()
        self._has_picture = True
        self._scan_bytes = 0
        self._append(header, size)
        self._append(<const uint8_t*> PyBytes_AS_STRING(HUFFMAN), PyBytes_GET_SIZE(HUFFMAN))
        # The camera's own scan header is the last of its segments: what is missing stands before them.
        if self._kind & 0x40 and not has_interval:
            interval[0] = 0xFF
            interval[1] = 0xDD
            interval[2] = 0
            interval[3] = 4
            _put16(interval + 4, self._interval)
            self._append(interval, sizeof(interval))
        if not has_frame:
            self._append(frame, 19)
        self._append(data, at)
        if not has_scan:
            self._append(scan, scan_size)
        return 0

    cdef int _complete(self) except -1:
        if self._scan_bytes < 2 or self._buffer[self._used - 2] != 0xFF or self._buffer[self._used - 1] != 0xD9:
            self._append(b"\xff\xd9", 2)
        return 0

    cdef bint _head_is_whole(self) noexcept:
        """A picture begins with offset 0, or not at all."""
        return True

    cdef int _bad_payload(self) except -1:
        self.malformed_packets += 1
        self._damaged = True
        return 0


cdef void _write_frame(uint8_t* out, int width, int height, bint is_wide, bint is_420, bint is_single) noexcept nogil:
    """SOF: 19 bytes."""
    memset(out, 0, 19)
    out[0] = 0xFF
    # Tables of 16 bits are not for baseline.
    out[1] = 0xC1 if is_wide else 0xC0
    out[3] = 17
    out[4] = 8
    _put16(out + 5, height)
    _put16(out + 7, width)
    out[9] = 3
    out[11] = 0x22 if is_420 else 0x21
    out[13] = 1
    out[14] = 0x11
    out[15] = 0 if is_single else 1
    out[16] = 2
    out[17] = 0x11
    out[18] = out[15]


cdef int _write_scan(uint8_t* out, const uint8_t* components, int count) noexcept nogil:
    """SOS for `count` components, 1 or 3, as SOF lists them, 3 bytes each: their Huffman tables, the whole spectrum."""
    cdef int i
    memset(out, 0, 14)
    out[0] = 0xFF
    out[1] = 0xDA
    out[3] = 6 + 2 * count
    out[4] = count
    for i in range(3):
        if i == count:
            break
        out[5 + 2 * i] = components[3 * i]
        out[6 + 2 * i] = 0x11 if i else 0
    out[6 + 2 * count] = 63
    return 8 + 2 * count


cdef Py_ssize_t _write_table(uint8_t* out, Py_ssize_t at, int number, int size, const uint8_t* table) noexcept nogil:
    out[at] = 0xFF
    out[at + 1] = 0xDB
    out[at + 2] = 0
    out[at + 3] = 3 + size
    out[at + 4] = number | (0x10 if size == 128 else 0)
    memcpy(out + at + 5, table, size)
    return at + 5 + size


cdef inline void _put16(uint8_t* out, int value) noexcept nogil:
    out[0] = (value >> 8) & 0xFF
    out[1] = value & 0xFF
