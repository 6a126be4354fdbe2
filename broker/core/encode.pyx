"""Writes frames for the wire: one `items` entry of a FrameBatch, in C.

What belongs here: `encode_frame`, byte for byte what protobuf gives for the same message, and `encode_item` for the rare
kinds, through protobuf itself. What does not: reading (`wire`), which items a subscriber gets (`hub`). Entries are
self-delimiting, so batches are joined with `b"".join`.
"""

import hashlib

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef enum:
    PAYLOAD_LIMIT = 16 << 20

MAX_PAYLOAD_BYTES = PAYLOAD_LIMIT


def sha256(data):
    """SHA-256 of a bytes-like object: 32 bytes."""
    return hashlib.sha256(data).digest()


cdef inline int _varint_size(uint64_t value) noexcept nogil:
    cdef int size = 1
    while value >= 0x80:
        value >>= 7
        size += 1
    return size


cdef inline uint8_t* _put_varint(uint8_t* out, uint64_t value) noexcept nogil:
    while value >= 0x80:
        out[0] = <uint8_t> (value & 0x7F) | 0x80
        value >>= 7
        out += 1
    out[0] = <uint8_t> value
    return out + 1


cdef inline uint8_t* _put_number(uint8_t* out, uint8_t tag, uint64_t value) noexcept nogil:
    out[0] = tag
    return _put_varint(out + 1, value)


def encode_frame(
    str camera not None,
    int64_t epoch,
    int64_t seq,
    int64_t received_ns,
    int64_t monotonic_ns,
    camera_time_ns,
    camera_time_uncertainty_ns,
    pts,
    int join_point,
    uint32_t recovers_after,
    bint damaged,
    bint follows_damage,
    digest,
    payload,
):
    """One frame as an `items` entry of a FrameBatch (tag, length, Item).

    `digest` None: the SHA-256 of `payload` is computed here. `camera_time_ns`, `camera_time_uncertainty_ns` and `pts`
    may be None (absent). Raises ValueError for a payload over 16 MiB, OverflowError for integers out of range.
    """
    cdef Py_buffer view
    cdef Py_ssize_t camera_size, digest_size, payload_size, id_size, frame_size, item_size
    cdef const char* camera_utf8 = PyUnicode_AsUTF8AndSize(camera, &camera_size)
    cdef bint has_time = camera_time_ns is not None
    cdef bint has_uncertainty = camera_time_uncertainty_ns is not None
    cdef bint has_pts = pts is not None
    cdef int64_t time_value = camera_time_ns if has_time else 0
    cdef int64_t uncertainty_value = camera_time_uncertainty_ns if has_uncertainty else 0
    cdef int64_t pts_value = pts if has_pts else 0
    cdef bytes digest_bytes = sha256(payload) if digest is None else digest
    cdef bytes result
    cdef uint8_t* out
    if digest_bytes is None:
        raise TypeError("digest must be bytes or None")
    digest_size = PyBytes_GET_SIZE(digest_bytes)
    PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
    try:
        payload_size = view.len
        if payload_size > PAYLOAD_LIMIT:
            raise ValueError(f"a payload of {payload_size} bytes is over the limit of {PAYLOAD_LIMIT}")
        id_size = 0
        if camera_size:
            id_size += 1 + _varint_size(camera_size) + camera_size
        if epoch:
            id_size += 1 + _varint_size(<uint64_t> epoch)
        if seq:
            id_size += 1 + _varint_size(<uint64_t> seq)
        frame_size = 1 + _varint_size(id_size) + id_size
        if received_ns:
            frame_size += 1 + _varint_size(<uint64_t> received_ns)
        if monotonic_ns:
            frame_size += 1 + _varint_size(<uint64_t> monotonic_ns)
        if has_time:
            frame_size += 1 + _varint_size(<uint64_t> time_value)
        if has_uncertainty:
            frame_size += 1 + _varint_size(<uint64_t> uncertainty_value)
        if has_pts:
            frame_size += 1 + _varint_size(<uint64_t> pts_value)
        if join_point:
            frame_size += 1 + _varint_size(<uint64_t> <int64_t> join_point)
        if recovers_after:
            frame_size += 1 + _varint_size(recovers_after)
        if damaged:
            frame_size += 2
        if follows_damage:
            frame_size += 2
        if digest_size:
            frame_size += 1 + _varint_size(digest_size) + digest_size
        if payload_size:
            frame_size += 1 + _varint_size(payload_size) + payload_size
        item_size = 1 + _varint_size(frame_size) + frame_size
        result = PyBytes_FromStringAndSize(NULL, 1 + _varint_size(item_size) + item_size)
        out = <uint8_t*> PyBytes_AS_STRING(result)
        out = _put_number(out, 0x0A, item_size)
        out = _put_number(out, 0x0A, frame_size)
        out = _put_number(out, 0x0A, id_size)
        if camera_size:
            out = _put_number(out, 0x0A, camera_size)
            memcpy(out, camera_utf8, camera_size)
            out += camera_size
        if epoch:
            out = _put_number(out, 0x10, <uint64_t> epoch)
        if seq:
            out = _put_number(out, 0x18, <uint64_t> seq)
        if received_ns:
            out = _put_number(out, 0x10, <uint64_t> received_ns)
        if monotonic_ns:
            out = _put_number(out, 0x18, <uint64_t> monotonic_ns)
        if has_time:
            out = _put_number(out, 0x20, <uint64_t> time_value)
        if has_uncertainty:
            out = _put_number(out, 0x28, <uint64_t> uncertainty_value)
        if has_pts:
            out = _put_number(out, 0x30, <uint64_t> pts_value)
        if join_point:
            out = _put_number(out, 0x38, <uint64_t> <int64_t> join_point)
        if recovers_after:
            out = _put_number(out, 0x40, recovers_after)
        if damaged:
            out = _put_number(out, 0x48, 1)
        if follows_damage:
            out = _put_number(out, 0x50, 1)
        if digest_size:
            out = _put_number(out, 0x5A, digest_size)
            memcpy(out, PyBytes_AS_STRING(digest_bytes), digest_size)
            out += digest_size
        if payload_size:
            out = _put_number(out, 0x7A, payload_size)
            memcpy(out, view.buf, payload_size)
        return result
    finally:
        PyBuffer_Release(&view)


def encode_item(item):
    """An Item message (or a bare Gap, EpochStarted, EpochEnded or Frame) as an `items` entry of a FrameBatch."""
    from trueframe.v1 import frames_pb2

    if isinstance(item, frames_pb2.Gap):
        item = frames_pb2.Item(gap=item)
    elif isinstance(item, frames_pb2.EpochStarted):
        item = frames_pb2.Item(epoch_started=item)
    elif isinstance(item, frames_pb2.EpochEnded):
        item = frames_pb2.Item(epoch_ended=item)
    elif isinstance(item, frames_pb2.Frame):
        item = frames_pb2.Item(frame=item)
    elif not isinstance(item, frames_pb2.Item):
        raise TypeError(f"not an item of a stream: {type(item).__name__}")
    return frames_pb2.FrameBatch(items=[item]).SerializeToString()
