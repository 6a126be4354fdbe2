"""Puts notifications together for the event center's process: channels, journal, notifier, the gRPC face."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import tzinfo

from event_center.book import EventBook
from event_center.notifications.deciding import Site
from event_center.notifications.journal import Journal
from event_center.notifications.mail import Mail
from event_center.notifications.mqtt import Mqtt
from event_center.notifications.notifier import Notifier
from event_center.notifications.outlet import Carrier, Outlet, Pictures
from event_center.notifications.program import Program
from event_center.notifications.rules import rules_of
from event_center.notifications.service import NotificationService
from event_center.notifications.webhook import Webhook
from mesh.clocks import Clock, SystemClock
from mesh.config_notifications import NotificationChannel, NotificationsConfig
from mesh.store import DocumentStore
from mesh.system_events import SystemEvents

_DAY_NS = 24 * 3600 * 1_000_000_000


class Notifications:
    """All of it. Make it with `open`, before anything new is heard; `service` is its face, `running` its work."""

    def __init__(self, notifier: Notifier, outlets: dict[str, Outlet], face: NotificationService) -> None:
        self.service = face
        self._notifier = notifier
        self._outlets = outlets

    @classmethod
    async def open(
        cls, config: NotificationsConfig, book: EventBook, store: DocumentStore, conditions: SystemEvents,
        pictures: Pictures, zone: tzinfo, clock: Clock | None = None,
    ) -> Notifications:  # fmt: skip
        """Recalls what was under way. Raises the store's errors."""
        clock = clock or SystemClock()
        journal = await Journal.open(store)

        def tell(condition: str, holds: bool, summary: str) -> None:
            conditions.tell(condition, holds=holds, summary=summary, priority=2)

        outlets = {
            one.id: Outlet(one, carrier_of(one, zone), pictures, journal, tell, clock) for one in config.channels
        }
        notifier = Notifier(
            book, journal, Site(rules_of(config), zone), outlets, clock,
            tell=tell, forget_ns=round(config.forget_after_s * 1e9), keep_ns=round(config.keep_days * _DAY_NS),
        )  # fmt: skip
        if config.channels:
            await notifier.open()
        return cls(notifier, outlets, NotificationService(config, journal, outlets, clock))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Decides and delivers for the time of a block."""
        work = [outlet.run() for outlet in self._outlets.values()]
        if self._notifier.has_rules:
            work.append(self._notifier.run())
        tasks = [asyncio.create_task(one, name="notifications") for one in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def carrier_of(channel: NotificationChannel, zone: tzinfo) -> Carrier:
    """What brings messages over a channel."""
    match channel.kind:
        case "webhook":
            return Webhook(channel, zone)
        case "email":
            return Mail(channel, zone)
        case "mqtt":
            return Mqtt(channel)
        case _:
            return Program(channel)
