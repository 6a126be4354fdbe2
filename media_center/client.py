"""What others import of the media center: footage found, replayed, looked at and exported.

    async with FootageClient(endpoint, token) as footage:
        for recording in (await footage.recordings(["gate"])).recordings:
            print(recording.first.seq, recording.frames)
        async for item in footage.replay("gate", start=FrameId("gate", epoch, 100)):
            ...
        await footage.export("gate", "clip.mp4", start=first, end=last)

A start or end is a FrameId, an int (UTC nanoseconds) or None (open). Every call raises the errors of `mesh.errors`.
`SyncFootageClient` is the same without an event loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import grpc
import grpc.aio

from broker.client import BatchReader, WireFrame
from media_center.export_parts import Part, Place, export_parts
from mesh.channel import Token, connect, connect_sync
from mesh.errors import DataLoss, from_rpc_error
from mesh.grpc_bytes import bytes_unary_stream
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, footage_pb2_grpc, frames_pb2

__all__ = [
    "Export",
    "FootageClient",
    "FootageItem",
    "Part",
    "Place",
    "SyncFootageClient",
    "export_parts",
    "footage_range",
]

_SERVICE = "trueframe.v1.FootageService"
_DEADLINE_S = 30.0
_SNAPSHOT_DEADLINE_S = 60.0

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
def _errors() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None


class _Requests:
    """The requests that both clients send."""

    @staticmethod
    def replay(
        ranges: str | Iterable[footage_pb2.FootageRange], start: Place, end: Place, speed: float, with_lead_in: bool,
        follow: bool,
    ) -> footage_pb2.ReplayRequest:  # fmt: skip
        wanted = [footage_range(ranges, start, end)] if isinstance(ranges, str) else list(ranges)
        return footage_pb2.ReplayRequest(ranges=wanted, speed=speed, with_lead_in=with_lead_in, follow=follow)


class _ExportFile:
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

    def __enter__(self) -> _ExportFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if self.result is None and self._partial is not None:
            self._partial.unlink(missing_ok=True)


class FootageClient:
    """The asynchronous client. `token`: a Credentials, the token's text or the Path of its file."""

    def __init__(self, endpoint: str, token: Token | None, *, channel: grpc.aio.Channel | None = None) -> None:
        self.endpoint = endpoint
        self._channel = channel or connect(endpoint, token)
        self._stub = footage_pb2_grpc.FootageServiceStub(self._channel)

    async def __aenter__(self) -> FootageClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all calls and the channel."""
        await self._channel.close()

    async def recordings(
        self, cameras: Iterable[str] = (), from_ns: int = 0, to_ns: int = 0
    ) -> footage_pb2.ListRecordingsResponse:
        """Spans of footage and the gaps between them; of all cameras in scope if none is named."""
        request = footage_pb2.ListRecordingsRequest(cameras=cameras, from_ns=from_ns, to_ns=to_ns)
        with _errors():
            return await self._stub.ListRecordings(request, timeout=_DEADLINE_S)

    async def locate(self, camera: str, received_ns: int) -> footage_pb2.IndexRow:
        """The last frame received at or before a moment, else the first after it."""
        request = footage_pb2.LocateFrameRequest(camera=camera, received_ns=received_ns)
        with _errors():
            return (await self._stub.LocateFrame(request, timeout=_DEADLINE_S)).frame

    async def frames(
        self, camera: str, start: Place = None, end: Place = None
    ) -> AsyncIterator[footage_pb2.IndexRow | frames_pb2.Gap]:
        """Index rows and gaps of a range, in recorded order."""
        call: Any = self._stub.ListFrames(footage_pb2.ListFramesRequest(range=footage_range(camera, start, end)))
        try:
            with _errors():
                async for answer in call:
                    for row in answer.rows:
                        yield row
                    if answer.HasField("gap"):
                        yield answer.gap
        finally:
            call.cancel()

    async def replay(
        self,
        ranges: str | Iterable[footage_pb2.FootageRange],
        *,
        start: Place = None,
        end: Place = None,
        speed: float = 0.0,
        with_lead_in: bool = False,
        follow: bool = False,
    ) -> AsyncIterator[FootageItem]:
        """Recorded frames, gaps and epochs in the form of the live stream.

        `ranges`: a camera, with `start` and `end`, or ranges of several cameras. `speed` 0 is as fast as you read.
        """
        async for batch in self.replay_batches(
            ranges, start=start, end=end, speed=speed, with_lead_in=with_lead_in, follow=follow
        ):
            for item in BatchReader(batch):
                yield item

    async def replay_batches(
        self,
        ranges: str | Iterable[footage_pb2.FootageRange],
        *,
        start: Place = None,
        end: Place = None,
        speed: float = 0.0,
        with_lead_in: bool = False,
        follow: bool = False,
    ) -> AsyncIterator[bytes]:
        """Like `replay`, as encoded FrameBatches."""
        request = _Requests.replay(ranges, start, end, speed, with_lead_in, follow)
        call = bytes_unary_stream(self._channel, _SERVICE, "Replay")(request)
        try:
            with _errors():
                async for batch in call:
                    yield batch
        finally:
            call.cancel()

    async def snapshot(self, frame: FrameId, max_width: int = 0) -> footage_pb2.GetSnapshotResponse:
        """The picture of exactly one frame, as PNG."""
        request = footage_pb2.GetSnapshotRequest(id=frame.to_proto(), max_width=max_width)
        with _errors():
            return await self._stub.GetSnapshot(request, timeout=_SNAPSHOT_DEADLINE_S)

    async def export(
        self, camera: str, path: Path | str, *, start: Place = None, end: Place = None, progress: Progress | None = None
    ) -> Export:
        """Writes an MP4 of a range to a file, or into a folder under a telling name; the file is whole or absent."""
        call: Any = self._stub.Export(footage_pb2.ExportRequest(range=footage_range(camera, start, end)))
        with _ExportFile(Path(path), progress) as file, _errors():
            async for part in call:
                file.take(part)
            return file.finish()

    async def holds(self, cameras: Iterable[str] = ()) -> list[footage_pb2.Hold]:
        """Footage that nothing may delete, by camera and beginning; of all cameras in scope if none is named.

        The clip of an event has the id `event:` and the event's.
        """
        with _errors():
            answer = await self._stub.ListHolds(footage_pb2.ListHoldsRequest(cameras=cameras), timeout=_DEADLINE_S)
            return list(answer.holds)

    async def watch_persisted(self, cameras: Iterable[str] = ()) -> AsyncIterator[list[FrameId]]:
        """Watermarks: the last frame confirmed on disk, first of every camera, then of those that moved."""
        call: Any = self._stub.WatchPersisted(footage_pb2.WatchPersistedRequest(cameras=cameras))
        try:
            with _errors():
                async for answer in call:
                    yield [FrameId.from_proto(mark) for mark in answer.watermarks]
        finally:
            call.cancel()


class SyncFootageClient(AbstractContextManager["SyncFootageClient"]):
    """The client for programs without an event loop."""

    def __init__(self, endpoint: str, token: Token | None) -> None:
        self.endpoint = endpoint
        self._channel = connect_sync(endpoint, token)
        self._stub: Any = footage_pb2_grpc.FootageServiceStub(self._channel)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all calls and the channel."""
        self._channel.close()

    def recordings(
        self, cameras: Iterable[str] = (), from_ns: int = 0, to_ns: int = 0
    ) -> footage_pb2.ListRecordingsResponse:
        """As FootageClient.recordings."""
        request = footage_pb2.ListRecordingsRequest(cameras=cameras, from_ns=from_ns, to_ns=to_ns)
        with _errors():
            found: footage_pb2.ListRecordingsResponse = self._stub.ListRecordings(request, timeout=_DEADLINE_S)
            return found

    def locate(self, camera: str, received_ns: int) -> footage_pb2.IndexRow:
        """As FootageClient.locate."""
        request = footage_pb2.LocateFrameRequest(camera=camera, received_ns=received_ns)
        with _errors():
            row: footage_pb2.IndexRow = self._stub.LocateFrame(request, timeout=_DEADLINE_S).frame
            return row

    def frames(
        self, camera: str, start: Place = None, end: Place = None
    ) -> Iterator[footage_pb2.IndexRow | frames_pb2.Gap]:
        """As FootageClient.frames."""
        call = self._stub.ListFrames(footage_pb2.ListFramesRequest(range=footage_range(camera, start, end)))
        try:
            with _errors():
                for answer in call:
                    yield from answer.rows
                    if answer.HasField("gap"):
                        yield answer.gap
        finally:
            call.cancel()

    def replay(
        self,
        ranges: str | Iterable[footage_pb2.FootageRange],
        *,
        start: Place = None,
        end: Place = None,
        speed: float = 0.0,
        with_lead_in: bool = False,
        follow: bool = False,
    ) -> Iterator[FootageItem]:
        """As FootageClient.replay."""
        request = _Requests.replay(ranges, start, end, speed, with_lead_in, follow)
        call = bytes_unary_stream(self._channel, _SERVICE, "Replay")(request)
        try:
            with _errors():
                for batch in call:
                    yield from BatchReader(batch)
        finally:
            call.cancel()

    def snapshot(self, frame: FrameId, max_width: int = 0) -> footage_pb2.GetSnapshotResponse:
        """As FootageClient.snapshot."""
        request = footage_pb2.GetSnapshotRequest(id=frame.to_proto(), max_width=max_width)
        with _errors():
            found: footage_pb2.GetSnapshotResponse = self._stub.GetSnapshot(request, timeout=_SNAPSHOT_DEADLINE_S)
            return found

    def export(
        self, camera: str, path: Path | str, *, start: Place = None, end: Place = None, progress: Progress | None = None
    ) -> Export:
        """As FootageClient.export."""
        call = self._stub.Export(footage_pb2.ExportRequest(range=footage_range(camera, start, end)))
        with _ExportFile(Path(path), progress) as file, _errors():
            for part in call:
                file.take(part)
            return file.finish()

    def holds(self, cameras: Iterable[str] = ()) -> list[footage_pb2.Hold]:
        """As FootageClient.holds."""
        with _errors():
            answer = self._stub.ListHolds(footage_pb2.ListHoldsRequest(cameras=cameras), timeout=_DEADLINE_S)
            return list(answer.holds)

    def watch_persisted(self, cameras: Iterable[str] = ()) -> Iterator[list[FrameId]]:
        """As FootageClient.watch_persisted."""
        call = self._stub.WatchPersisted(footage_pb2.WatchPersistedRequest(cameras=cameras))
        try:
            with _errors():
                for answer in call:
                    yield [FrameId.from_proto(mark) for mark in answer.watermarks]
        finally:
            call.cancel()
