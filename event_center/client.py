"""Events for other parts and for programs: list, get, watch, acknowledge, comment; asynchronous and synchronous.

Shelving, service, suppression and load are in `client_alarms`, owners, labels, undo and bulk in `client_work`.

    async with EventClient(endpoint, token) as events:
        async for event in events.watch():
            print(event.summary)
            await events.acknowledge(event.id, "on my way")

Events and records are the wire's own messages (`trueframe.v1.events_pb2`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Unpack

import grpc
import grpc.aio

from event_center.client_alarms import EventFilters, list_request
from event_center.client_work import SyncWorkCalls, WorkCalls, event_label
from mesh.channel import Token, connect, connect_sync
from mesh.errors import ResourceExhausted, Unavailable, from_rpc_error
from mesh.ids import new_event_id
from trueframe.v1.events_pb2 import (
    AcknowledgeEventRequest,
    CommentEventRequest,
    Event,
    EventRecord,
    GetEventRequest,
    ListEventRecordsRequest,
    ListEventsRequest,
    ListEventsResponse,
    WatchEventsRequest,
)
from trueframe.v1.events_pb2_grpc import EventServiceStub

__all__ = ["Event", "EventClient", "EventFilters", "EventRecord", "SyncEventClient", "event_label"]

DEADLINE_S = 10.0
_PAGE = 500
_REMEMBERED = 20_000
_LONGEST_WAIT_S = 2.0
# Inside the clients `list` is their method.
list_ = list


class _Watch:
    """Where a watch stands, so that it can be resumed: pure, shared by both clients."""

    def __init__(self, cameras: Iterable[str], since_ns: int) -> None:
        self._cameras = list(cameras)
        self._since_ns = since_ns
        # A watch from now on resumes from the time it was opened; a second covers clocks that differ a little.
        self._resume_ns = since_ns or time.time_ns() - 1_000_000_000
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._has_begun = False
        self._wait_s = 0.1

    def request(self) -> WatchEventsRequest:
        since_ns = self._resume_ns if self._has_begun else self._since_ns
        return WatchEventsRequest(cameras=self._cameras, since_ns=since_ns)

    def opened(self) -> None:
        """The stream stands: whatever happens from here on is not missed by resuming."""
        self._has_begun = True
        self._wait_s = 0.1

    def is_new(self, event: Event) -> bool:
        self._resume_ns = max(self._resume_ns, event.changed_ns)
        if self._seen.get(event.id, 0) >= event.version:
            return False
        self._seen[event.id] = event.version
        self._seen.move_to_end(event.id)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def wait_s(self, error: grpc.RpcError, reconnect: bool) -> float:
        """How long to wait before the next try; raises the error if there is to be none."""
        known = from_rpc_error(error)
        if not reconnect or not isinstance(known, Unavailable | ResourceExhausted):
            raise known from None
        wait_s, self._wait_s = self._wait_s, min(self._wait_s * 2, _LONGEST_WAIT_S)
        return wait_s


class EventClient(WorkCalls):
    """The event center, asynchronously. Raises errors of `mesh.errors`: Unavailable, NotFound, InvalidArgument, …"""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect(endpoint, token, **options)
        self._stub: Any = EventServiceStub(self._channel)

    async def __aenter__(self) -> EventClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all watches."""
        await self._channel.close()

    async def list(
        self, *, limit: int = 100, timeout_s: float = DEADLINE_S, **filters: Unpack[EventFilters]
    ) -> list[Event]:
        """The newest events that meet the filter, newest first, `limit` at most."""
        events: list[Event] = []
        request = list_request(filters, max(1, min(limit, _PAGE)))
        while True:
            try:
                answer: ListEventsResponse = await self._stub.ListEvents(request, timeout=timeout_s)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from None
            if not _take_page(events, answer, request, limit):
                return events

    async def get(self, event_id: str, *, timeout_s: float = DEADLINE_S) -> Event:
        """One event. Raises NotFound."""
        try:
            answer = await self._stub.GetEvent(GetEventRequest(id=event_id), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        event: Event = answer.event
        return event

    async def acknowledge(self, event_id: str, comment: str = "", *, timeout_s: float = DEADLINE_S) -> Event:
        """A human has seen it: the event afterwards, stored. Idempotent.

        Raises NotFound, FailedPrecondition (it is no alarm), PermissionDenied, InvalidArgument (the comment).
        """
        request = AcknowledgeEventRequest(id=event_id, comment=comment)
        try:
            answer = await self._stub.AcknowledgeEvent(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        event: Event = answer.event
        return event

    async def comment(
        self, event_id: str, text: str, *, request_id: str | None = None, timeout_s: float = DEADLINE_S
    ) -> Event:
        """Adds a comment: the event afterwards, stored. 1 to 4,000 characters.

        Who calls again after Unavailable gives the same `request_id` and so comments once. Raises NotFound,
        InvalidArgument, PermissionDenied, ResourceExhausted (the event has too many).
        """
        request = _comment_request(event_id, text, request_id)
        try:
            answer = await self._stub.CommentEvent(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        event: Event = answer.event
        return event

    async def records(self, event_id: str, *, timeout_s: float = DEADLINE_S) -> list_[EventRecord]:
        """Every deed and transition of an event, oldest first. Raises NotFound."""
        try:
            answer = await self._stub.ListEventRecords(ListEventRecordsRequest(id=event_id), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return list_(answer.records)

    async def watch(
        self, *, cameras: Iterable[str] = (), since_ns: int = 0, reconnect: bool = True
    ) -> AsyncIterator[Event]:
        """Events as they begin and change, each version at most once, the versions of an event growing.

        With `since_ns`, stored events changed at or after that time come first. Connects again by itself and misses
        nothing; with `reconnect=False` a lost connection raises Unavailable.
        """
        watch = _Watch(cameras, since_ns)
        while True:
            call = self._stub.WatchEvents(watch.request())
            try:
                await call.initial_metadata()
                watch.opened()
                async for answer in call:
                    if watch.is_new(answer.event):
                        yield answer.event
                # A server that stops in order ends the stream without an error.
                await asyncio.sleep(0.1)
            except grpc.aio.AioRpcError as error:
                await asyncio.sleep(watch.wait_s(error, reconnect))
            finally:
                call.cancel()


class SyncEventClient(SyncWorkCalls):
    """The event center for plain programs; as EventClient."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect_sync(endpoint, token, **options)
        self._stub: Any = EventServiceStub(self._channel)
        self._closed = threading.Event()

    def __enter__(self) -> SyncEventClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all watches."""
        self._closed.set()
        self._channel.close()

    def list(self, *, limit: int = 100, timeout_s: float = DEADLINE_S, **filters: Unpack[EventFilters]) -> list[Event]:
        """As EventClient.list."""
        events: list[Event] = []
        request = list_request(filters, max(1, min(limit, _PAGE)))
        while True:
            try:
                answer = self._stub.ListEvents(request, timeout=timeout_s)
            except grpc.RpcError as error:
                raise from_rpc_error(error) from None
            if not _take_page(events, answer, request, limit):
                return events

    def get(self, event_id: str, *, timeout_s: float = DEADLINE_S) -> Event:
        """As EventClient.get."""
        try:
            event: Event = self._stub.GetEvent(GetEventRequest(id=event_id), timeout=timeout_s).event
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return event

    def acknowledge(self, event_id: str, comment: str = "", *, timeout_s: float = DEADLINE_S) -> Event:
        """As EventClient.acknowledge."""
        request = AcknowledgeEventRequest(id=event_id, comment=comment)
        try:
            event: Event = self._stub.AcknowledgeEvent(request, timeout=timeout_s).event
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return event

    def comment(
        self, event_id: str, text: str, *, request_id: str | None = None, timeout_s: float = DEADLINE_S
    ) -> Event:
        """As EventClient.comment."""
        request = _comment_request(event_id, text, request_id)
        try:
            event: Event = self._stub.CommentEvent(request, timeout=timeout_s).event
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return event

    def records(self, event_id: str, *, timeout_s: float = DEADLINE_S) -> list_[EventRecord]:
        """As EventClient.records."""
        try:
            answer = self._stub.ListEventRecords(ListEventRecordsRequest(id=event_id), timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return list_(answer.records)

    def watch(self, *, cameras: Iterable[str] = (), since_ns: int = 0, reconnect: bool = True) -> Iterator[Event]:
        """As EventClient.watch. Ends when the client is closed in another thread."""
        watch = _Watch(cameras, since_ns)
        while not self._closed.is_set():
            call = self._stub.WatchEvents(watch.request())
            try:
                call.initial_metadata()
                watch.opened()
                for answer in call:
                    if watch.is_new(answer.event):
                        yield answer.event
                self._closed.wait(0.1)
            except grpc.RpcError as error:
                if self._closed.is_set():
                    return
                self._closed.wait(watch.wait_s(error, reconnect))
            finally:
                call.cancel()


def _comment_request(event_id: str, text: str, request_id: str | None) -> CommentEventRequest:
    return CommentEventRequest(id=event_id, text=text, request_id=request_id or new_event_id())


def _take_page(events: list[Event], answer: ListEventsResponse, request: ListEventsRequest, limit: int) -> bool:
    """Whether another page is wanted; `request` then asks for it."""
    events.extend(answer.events)
    request.page_token = answer.next_page_token
    request.page_size = max(1, min(limit - len(events), _PAGE))
    return bool(answer.next_page_token) and len(events) < limit
