"""The gRPC face of models, and the roll-outs behind it: gates asked, stored, then told to workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from aggregate.archive import Archive
from aggregate.bench import Bench
from aggregate.gates import Costs, Gate, gates
from aggregate.inspections import Inspections
from aggregate.model_diff import Compared, compared, said_by
from aggregate.model_store import CHUNK_BYTES, Models
from aggregate.models import Rollout, Version, checked_name, rollout_to_proto, version_to_proto
from aggregate.orders import Order
from mesh.clocks import Clock
from mesh.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from mesh.logs import get_logger
from mesh.security import principal_of
from mesh.tokens import Principal
from trueframe.v1 import models_pb2, models_pb2_grpc

log = get_logger("aggregate.model_service")

HOUR_NS = 3_600_000_000_000
_LOOK_BACK_NS = 6 * HOUR_NS


class ModelService(models_pb2_grpc.ModelServiceServicer):
    """Models, their versions and roll-outs."""

    def __init__(
        self, models: Models, inspections: Inspections, archive: Archive, bench: Bench, clock: Clock, shadow_s: float
    ) -> None:
        self._models = models
        self._inspections = inspections
        self._archive = archive
        self._bench = bench
        self._clock = clock
        self._shadow_s = shadow_s
        self._rolling = asyncio.Lock()

    async def ListModels(  # noqa: N802 - the rpc's name
        self, request: models_pb2.ListModelsRequest, context: Any
    ) -> models_pb2.ListModelsResponse:
        """All of them."""
        return models_pb2.ListModelsResponse(models=[self._message(name) for name in self._models.names])

    async def AddModel(  # noqa: N802 - the rpc's name
        self, request_iterator: AsyncIterator[models_pb2.AddModelRequest], context: Any
    ) -> models_pb2.AddModelResponse:
        """Receives a version."""
        principal = _everywhere(context)
        header = await _header(request_iterator)

        async def chunks() -> AsyncIterator[bytes]:
            async for request in request_iterator:
                if request.WhichOneof("kind") != "chunk" or len(request.chunk) > CHUNK_BYTES:
                    raise InvalidArgument("part of a model", f"is no chunk of at most {CHUNK_BYTES >> 20} MiB")
                yield request.chunk

        version, was_known = await self._models.add(
            header.model, header.digest, chunks(), principal.name, self._clock.utc_ns()
        )
        log.info("model added", model=version.model, version=version.short, by=principal.name, was_known=was_known)
        return models_pb2.AddModelResponse(version=version_to_proto(version), was_known=was_known)

    async def FetchModel(  # noqa: N802 - the rpc's name
        self, request: models_pb2.FetchModelRequest, context: Any
    ) -> AsyncIterator[models_pb2.FetchModelResponse]:
        """A version's zip."""
        path = self._models.path(request.digest)
        with await asyncio.to_thread(path.open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield models_pb2.FetchModelResponse(chunk=chunk)

    async def RollOutModel(  # noqa: N802 - the rpc's name
        self, request: models_pb2.RollOutModelRequest, context: Any
    ) -> models_pb2.RollOutModelResponse:
        """Moves a roll-out."""
        principal = _everywhere(context)
        model = checked_name(request.model)
        async with self._rolling:
            asked = await self._move(model, request, principal.name)
        return models_pb2.RollOutModelResponse(
            model=self._message(model),
            gates=[models_pb2.Gate(name=g.name, is_passed=g.is_passed, sentence=g.sentence) for g in asked],
        )

    async def DiffModels(  # noqa: N802 - the rpc's name
        self, request: models_pb2.DiffModelsRequest, context: Any
    ) -> models_pb2.DiffModelsResponse:
        """Compares two versions."""
        principal = principal_of(context)
        one = self._models.chosen(checked_name(request.model), request.digest)
        than = request.than or self._models.rollout(request.model).promoted
        other = self._models.chosen(request.model, than)
        to_ns = request.to_ns or self._clock.utc_ns()
        found = await self._compared(request.model, one, other, request.from_ns or to_ns - HOUR_NS, to_ns)
        costs = [self._inspections.reports.cost_us(version.digest) for version in (one, other)]
        return models_pb2.DiffModelsResponse(
            diffs=[
                models_pb2.ModelDiff(
                    camera=each.camera,
                    frames=each.frames,
                    equal=each.equal,
                    mean_difference=each.mean_difference,
                    greatest_difference=each.greatest_difference,
                    greatest_at=str(each.greatest_at) if each.greatest_at is not None else "",
                    anomalies_per_hour=each.one.alarms_per_hour,
                    than_per_hour=each.other.alarms_per_hour,
                    cost_us=costs[0],
                    than_cost_us=costs[1],
                )
                for each in found
                if principal.allows(each.camera)
            ]
        )

    async def _move(self, model: str, request: models_pb2.RollOutModelRequest, by: str) -> list[Gate]:
        rollout, asked = self._models.rollout(model), list[Gate]()
        match request.step:
            case models_pb2.ROLLOUT_STEP_SHADOW:
                moved = rollout.shadowed(self._models.chosen(model, request.digest).digest)
            case models_pb2.ROLLOUT_STEP_CANARY | models_pb2.ROLLOUT_STEP_PROMOTE:
                version = self._models.chosen(model, request.digest or rollout.canary or rollout.shadow)
                is_canary = request.step == models_pb2.ROLLOUT_STEP_CANARY
                moved = (
                    rollout.with_canary(version.digest, request.cameras)
                    if is_canary
                    else rollout.promote(version.digest)
                )
                asked = await self._gates(model, version, rollout)
                _pass(asked, version, force=request.force)
            case models_pb2.ROLLOUT_STEP_ROLL_BACK:
                moved = rollout.rolled_back()
            case models_pb2.ROLLOUT_STEP_END_TRIAL:
                moved = rollout.without_trial()
            case _:
                raise InvalidArgument(f"roll-out of {model}", "says no step that is known")
        now_ns = self._clock.utc_ns()
        await self._models.put_rollout(model, replace(moved, changed_ns=now_ns, changed_by=by))
        log.info(
            "roll-out moved", model=model, promoted=moved.promoted[:12], shadow=moved.shadow[:12],
            canary=moved.canary[:12], by=by,
        )  # fmt: skip
        await self._inspections.rollout_changed(model, by)
        return asked

    async def _gates(self, model: str, version: Version, rollout: Rollout) -> list[Gate]:
        """Of the first version nothing is asked: there is nothing to be worse than. Nor of one that spoke before."""
        if not rollout.promoted or version.digest in (rollout.promoted, rollout.previous):
            return []
        promoted = self._models.chosen(model, rollout.promoted)
        to_ns = self._clock.utc_ns()
        trials = await self._compared(model, version, promoted, to_ns - _LOOK_BACK_NS, to_ns)
        reports = self._inspections.reports
        orders = [order for order in self._inspections.orders_with_model(model) if not order.shadow_of]
        fps = sum(found.frames_came_per_second for order in orders if (found := reports.of(order.id)) is not None)
        cores, taken = self._inspections.room()
        costs = Costs(reports.cost_us(version.digest), reports.cost_us(promoted.digest), fps, cores - taken)
        return gates(version, costs, trials, self._shadow_s)

    async def _compared(self, model: str, one: Version, other: Version, from_ns: int, to_ns: int) -> list[Compared]:
        by_camera: dict[str, list[Order]] = {}
        for order in self._inspections.orders_with_model(model):
            by_camera.setdefault(order.camera, []).append(order)
        found = []
        for camera, orders in sorted(by_camera.items()):
            await self._written(orders)
            speaking = next((order for order in orders if not order.shadow_of), orders[0])
            docket = self._bench.docket(speaking.id)
            rules = docket.rules if docket is not None else self._inspections.offers.rules(speaking.detector)
            said = [await said_by(self._archive, orders, each.short, from_ns, to_ns) for each in (one, other)]
            found.append(await asyncio.to_thread(compared, camera, said[0], said[1], rules))
        return found

    async def _written(self, orders: list[Order]) -> None:
        for order in orders:
            docket = self._bench.docket(order.id)
            if docket is not None and docket.is_dirty:
                await self._bench.settle(docket)

    def _message(self, model: str) -> models_pb2.Model:
        versions = self._models.versions(model)
        return models_pb2.Model(
            name=model,
            detector=versions[0].detector if versions else "",
            versions=[version_to_proto(version) for version in versions],
            rollout=rollout_to_proto(self._models.rollout(model)),
        )


def _everywhere(context: Any) -> Principal:
    """The caller, who must be allowed all cameras: a model speaks on any of them. Raises PermissionDenied."""
    principal: Principal = principal_of(context)
    if principal.cameras is not None:
        raise PermissionDenied("models", f"concern cameras outside the scope of {principal.name!r}")
    return principal


def _pass(asked: list[Gate], version: Version, *, force: bool) -> None:
    closed = [gate for gate in asked if not gate.is_passed]
    if closed and not force:
        told = "; ".join(f"{gate.name}: {gate.sentence}" for gate in closed)
        remedy = "`trueframe models shadow` runs it beside the promoted one; --force passes."
        raise FailedPrecondition(f"version {version.short} of {version.model}", f"does not pass: {told}", remedy)


async def _header(requests: AsyncIterator[models_pb2.AddModelRequest]) -> models_pb2.AddModelHeader:
    async for request in requests:
        if request.WhichOneof("kind") != "header":
            break
        if request.header.model:
            checked_name(request.header.model)
        return request.header
    raise InvalidArgument("first part of a model", "is no header")
