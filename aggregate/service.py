"""The gRPC faces of the aggregate: inspections and the ledger for people, the pool for workers. Thin."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from aggregate.calibrating import Calibrator
from aggregate.coverage import Row
from aggregate.errors import BadVerdicts, NeverInspected
from aggregate.inspections import Inspections
from aggregate.offers import offer_from_proto
from aggregate.reading import LedgerReader
from aggregate.sessions import Session
from aggregate.standing import Status
from aggregate.wire import checkpoint_to_proto, order_from_proto, order_to_proto, verdict_to_proto
from mesh.errors import InvalidArgument, PermissionDenied
from mesh.ids import FrameId, validate_camera_id
from mesh.logs import get_logger, rate_limited
from mesh.roles import Role
from mesh.security import principal_of
from trueframe.v1 import inspection_pb2, inspection_pb2_grpc

log = get_logger("aggregate.service")

MAX_DETECTORS = 100
MAX_ENTRIES = 2048


class InspectionService(inspection_pb2_grpc.InspectionServiceServicer):
    """Lists and changes inspections, and takes operators' labels."""

    def __init__(self, inspections: Inspections, calibrator: Calibrator) -> None:
        self._inspections = inspections
        self._calibrator = calibrator

    async def ListInspections(  # noqa: N802 - the rpc's name
        self, request: inspection_pb2.ListInspectionsRequest, context: Any
    ) -> inspection_pb2.ListInspectionsResponse:
        """Inspections of cameras in the caller's scope."""
        principal = principal_of(context)
        statuses = [status for status in self._inspections.statuses() if principal.allows(status.order.camera)]
        return inspection_pb2.ListInspectionsResponse(inspections=[_status(status) for status in statuses])

    async def PutInspection(  # noqa: N802 - the rpc's name
        self, request: inspection_pb2.PutInspectionRequest, context: Any
    ) -> inspection_pb2.PutInspectionResponse:
        """Creates or replaces one."""
        principal = principal_of(context)
        order = order_from_proto(request.inspection)
        principal.require(order.camera)
        is_ours = principal.role is Role.SERVICE
        status = await self._inspections.put(order, principal.name, may_be_early=is_ours)
        log.info("inspection put", inspection=order.id, by=principal.name, disabled=order.is_disabled)
        return inspection_pb2.PutInspectionResponse(inspection=_status(status))

    async def LabelAnomaly(  # noqa: N802 - the rpc's name
        self, request: inspection_pb2.LabelAnomalyRequest, context: Any
    ) -> inspection_pb2.LabelAnomalyResponse:
        """What an operator calls an anomaly."""
        principal = principal_of(context)
        if request.label not in (inspection_pb2.ANOMALY_LABEL_TRUE, inspection_pb2.ANOMALY_LABEL_FALSE):
            raise InvalidArgument(f"label of anomaly {request.anomaly[:60]}", "says neither true nor false")
        is_false = request.label == inspection_pb2.ANOMALY_LABEL_FALSE
        principal.require(await self._calibrator.camera_of(request.anomaly))
        labelled = await self._calibrator.label(request.anomaly, principal.name, is_false=is_false)
        log.info("anomaly labelled", anomaly=request.anomaly, by=principal.name, is_false=is_false)
        return inspection_pb2.LabelAnomalyResponse(
            inspection=labelled.inspection, threshold_now=labelled.threshold, sentence=labelled.sentence
        )


class LedgerService(inspection_pb2_grpc.LedgerServiceServicer):
    """What was said of every inspected frame."""

    def __init__(self, inspections: Inspections, reader: LedgerReader) -> None:
        self._inspections = inspections
        self._reader = reader

    async def ReadLedger(  # noqa: N802 - the rpc's name
        self, request: inspection_pb2.ReadLedgerRequest, context: Any
    ) -> AsyncIterator[inspection_pb2.ReadLedgerResponse]:
        """Entries, a page at a time."""
        principal_of(context).require(validate_camera_id(request.camera))
        entries = self._reader.entries(request.camera, request.inspection, request.from_ns, request.to_ns)
        async for page, verdicts in entries:
            for at in range(0, len(verdicts), MAX_ENTRIES):
                yield inspection_pb2.ReadLedgerResponse(
                    entries=[
                        inspection_pb2.LedgerEntry(
                            inspection=page.key.inspection,
                            fence=page.key.fence,
                            detector=page.key.detector,
                            verdict=verdict_to_proto(verdict),
                            began=verdict.id in page.began,
                        )
                        for verdict in verdicts[at : at + MAX_ENTRIES]
                    ]
                )

    async def ExplainFrame(  # noqa: N802 - the rpc's name
        self, request: inspection_pb2.ExplainFrameRequest, context: Any
    ) -> inspection_pb2.ExplainFrameResponse:
        """One explanation for each inspection of the camera."""
        frame = FrameId.from_proto(request.id)
        principal_of(context).require(validate_camera_id(frame.camera))
        if frame.epoch <= 0 or frame.seq < 0:
            raise InvalidArgument(f"frame {frame}", "is no frame: epochs are positive and seqs begin at 0")
        explanations = await self._reader.explain(frame, max(request.received_ns, 0))
        return inspection_pb2.ExplainFrameResponse(explanations=explanations)

    async def GetCoverage(  # noqa: N802 - the rpc's name
        self, request: inspection_pb2.GetCoverageRequest, context: Any
    ) -> inspection_pb2.GetCoverageResponse:
        """Sums by inspection and time."""
        principal_of(context).require(validate_camera_id(request.camera))
        rows = await self._reader.coverage(request.camera, request.from_ns, request.to_ns, request.bucket_s)
        return inspection_pb2.GetCoverageResponse(rows=[_coverage_row(row) for row in rows])

    async def GetCheckpoint(  # noqa: N802 - the rpc's name
        self, request: inspection_pb2.GetCheckpointRequest, context: Any
    ) -> inspection_pb2.GetCheckpointResponse:
        """Where inspecting recorded frames again starts from."""
        frame = FrameId.from_proto(request.up_to)
        principal_of(context).require(validate_camera_id(frame.camera))
        orders = [one for one in self._inspections.orders_of(frame.camera) if one.id == request.inspection]
        if not orders:
            raise NeverInspected(f"camera {frame.camera}", f"has no inspection {request.inspection[:80]!r}")
        checkpoint, order = await self._reader.checkpoint(orders[0], frame)
        answer = inspection_pb2.GetCheckpointResponse(inspection=order_to_proto(order))
        if checkpoint is not None:
            answer.checkpoint.CopyFrom(checkpoint_to_proto(checkpoint))
        return answer


class PoolService(inspection_pb2_grpc.PoolServiceServicer):
    """Workers dial in."""

    def __init__(self, inspections: Inspections) -> None:
        self._inspections = inspections
        self._under_way: set[asyncio.Task[None]] = set()

    async def JoinPool(  # noqa: N802 - the rpc's name
        self, request_iterator: AsyncIterator[inspection_pb2.JoinPoolRequest], context: Any
    ) -> AsyncIterator[inspection_pb2.JoinPoolResponse]:
        """One stream of one worker."""
        principal = principal_of(context)
        if principal.cameras is not None:
            raise PermissionDenied("pool of workers", f"is given every camera, and {principal.name!r} some only")
        hello = await _hello(request_iterator)
        offers = [offer_from_proto(offer) for offer in hello.offers]
        session = Session(hello.worker)
        reading = asyncio.create_task(self._read(session, request_iterator), name=f"worker {hello.worker}")
        try:
            await self._to_its_end(self._inspections.worker_joined(session, hello, offers))
            while (response := await session.next()) is not None:
                yield response
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
            await self._to_its_end(self._inspections.worker_left(session))

    async def _to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Does it whole, though the call that it belongs to is cancelled meanwhile, as often as gRPC likes."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.shield(task)

    async def _read(self, session: Session, requests: AsyncIterator[inspection_pb2.JoinPoolRequest]) -> None:
        try:
            async for request in requests:
                match request.WhichOneof("kind"):
                    case "block":
                        self._inspections.hearing.block_came(session, request.block)
                    case "heartbeat":
                        self._inspections.hearing.worker_heard(session)
                        if request.heartbeat.leaving:
                            await self._inspections.worker_leaving(session)
                    case "report":
                        await self._inspections.hearing.report_came(session, request.report)
                    case "hello":
                        raise InvalidArgument("hello", "came a second time on the same stream")
            session.close()
        except InvalidArgument as error:
            if rate_limited(f"worker {session.worker}", 5.0):
                log.error("worker refused", worker=session.worker, reason=str(error), kind=type(error).__name__)
            session.close(error if not isinstance(error, BadVerdicts) else BadVerdicts(error.thing, error.reason))
        except asyncio.CancelledError:
            raise
        except Exception:
            # Whatever happened to this stream, the worker must not wait on it for ever.
            session.close()
            raise


async def _hello(requests: AsyncIterator[inspection_pb2.JoinPoolRequest]) -> inspection_pb2.WorkerHello:
    async for request in requests:
        hello = request.hello
        if request.WhichOneof("kind") != "hello" or not 0 < len(hello.worker) <= 100:
            raise InvalidArgument("first request", "is no hello with a worker's name of 1 to 100 characters")
        if hello.capacity < 1 or max(len(hello.detectors), len(hello.offers)) > MAX_DETECTORS:
            raise InvalidArgument(f"worker {hello.worker}", "offers no capacity, or too many detectors")
        return hello
    raise InvalidArgument("first request", "is missing")


def _coverage_row(row: Row) -> inspection_pb2.CoverageRow:
    return inspection_pb2.CoverageRow(
        inspection=row.inspection,
        from_ns=row.from_ns,
        to_ns=row.to_ns,
        scored=row.scored,
        not_scored=[
            inspection_pb2.ReasonCount(reason=inspection_pb2.NoVerdictReason.ValueType(reason), frames=frames)
            for reason, frames in sorted(row.skipped.items())
        ],
        rests=[inspection_pb2.RestStretch(from_ns=r.from_ns, to_ns=r.to_ns, why=r.why) for r in row.rests],
    )


def _status(status: Status) -> inspection_pb2.InspectionStatus:
    message = inspection_pb2.InspectionStatus(
        inspection=order_to_proto(status.order),
        worker=status.worker,
        problem=status.problem,
        resting=status.is_resting,
        lowered_to_fps=status.lowered_to_fps,
    )
    report, docket = status.report, status.docket
    if report is not None:
        message.running, message.provider, message.cost_us = report.running, report.provider, report.cost_us
        message.model_digest = report.model
        message.alignment.extend(report.alignment)
    if docket is not None:
        message.fence = docket.fence
        message.frames_scored = docket.state.scored
        message.frames_skipped = docket.state.skipped
        message.threshold_now = docket.rules.threshold
        message.threshold_is_provisional = docket.is_provisional and bool(status.order.false_alarms_per_hour)
        if not message.alignment:
            message.alignment.extend(docket.alignment)
        if docket.state.last is not None:
            message.last.CopyFrom(docket.state.last.to_proto())
    return message
