"""Fills a `Situation` from the services: every feed is a task that begins again when its service comes back.

What should not be in this module: what is made of it (`situation`), how it is shown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from aggregate.client import LedgerClient
from broker.client import BrokerClient, Camera
from broker.pixel.client import PixelClient, ThumbnailWatch
from event_center.client import EventClient
from media_center.client import FootageClient
from mesh.channel import Credentials, connect
from mesh.errors import TrueframeError, from_rpc_error
from mesh.logs import get_logger, rate_limited
from trueframe.alarms import EventSight
from trueframe.sights import camera_sight, event_sight
from trueframe.situation import MOST_EVENTS, SERVICES, CameraSight, Picture, Situation
from trueframe.v1.events_pb2 import (
    ALARM_STATE_ACKNOWLEDGED,
    ALARM_STATE_RETURNED_UNACKNOWLEDGED,
    ALARM_STATE_UNACKNOWLEDGED,
    Event,
)

log = get_logger("trueframe.feeds")

RETRY_S = 0.5
HEALTH_EVERY_S = 1.0
HEALTH_TIMEOUT_S = 3.0
LIST_EVERY_S = 1.0
THUMBNAIL_RATE = 8.0
OVERLAP_NS = 5_000_000_000
# What a view that opens is told of the past: the newest events, and every alarm that waits.
LISTED_EVENTS = 300
WAITING = (ALARM_STATE_UNACKNOWLEDGED, ALARM_STATE_RETURNED_UNACKNOWLEDGED, ALARM_STATE_ACKNOWLEDGED)


class _Closes(Protocol):
    async def close(self) -> None: ...


class Feeds:
    """The streams of one view. `endpoints` by configuration section: "broker", "pixels" and so on."""

    def __init__(self, endpoints: dict[str, str], token: Credentials, situation: Situation) -> None:
        self.situation = situation
        self.on_camera: Callable[[CameraSight, CameraSight | None], None] = lambda now, before: None
        self.on_event: Callable[[EventSight, EventSight | None], None] = lambda now, before: None
        self.on_link: Callable[[str, bool], None] = lambda service, is_up: None
        self.footage = FootageClient(endpoints["media_center"], token)
        self.events = EventClient(endpoints["event_center"], token)
        self.ledger = LedgerClient(endpoints["aggregate"], token)
        self._broker = BrokerClient(endpoints["broker"], token)
        self._pixels = PixelClient(endpoints["pixels"], token)
        self._health = {service: connect(endpoints[service], None, tls=token.tls) for service in SERVICES}
        self._wanted: tuple[int, int, tuple[str, ...]] | None = None
        self._is_wanted = asyncio.Event()
        self._thumbnails: ThumbnailWatch | None = None

    def want_pictures(self, width: int, height: int, cameras: tuple[str, ...] = ()) -> None:
        """Pictures of these cameras (none named: of all) are wanted, fitted into this many pixels."""
        wanted = (min(max(width, 8), 1920), min(max(height, 8), 1080), cameras)
        if wanted != self._wanted:
            self._wanted = wanted
            self._is_wanted.set()
            if self._thumbnails is not None:
                self._thumbnails.choose(cameras, max_width=wanted[0], max_height=wanted[1])

    async def run(self, since_ns: int = 0, lists_past: bool = False) -> None:
        """Runs until cancelled. Events that changed at or after `since_ns` come first.

        `lists_past`: the newest events and all alarms that wait are told as well, without `on_event`.
        """
        clients: tuple[_Closes, ...] = (self.footage, self.events, self.ledger, self._broker, self._pixels)
        try:
            async with asyncio.TaskGroup() as group:
                for service in SERVICES:
                    group.create_task(self._watch_health(service))
                group.create_task(self._again("cameras", self._watch_cameras))
                group.create_task(self._again("camera figures", self._list_cameras))
                group.create_task(self._again("events", lambda: self._watch_events(since_ns, lists_past)))
                group.create_task(self._again("footage", self._watch_persisted))
                group.create_task(self._again("pictures", self._watch_pictures))
        finally:
            await asyncio.gather(*(client.close() for client in (*clients, *self._health.values())))

    async def _again(self, what: str, feed: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await feed()
            except TrueframeError as error:
                if rate_limited(f"feed {what}", 10):
                    log.info("feed broke off", feed=what, reason=str(error))
            await asyncio.sleep(RETRY_S)

    async def _watch_health(self, service: str) -> None:
        stub = health_pb2_grpc.HealthStub(self._health[service])
        while True:
            detail = ""
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT_S)
                is_up = answer.status == health_pb2.HealthCheckResponse.SERVING
            except grpc.RpcError as error:
                is_up, detail = False, str(from_rpc_error(error))
            if self.situation.link_told(service, is_up, time.time_ns(), detail):
                self.on_link(service, is_up)
            await asyncio.sleep(HEALTH_EVERY_S)

    def _camera(self, message: Camera) -> None:
        now = camera_sight(message, time.time_ns())
        self.on_camera(now, self.situation.camera_told(now))

    async def _watch_cameras(self) -> None:
        present: set[str] | None = set()
        async for change in self._broker.watch_cameras(reconnect=False):
            camera = change.camera.spec.id
            if change.removed:
                self.situation.camera_removed(camera)
            elif camera:
                self._camera(change.camera)
                if present is not None:
                    present.add(camera)
            if change.caught_up and present is not None:
                for gone in set(self.situation.cameras) - present:
                    self.situation.camera_removed(gone)
                present = None

    async def _list_cameras(self) -> None:
        while True:
            for camera in await self._broker.list_cameras():
                self._camera(camera)
            self.situation.cameras_listed()
            await asyncio.sleep(LIST_EVERY_S)

    async def _watch_events(self, since_ns: int, lists_past: bool) -> None:
        if lists_past:
            # From before the lists were asked for, so that nothing falls between list and watch.
            since_ns = time.time_ns() - OVERLAP_NS
            for event in await self.events.list(limit=LISTED_EVENTS):
                self.situation.event_told(event_sight(event))
            for event in await self.events.list(alarm_states=WAITING, limit=MOST_EVENTS):
                self.situation.event_told(event_sight(event))
        async for event in self.events.watch(since_ns=since_ns):
            self.event_told(event)

    def event_told(self, event: Event) -> None:
        """An event is so: from the watch, or as the answer to something that was done to it."""
        now = event_sight(event)
        before = self.situation.event_told(now)
        if before is None or before.version < now.version:
            self.on_event(now, before)

    async def _watch_persisted(self) -> None:
        async for watermarks in self.footage.watch_persisted():
            self.situation.persisted(watermarks)

    async def _watch_pictures(self) -> None:
        await self._is_wanted.wait()
        assert self._wanted is not None
        width, height, cameras = self._wanted
        watch = self._pixels.watch_thumbnails(cameras, max_width=width, max_height=height, max_rate=THUMBNAIL_RATE)
        async with watch:
            self._thumbnails = watch
            try:
                async for small in watch:
                    picture = Picture(
                        small.id, small.received_ns, small.width, small.height, small.rgb, small.inexact, time.time_ns()
                    )
                    self.situation.picture_arrived(picture)
            finally:
                self._thumbnails = None
