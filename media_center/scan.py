"""Finding the whole fragments of a segment, whatever happened to the file.

What belongs here: walking a segment from box to box, resuming behind damage, checking payloads against digests. What
does not: the index (`index`) and deciding what becomes of a torn tail (`recovery`).
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from media_center.away import open_segment
from media_center.rows import FRAME, MAX_BOX, ROW_STRUCT, SIGNATURE, MalformedRows, RowBox, decode_row_box
from media_center.samples import canonical_form

MAX_PAYLOAD = 16 << 20
"""Bytes of the longest payload that exists; a row that claims more is damaged."""
_MAX_HEADER = 1 << 20
_SEARCH_CHUNK = 1 << 20


@dataclass(slots=True)
class Scan:
    """What a segment holds."""

    file_size: int
    boxes: list[RowBox] = field(default_factory=list)
    damaged: list[tuple[int, int]] = field(default_factory=list)
    """Spans (from, to) between whole fragments that belong to none."""

    @property
    def good_size(self) -> int:
        """File offset behind the last whole fragment, 0 if there is none."""
        return self.boxes[-1].end if self.boxes else 0


def _read_box_head(fd: int, offset: int, file_size: int) -> tuple[bytes, int] | None:
    """Kind and size of the box at an offset; None if no box fits there."""
    head = os.pread(fd, 16, offset)
    if len(head) < 8:
        return None
    size, kind = struct.unpack_from(">I4s", head)
    if size == 1 and len(head) == 16:
        (size,) = struct.unpack_from(">Q", head, 8)
    if size < 8 or size > file_size - offset:
        return None
    return kind, size


def _header_size(fd: int, file_size: int) -> int:
    """Bytes of `ftyp` and `moov` at the beginning, 0 if they are not there."""
    offset = 0
    for expected in (b"ftyp", b"moov"):
        found = _read_box_head(fd, offset, file_size)
        if found is None or found[0] != expected or found[1] > _MAX_HEADER:
            return 0
        offset += found[1]
    return offset


def _read_row_box(fd: int, offset: int, file_size: int) -> RowBox | None:
    """The sound row box at an offset, if there is one and its media stands before it."""
    found = _read_box_head(fd, offset, file_size)
    if found is None or found[0] != b"uuid" or found[1] > MAX_BOX:
        return None
    try:
        box = decode_row_box(os.pread(fd, found[1], offset), offset)
    except MalformedRows:
        return None
    return box if _has_media(fd, box) else None


def _has_media(fd: int, box: RowBox) -> bool:
    """Whether moof and mdat stand where the row box says, the moof unchanged."""
    if box.media_size == 0:
        return True
    moof = _read_box_head(fd, box.block_offset, box.box_offset)
    if moof is None or moof[0] != b"moof" or moof[1] > MAX_BOX:
        return False
    data = _read_box_head(fd, box.block_offset + moof[1], box.box_offset)
    if data is None or data[0] != b"mdat" or moof[1] + data[1] != box.media_size:
        return False
    return zlib.crc32(os.pread(fd, moof[1], box.block_offset)) == box.moof_crc


def _fragment_at(fd: int, offset: int, file_size: int) -> RowBox | None:
    """The row box of the whole fragment that begins at an offset."""
    at = offset
    for expected in (b"moof", b"mdat"):
        found = _read_box_head(fd, at, file_size)
        if found is None:
            return None
        if found[0] == expected:
            at += found[1]
    box = _read_row_box(fd, at, file_size)
    return box if box is not None and box.block_offset == offset else None


def _next_fragment(fd: int, offset: int, file_size: int) -> RowBox | None:
    """The first whole fragment that begins at or behind an offset, found by the signature of its row box."""
    at = offset
    carried = b""
    while at < file_size:
        chunk = os.pread(fd, _SEARCH_CHUNK, at)
        if not chunk:
            return None
        window = carried + chunk
        base = at - len(carried)
        hit = window.find(SIGNATURE)
        while hit >= 0:
            box = _read_row_box(fd, base + hit - 4, file_size) if base + hit >= 4 else None
            if box is not None and box.block_offset >= offset:
                return box
            hit = window.find(SIGNATURE, hit + 1)
        at += len(chunk)
        carried = window[-len(SIGNATURE) + 1 :]
    return None


def scan(path: Path, verify_from: int | None = None) -> Scan:
    """Finds the whole fragments of a segment. Never raises for what is in the file; OSError if it cannot be read.

    From file offset `verify_from` on, payloads are checked against their digests too, and the first fragment with one
    that fails ends the scan: after a power cut, sizes may have reached the disk before the bytes.
    """
    fd = open_segment(path)
    try:
        found = Scan(os.fstat(fd).st_size)
        position = _header_size(fd, found.file_size)
        while position < found.file_size:
            box = _fragment_at(fd, position, found.file_size) if position else None
            if box is None:
                box = _next_fragment(fd, position, found.file_size)
                if box is None:
                    break
                found.damaged.append((position, box.block_offset))
            if found.boxes and not _continues(found.boxes[0], found.boxes[-1], box):
                found.damaged.append((box.block_offset, box.end))
                position = box.end
                continue
            if verify_from is not None and box.block_offset >= verify_from and not payloads_are_intact(fd, box):
                break
            found.boxes.append(box)
            position = box.end
        return found
    finally:
        os.close(fd)


def _continues(first: RowBox, last: RowBox, box: RowBox) -> bool:
    return (box.camera, box.epoch) == (first.camera, first.epoch) and box.number > last.number


def payloads_are_intact(fd: int, box: RowBox) -> bool:
    """Whether every payload of a fragment has its digest."""
    return all(
        read_payload(fd, offset, size, digest) is not None
        for kind, offset, size, digest in (
            (row[0], row[11], row[13], row[15]) for row in ROW_STRUCT.iter_unpack(box.rows.tobytes())
        )
        if kind == FRAME
    )


def read_payload(fd: int, offset: int, size: int, digest: bytes) -> bytes | None:
    """The canonical payload of a sample; None if it is not there or fails its digest. OSError counts as not there."""
    if not 0 < size <= MAX_PAYLOAD:
        return None
    try:
        return payload_of(os.pread(fd, size, offset), size, digest)
    except OSError:
        return None


def payload_of(stored: bytes | memoryview, size: int, digest: bytes) -> bytes | None:
    """The canonical payload of a sample's stored bytes; None if they are short or fail the digest."""
    if len(stored) != size:
        return None
    try:
        payload = canonical_form(stored)
    except ValueError:
        return None
    return payload if hashlib.sha256(payload).digest() == digest else None
