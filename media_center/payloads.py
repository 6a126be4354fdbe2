"""Payloads of recorded frames, read in large pieces and checked against their digests.

What belongs here: from rows to bytes and to wire items. What does not: which rows (`walk`, `footage`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from broker.client import encode_frame
from media_center.away import open_segment
from media_center.rows import (
    DAMAGED,
    FOLLOWS_DAMAGE,
    HAS_CAMERA_TIME,
    HAS_PTS,
    HAS_UNCERTAINTY,
    ROW_STRUCT,
    Rows,
)
from media_center.scan import MAX_PAYLOAD, payload_of
from trueframe.v1 import footage_pb2, frames_pb2

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A row, unpacked, with its payload."""

    epoch: int
    seq: int
    received_ns: int
    monotonic_ns: int
    camera_time_ns: int | None
    camera_time_uncertainty_ns: int | None
    pts: int | None
    join_point: int
    recovers_after: int
    damaged: bool
    follows_damage: bool
    digest: bytes
    size: int
    payload: bytes | None
    """None if it is unreadable."""

    @classmethod
    def from_row(cls, epoch: int, row: tuple[object, ...], payload: bytes | None) -> Self:
        """From a row as `ROW_STRUCT` unpacks it."""
        (_, flags, join_point, _, recovers_after, seq, received_ns, monotonic_ns, camera_time_ns, uncertainty_ns, pts,
         _, _, size, _, digest) = row  # fmt: skip
        assert isinstance(flags, int)
        return cls(
            epoch, seq, received_ns, monotonic_ns,  # type: ignore[arg-type]  # a struct's values have no types
            camera_time_ns if flags & HAS_CAMERA_TIME else None,  # type: ignore[arg-type]
            uncertainty_ns if flags & HAS_UNCERTAINTY else None,  # type: ignore[arg-type]
            pts if flags & HAS_PTS else None,  # type: ignore[arg-type]
            join_point, recovers_after, bool(flags & DAMAGED), bool(flags & FOLLOWS_DAMAGE), digest, size,  # type: ignore[arg-type]
            payload,
        )  # fmt: skip

    def encode(self, camera: str) -> bytes:
        """The frame's entry of a FrameBatch: the same bytes as live. Only with a payload."""
        assert self.payload is not None
        return encode_frame(
            camera, self.epoch, self.seq, self.received_ns, self.monotonic_ns, self.camera_time_ns,
            self.camera_time_uncertainty_ns, self.pts, self.join_point, self.recovers_after, self.damaged,
            self.follows_damage, self.digest, self.payload,
        )  # fmt: skip


def index_row(camera: str, epoch: int, row: np.void) -> footage_pb2.IndexRow:
    """A frame's row as the API tells it."""
    frame = RecordedFrame.from_row(epoch, ROW_STRUCT.unpack(row.tobytes()), None)
    return footage_pb2.IndexRow(
        id=frames_pb2.FrameId(camera=camera, epoch=epoch, seq=frame.seq),
        received_ns=frame.received_ns,
        monotonic_ns=frame.monotonic_ns,
        camera_time_ns=frame.camera_time_ns,
        camera_time_uncertainty_ns=frame.camera_time_uncertainty_ns,
        pts=frame.pts,
        join_point=frame.join_point,  # type: ignore[arg-type]
        recovers_after=frame.recovers_after,
        damaged=frame.damaged,
        follows_damage=frame.follows_damage,
        digest=frame.digest,
        size_bytes=frame.size,
    )


def read_frames(path: Path, epoch: int, rows: Rows) -> Iterator[RecordedFrame]:
    """The frames of rows of one segment, in order; what cannot be read or fails its digest has no payload."""
    unpacked = list(ROW_STRUCT.iter_unpack(rows.tobytes()))
    try:
        fd = open_segment(path)
    except OSError:
        yield from (RecordedFrame.from_row(epoch, row, None) for row in unpacked)
        return
    try:
        start = 0
        while start < len(unpacked):
            stop = _piece(unpacked, start)
            first: int = unpacked[start][11]
            end: int = unpacked[stop - 1][11] + unpacked[stop - 1][13]
            try:
                data = memoryview(os.pread(fd, min(end - first, _READ_BYTES + MAX_PAYLOAD), first))
            except OSError:
                data = memoryview(b"")
            for row in unpacked[start:stop]:
                offset, size = row[11] - first, row[13]
                yield RecordedFrame.from_row(epoch, row, payload_of(data[offset : offset + size], size, row[15]))
            start = stop
    finally:
        os.close(fd)


def _piece(rows: list[tuple[int, ...]], start: int) -> int:
    """End of the rows from `start` on that lie side by side and make up one read."""
    stop = start + 1
    first = rows[start][11]
    while stop < len(rows):
        before, row = rows[stop - 1], rows[stop]
        if row[11] != before[11] + before[13] or row[11] + row[13] - first > _READ_BYTES:
            break
        stop += 1
    return stop
