"""Reads frames from the wire: the items of a FrameBatch, without copying payloads.

What belongs here: `BatchReader`. What does not: writing (`encode`, whose names are here as well), which items a
subscriber gets (`hub`). It accepts and refuses what protobuf does; the rare kinds (gaps, epochs) go through protobuf.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from broker.core.encode import MAX_PAYLOAD_BYTES, encode_frame, encode_item, sha256


cdef enum:
    GROUP_DEPTH = 64

_FrameBatch = None
_FrameId = None


def _messages():
    """FrameBatch, imported on first use: a reader of frames alone needs no protobuf."""
    global _FrameBatch
    if _FrameBatch is None:
        from trueframe.v1.frames_pb2 import FrameBatch

        _FrameBatch = FrameBatch
    return _FrameBatch


cdef struct Field:
    uint32_t number
    int wire_type
    uint64_t value       # of a varint
    Py_ssize_t at        # of the content of a length-delimited field
    Py_ssize_t end
    Py_ssize_t following


cdef Py_ssize_t _get_varint(const uint8_t* data, Py_ssize_t at, Py_ssize_t end, uint64_t* value) noexcept nogil:
    """Position behind the varint, or -1."""
    cdef uint64_t result = 0
    cdef int shift = 0
    while at < end and shift < 70:
        # Bits beyond the 64th are dropped, as protobuf does.
        result |= <uint64_t> (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            value[0] = result
            return at + 1
        at += 1
        shift += 7
    return -1


cdef Py_ssize_t _get_size(const uint8_t* data, Py_ssize_t at, Py_ssize_t end, uint64_t* size) noexcept nogil:
    """Position behind a length, or -1. Protobuf takes five bytes at most, also for a small one."""
    cdef Py_ssize_t following = _get_varint(data, at, end, size)
    return following if following - at <= 5 else -1


cdef Py_ssize_t _get_tag(const uint8_t* data, Py_ssize_t at, Py_ssize_t end, uint32_t* tag) noexcept nogil:
    cdef uint64_t value
    cdef Py_ssize_t following = _get_varint(data, at, end, &value)
    if following < 0 or following - at > 5 or (value >> 32) != 0 or (value >> 3) == 0:
        return -1
    tag[0] = <uint32_t> value
    return following


cdef Py_ssize_t _skip_group(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t end, uint32_t number
) noexcept nogil:
    """Position behind the end tag of a group whose start tag has been read, or -1."""
    cdef uint32_t open_groups[GROUP_DEPTH]
    cdef int depth = 1
    cdef uint32_t tag
    cdef uint64_t value
    open_groups[0] = number
    while depth:
        at = _get_tag(data, at, end, &tag)
        if at < 0:
            return -1
        if tag & 7 == 0:
            at = _get_varint(data, at, end, &value)
            if at < 0:
                return -1
        elif tag & 7 == 1 or tag & 7 == 5:
            at += 8 if tag & 7 == 1 else 4
            if at > end:
                return -1
        elif tag & 7 == 2:
            at = _get_size(data, at, end, &value)
            if at < 0 or value > <uint64_t> (end - at):
                return -1
            at += <Py_ssize_t> value
        elif tag & 7 == 3:
            if depth == GROUP_DEPTH:
                return -1
            open_groups[depth] = tag >> 3
            depth += 1
        elif tag & 7 == 4:
            depth -= 1
            if open_groups[depth] != tag >> 3:
                return -1
        else:
            return -1
    return at


cdef bint _get_field(const uint8_t* data, Py_ssize_t at, Py_ssize_t end, Field* field) except False:
    """Reads one field of any kind; raises ValueError if there is none that ends before `end`."""
    cdef uint32_t tag
    at = _get_tag(data, at, end, &tag)
    if at < 0:
        raise ValueError("malformed batch: no field where one must be")
    field.number = tag >> 3
    field.wire_type = tag & 7
    if field.wire_type == 0:
        at = _get_varint(data, at, end, &field.value)
        if at < 0:
            raise ValueError("malformed batch: a number is cut off or too long")
        field.following = at
    elif field.wire_type == 2:
        at = _get_size(data, at, end, &field.value)
        if at < 0 or field.value > <uint64_t> (end - at):
            raise ValueError("malformed batch: a field reaches past the end")
        field.at = at
        field.end = at + <Py_ssize_t> field.value
        field.following = field.end
    elif field.wire_type == 1 or field.wire_type == 5:
        field.following = at + (8 if field.wire_type == 1 else 4)
        if field.following > end:
            raise ValueError("malformed batch: a field reaches past the end")
    elif field.wire_type == 3:
        field.following = _skip_group(data, at, end, field.number)
        if field.following < 0:
            raise ValueError("malformed batch: a group does not end")
    else:
        raise ValueError("malformed batch: unknown wire type")
    return True


@cython.freelist(64)
cdef class WireFrame:
    """A frame read from a batch. `payload` is a memoryview into the batch, which it keeps alive.

    Attributes: camera, epoch, seq, received_ns, monotonic_ns, camera_time_ns, camera_time_uncertainty_ns, pts (the last
    three None if absent), join_point, recovers_after, damaged, follows_damage, digest (bytes), payload, `raw` (the
    frame's `items` entry as it stood in the batch), `id` (mesh.ids.FrameId).
    """

    def __init__(self):
        raise TypeError("frames come from BatchReader")

    def __cinit__(self):
        self.digest = b""

    @property
    def camera_time_ns(self):
        return self._camera_time_ns if self._has_camera_time else None

    @property
    def camera_time_uncertainty_ns(self):
        return self._camera_time_uncertainty_ns if self._has_uncertainty else None

    @property
    def pts(self):
        return self._pts if self._has_pts else None

    @property
    def payload(self):
        return memoryview(self._batch)[self._payload_at:self._payload_end]

    @property
    def payload_size(self):
        return self._payload_end - self._payload_at

    @property
    def raw(self):
        if self._item_at == 0 and self._item_end == PyBytes_GET_SIZE(self._batch):
            return self._batch
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(self._batch) + self._item_at, self._item_end - self._item_at)

    @property
    def id(self):
        global _FrameId
        if _FrameId is None:
            from mesh.ids import FrameId

            _FrameId = FrameId
        return _FrameId(self.camera, self.epoch, self.seq)

    def __repr__(self):
        return f"WireFrame({self.camera}/{self.epoch}/{self.seq}, {self.payload_size} bytes)"

    cdef bint _parse_id(self, Py_ssize_t at, Py_ssize_t end) except False:
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(self._batch)
        cdef Field field
        while at < end:
            _get_field(data, at, end, &field)
            if field.number == 1 and field.wire_type == 2:
                self._camera_utf8 = data[field.at:field.end]
                # Decoded at once: protobuf refuses ill-formed text even where a later field replaces it.
                self.camera = self._camera_utf8.decode("utf-8")
            elif field.wire_type == 0 and field.number == 2:
                self.epoch = <int64_t> field.value
            elif field.wire_type == 0 and field.number == 3:
                self.seq = <int64_t> field.value
            at = field.following
        return True

    cdef bint _parse_frame(self, Py_ssize_t at, Py_ssize_t end) except False:
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(self._batch)
        cdef Field field
        self.camera = ""
        while at < end:
            _get_field(data, at, end, &field)
            if field.wire_type == 0:
                if field.number == 2:
                    self.received_ns = <int64_t> field.value
                elif field.number == 3:
                    self.monotonic_ns = <int64_t> field.value
                elif field.number == 4:
                    self._camera_time_ns = <int64_t> field.value
                    self._has_camera_time = True
                elif field.number == 5:
                    self._camera_time_uncertainty_ns = <int64_t> field.value
                    self._has_uncertainty = True
                elif field.number == 6:
                    self._pts = <int64_t> field.value
                    self._has_pts = True
                elif field.number == 7:
                    self.join_point = <int32_t> field.value
                elif field.number == 8:
                    self.recovers_after = <uint32_t> field.value
                elif field.number == 9:
                    self.damaged = field.value != 0
                elif field.number == 10:
                    self.follows_damage = field.value != 0
            elif field.wire_type == 2:
                if field.number == 1:
                    self._parse_id(field.at, field.end)
                elif field.number == 11:
                    self.digest = data[field.at:field.end]
                elif field.number == 15:
                    self._payload_at = field.at
                    self._payload_end = field.end
            at = field.following
        return True


cdef class BatchReader:
    """Iterates over the items of an encoded FrameBatch: WireFrame, or the protobuf Gap, EpochStarted, EpochEnded.

    Items of unknown kind and unknown fields are skipped. Raises ValueError at the first malformed item.
    """

    def __cinit__(self, data not None):
        self._data = data if isinstance(data, bytes) else bytes(data)
        self._at = 0

    def __iter__(self):
        return self

    def __next__(self):
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(self._data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self._data)
        cdef Py_ssize_t begin
        cdef Field field
        cdef Field inner
        while self._at < size:
            begin = self._at
            _get_field(data, begin, size, &field)
            self._at = field.following
            if field.number != 1 or field.wire_type != 2 or field.at == field.end:
                continue
            _get_field(data, field.at, field.end, &inner)
            if inner.number == 1 and inner.wire_type == 2 and inner.following == field.end:
                return self._frame(begin, field.end, inner.at, inner.end)
            item = self._uncommon(begin, field.end)
            if item is not None:
                return item
        raise StopIteration

    cdef object _frame(self, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t at, Py_ssize_t frame_end):
        cdef WireFrame frame = WireFrame.__new__(WireFrame)
        frame._batch = self._data
        frame._item_at = begin
        frame._item_end = end
        frame._parse_frame(at, frame_end)
        # One str object per run of frames of a camera.
        if self._camera_utf8 is not None and self._camera_utf8 == frame._camera_utf8:
            frame.camera = self._camera
        else:
            self._camera_utf8 = frame._camera_utf8
            self._camera = frame.camera
        frame._camera_utf8 = None
        return frame

    cdef object _uncommon(self, Py_ssize_t begin, Py_ssize_t end):
        """Gaps and epochs, and items that no writer of ours produces (several kinds, fields split in two)."""
        from google.protobuf.message import DecodeError

        try:
            item = _messages().FromString(self._data[begin:end]).items[0]
        except DecodeError as error:
            raise ValueError(f"malformed batch: {error}") from None
        kind = item.WhichOneof("kind")
        if kind is None:
            return None
        if kind != "frame":
            return getattr(item, kind)
        item.DiscardUnknownFields()
        return next(BatchReader(encode_item(item)))
