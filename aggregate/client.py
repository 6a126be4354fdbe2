"""The aggregate for other parts: inspections and the ledger for people and programs, the pool for workers.

async with InspectionClient(endpoint, token) as inspections:
    for status in await inspections.list():
        print(status.inspection.id, status.worker)

with SyncLedgerClient(endpoint, token) as ledger:
    for explanation in ledger.explain(FrameId.parse("gate/1763000000000000000/42")):
        print(explanation.inspection, explanation.sentence)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio

from aggregate.calibration import Calibrated, CurvePoint, Moved, after_label, calibrate, joined
from aggregate.client_models import Gate, Model, ModelDiff, ModelVersion, RolloutStep, SyncModelClient
from aggregate.drift import Drift, drift
from aggregate.judge import Anomaly, JudgeState, Verdict, end, judge_all
from aggregate.orders import Area
from aggregate.rules import RULES, Rules
from mesh.channel import Token, connect, connect_sync
from mesh.errors import Unavailable, from_rpc_error
from mesh.ids import FrameId
from mesh.schedule import parse_window
from trueframe.v1 import inspection_pb2
from trueframe.v1.inspection_pb2 import (
    CoverageRow,
    FrameExplanation,
    Inspection,
    InspectionStatus,
    LedgerEntry,
)
from trueframe.v1.inspection_pb2_grpc import InspectionServiceStub, LedgerServiceStub, PoolServiceStub

__all__ = [
    "RULES",
    "Anomaly",
    "Area",
    "Calibrated",
    "CoverageRow",
    "CurvePoint",
    "Drift",
    "FrameExplanation",
    "Gate",
    "Inspection",
    "InspectionClient",
    "InspectionStatus",
    "JudgeState",
    "LedgerClient",
    "LedgerEntry",
    "Model",
    "ModelDiff",
    "ModelVersion",
    "Moved",
    "PoolClient",
    "PoolStream",
    "RolloutStep",
    "Rules",
    "SyncInspectionClient",
    "SyncLedgerClient",
    "SyncModelClient",
    "Verdict",
    "after_label",
    "calibrate",
    "drift",
    "end",
    "joined",
    "judge_all",
    "parse_window",
]

DEADLINE_S = 10.0


class InspectionClient:
    """Inspections, asynchronously. Raises errors of `mesh.errors`."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect(endpoint, token, **options)
        self._stub: Any = InspectionServiceStub(self._channel)

    async def __aenter__(self) -> InspectionClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of the connection."""
        await self._channel.close()

    async def list(self, *, timeout_s: float = DEADLINE_S) -> list[InspectionStatus]:
        """Inspections with their workers, by id."""
        try:
            answer = await self._stub.ListInspections(inspection_pb2.ListInspectionsRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return [*answer.inspections]

    async def put(self, inspection: Inspection, *, timeout_s: float = DEADLINE_S) -> InspectionStatus:
        """Creates or replaces an inspection. Raises InvalidArgument."""
        request = inspection_pb2.PutInspectionRequest(inspection=inspection)
        try:
            answer = await self._stub.PutInspection(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        status: InspectionStatus = answer.inspection
        return status


class SyncInspectionClient:
    """Inspections for plain programs; as InspectionClient."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect_sync(endpoint, token, **options)
        self._stub: Any = InspectionServiceStub(self._channel)

    def __enter__(self) -> SyncInspectionClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection."""
        self._channel.close()

    def list(self, *, timeout_s: float = DEADLINE_S) -> list[InspectionStatus]:
        """As InspectionClient.list."""
        try:
            answer = self._stub.ListInspections(inspection_pb2.ListInspectionsRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return [*answer.inspections]

    def put(self, inspection: Inspection, *, timeout_s: float = DEADLINE_S) -> InspectionStatus:
        """As InspectionClient.put."""
        request = inspection_pb2.PutInspectionRequest(inspection=inspection)
        try:
            status: InspectionStatus = self._stub.PutInspection(request, timeout=timeout_s).inspection
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return status

    def label(
        self, anomaly: str, *, is_false: bool, timeout_s: float = DEADLINE_S
    ) -> inspection_pb2.LabelAnomalyResponse:
        """Says whether an anomaly was one; calibrated thresholds move a little. Raises NotFound."""
        label = inspection_pb2.ANOMALY_LABEL_FALSE if is_false else inspection_pb2.ANOMALY_LABEL_TRUE
        request = inspection_pb2.LabelAnomalyRequest(anomaly=anomaly, label=label)
        try:
            answer: inspection_pb2.LabelAnomalyResponse = self._stub.LabelAnomaly(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return answer


class LedgerClient:
    """The ledger, asynchronously. Raises errors of `mesh.errors`: NotFound for a camera that was never inspected."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect(endpoint, token, **options)
        self._stub: Any = LedgerServiceStub(self._channel)

    async def __aenter__(self) -> LedgerClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of the connection."""
        await self._channel.close()

    async def read(
        self, camera: str, *, inspection: str = "", from_ns: int = 0, to_ns: int = 0
    ) -> AsyncIterator[LedgerEntry]:
        """What detectors said of frames received in the range, in the order of ids for each inspection."""
        request = inspection_pb2.ReadLedgerRequest(camera=camera, inspection=inspection, from_ns=from_ns, to_ns=to_ns)
        call = self._stub.ReadLedger(request)
        try:
            async for response in call:
                for entry in response.entries:
                    yield entry
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()

    async def explain(
        self, frame: FrameId, *, received_ns: int = 0, timeout_s: float = DEADLINE_S
    ) -> list[FrameExplanation]:
        """What each inspection of the camera has to say of a frame, by id of inspection."""
        request = inspection_pb2.ExplainFrameRequest(id=frame.to_proto(), received_ns=received_ns)
        try:
            answer = await self._stub.ExplainFrame(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return [*answer.explanations]

    async def checkpoint(
        self, inspection: str, up_to: FrameId, *, timeout_s: float = DEADLINE_S
    ) -> inspection_pb2.GetCheckpointResponse:
        """The newest kept state of a detector that holds nothing behind a frame, if there is one, and its orders."""
        request = inspection_pb2.GetCheckpointRequest(inspection=inspection, up_to=up_to.to_proto())
        try:
            answer: inspection_pb2.GetCheckpointResponse = await self._stub.GetCheckpoint(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return answer

    async def coverage(
        self, camera: str, *, from_ns: int = 0, to_ns: int = 0, bucket_s: int = 0, timeout_s: float = DEADLINE_S
    ) -> list[CoverageRow]:
        """How many frames were scored and how many were not, by inspection and time."""
        request = inspection_pb2.GetCoverageRequest(camera=camera, from_ns=from_ns, to_ns=to_ns, bucket_s=bucket_s)
        try:
            answer = await self._stub.GetCoverage(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return [*answer.rows]


class SyncLedgerClient:
    """The ledger for plain programs; as LedgerClient."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect_sync(endpoint, token, **options)
        self._stub: Any = LedgerServiceStub(self._channel)

    def __enter__(self) -> SyncLedgerClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection."""
        self._channel.close()

    def read(self, camera: str, *, inspection: str = "", from_ns: int = 0, to_ns: int = 0) -> Iterator[LedgerEntry]:
        """As LedgerClient.read."""
        request = inspection_pb2.ReadLedgerRequest(camera=camera, inspection=inspection, from_ns=from_ns, to_ns=to_ns)
        call = self._stub.ReadLedger(request)
        try:
            for response in call:
                yield from response.entries
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()

    def explain(self, frame: FrameId, *, received_ns: int = 0, timeout_s: float = DEADLINE_S) -> list[FrameExplanation]:
        """As LedgerClient.explain."""
        request = inspection_pb2.ExplainFrameRequest(id=frame.to_proto(), received_ns=received_ns)
        try:
            return [*self._stub.ExplainFrame(request, timeout=timeout_s).explanations]
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def checkpoint(
        self, inspection: str, up_to: FrameId, *, timeout_s: float = DEADLINE_S
    ) -> inspection_pb2.GetCheckpointResponse:
        """As LedgerClient.checkpoint."""
        request = inspection_pb2.GetCheckpointRequest(inspection=inspection, up_to=up_to.to_proto())
        try:
            answer: inspection_pb2.GetCheckpointResponse = self._stub.GetCheckpoint(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return answer

    def coverage(
        self, camera: str, *, from_ns: int = 0, to_ns: int = 0, bucket_s: int = 0, timeout_s: float = DEADLINE_S
    ) -> list[CoverageRow]:
        """As LedgerClient.coverage."""
        request = inspection_pb2.GetCoverageRequest(camera=camera, from_ns=from_ns, to_ns=to_ns, bucket_s=bucket_s)
        try:
            return [*self._stub.GetCoverage(request, timeout=timeout_s).rows]
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None


class PoolStream:
    """A worker's stream: say requests, iterate what the pool says. Made by `PoolClient.join`."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._writing = asyncio.Lock()

    async def say(self, request: inspection_pb2.JoinPoolRequest) -> None:
        """Sends a request; any task may. Raises Unavailable once the stream is broken."""
        try:
            # gRPC breaks a call on which a second write begins before the first is done.
            async with self._writing:
                await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        except (grpc.aio.UsageError, grpc.aio.BaseError, RuntimeError) as error:
            raise Unavailable("stream to the pool", f"is over ({error})") from None

    async def __aiter__(self) -> AsyncIterator[inspection_pb2.JoinPoolResponse]:
        """What the pool says, until it ends the stream. Raises Unavailable and others."""
        try:
            async for response in self._call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    def close(self) -> None:
        """Ends the stream."""
        self._call.cancel()


class PoolClient:
    """The pool, for workers."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect(endpoint, token, **options)
        self._stub: Any = PoolServiceStub(self._channel)

    async def __aenter__(self) -> PoolClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all streams."""
        await self._channel.close()

    async def join(self, hello: inspection_pb2.WorkerHello) -> PoolStream:
        """Opens a stream and says hello. Raises Unavailable if nobody answers."""
        stream = PoolStream(self._stub.JoinPool())
        try:
            await stream.say(inspection_pb2.JoinPoolRequest(hello=hello))
        except BaseException:
            stream.close()
            raise
        return stream
