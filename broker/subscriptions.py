"""Open subscriptions: which cameras each has, and the loop that hands batches to the transport.

Belongs here: camera sets that change with the request and with the cameras, authorisation by camera, drain-on-ready.
Does not belong here: what a request may say (`selection`), cursors, rings and gaps (the core's hub), the gRPC
registration (`service`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from broker.errors import NoSuchCamera
from broker.fanout import Hub
from broker.pace import Pace
from broker.registry import CameraRegistry
from broker.selection import Selection, Start, Terms, require_same_terms, selection_of, terms_of
from mesh.clocks import Clock
from mesh.errors import InvalidArgument, ResourceExhausted, Unavailable
from mesh.logs import get_logger
from mesh.tokens import Principal
from trueframe.v1 import broker_pb2

log = get_logger("broker.subscriptions")

_MAX_BATCH_ITEMS = 16
_MAX_BATCH_BYTES = 1 << 20

Write = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What may wait for a subscription that is not lossless: items of each camera, bytes of all its cameras."""

    max_pending_items: int = 256
    max_pending_bytes: int = 64 << 20

    def granted(self, terms: Terms) -> Limits:
        """What was asked for, as far as these allow."""
        return Limits(
            min(terms.max_pending_items or self.max_pending_items, self.max_pending_items),
            min(terms.max_pending_bytes or self.max_pending_bytes, self.max_pending_bytes),
        )


class Subscription:
    """One open subscription."""

    def __init__(
        self,
        number: int,
        terms: Terms,
        limits: Limits,
        principal: Principal,
        registry: CameraRegistry,
        hub: Hub,
        clock: Clock,
    ) -> None:
        self.number = number
        self.name = terms.name or principal.name
        self.terms = terms
        self.principal = principal
        self.opened_ns = clock.utc_ns()
        self.cameras: set[str] = set()
        self.is_stopping = False
        self._registry = registry
        self._selection = Selection(frozenset(), False, {}, {})
        self._starts: dict[str, Start] = {}
        self._leaving: set[str] = set()
        self._news = asyncio.Event()
        self.subscriber = hub.subscriber(
            self._news.set,
            delivery=terms.delivery,
            max_rate=terms.max_rate,
            max_pending_items=limits.max_pending_items,
            max_pending_bytes=limits.max_pending_bytes,
        )

    def apply(self, selection: Selection) -> None:
        """Takes a new camera set; cameras in both go on without a seam.

        Raises PermissionDenied, NoSuchCamera; then nothing has changed.
        """
        for camera in selection.named:
            self.principal.require(camera)
            if camera not in self._registry:
                raise NoSuchCamera(f"camera {camera!r}")
            if self._registry.get(camera).stored.masks:
                self.principal.require_unmasked(camera)
        self._selection = selection
        self._starts = dict(selection.starts)
        wanted = {entry.stored.id for entry in self._registry.entries() if self._wants(entry.stored.id)}
        for camera in self.cameras - wanted:
            self._remove(camera)
        for camera in sorted(wanted - self.cameras):
            self._add(camera)

    def camera_changed(self, camera: str) -> None:
        """A camera was added to the broker, or its labels may have changed."""
        if self._wants(camera):
            if camera not in self.cameras:
                self._add(camera)
        elif camera in self.cameras:
            self._remove(camera)

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

    def _wants(self, camera: str) -> bool:
        stored = self._registry.get(camera).stored
        may_see = self.principal.allows(camera) and (not stored.masks or self.principal.sees_unmasked)
        return self._selection.includes(camera, stored.labels) and may_see

    def _add(self, camera: str) -> None:
        self.cameras.add(camera)
        # A start is for once: whoever comes back later begins live.
        self.subscriber.add(camera, self._starts.pop(camera, None))

    def _remove(self, camera: str) -> None:
        self.cameras.discard(camera)
        self.subscriber.remove(camera)

    async def pump(self, write: Write) -> None:
        """Hands out batches until the subscription is stopped. When a write completes, all that waits goes out next."""
        subscriber, clock_s, pace = self.subscriber, asyncio.get_running_loop().time, Pace()
        while True:
            handed_out = subscriber.delivered_items
            batch = subscriber.take(_MAX_BATCH_ITEMS, _MAX_BATCH_BYTES)
            if batch:
                pace.begin(clock_s(), subscriber.delivered_items - handed_out)
                # A message that was full is followed at once: a rest must not hold up what waits already.
                is_full = subscriber.ready
                await write(batch)
                if pace.is_hurried and not is_full and not self.is_stopping:
                    await asyncio.sleep(pace.rest_s(clock_s()))
                continue
            pace.found_nothing()
            while self._leaving:
                subscriber.remove(self._leaving.pop())
            if self.is_stopping:
                return
            self._news.clear()
            await self._news.wait()


class Subscriptions:
    """All open subscriptions, at most so many; `admit_more` raises if one more cannot be carried."""

    def __init__(
        self,
        registry: CameraRegistry,
        hub: Hub,
        clock: Clock,
        max_subscribers: int,
        admit_more: Callable[[], None] = lambda: None,
        limits: Limits = Limits(),
    ) -> None:
        self._registry = registry
        self._hub = hub
        self._clock = clock
        self._max_subscribers = max_subscribers
        self._limits = limits
        self._admit_more = admit_more
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
        terms, selection = terms_of(first), selection_of(first)
        await self._registry.until_loaded()
        subscription = self._admit(terms, principal)
        stop_following = self._registry.follow(
            subscription.camera_changed, subscription.camera_removed, subscription.camera_changed
        )
        try:
            subscription.apply(selection)
            log.info("subscribed", number=subscription.number, subscriber=subscription.name, principal=principal.name)
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

    def _admit(self, terms: Terms, principal: Principal) -> Subscription:
        if self._is_stopping:
            raise Unavailable("broker", "is stopping", "Open the stream again; it resumes at the last ids.")
        if len(self._open) >= self._max_subscribers:
            raise ResourceExhausted(
                "subscription",
                f"would be one more than the {self._max_subscribers} this broker accepts",
                "Raise broker.max_subscribers, or end another.",
            )
        self._admit_more()
        self._last_number += 1
        subscription = Subscription(
            self._last_number, terms, self._limits.granted(terms), principal, self._registry, self._hub, self._clock
        )
        self._open[subscription.number] = subscription
        self._idle.clear()
        return subscription

    async def _follow_requests(
        self, subscription: Subscription, requests: AsyncIterator[broker_pb2.StreamFramesRequest]
    ) -> None:
        async for request in requests:
            require_same_terms(request, subscription.terms)
            subscription.apply(selection_of(request))


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a stream: the first that is no group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
