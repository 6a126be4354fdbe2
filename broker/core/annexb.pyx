"""NAL units and the forms they are stored in: Annex B, canonical (four-byte start codes), length-prefixed.

What belongs here: finding NAL boundaries and converting between the forms. What does not: what a NAL means
(`h264`), and how NALs travel in RTP (`h264_rtp`).
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcpy


MAX_UNIT_BYTES = 16 << 20


cdef const uint8_t* find_start_code(const uint8_t* begin, const uint8_t* end) noexcept nogil:
    """First 00 00 00 01 at or after `begin`, or `end`."""
    cdef const uint8_t* at = begin + 3
    while at < end:
        # The byte 01 is as rare as any other in coded video, and memchr reads 32 bytes at a time.
        at = <const uint8_t*> memchr(at, 1, end - at)
        if at == NULL:
            return end
        if (at - 1)[0] == 0 and (at - 2)[0] == 0 and (at - 3)[0] == 0:
            return at - 3
        at += 1
    return end


cdef const uint8_t* find_short_start_code(const uint8_t* begin, const uint8_t* end) noexcept nogil:
    """First 00 00 01 at or after `begin`, or `end`."""
    cdef const uint8_t* at = begin + 2
    while at < end:
        at = <const uint8_t*> memchr(at, 1, end - at)
        if at == NULL:
            return end
        if (at - 1)[0] == 0 and (at - 2)[0] == 0:
            return at - 2
        at += 1
    return end


cdef const uint8_t* end_of_nal(const uint8_t* begin, const uint8_t* end, bint* glued) noexcept nogil:
    """Like `find_start_code`, and sets `glued` if a short start code stands before: one pass for both."""
    cdef const uint8_t* at = find_short_start_code(begin, end)
    while at < end:
        if at > begin and (at - 1)[0] == 0:
            return at - 1
        glued[0] = True
        at = find_short_start_code(at + 3, end)
    return end


cdef Py_ssize_t _canonical(const uint8_t* data, Py_ssize_t size, uint8_t* out) noexcept nogil:
    """Writes the canonical form to `out` (or only measures it, if NULL) and returns its size; -1 if not Annex B."""
    cdef const uint8_t* end = data + size
    cdef const uint8_t* nal = find_short_start_code(data, end)
    cdef const uint8_t* following
    cdef const uint8_t* last
    cdef Py_ssize_t total = 0
    if nal == end:
        return -1
    last = data
    while last < nal:
        if last[0] != 0:
            return -1
        last += 1
    while nal < end:
        nal += 3
        following = find_short_start_code(nal, end)
        last = following
        # Zeros before a start code or the end belong to the byte stream, not to the NAL: a NAL never ends in zero.
        while last > nal and (last - 1)[0] == 0:
            last -= 1
        if last > nal:
            if out != NULL:
                out[total] = 0
                out[total + 1] = 0
                out[total + 2] = 0
                out[total + 3] = 1
                memcpy(out + total + 4, nal, last - nal)
            total += 4 + (last - nal)
        nal = following
    return total


def canonical(data):
    """Canonical form of Annex B `data`: every NAL behind a four-byte start code, no zero padding, no empty NAL.

    Raises ValueError if `data` does not begin with a start code (zeros before it are allowed),
    or holds no NAL.
    """
    cdef Py_buffer view
    cdef Py_ssize_t size
    cdef bytes out
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        size = _canonical(<const uint8_t*> view.buf, view.len, NULL)
        if size < 0:
            raise ValueError("not an Annex B byte stream: it does not begin with a start code")
        if size == 0:
            raise ValueError("an Annex B byte stream without a single NAL unit behind its start codes")
        out = PyBytes_FromStringAndSize(NULL, size)
        _canonical(<const uint8_t*> view.buf, view.len, <uint8_t*> PyBytes_AS_STRING(out))
        return out
    finally:
        PyBuffer_Release(&view)


def canonical_from_nals(nals):
    """Canonical form of bare NAL units (no start codes), given as an iterable of bytes-like objects."""
    parts = []
    for nal in nals:
        if len(nal) == 0:
            continue
        parts.append(b"\x00\x00\x00\x01")
        parts.append(nal)
    return b"".join(parts)


cdef Py_ssize_t _from_prefixed(
    const uint8_t* data, Py_ssize_t size, int width, uint8_t* out
) noexcept nogil:
    """Like `_canonical`, for length prefixes of `width` bytes; -1 if the lengths do not add up."""
    cdef Py_ssize_t at = 0, total = 0, length
    cdef int i
    while at < size:
        if size - at < width:
            return -1
        length = 0
        for i in range(width):
            length = (length << 8) | data[at + i]
        at += width
        if length > size - at:
            return -1
        if length:
            if out != NULL:
                out[total] = 0
                out[total + 1] = 0
                out[total + 2] = 0
                out[total + 3] = 1
                memcpy(out + total + 4, data + at, length)
            total += 4 + length
        at += length
    return total


def annexb_from_length_prefixed(data, int nal_length_size=4):
    """Canonical form of NALs behind big-endian lengths of `nal_length_size` bytes (1 to 4), as avcC declares it.

    Raises ValueError if the lengths do not fill `data` exactly.
    """
    cdef Py_buffer view
    cdef Py_ssize_t size
    cdef bytes out
    if not 1 <= nal_length_size <= 4:
        raise ValueError(f"NAL lengths have 1 to 4 bytes, not {nal_length_size}")
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        size = _from_prefixed(<const uint8_t*> view.buf, view.len, nal_length_size, NULL)
        if size < 0:
            raise ValueError("NAL lengths do not add up to the size of the data")
        out = PyBytes_FromStringAndSize(NULL, size)
        _from_prefixed(<const uint8_t*> view.buf, view.len, nal_length_size, <uint8_t*> PyBytes_AS_STRING(out))
        return out
    finally:
        PyBuffer_Release(&view)


def to_length_prefixed(data):
    """Canonical payload → the same bytes with each four-byte start code replaced by the length of its NAL.

    A bijection: `from_length_prefixed` gives back exactly these bytes. Raises ValueError if `data` is not empty and
    does not begin with a four-byte start code.
    """
    cdef Py_buffer view
    cdef const uint8_t* nal
    cdef const uint8_t* end
    cdef const uint8_t* following
    cdef uint8_t* out
    cdef Py_ssize_t length
    cdef bytes result
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        result = PyBytes_FromStringAndSize(<const char*> view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    # From here on the copy is read and written: it is ours, so nobody can change it meanwhile.
    out = <uint8_t*> PyBytes_AS_STRING(result)
    end = out + len(result)
    nal = out
    if len(result) and find_start_code(nal, end) != nal:
        raise ValueError("not a canonical payload: it does not begin with a four-byte start code")
    while nal < end:
        following = find_start_code(nal + 4, end)
        length = following - nal - 4
        if (length >> 32) != 0:
            raise ValueError("a NAL does not fit a four-byte length")
        out = <uint8_t*> nal
        out[0] = (length >> 24) & 0xFF
        out[1] = (length >> 16) & 0xFF
        out[2] = (length >> 8) & 0xFF
        out[3] = length & 0xFF
        nal = following
    return result


def from_length_prefixed(data):
    """The inverse of `to_length_prefixed`. Raises ValueError if the lengths do not fill `data` exactly."""
    cdef Py_buffer view
    cdef uint8_t* out
    cdef Py_ssize_t at = 0, size, length
    cdef bytes result
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        result = PyBytes_FromStringAndSize(<const char*> view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    out = <uint8_t*> PyBytes_AS_STRING(result)
    size = len(result)
    while at < size:
        if size - at < 4:
            raise ValueError("NAL lengths do not add up to the size of the data")
        length = (
            (<Py_ssize_t> out[at] << 24) | (<Py_ssize_t> out[at + 1] << 16)
            | (<Py_ssize_t> out[at + 2] << 8) | <Py_ssize_t> out[at + 3]
        )
        if length > size - at - 4:
            raise ValueError("NAL lengths do not add up to the size of the data")
        out[at] = 0
        out[at + 1] = 0
        out[at + 2] = 0
        out[at + 3] = 1
        at += 4 + length
    return result


def split_nals(data):
    """Bare NALs of a canonical payload, as memoryviews into it. Raises ValueError if it is not canonical."""
    cdef Py_buffer view
    cdef const uint8_t* begin
    cdef const uint8_t* end
    cdef const uint8_t* nal
    cdef const uint8_t* following
    cdef list found = []
    whole = memoryview(data)
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        begin = <const uint8_t*> view.buf
        end = begin + view.len
        nal = begin
        if view.len and find_start_code(nal, end) != nal:
            raise ValueError("not a canonical payload: it does not begin with a four-byte start code")
        while nal < end:
            following = find_start_code(nal + 4, end)
            found.append(whole[nal + 4 - begin:following - begin])
            nal = following
    finally:
        PyBuffer_Release(&view)
    return found
