"""What both clients of the media center share: ranges, requests, and an export on its way into a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import grpc

from broker.client import WireFrame
from media_center.export_parts import Place
from mesh.errors import DataLoss, from_rpc_error
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, frames_pb2

SERVICE = "trueframe.v1.FootageService"
DEADLINE_S = 30.0
SNAPSHOT_DEADLINE_S = 60.0

FootageItem = WireFrame | frames_pb2.Gap | frames_pb2.EpochStarted | frames_pb2.EpochEnded
Progress = Callable[[int, int], None]
"""Called with the bytes written so far and those of the whole file."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file that was exported."""

    path: Path
    first: FrameId
    last: FrameId
    frames: int
    """Frames shown."""
    lead_in_frames: int
    """Frames carried and hidden."""
    size_bytes: int
    digest: bytes
    """SHA-256 of the file."""
    gaps: list[frames_pb2.Gap] = field(default_factory=list)


def footage_range(camera: str, start: Place = None, end: Place = None) -> footage_pb2.FootageRange:
    """The range of a camera between two places."""
    wanted = footage_pb2.FootageRange(camera=camera)
    if isinstance(start, FrameId):
        wanted.first.CopyFrom(start.to_proto())
    elif start is not None:
        wanted.from_ns = start
    if isinstance(end, FrameId):
        wanted.last.CopyFrom(end.to_proto())
    elif end is not None:
        wanted.to_ns = end
    return wanted


@contextmanager
def errors() -> Iterator[None]:
    """Turns gRPC's errors into those of `mesh.errors`."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None


class Requests:
    """The requests that both clients send."""

    @staticmethod
    def replay(
        ranges: str | Iterable[footage_pb2.FootageRange], start: Place, end: Place, speed: float, with_lead_in: bool,
        follow: bool,
    ) -> footage_pb2.ReplayRequest:  # fmt: skip
        """A replay of one camera between two places, or of several ranges."""
        wanted = [footage_range(ranges, start, end)] if isinstance(ranges, str) else list(ranges)
        return footage_pb2.ReplayRequest(ranges=wanted, speed=speed, with_lead_in=with_lead_in, follow=follow)


class ExportFile:
    """Writes an export beside its target and puts it there when it is whole and its digest agrees."""

    def __init__(self, target: Path, progress: Progress | None) -> None:
        self._target = target
        self._progress = progress
        self._partial: Path | None = None
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._written = 0
        self._header = footage_pb2.ExportHeader()
        self.result: Export | None = None

    def take(self, part: footage_pb2.ExportResponse) -> None:
        """Takes the next part. Raises DataLoss if the file is not what the server says, OSError from the disk."""
        kind = part.WhichOneof("part")
        if kind == "header":
            self._header = part.header
            path = self._target / part.header.file_name if self._target.is_dir() else self._target
            if path.parent != self._target and path != self._target:
                raise DataLoss(f"export {part.header.file_name!r}", "has a name that leads out of the folder")
            self._target = path
            self._partial = path.with_name(path.name + ".part")
            self._file = self._partial.open("wb")
        elif kind == "chunk" and self._file is not None:
            self._file.write(part.chunk)
            self._digest.update(part.chunk)
            self._written += len(part.chunk)
            if self._progress is not None:
                self._progress(self._written, self._header.size_bytes)
        elif kind == "summary" and self._file is not None and self._partial is not None:
            self._file.close()
            if self._digest.digest() != part.summary.digest or self._written != self._header.size_bytes:
                raise DataLoss(f"export {self._target}", "did not arrive as it was sent", "Export it again.")
            self._partial.replace(self._target)
            header = self._header
            self.result = Export(
                self._target, FrameId.from_proto(header.first), FrameId.from_proto(header.last), header.frames,
                header.lead_in_frames, self._written, part.summary.digest, list(part.summary.gaps),
            )  # fmt: skip

    def finish(self) -> Export:
        """The export. Raises DataLoss if it ended early."""
        if self.result is None:
            raise DataLoss(f"export {self._target}", "ended early", "Export it again.")
        return self.result

    def __enter__(self) -> ExportFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if self.result is None and self._partial is not None:
            self._partial.unlink(missing_ok=True)
