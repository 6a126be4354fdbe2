"""`python -m aggregate --config FILE`: the aggregate's process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aggregate.archive import Archive
from aggregate.bench import Bench
from aggregate.calibrating import Calibrator
from aggregate.cameras import follow
from aggregate.inspections import Inspections
from aggregate.metrics import PoolCollector
from aggregate.model_service import ModelService
from aggregate.model_store import Models
from aggregate.offers import Offers
from aggregate.orders import Order
from aggregate.reading import LedgerReader
from aggregate.scheduler import Scheduler
from aggregate.service import InspectionService, LedgerService, PoolService
from aggregate.wire import order_from_seed
from broker.client import BrokerClient
from mesh.bus import Bus
from mesh.channel import Credentials
from mesh.clocks import SystemClock
from mesh.config import Config, InspectionSeed
from mesh.errors import InvalidArgument, NotFound, Unavailable
from mesh.files import private_folder
from mesh.logs import get_logger
from mesh.outbox import OutboxPublisher
from mesh.runner import run_service
from mesh.server import Registration, serve
from mesh.store_open import open_store
from mesh.system_events import SystemEvents
from mesh.zones import site_zone
from trueframe.v1.inspection_pb2_grpc import (
    add_InspectionServiceServicer_to_server,
    add_LedgerServiceServicer_to_server,
    add_PoolServiceServicer_to_server,
)
from trueframe.v1.models_pb2_grpc import add_ModelServiceServicer_to_server

log = get_logger("aggregate")


async def main(config: Config) -> None:
    """Serves until it is cancelled."""
    folder = private_folder(config.run.data_dir / "aggregate")
    token = Credentials.from_config(config)
    async with (
        open_store(config, "aggregate") as store,
        Bus.from_config(config, "aggregate") as bus,
        BrokerClient(config.broker.endpoint, token) as broker,
    ):
        archive = await Archive.open(store)
        models = await Models.open(store, folder / "models", config.aggregate.max_model_bytes)
        clock = SystemClock()
        outbox = OutboxPublisher(archive.anomalies, bus)
        system_events = SystemEvents("aggregate", bus, clock)
        offers = Offers()

        def takes_model(order: Order) -> bool:
            return bool(order.model or offers.named_models(order)) or offers.needs_model(order.detector)

        async def camera_exists(camera: str) -> bool:
            try:
                await broker.get_camera(camera)
            except NotFound:
                return False
            return True

        scheduler = Scheduler(takes_model=takes_model)
        bench = Bench(archive, clock, on_settled=scheduler.judged, on_published=outbox.wake, rules_of=offers.rules)
        inspections = Inspections(
            archive, bench, clock, scheduler, offers=offers, models=models, tells=system_events,
            zone=site_zone(config.site.timezone), default_detectors=config.aggregate.default_detectors,
            exists=camera_exists,
        )  # fmt: skip
        calibrator = Calibrator(archive, bench, inspections, clock, config.aggregate.calibrate_s)
        await inspections.load(_orders(config.inspections))
        registrations: list[Registration] = [
            (
                add_InspectionServiceServicer_to_server,
                InspectionService(inspections, calibrator),
                "trueframe.v1.InspectionService",
            ),
            (
                add_LedgerServiceServicer_to_server,
                LedgerService(inspections, LedgerReader(archive, bench, inspections, clock)),
                "trueframe.v1.LedgerService",
            ),
            (add_PoolServiceServicer_to_server, PoolService(inspections), "trueframe.v1.PoolService"),
            (
                add_ModelServiceServicer_to_server,
                ModelService(models, inspections, archive, bench, clock, config.aggregate.shadow_s),
                "trueframe.v1.ModelService",
            ),
        ]
        async with outbox, asyncio.TaskGroup() as tasks:
            tasks.create_task(_make_stream(bus), name="stream")
            judging = tasks.create_task(bench.run(), name="bench")
            running = tasks.create_task(inspections.run(), name="inspections")
            telling = tasks.create_task(system_events.run(), name="system events")
            calibrating = tasks.create_task(calibrator.run(), name="calibrator")
            following = tasks.create_task(follow(broker.watch_cameras(), inspections), name="cameras")
            try:
                with PoolCollector(scheduler, inspections, models):
                    async with serve(config.aggregate.endpoint, config, registrations, audit="aggregate") as server:
                        await server.wait()
            finally:
                for task in (following, running, calibrating, telling, judging):
                    task.cancel()


async def _make_stream(bus: Bus) -> None:
    try:
        await bus.ensure_stream()
    except Unavailable as error:
        log.warning("bus is away; anomalies wait in the outbox", reason=str(error))


def _orders(seeds: Iterable[InspectionSeed]) -> list[Order]:
    orders = []
    for seed in seeds:
        try:
            orders.append(order_from_seed(seed))
        except InvalidArgument as error:
            log.error("inspection of the configuration is left out", inspection=seed.id[:80], reason=str(error))
    return orders


if __name__ == "__main__":
    run_service(main)
