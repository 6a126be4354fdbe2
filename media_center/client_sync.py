"""The client of the media center for programs without an event loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

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
from media_center.client_custody import SyncCustodyCalls
from media_center.client_holds import SyncHoldCalls
from media_center.client_import import SyncImportCalls
from media_center.client_package import SyncExportCalls
from media_center.client_proof import SyncProofCalls
from media_center.client_retention import SyncRetentionCalls
from media_center.client_storage import SyncStorageCalls
from media_center.export_parts import Place
from mesh.channel import Token, connect_sync
from mesh.grpc_bytes import bytes_unary_stream
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, footage_pb2_grpc, frames_pb2


class SyncFootageClient(
    SyncCustodyCalls,
    SyncExportCalls,
    SyncStorageCalls,
    SyncHoldCalls,
    SyncProofCalls,
    SyncRetentionCalls,
    SyncImportCalls,
    AbstractContextManager["SyncFootageClient"],
):
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
        with errors():
            found: footage_pb2.ListRecordingsResponse = self._stub.ListRecordings(request, timeout=DEADLINE_S)
            return found

    def locate(self, camera: str, received_ns: int) -> footage_pb2.IndexRow:
        """As FootageClient.locate."""
        request = footage_pb2.LocateFrameRequest(camera=camera, received_ns=received_ns)
        with errors():
            row: footage_pb2.IndexRow = self._stub.LocateFrame(request, timeout=DEADLINE_S).frame
            return row

    def step(self, frame: FrameId, steps: int = 1) -> footage_pb2.StepFrameResponse:
        """As FootageClient.step."""
        request = footage_pb2.StepFrameRequest(id=frame.to_proto(), steps=steps)
        with errors():
            found: footage_pb2.StepFrameResponse = self._stub.StepFrame(request, timeout=DEADLINE_S)
            return found

    def frames(
        self, camera: str, start: Place = None, end: Place = None
    ) -> Iterator[footage_pb2.IndexRow | frames_pb2.Gap]:
        """As FootageClient.frames."""
        call = self._stub.ListFrames(footage_pb2.ListFramesRequest(range=footage_range(camera, start, end)))
        try:
            with errors():
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
        request = Requests.replay(ranges, start, end, speed, with_lead_in, follow)
        call = bytes_unary_stream(self._channel, SERVICE, "Replay")(request)
        try:
            with errors():
                for batch in call:
                    yield from BatchReader(batch)
        finally:
            call.cancel()

    def snapshot(self, frame: FrameId, max_width: int = 0, *, masked: bool = False) -> footage_pb2.GetSnapshotResponse:
        """As FootageClient.snapshot."""
        request = footage_pb2.GetSnapshotRequest(id=frame.to_proto(), max_width=max_width, masked=masked)
        with errors():
            found: footage_pb2.GetSnapshotResponse = self._stub.GetSnapshot(request, timeout=SNAPSHOT_DEADLINE_S)
            return found

    def export(
        self, camera: str, path: Path | str, *, start: Place = None, end: Place = None, progress: Progress | None = None
    ) -> Export:
        """As FootageClient.export."""
        call = self._stub.Export(footage_pb2.ExportRequest(range=footage_range(camera, start, end)))
        with ExportFile(Path(path), progress) as file, errors():
            for part in call:
                file.take(part)
            return file.finish()

    def watch_persisted(self, cameras: Iterable[str] = ()) -> Iterator[list[FrameId]]:
        """As FootageClient.watch_persisted."""
        call = self._stub.WatchPersisted(footage_pb2.WatchPersistedRequest(cameras=cameras))
        try:
            with errors():
                for answer in call:
                    yield [FrameId.from_proto(mark) for mark in answer.watermarks]
        finally:
            call.cancel()
