"""Open subscriptions: which cameras each has, and the loop that hands batches to the transport.

Belongs here: camera sets, starts, authorisation by camera, drain-on-ready. Does not belong here: cursors, rings and
gaps (the core's hub), the gRPC registration (`service`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from broker.core import Hub, Subscriber
from broker.errors import NoSuchCamera
from broker.pace import Pace
from broker.registry import CameraRegistry
from mesh.clocks import Clock
from mesh.errors import InvalidArgument, ResourceExhausted, Unavailable
from mesh.ids import FrameId, validate_camera_id
from mesh.logs import get_logger
from mesh.tokens import Principal
from trueframe.v1 import broker_pb2

log = get_logger("broker.subscriptions")

_MAX_NAME_CHARACTERS = 63
_MAX_BATCH_ITEMS = 16
_MAX_BATCH_BYTES = 1 << 20

# None: live. An id: behind it. An int: UTC nanoseconds.
Start = FrameId | int | None
Write = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked request: the cameras that are wanted now, whether later ones are too, and where each begins."""

    cameras: frozenset[str]
    has_all: bool
    starts: dict[str, Start]


class Subscription:
    """One open subscription."""

    def __init__(self, number: int, name: str, principal: Principal, hub: Hub, clock: Clock) -> None:
        self.number = number
        self.name = name
        self.principal = principal
        self.opened_ns = clock.utc_ns()
        self.cameras: set[str] = set()
        self._leaving: set[str] = set()
        self.has_all = False
        self.is_stopping = False
        self._news = asyncio.Event()
        self.subscriber = Subscriber(hub, self._news.set)

    def apply(self, wanted: Wanted) -> None:
        """Takes a new camera set; cameras in both go on without a seam."""
        self.has_all = wanted.has_all
        for camera in self.cameras - wanted.cameras:
            self.subscriber.remove(camera)
        for camera in sorted(wanted.cameras - self.cameras):
            self.subscriber.add(camera, wanted.starts.get(camera))
        self.cameras = set(wanted.cameras)

    def camera_added(self, camera: str) -> None:
        """A camera was added to the broker."""
        if self.has_all and self.principal.allows(camera) and camera not in self.cameras:
            self.cameras.add(camera)
            self.subscriber.add(camera, None)

    def camera_removed(self, camera: str) -> None:
        """A camera left the broker: what is still in its ring goes out, then it is forgotten."""
        if camera in self.cameras:
            self.cameras.discard(camera)
            self._leaving.add(camera)
            self._news.set()

    def stop(self) -> None:
        """The broker stops: what is there goes out, then the stream ends."""
        self.is_stopping = True
        self._news.set()

    async def pump(self, write: Write) -> None:
        """Hands out batches until the subscription is stopped. When a write completes, all that waits goes out next."""
        take, clock_s, pace = self.subscriber.take, asyncio.get_running_loop().time, Pace()
        while True:
            batch = take(_MAX_BATCH_ITEMS, _MAX_BATCH_BYTES)
            if batch:
                pace.begin(clock_s())
                await write(batch)
                if pace.is_hurried and not self.is_stopping:
                    await asyncio.sleep(pace.rest_s(clock_s()))
                continue
            pace.found_nothing()
            while self._leaving:
                self.subscriber.remove(self._leaving.pop())
            if self.is_stopping:
                return
            self._news.clear()
            await self._news.wait()


class Subscriptions:
    """All open subscriptions, at most so many."""

    def __init__(self, registry: CameraRegistry, hub: Hub, clock: Clock, max_subscribers: int) -> None:
        self._registry = registry
        self._hub = hub
        self._clock = clock
        self._max_subscribers = max_subscribers
        self._open: dict[int, Subscription] = {}
        self._last_number = 0
        self._is_stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    def list(self) -> list[Subscription]:
        """In the order of their numbers."""
        return list(self._open.values())

    def stop(self) -> None:
        """Ends all streams once they have handed out what is there; refuses new ones."""
        self._is_stopping = True
        for subscription in self._open.values():
            subscription.stop()

    async def drained(self) -> None:
        """Returns when no stream is open any more."""
        await self._idle.wait()

    async def serve(
        self, requests: AsyncIterator[broker_pb2.StreamFramesRequest], principal: Principal, write: Write
    ) -> None:
        """Serves one stream until its client goes (cancellation) or the broker stops (Unavailable)."""
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidArgument("subscription", "ended before its first request")
        wanted = self._check(first, principal)
        subscription = self._admit(first, principal)
        stop_following = self._registry.follow(subscription.camera_added, subscription.camera_removed)
        log.info("subscribed", number=subscription.number, subscriber=subscription.name, principal=principal.name)
        try:
            subscription.apply(wanted)
            # The pump runs in this very task: a write costs no switch between tasks.
            async with asyncio.TaskGroup() as tasks:
                changing = tasks.create_task(self._follow_requests(subscription, requests))
                await subscription.pump(write)
                changing.cancel()
        except BaseExceptionGroup as group:
            raise _only(group) from None
        finally:
            stop_following()
            subscription.subscriber.close()
            del self._open[subscription.number]
            if not self._open:
                self._idle.set()
            log.info("unsubscribed", number=subscription.number, subscriber=subscription.name)
        raise Unavailable("broker", "is stopping", "Open the stream again; it resumes at the last ids.")

    def _admit(self, request: broker_pb2.StreamFramesRequest, principal: Principal) -> Subscription:
        if self._is_stopping:
            raise Unavailable("broker", "is stopping", "Open the stream again; it resumes at the last ids.")
        if len(self._open) >= self._max_subscribers:
            raise ResourceExhausted(
                "subscription",
                f"would be one more than the {self._max_subscribers} this broker accepts",
                "Raise broker.max_subscribers, or end another.",
            )
        self._last_number += 1
        name = request.subscriber or principal.name
        subscription = Subscription(self._last_number, name, principal, self._hub, self._clock)
        self._open[subscription.number] = subscription
        self._idle.clear()
        return subscription

    async def _follow_requests(
        self, subscription: Subscription, requests: AsyncIterator[broker_pb2.StreamFramesRequest]
    ) -> None:
        async for request in requests:
            subscription.apply(self._check(request, subscription.principal))

    def _check(self, request: broker_pb2.StreamFramesRequest, principal: Principal) -> Wanted:
        if request.delivery not in (broker_pb2.DELIVERY_UNSPECIFIED, broker_pb2.DELIVERY_LOSSLESS):
            raise InvalidArgument(f"delivery {request.delivery}", "is not known", "Use DELIVERY_LOSSLESS.")
        if len(request.subscriber) > _MAX_NAME_CHARACTERS or not request.subscriber.isprintable():
            raise InvalidArgument("subscriber", f"is longer than {_MAX_NAME_CHARACTERS} characters or not printable")
        if not request.cameras and not request.all_cameras:
            raise InvalidArgument("cameras", "are none", "Name cameras, or set all_cameras.")
        if request.cameras and request.all_cameras:
            raise InvalidArgument("cameras", "are named although all are asked for", "Leave one of the two out.")
        for camera in request.cameras:
            validate_camera_id(camera)
            principal.require(camera)
            if camera not in self._registry:
                raise NoSuchCamera(f"camera {camera!r}")
        if request.all_cameras:
            cameras = frozenset(principal.visible(entry.stored.id for entry in self._registry.entries()))
        else:
            cameras = frozenset(request.cameras)
        return Wanted(cameras, request.all_cameras, _starts(request.starts))


def _starts(starts: Iterable[broker_pb2.CameraStart]) -> dict[str, Start]:
    checked: dict[str, Start] = {}
    for start in starts:
        validate_camera_id(start.camera)
        kind = start.WhichOneof("from")
        if kind == "after":
            after = FrameId.from_proto(start.after)
            if after.camera != start.camera or after.epoch < 0 or after.seq < 0:
                raise InvalidArgument(f"start {after}", f"is no frame of camera {start.camera!r}")
            checked[start.camera] = after
        elif kind == "received_ns":
            checked[start.camera] = start.received_ns
        else:
            checked[start.camera] = None
    return checked


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a stream: the first that is no group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
