"""Closed segments as files: which there are, with their seals, and the bytes of one, in order.

What does not belong here: gRPC (`service_custody`), and what becomes of a copy (`backup`). Call it in a thread.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import BinaryIO, Self

from media_center.away import open_segment, segment_size
from media_center.catalogue import Segment, parse_name
from media_center.footage import CameraFootage
from media_center.seal_files import read_seal
from mesh.errors import DataLoss, NotFound
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2

_CHUNK = 1 << 20


def closed_segments(footage: CameraFootage, from_ns: int = 0) -> Iterator[footage_pb2.FootageSegment]:
    """A camera's closed segments in recorded order: those with footage at or after a moment, 0 for all.

    A segment whose file cannot be read is listed with the size that the catalogue knows, and without a seal.
    """
    view = footage.view
    for position in range(len(view)):
        record = view[position]
        if view.is_open(position) or (from_ns and record.last_ns < from_ns):
            continue
        path = view.path(position)
        try:
            size, seal = segment_size(path), read_seal(path)
        except OSError:
            size, seal = record.size, None
        found = footage_pb2.FootageSegment(
            camera=footage.camera, name=record.name, from_ns=record.first_ns, to_ns=record.last_ns, size_bytes=size,
            seal=seal.encode() if seal is not None else b"", tier="second" if path.is_symlink() else "primary",
        )  # fmt: skip
        if record.frames:
            found.first.CopyFrom(FrameId(footage.camera, record.epoch, record.first_seq).to_proto())
            found.last.CopyFrom(FrameId(footage.camera, record.epoch, record.last_seq).to_proto())
        yield found


class SegmentBytes:
    """The bytes of one segment from its beginning. Use it as a context manager."""

    def __init__(self, record: Segment, file: BinaryIO) -> None:
        self.record = record
        self._file = file

    def next(self) -> bytes:
        """The next bytes; empty at the end. Raises DataLoss if the disk does not give them."""
        try:
            return self._file.read(_CHUNK)
        except OSError as error:
            raise DataLoss(
                f"segment {self.record.name}", f"cannot be read ({error.strerror})", "Restore it from a backup."
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_segment(footage: CameraFootage, name: str) -> SegmentBytes:
    """Opens a closed segment by its file name. Raises NotFound, DataLoss."""
    parsed = parse_name(name)
    position = footage.view.position_named(*parsed) if parsed is not None else None
    thing = f"segment {name[:80]!r} of {footage.camera!r}"
    if position is None:
        raise NotFound(thing, "does not exist", "It may have been deleted meanwhile: list segments again.")
    if footage.view.is_open(position):
        raise NotFound(thing, "is still being written", "Ask again when it is closed.")
    try:
        return SegmentBytes(footage.view[position], os.fdopen(open_segment(footage.view.path(position)), "rb"))
    except OSError as error:
        remedy = "See to the bucket." if error.errno == errno.EREMOTEIO else "Restore it from a backup."
        raise DataLoss(thing, f"cannot be read ({error.strerror})", remedy) from None
