"""The fast index beside a segment: its row boxes without the media between them.

What belongs here: reading, appending and rebuilding `<segment>.idx`, and a segment's rows as one array. What does not:
which segments there are (`catalogue`). The index is a cache: when it is missing, torn or foreign it is made again
from the segment.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from media_center.away import open_segment, segment_size
from media_center.rows import FRAME, ROW, MalformedRows, RowBox, Rows, decode_row_box
from media_center.scan import scan


def index_path(segment: Path) -> Path:
    """Where the index of a segment stands."""
    return segment.with_suffix(".idx")


@dataclass(frozen=True, slots=True)
class SegmentRows:
    """All rows of a segment, in stream order."""

    camera: str
    epoch: int
    rows: Rows
    notes: dict[int, bytes]
    """Encoded items by the offset that note rows give."""
    holes: tuple[int, ...]
    """Positions in `rows` before which a fragment is missing: written once and unreadable now."""
    end: int
    """File offset behind the last fragment."""
    number: int
    """Of the last fragment."""
    index_size: int
    """Bytes that its row boxes take in an index."""

    @property
    def frames(self) -> Rows:
        """The rows of frames alone."""
        frames: Rows = self.rows[self.rows["kind"] == FRAME]
        return frames


NO_ROWS = SegmentRows("", 0, np.zeros(0, ROW), {}, (), 0, 0, 0)


def join_boxes(boxes: Sequence[RowBox], before: SegmentRows = NO_ROWS) -> SegmentRows:
    """The rows of a segment's fragments as one, behind those of the fragments before them."""
    if not boxes:
        return before
    notes = dict(before.notes)
    holes = list(before.holes)
    number = before.number
    count = len(before.rows)
    for box in boxes:
        if box.number != number + 1:
            holes.append(count)
        number = box.number
        count += len(box.rows)
        for row in box.rows[box.rows["kind"] != FRAME]:
            offset = int(row["offset"])
            notes[offset] = box.note(offset, int(row["size"]))
    # Not np.concatenate: it would swap the bytes of every field into the machine's own order.
    rows = np.frombuffer(b"".join([before.rows.tobytes(), *(box.rows.tobytes() for box in boxes)]), ROW)
    index_size = before.index_size + sum(box.box_size for box in boxes)
    return SegmentRows(boxes[0].camera, boxes[0].epoch, rows, notes, tuple(holes), boxes[-1].end, number, index_size)


def split_boxes(data: bytes) -> tuple[list[RowBox], bool]:
    """The row boxes of an index, and whether all of it was sound."""
    boxes: list[RowBox] = []
    view = memoryview(data)
    position = 0
    while position < len(data):
        try:
            box = decode_row_box(view[position:])
        except MalformedRows:
            return boxes, False
        # A segment with damage inside is indexed around it: numbers and offsets may jump, but never go back.
        if boxes and (box.block_offset < boxes[-1].end or box.number <= boxes[-1].number):
            return boxes, False
        boxes.append(box)
        position += box.box_size
    return boxes, True


def read_index(segment: Path, committed_size: int | None = None) -> list[RowBox] | None:
    """The row boxes in a segment's index up to `committed_size` bytes of segment; None if they are not to be had.

    Not to be had: no index, a torn one, or one that ends before `committed_size`, or behind the segment's own end.
    """
    try:
        data = index_path(segment).read_bytes()
        file_size = segment_size(segment)
    except OSError:
        return None
    boxes, is_sound = split_boxes(data)
    limit = file_size if committed_size is None else committed_size
    if committed_size is None and (not is_sound or not boxes):
        return None
    if committed_size is not None:
        boxes = [box for box in boxes if box.end <= committed_size]
        if not boxes or boxes[-1].end < committed_size:
            return None
    return boxes if boxes[-1].end <= limit else None


def write_index(segment: Path, boxes: Iterable[bytes]) -> None:
    """Replaces the index of a segment at once. OSError is left to the caller: a cache may be absent."""
    path = index_path(segment)
    temporary = path.with_suffix(".idx.new")
    try:
        temporary.write_bytes(b"".join(boxes))
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def load_rows(segment: Path, committed_size: int | None = None, *, is_open: bool = False) -> SegmentRows:
    """The rows of a segment, out of its index or, failing that, out of the segment itself; the index is then mended.

    `committed_size`: only so much of the segment is confirmed on disk. `is_open`: the segment is being written, and its
    index belongs to the writer. OSError if the segment cannot be read.
    """
    boxes = read_index(segment, committed_size)
    if boxes is not None:
        return join_boxes(boxes)
    boxes = scan(segment).boxes
    if not is_open:
        mend_index(segment, boxes)
    if committed_size is not None:
        boxes = [box for box in boxes if box.end <= committed_size]
    return join_boxes(boxes)


def extend_rows(segment: Path, known: SegmentRows, committed_size: int) -> SegmentRows | None:
    """The rows of a segment that has grown: those known, and what its index holds behind theirs.

    None if that does not lead to `committed_size`.
    """
    try:
        with index_path(segment).open("rb") as file:
            file.seek(known.index_size)
            boxes, _ = split_boxes(file.read())
    except OSError:
        return None
    boxes = [box for box in boxes if box.end <= committed_size]
    if not boxes or boxes[-1].end != committed_size or boxes[0].block_offset < known.end:
        return None
    return join_boxes(boxes, known)


def mend_index(segment: Path, boxes: Sequence[RowBox]) -> None:
    """Writes the index of a segment anew from row boxes found in it; a disk that refuses leaves it absent."""
    try:
        fd = open_segment(segment)
    except OSError:
        return
    try:
        with contextlib.suppress(OSError):
            write_index(segment, (os.pread(fd, box.box_size, box.box_offset) for box in boxes))
    finally:
        os.close(fd)
