"""What a JPEG says of itself: its size, and whether it is all there.

What belongs here: walking over the segments of one file (ITU-T T.81, annex B). What does not: decoding. The face is
that of the inspectors of the other codecs, so that ingest need not know which one it has: every picture is an exact
join point, and there are no parameter sets.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t
from libc.string cimport memchr

from broker.core.unit_info cimport UnitInfo


cdef class JpegInspector:
    """Reads the pictures of one epoch in order. `parameter_sets` exists for likeness and is empty."""

    def __cinit__(self, parameter_sets=b""):
        pass

    def add_parameter_sets(self, data):
        """There are none in JPEG; always False."""
        return False

    @property
    def parameter_sets(self):
        """There are none in JPEG: empty."""
        return b""

    @property
    def complete(self):
        """Whether a picture was read whose size is known."""
        return self.width > 0

    cpdef UnitInfo inspect(self, payload, bint damaged=False):
        """Reads one JPEG file. `malformed` if its end is missing or a segment cannot be.

        `damaged` exists for likeness: nothing of a picture is kept for the next.
        """
        cdef Py_buffer view
        cdef UnitInfo info = UnitInfo.__new__(UnitInfo)
        cdef const uint8_t* data
        cdef Py_ssize_t at = 2, size, length
        cdef int marker, width = 0, height = 0, scans = 0
        cdef bint ended = False
        info.join_point = 1
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            data = <const uint8_t*> view.buf
            size = view.len
            if size < 4 or data[0] != 0xFF or data[1] != 0xD8:
                info.malformed = True
                return info
            info.nals = 1
            while at + 1 < size and data[at] == 0xFF:
                marker = data[at + 1]
                if marker == 0xFF:
                    # Any number of these may stand before a marker.
                    at += 1
                    continue
                info.nals += 1
                at += 2
                if marker == 0xD9:
                    ended = True
                    break
                if marker == 0x01 or 0xD0 <= marker <= 0xD8 or marker == 0:
                    break
                if size - at < 2:
                    break
                length = (<Py_ssize_t> data[at] << 8) | data[at + 1]
                if length < 2 or length > size - at:
                    break
                if 0xC0 <= marker <= 0xCF and marker != 0xC4 and marker != 0xC8 and marker != 0xCC and length >= 8:
                    if width == 0:
                        height = (<int> data[at + 3] << 8) | data[at + 4]
                        width = (<int> data[at + 5] << 8) | data[at + 6]
                at += length
                if marker == 0xDA:
                    scans += 1
                    at = _end_of_scan(data, at, size)
        finally:
            PyBuffer_Release(&view)
        info.has_sps = width > 0 and height > 0
        info.starts_picture = info.has_sps and scans > 0
        info.decodable = info.starts_picture
        info.malformed = not (ended and info.starts_picture)
        if info.starts_picture:
            info.join_point = 2
            # A size read from a broken file would open an epoch.
            if self.width == 0 or not info.malformed:
                self.width = width
                self.height = height
        info.width = self.width
        info.height = self.height
        return info

    def with_parameter_sets(self, payload):
        """The picture as it is."""
        return payload


cdef Py_ssize_t _end_of_scan(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Position of the marker that ends the entropy-coded data at `at`, or `size`. Restart markers belong to it."""
    cdef const uint8_t* found
    while at + 1 < size:
        found = <const uint8_t*> memchr(data + at, 0xFF, size - at - 1)
        if found == NULL:
            return size
        at = found - data
        if data[at + 1] == 0:
            at += 2
        elif data[at + 1] == 0xFF:
            at += 1
        elif 0xD0 <= data[at + 1] <= 0xD7:
            at += 2
        else:
            return at
    return size
