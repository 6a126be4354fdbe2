"""The asynchronous client of the media center."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from broker.client import BatchReader
from media_center.client_calls import (
    DEADLINE_S,
    SERVICE,
    SNAPSHOT_DEADLINE_S,
    Export,
    ExportFile,
    FootageItem,
    Progress,
    Requests,
    errors,
    footage_range,
)
from media_center.client_custody import CustodyCalls
from media_center.client_holds import HoldCalls
from media_center.client_import import ImportCalls
from media_center.client_package import ExportCalls
from media_center.client_proof import ProofCalls
from media_center.client_retention import RetentionCalls
from media_center.client_storage import StorageCalls
from media_center.export_parts import Place
from mesh.channel import Token, connect
from mesh.grpc_bytes import bytes_unary_stream
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, footage_pb2_grpc, frames_pb2


class FootageClient(CustodyCalls, ExportCalls, StorageCalls, HoldCalls, ProofCalls, RetentionCalls, ImportCalls):
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
        with errors():
            return await self._stub.ListRecordings(request, timeout=DEADLINE_S)

    async def locate(self, camera: str, received_ns: int) -> footage_pb2.IndexRow:
        """The last frame received at or before a moment, else the first after it."""
        request = footage_pb2.LocateFrameRequest(camera=camera, received_ns=received_ns)
        with errors():
            return (await self._stub.LocateFrame(request, timeout=DEADLINE_S)).frame

    async def step(self, frame: FrameId, steps: int = 1) -> footage_pb2.StepFrameResponse:
        """The recorded frame so many frames behind another (negative: before it), and the gaps stepped over.

        Steps go across segments, epochs and gaps; 0 gives the frame itself. Raises NotFound.
        """
        request = footage_pb2.StepFrameRequest(id=frame.to_proto(), steps=steps)
        with errors():
            return await self._stub.StepFrame(request, timeout=DEADLINE_S)

    async def frames(
        self, camera: str, start: Place = None, end: Place = None
    ) -> AsyncIterator[footage_pb2.IndexRow | frames_pb2.Gap]:
        """Index rows and gaps of a range, in recorded order."""
        call: Any = self._stub.ListFrames(footage_pb2.ListFramesRequest(range=footage_range(camera, start, end)))
        try:
            with errors():
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
        request = Requests.replay(ranges, start, end, speed, with_lead_in, follow)
        call = bytes_unary_stream(self._channel, SERVICE, "Replay")(request)
        try:
            with errors():
                async for batch in call:
                    yield batch
        finally:
            call.cancel()

    async def snapshot(
        self, frame: FrameId, max_width: int = 0, *, masked: bool = False
    ) -> footage_pb2.GetSnapshotResponse:
        """The picture of exactly one frame, as PNG; `masked`: with privacy masks, whatever your right."""
        request = footage_pb2.GetSnapshotRequest(id=frame.to_proto(), max_width=max_width, masked=masked)
        with errors():
            return await self._stub.GetSnapshot(request, timeout=SNAPSHOT_DEADLINE_S)

    async def export(
        self, camera: str, path: Path | str, *, start: Place = None, end: Place = None, progress: Progress | None = None
    ) -> Export:
        """Writes an MP4 of a range to a file, or into a folder under a telling name; the file is whole or absent."""
        call: Any = self._stub.Export(footage_pb2.ExportRequest(range=footage_range(camera, start, end)))
        with ExportFile(Path(path), progress) as file, errors():
            async for part in call:
                file.take(part)
            return file.finish()

    async def watch_persisted(self, cameras: Iterable[str] = ()) -> AsyncIterator[list[FrameId]]:
        """Watermarks: the last frame confirmed on disk, first of every camera, then of those that moved."""
        call: Any = self._stub.WatchPersisted(footage_pb2.WatchPersistedRequest(cameras=cameras))
        try:
            with errors():
                async for answer in call:
                    yield [FrameId.from_proto(mark) for mark in answer.watermarks]
        finally:
            call.cancel()
