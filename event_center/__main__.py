"""`python -m event_center --config FILE`: the event center's process."""

from __future__ import annotations

import asyncio
import gc

from aggregate.client import LedgerClient
from broker.client import BrokerClient
from event_center.book import EventBook
from event_center.camera_labels import follow_labels
from event_center.cases.book import CaseBook
from event_center.cases.service import CaseService
from event_center.clockwork import clockwork
from event_center.intake import catch_up, listening
from event_center.notifications.running import Notifications
from event_center.notifications.still import StillMaker
from event_center.poison_watch import watch_poison
from event_center.policy import Policy
from event_center.reports.gather import Gatherer
from event_center.reports.schedule import keep_written
from event_center.reports.service import ReportService
from event_center.service import EventService
from event_center.shifts.handover_book import HandoverBook
from event_center.shifts.searches import SearchBook
from event_center.shifts.service import ShiftService
from event_center.watching import Watch, parts_of
from event_center.work.retention import Retention
from media_center.client import FootageClient
from mesh.bus import Bus
from mesh.cancellation import until_one_fails
from mesh.channel import Credentials
from mesh.clocks import SystemClock
from mesh.config import Config
from mesh.outbox import OutboxPublisher
from mesh.runner import run_service
from mesh.server import Registration, serve
from mesh.store_open import open_store
from mesh.system_events import SystemEvents
from mesh.zones import site_zone
from trueframe.v1.cases_pb2_grpc import add_CaseServiceServicer_to_server
from trueframe.v1.events_pb2_grpc import add_EventServiceServicer_to_server
from trueframe.v1.notifications_pb2_grpc import add_NotificationServiceServicer_to_server
from trueframe.v1.reports_pb2_grpc import add_ReportServiceServicer_to_server
from trueframe.v1.shifts_pb2_grpc import add_ShiftServiceServicer_to_server


async def main(config: Config) -> None:
    """Serves until it is cancelled."""
    token = Credentials.from_config(config)
    async with (
        open_store(config, "event-center") as store,
        Bus.from_config(config, "event-center") as bus,
        FootageClient(config.media_center.endpoint, token) as footage,
        BrokerClient(config.broker.endpoint, token) as broker,
        LedgerClient(config.aggregate.endpoint, token) as ledger,
    ):
        policy, zone = Policy.of(config.event_center), site_zone(config.site.timezone)
        book = await EventBook.open(store, policy=policy, zone=zone)
        cases = await CaseBook.open(store)
        searches, handovers = await SearchBook.open(store), await HandoverBook.open(store, book, cases)
        gatherer = Gatherer(book, broker, ledger, zone)
        conditions = SystemEvents("event-center", bus, SystemClock())
        told = await Notifications.open(config.notifications, book, store, conditions, StillMaker(footage), zone)
        notifications: Registration = (
            add_NotificationServiceServicer_to_server, told.service, "trueframe.v1.NotificationService",
        )  # fmt: skip
        registrations: list[Registration] = [
            notifications,
            (add_EventServiceServicer_to_server, EventService(book), "trueframe.v1.EventService"),
            (add_CaseServiceServicer_to_server, CaseService(cases, book), "trueframe.v1.CaseService"),
            (add_ShiftServiceServicer_to_server, ShiftService(searches, handovers), "trueframe.v1.ShiftService"),
            (add_ReportServiceServicer_to_server, ReportService(gatherer), "trueframe.v1.ReportService"),
        ]
        watch = Watch(parts_of(config), book, SystemClock(), config.event_center.silent_after_s)
        outbox = OutboxPublisher(book.events, bus)
        book.on_stored = outbox.wake
        async with (
            serve(config.event_center.endpoint, config, registrations, audit="event-center") as server,
            outbox,
            listening(bus, book),
            clockwork(book),
            told.running(),
        ):
            beside = [
                asyncio.create_task(catch_up(footage, book), name="watermarks"),
                asyncio.create_task(conditions.run(), name="conditions"),
                asyncio.create_task(watch_poison(bus, conditions), name="poison"),
                asyncio.create_task(watch.run(), name="watch"),
            ]
            if keep_days := config.event_center.keep_events_days:
                retention = await Retention.open(store, book, cases, footage, keep_days)
                beside.append(asyncio.create_task(retention.run(), name="retention"))
            if kinds := config.event_center.reports:
                folder = config.event_center.reports_dir or config.run.data_dir / "reports"
                writing = keep_written(gatherer, folder, kinds, config.event_center.reports_keep, SystemClock())
                beside.append(asyncio.create_task(writing, name="reports"))
            if any(group.labels for group in policy.groups):
                beside.append(asyncio.create_task(follow_labels(broker, book.desk), name="labels"))
            # What is loaded now stays: a full collection that walks all of it would hold up every question for 45 ms.
            gc.collect()
            gc.freeze()
            await until_one_fails(server.wait(), beside)


if __name__ == "__main__":
    run_service(main)
