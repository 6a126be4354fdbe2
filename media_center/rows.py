"""The row box: what a segment knows of its frames beyond their bytes.

What belongs here: the fixed-size packed record of one frame or note, the `uuid` box that carries a fragment's records,
and taking such boxes apart again with every bound checked. What does not: the media boxes (`boxes`) and files.

Layout of the box, big-endian as all of ISO base media (docs/design/0006-footage.md):

    0  u32 size, 'uuid', 16 bytes "trueframe-rows-1"
    24 u8  version 1, 3 bytes flags 0
    28 u32 number of the fragment in its segment, from 1
    32 i64 epoch
    40 u64 file offset at which the fragment begins (its moof; without samples, this box)
    48 u64 bytes of moof and mdat before this box
    56 u32 rows
    60 u16 bytes of a row: 112
    62 u16 0
    64 u32 bytes of notes
    68 u8  length of the camera id, then 63 bytes with the id, zero-filled
    132 u32 CRC-32 of the moof
    136 rows, then notes (encoded `Item` messages that rows of other kinds point at)
    end-4 u32 CRC-32 of the box from byte 24 on
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

USER_TYPE: Final = b"trueframe-rows-1"
SIGNATURE: Final = b"uuid" + USER_TYPE
_HEAD: Final = struct.Struct(">I4s16sIIqQQIHHIB63sI")
HEAD_SIZE: Final = _HEAD.size
_VERSION: Final = 1 << 24

FRAME: Final = 1
GAP: Final = 2
EPOCH_STARTED: Final = 3
EPOCH_ENDED: Final = 4

DAMAGED: Final = 1
FOLLOWS_DAMAGE: Final = 2
HAS_CAMERA_TIME: Final = 4
HAS_UNCERTAINTY: Final = 8
HAS_PTS: Final = 16
LEAD_IN: Final = 32
"""Only in exports: carried for decoding, hidden by the edit list."""

ROW_STRUCT: Final = struct.Struct(">BBBBIqqqqqqQQIi32s")
ROW: Final = np.dtype(
    [
        ("kind", "u1"),
        ("flags", "u1"),
        ("join_point", "u1"),
        ("reserved", "u1"),
        ("recovers_after", ">u4"),
        ("seq", ">i8"),
        ("received_ns", ">i8"),
        ("monotonic_ns", ">i8"),
        ("camera_time_ns", ">i8"),
        ("camera_time_uncertainty_ns", ">i8"),
        ("pts", ">i8"),
        ("offset", ">u8"),
        ("decode_time", ">u8"),
        ("size", ">u4"),
        ("composition", ">i4"),
        ("digest", "V32"),
    ]
)
"""One record of 112 bytes. Of a note, only kind, received_ns (when), offset and size (of its message) are set."""
ROW_SIZE: Final = ROW.itemsize
assert ROW_SIZE == ROW_STRUCT.size == 112
assert HEAD_SIZE == 136

_FEW_ROWS: Final = 64

MAX_BOX: Final = 64 << 20
"""No row box of ours is larger: what claims to be is refused before memory is taken for it."""

Rows = npt.NDArray[np.void]


class MalformedRows(ValueError):
    """Bytes that are not a whole row box."""


@dataclass(frozen=True, slots=True)
class RowBox:
    """One fragment's rows and where the fragment lies."""

    camera: str
    epoch: int
    number: int
    block_offset: int
    """File offset of the fragment."""
    media_size: int
    """Bytes of moof and mdat, 0 for a fragment of notes only."""
    box_offset: int
    """File offset of the row box."""
    box_size: int
    moof_crc: int
    rows: Rows
    notes: bytes
    notes_offset: int
    """File offset of `notes`."""

    @property
    def end(self) -> int:
        """File offset behind the fragment."""
        return self.box_offset + self.box_size

    def note(self, offset: int, size: int) -> bytes:
        """The message of a note row."""
        start = offset - self.notes_offset
        return self.notes[start : start + size]


def encode_row_box(
    camera: str,
    epoch: int,
    number: int,
    block_offset: int,
    media_size: int,
    moof: bytes,
    rows: bytes,
    notes: bytes,
) -> bytes:
    """The row box that follows `media_size` bytes of moof and mdat written at `block_offset`."""
    count, rest = divmod(len(rows), ROW_SIZE)
    name = camera.encode("ascii")
    if rest or len(name) > 63:
        raise MalformedRows("rows or camera id of a wrong length")
    size = HEAD_SIZE + len(rows) + len(notes) + 4
    head = _HEAD.pack(
        size, b"uuid", USER_TYPE, _VERSION, number, epoch, block_offset, media_size, count, ROW_SIZE, 0, len(notes),
        len(name), name, zlib.crc32(moof),
    )  # fmt: skip
    body = b"".join((head, rows, notes))
    return body + struct.pack(">I", zlib.crc32(memoryview(body)[24:]))


def notes_offset_of(block_offset: int, media_size: int, row_count: int) -> int:
    """File offset at which the notes of a row box with so many rows begin."""
    return block_offset + media_size + HEAD_SIZE + row_count * ROW_SIZE


def decode_row_box(data: bytes | memoryview, file_offset: int | None = None) -> RowBox:
    """Takes apart the row box at the beginning of `data`.

    `file_offset` is where the box stands in the segment; without it the box is believed (it then comes from an index,
    where boxes stand without their media). Raises MalformedRows unless it is whole, ours and sound: lengths agree, the
    checksum holds, every sample lies inside the media before the box and every note inside the box.
    """
    if len(data) < HEAD_SIZE + 4:
        raise MalformedRows("shorter than the head of a row box")
    (size, kind, user, version, number, epoch, block_offset, media_size, count, row_size, _, notes_size, name_size,
     name, moof_crc) = _HEAD.unpack_from(data)  # fmt: skip
    if kind != b"uuid" or user != USER_TYPE or version != _VERSION or row_size != ROW_SIZE or name_size > 63:
        raise MalformedRows("not a row box of this version")
    if size > MAX_BOX or size > len(data) or size != HEAD_SIZE + count * ROW_SIZE + notes_size + 4:
        raise MalformedRows("lengths in a row box disagree")
    view = memoryview(data)[:size]
    if zlib.crc32(view[24 : size - 4]) != int.from_bytes(view[size - 4 :], "big"):
        raise MalformedRows("the checksum of a row box fails")
    box_offset = block_offset + media_size
    if box_offset >= 1 << 62 or (file_offset is not None and file_offset != box_offset):
        raise MalformedRows("a row box stands where it does not belong")
    try:
        camera = name[:name_size].decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedRows("a camera id that is not ASCII") from error
    rows = np.frombuffer(view, ROW, count, HEAD_SIZE)
    notes_start = HEAD_SIZE + count * ROW_SIZE
    found = RowBox(
        camera, epoch, number, block_offset, media_size, box_offset, size, moof_crc, rows,
        bytes(view[notes_start : size - 4]), box_offset + notes_start,
    )  # fmt: skip
    _check_bounds(found)
    return found


def _check_few(found: RowBox) -> None:
    """As `_check_bounds`: for the rows of a second, setting up arrays costs more than looking at each."""
    notes_end = found.notes_offset + len(found.notes)
    last_seq = -1
    for row in ROW_STRUCT.iter_unpack(found.rows.tobytes()):
        kind, seq, start, size = row[0], row[5], row[11], row[13]
        if kind == FRAME:
            if start < found.block_offset or start + size > found.box_offset:
                raise MalformedRows("a row points outside its fragment")
            if seq <= last_seq:
                raise MalformedRows("rows out of order")
            last_seq = seq
        elif not FRAME < kind <= EPOCH_ENDED:
            raise MalformedRows("a row of unknown kind")
        elif start < found.notes_offset or start + size > notes_end:
            raise MalformedRows("a row points outside its fragment")


def _check_bounds(found: RowBox) -> None:
    if len(found.rows) <= _FEW_ROWS:
        _check_few(found)
        return
    rows = found.rows
    frames = rows["kind"] == FRAME
    start = rows["offset"].astype(np.uint64)
    end = start + rows["size"]
    low = np.where(frames, found.block_offset, found.notes_offset)
    high = np.where(frames, found.box_offset, found.notes_offset + len(found.notes))
    if bool(np.any((start < low) | (end > high) | (end < start))):
        raise MalformedRows("a row points outside its fragment")
    if bool(np.any((rows["kind"] < FRAME) | (rows["kind"] > EPOCH_ENDED))):
        raise MalformedRows("a row of unknown kind")
    seqs = rows["seq"][frames]
    if bool(np.any(seqs < 0)) or (len(seqs) > 1 and bool(np.any(np.diff(seqs) <= 0))):
        raise MalformedRows("rows out of order")
