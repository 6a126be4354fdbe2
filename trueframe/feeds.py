"""Fills a `Situation` from the services: every feed is a task that begins again when its service comes back.

What should not be in this module: what is made of it (`situation`), how it is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.channel import Credentials, connect
from mesh.errors import from_rpc_error
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from trueframe.sights import camera_sight, event_sight, picture
from trueframe.situation import SERVICES, CameraSight, EventSight, Situation
from trueframe.v1 import (
    cameras_pb2,
    cameras_pb2_grpc,
    events_pb2,
    events_pb2_grpc,
    footage_pb2,
    footage_pb2_grpc,
    pixels_pb2,
    pixels_pb2_grpc,
)

log = get_logger("trueframe.feeds")

RETRY_S = 0.5
HEALTH_EVERY_S = 1.0
HEALTH_TIMEOUT_S = 3.0
LIST_EVERY_S = 1.0
LIST_TIMEOUT_S = 5.0
THUMBNAIL_RATE = 8.0


class Feeds:
    """The streams of one view. `endpoints` by configuration section: "broker", "pixels" and so on."""

    def __init__(self, endpoints: dict[str, str], token: Credentials, situation: Situation) -> None:
        self.situation = situation
        self.on_camera: Callable[[CameraSight, CameraSight | None], None] = lambda now, before: None
        self.on_event: Callable[[EventSight, EventSight | None], None] = lambda now, before: None
        self.on_link: Callable[[str, bool], None] = lambda service, is_up: None
        self._channels = {service: connect(endpoints[service], token) for service in SERVICES}
        self._size: tuple[int, int] | None = None
        self._size_changed = asyncio.Event()

    def channel(self, service: str) -> grpc.aio.Channel:
        """The channel to a service, for calls on demand."""
        return self._channels[service]

    def want_pictures(self, width: int, height: int) -> None:
        """Pictures of all cameras are wanted, fitted into this many pixels."""
        size = (min(max(width, 8), 1920), min(max(height, 8), 1080))
        if size != self._size:
            self._size = size
            self._size_changed.set()

    async def run(self, since_ns: int = 0) -> None:
        """Runs until cancelled. Events that changed at or after `since_ns` come first."""
        try:
            async with asyncio.TaskGroup() as group:
                for service in SERVICES:
                    group.create_task(self._watch_health(service))
                group.create_task(self._again("cameras", self._watch_cameras))
                group.create_task(self._again("camera figures", self._list_cameras))
                group.create_task(self._again("events", lambda: self._watch_events(since_ns)))
                group.create_task(self._again("footage", self._watch_persisted))
                group.create_task(self._again("pictures", self._watch_pictures))
        finally:
            await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    async def _again(self, what: str, feed: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await feed()
            except grpc.RpcError as error:
                if rate_limited(f"feed {what}", 10):
                    log.info("feed broke off", feed=what, reason=str(from_rpc_error(error)))
            await asyncio.sleep(RETRY_S)

    async def _watch_health(self, service: str) -> None:
        stub = health_pb2_grpc.HealthStub(self._channels[service])
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

    def _camera(self, message: cameras_pb2.Camera) -> None:
        now = camera_sight(message, time.time_ns())
        self.on_camera(now, self.situation.camera_told(now))

    async def _watch_cameras(self) -> None:
        stub = cameras_pb2_grpc.CameraServiceStub(self._channels["broker"])
        present: set[str] | None = set()
        async for change in stub.WatchCameras(cameras_pb2.WatchCamerasRequest()):
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
        stub = cameras_pb2_grpc.CameraServiceStub(self._channels["broker"])
        while True:
            page = ""
            while True:
                answer = await stub.ListCameras(cameras_pb2.ListCamerasRequest(page_token=page), timeout=LIST_TIMEOUT_S)
                for camera in answer.cameras:
                    self._camera(camera)
                page = answer.next_page_token
                if not page:
                    break
            self.situation.cameras_listed()
            await asyncio.sleep(LIST_EVERY_S)

    async def _watch_events(self, since_ns: int) -> None:
        stub = events_pb2_grpc.EventServiceStub(self._channels["event_center"])
        newest = max((event.started_ns for event in self.situation.events), default=0)
        # After a break everything that may have changed meanwhile comes again; versions tell what is news.
        since_ns = max(since_ns, newest - 3_600_000_000_000) if newest else since_ns
        async for change in stub.WatchEvents(events_pb2.WatchEventsRequest(since_ns=since_ns)):
            now = event_sight(change.event)
            before = self.situation.event_told(now)
            if before is None or before.version < now.version:
                self.on_event(now, before)

    async def _watch_persisted(self) -> None:
        stub = footage_pb2_grpc.FootageServiceStub(self._channels["media_center"])
        async for change in stub.WatchPersisted(footage_pb2.WatchPersistedRequest()):
            self.situation.persisted(FrameId.from_proto(mark) for mark in change.watermarks)

    async def _sizes(self) -> AsyncIterator[pixels_pb2.WatchThumbnailsRequest]:
        while True:
            self._size_changed.clear()
            if self._size is not None:
                width, height = self._size
                yield pixels_pb2.WatchThumbnailsRequest(
                    all_cameras=True, max_width=width, max_height=height, max_rate=THUMBNAIL_RATE
                )
            await self._size_changed.wait()

    async def _watch_pictures(self) -> None:
        while self._size is None:
            await self._size_changed.wait()
        stub = pixels_pb2_grpc.PixelServiceStub(self._channels["pixels"])
        call = stub.WatchThumbnails(self._sizes())
        with contextlib.closing(_Cancelling(call)):
            async for change in call:
                now_ns = time.time_ns()
                for thumbnail in change.thumbnails:
                    self.situation.picture_arrived(picture(thumbnail, now_ns))


class _Cancelling:
    """Cancels a call when it is left, so that the server need not find out."""

    def __init__(self, call: grpc.aio.Call) -> None:
        self._call = call

    def close(self) -> None:
        self._call.cancel()
