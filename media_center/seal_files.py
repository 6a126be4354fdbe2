"""Seals in files: reading the one at the end of a segment, and the content hash of what is on disk.

What does not belong here: judging either (`verify`), and writing segments (`segment`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from media_center.away import open_segment, stub_of
from media_center.rows import FRAME, RowBox
from media_center.seal import SEAL_SIZE, ContentHash, MalformedSeal, Seal, parse_seal

_CHUNK = 1 << 20


def read_seal(path: Path) -> Seal | None:
    """The seal at the end of a segment; None if there is none, or one that is torn. OSError if it cannot be read."""
    stub = stub_of(path)
    if stub is not None:
        return parse_seal(stub.seal) if stub.seal else None
    fd = open_segment(path)
    try:
        return seal_at_end(fd)
    finally:
        os.close(fd)


def seal_at_end(fd: int) -> Seal | None:
    """As `read_seal`, of an open file."""
    start = os.fstat(fd).st_size - SEAL_SIZE
    if start < 0:
        return None
    try:
        seal = parse_seal(os.pread(fd, SEAL_SIZE, start))
    except MalformedSeal:
        return None
    return seal if seal.size == start else None


def content_of(fd: int, boxes: Sequence[RowBox]) -> ContentHash:
    """The content hash of an open segment whose whole fragments are `boxes`, up to the last of them.

    Bytes between fragments count as container of the next one. Samples are not read: their digests stand in the rows.
    OSError if the file cannot be read.
    """
    content = ContentHash()
    position = 0
    for box in boxes:
        frames = box.rows[box.rows["kind"] == FRAME]
        spans = list(zip(frames["offset"].tolist(), frames["size"].tolist(), strict=True))
        outside = _outside(position, box.box_offset, spans)
        content.begin(sum(end - start for start, end in outside), len(frames), box.box_size)
        for start, end in outside:
            _feed(content, fd, start, end)
        content.feed(frames["digest"].tobytes())
        _feed(content, fd, box.box_offset, box.end)
        seqs = (int(frames["seq"][0]), int(frames["seq"][-1])) if len(frames) else None
        content.end(seqs, box.end)
        position = box.end
    return content


def _outside(start: int, end: int, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of [start, end) that lie in none of the spans (offset, size)."""
    found: list[tuple[int, int]] = []
    for offset, size in sorted(spans):
        if offset > start:
            found.append((start, min(offset, end)))
        start = max(start, offset + size)
    if start < end:
        found.append((start, end))
    return found


def _feed(content: ContentHash, fd: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(fd, min(_CHUNK, end - start), start)
        if not data:
            raise OSError("the file ended early")
        content.feed(data)
        start += len(data)
