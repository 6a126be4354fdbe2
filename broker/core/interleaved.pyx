"""RTSP over one TCP connection (RFC 2326, 10.12): separates messages from interleaved packets.

What belongs here: framing. What does not: the meaning of messages (the RTSP client), of RTCP (`rtcp`), of RTP
(`depacketiser`, which gets its packets from here without a Python object between). Lengths are bounded; garbage between
frames is skipped up to a limit.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr, memcpy, memmove

from broker.core.depacketiser cimport Depacketiser


cdef enum:
    STORE = 192 << 10
    MIN_READ = 64 << 10
    MAX_HEAD = 64 << 10
    MAX_BODY = 1 << 20
    MAX_SKIP = 1 << 20


# Also visible at run time, for annotations.
Event = tuple


class InterleavedError(ValueError):
    """The bytes of the connection are not RTSP, or a length is beyond all bounds: the connection is of no use."""


cdef inline bytearray _memory(Py_ssize_t size):
    """Not cleared: what no read ever fills takes no memory of the machine, and a hundred connections have it."""
    return PyByteArray_FromStringAndSize(NULL, size)


cdef class InterleavedParser:
    """Takes the bytes of a connection as they come; gives events in order:

    `("unit", channel, Unit)` from a channel with a depacketiser attached, `("packet", channel, bytes)` from any other
    channel, `("message", head, body)` for an RTSP response or request (head without its last empty line).

    `monotonic_ns` is the time right after the read returned. Raises InterleavedError, after which it is of no use.
    """

    cdef bytearray _store
    cdef Py_ssize_t _begin
    cdef Py_ssize_t _end
    cdef list _sinks
    cdef Py_ssize_t _skipped_in_a_row
    # Of the message at the front: how far its head was searched, and its length once the head is known. A camera
    # that sends byte by byte must not have it read again from the start each time.
    cdef Py_ssize_t _searched
    cdef Py_ssize_t _head_size
    cdef Py_ssize_t _message_size
    cdef readonly Py_ssize_t skipped_bytes

    def __cinit__(self):
        self._store = _memory(STORE)
        self._sinks = [None] * 256

    def attach(self, int channel, Depacketiser depacketiser or None):
        """Feeds packets of `channel` to `depacketiser` from now on; None gives them out as packets again."""
        if not 0 <= channel <= 255:
            raise ValueError(f"channels are 0 to 255, not {channel}")
        self._sinks[channel] = depacketiser

    @property
    def buffered_bytes(self):
        """Bytes of an unfinished frame or message."""
        return self._end - self._begin

    def get_buffer(self, Py_ssize_t size_hint=-1):
        """Writable memory for the next read (asyncio.BufferedProtocol); valid until the next call of any method."""
        self._make_room(MIN_READ)
        return memoryview(self._store)[self._end:]

    def buffer_updated(self, Py_ssize_t count, int64_t monotonic_ns):
        """`count` bytes were read into the memory that `get_buffer` gave; returns the events they completed."""
        cdef list events = []
        if not 0 <= count <= PyByteArray_GET_SIZE(self._store) - self._end:
            raise ValueError("more bytes than there was room for")
        self._end += count
        self._parse(monotonic_ns, events)
        return events

    def feed(self, data, int64_t monotonic_ns):
        """Takes bytes that were read elsewhere; returns the events they completed."""
        cdef Py_buffer view
        cdef Py_ssize_t at = 0, count
        cdef list events = []
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            while at < view.len:
                self._make_room(MIN_READ)
                count = min(view.len - at, PyByteArray_GET_SIZE(self._store) - self._end)
                memcpy(PyByteArray_AS_STRING(self._store) + self._end, <const char*> view.buf + at, count)
                self._end += count
                at += count
                self._parse(monotonic_ns, events)
        finally:
            PyBuffer_Release(&view)
        return events

    cdef int _make_room(self, Py_ssize_t wanted) except -1:
        cdef Py_ssize_t held = self._end - self._begin
        cdef Py_ssize_t size = PyByteArray_GET_SIZE(self._store)
        cdef bytearray larger
        if held == 0:
            self._begin = self._end = 0
            if size > STORE:
                self._store = _memory(STORE)
            return 0
        if size - self._end >= wanted:
            return 0
        if size - held < wanted:
            # A new array, not a resized one: somebody may still hold the memory of the last get_buffer.
            larger = _memory(size * 2)
            memcpy(PyByteArray_AS_STRING(larger), PyByteArray_AS_STRING(self._store) + self._begin, held)
            self._store = larger
        else:
            memmove(
                PyByteArray_AS_STRING(self._store), PyByteArray_AS_STRING(self._store) + self._begin, held
            )
        self._begin = 0
        self._end = held
        return 0

    cdef int _parse(self, int64_t monotonic_ns, list events) except -1:
        cdef const uint8_t* data = <const uint8_t*> PyByteArray_AS_STRING(self._store)
        cdef Py_ssize_t length, left
        cdef int channel
        cdef list units = []
        while self._begin < self._end:
            left = self._end - self._begin
            if data[self._begin] == b"$":
                if left < 4:
                    break
                length = (<Py_ssize_t> data[self._begin + 2] << 8) | data[self._begin + 3]
                if left < 4 + length:
                    break
                channel = data[self._begin + 1]
                sink = self._sinks[channel]
                if sink is None:
                    packet = PyBytes_FromStringAndSize(<const char*> data + self._begin + 4, length)
                    events.append(("packet", channel, packet))
                else:
                    (<Depacketiser> sink).push(data + self._begin + 4, length, monotonic_ns, units)
                    if units:
                        for unit in units:
                            events.append(("unit", channel, unit))
                        units.clear()
                self._begin += 4 + length
                self._skipped_in_a_row = 0
            elif data[self._begin] == b"\r" or data[self._begin] == b"\n":
                self._begin += 1
            elif _may_be_message(data + self._begin, left):
                length = self._message(data + self._begin, left, events)
                if length == 0:
                    break
                self._begin += length
                self._skipped_in_a_row = 0
            else:
                self._begin += 1
                self._searched = 0
                self.skipped_bytes += 1
                self._skipped_in_a_row += 1
                if self._skipped_in_a_row > MAX_SKIP:
                    raise InterleavedError(f"{MAX_SKIP} bytes in a row are neither RTSP nor interleaved packets")
        return 0

    cdef Py_ssize_t _message(self, const uint8_t* data, Py_ssize_t size, list events) except -1:
        """Length of the message at the front, which is told; 0 if it is not all there yet."""
        cdef Py_ssize_t length
        if self._message_size == 0:
            self._head_size = _end_of_head(data, self._searched, min(size, <Py_ssize_t> MAX_HEAD))
            if self._head_size < 0:
                if size >= MAX_HEAD:
                    raise InterleavedError(f"an RTSP message head is longer than {MAX_HEAD} bytes")
                # The empty line may have begun with the last two bytes.
                self._searched = max(0, size - 2)
                return 0
            self._message_size = self._head_size + _body_size(PyBytes_FromStringAndSize(<const char*> data, self._head_size))
        if size < self._message_size:
            return 0
        head = PyBytes_FromStringAndSize(<const char*> data, self._head_size)
        body = PyBytes_FromStringAndSize(<const char*> data + self._head_size, self._message_size - self._head_size)
        events.append(("message", head.rstrip(b"\r\n"), body))
        length = self._message_size
        self._searched = 0
        self._message_size = 0
        return length


cdef Py_ssize_t _body_size(bytes head) except -1:
    """The length that the head announces, 0 without one."""
    cdef Py_ssize_t length = 0
    for line in head.split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            value = value.strip()
            if not value.isdigit() or len(value) > 9 or int(value) > MAX_BODY:
                raise InterleavedError(f"an RTSP message announces a body of {value[:20]!r} bytes")
            length = int(value)
    return length


cdef bint _may_be_message(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether `RTSP/` or a method in capitals and a space stands here, as far as can be seen."""
    cdef Py_ssize_t i
    for i in range(min(size, 20)):
        if b"A" <= data[i] <= b"Z" or (i and data[i] == b"_"):
            continue
        return i >= 3 and (data[i] == b" " or data[i] == b"/")
    return size < 20


cdef Py_ssize_t _end_of_head(const uint8_t* data, Py_ssize_t begin, Py_ssize_t size) noexcept nogil:
    """Position behind the empty line that ends the head, searched from `begin` on, or -1."""
    cdef const uint8_t* at = data + begin
    cdef const uint8_t* end = data + size
    while at < end:
        at = <const uint8_t*> memchr(at, b"\n", end - at)
        if at == NULL or at + 1 >= end:
            return -1
        if at[1] == b"\n":
            return at + 2 - data
        if at[1] == b"\r" and at + 2 < end and at[2] == b"\n":
            return at + 3 - data
        at += 1
    return -1
