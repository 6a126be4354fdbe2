"""The gRPC face of the event center. Thin: checks requests and scope, asks the book, converts.

What concerns rules, service and load is in `service_rules`, owners, labels, undo and bulk in `work.service_work`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from event_center.book import EventBook
from event_center.event import Event
from event_center.filters import filter_from_proto
from event_center.scope import scope
from event_center.service_rules import RuleCalls
from event_center.wire import event_to_proto, records_to_proto
from event_center.work.service_work import WorkCalls
from mesh.clocks import Clock
from mesh.errors import InvalidArgument
from mesh.security import Principal, principal_of
from trueframe.v1 import events_pb2

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000


class EventService(RuleCalls, WorkCalls):
    """Events: listed, read, watched, acknowledged, commented, shelved. Who does it is the token's name."""

    def __init__(self, book: EventBook, clock: Clock | None = None) -> None:
        RuleCalls.__init__(self, book, clock)
        WorkCalls.__init__(self, book, clock)

    async def ListEvents(  # noqa: N802 - the rpc's name
        self, request: events_pb2.ListEventsRequest, context: Any
    ) -> events_pb2.ListEventsResponse:
        """A page of events, newest first."""
        if not 0 <= request.page_size <= LARGEST_PAGE:
            raise InvalidArgument(f"page_size {request.page_size}", f"is not between 0 and {LARGEST_PAGE}")
        wanted = filter_from_proto(request, principal_of(context))
        events, token = await self._book.page(
            wanted, limit=request.page_size or DEFAULT_PAGE, page_token=request.page_token
        )
        return events_pb2.ListEventsResponse(events=[event_to_proto(event) for event in events], next_page_token=token)

    async def GetEvent(  # noqa: N802 - the rpc's name
        self, request: events_pb2.GetEventRequest, context: Any
    ) -> events_pb2.GetEventResponse:
        """One event. One outside the caller's scope does not exist for them."""
        return events_pb2.GetEventResponse(event=event_to_proto(await self._visible(request.id, context)))

    async def AcknowledgeEvent(  # noqa: N802 - the rpc's name
        self, request: events_pb2.AcknowledgeEventRequest, context: Any
    ) -> events_pb2.AcknowledgeEventResponse:
        """A human has seen it."""
        principal = await self._actor(request.id, context)
        event = await self._book.acknowledge(request.id, principal.name, request.comment)
        return events_pb2.AcknowledgeEventResponse(event=event_to_proto(event))

    async def CommentEvent(  # noqa: N802 - the rpc's name
        self, request: events_pb2.CommentEventRequest, context: Any
    ) -> events_pb2.CommentEventResponse:
        """A human says something about it."""
        principal = await self._actor(request.id, context)
        event = await self._book.comment(request.id, principal.name, request.text, request.request_id)
        return events_pb2.CommentEventResponse(event=event_to_proto(event))

    async def ListEventRecords(  # noqa: N802 - the rpc's name
        self, request: events_pb2.ListEventRecordsRequest, context: Any
    ) -> events_pb2.ListEventRecordsResponse:
        """All that was done to it."""
        event = await self._visible(request.id, context)
        return events_pb2.ListEventRecordsResponse(records=records_to_proto(event.alarm))

    async def ShelveEvent(  # noqa: N802 - the rpc's name
        self, request: events_pb2.ShelveEventRequest, context: Any
    ) -> events_pb2.ShelveEventResponse:
        """A human takes it out of the queue for a time."""
        principal = await self._actor(request.id, context)
        event = await self._book.shelve(request.id, principal.name, request.reason, request.duration_ns)
        return events_pb2.ShelveEventResponse(event=event_to_proto(event))

    async def UnshelveEvent(  # noqa: N802 - the rpc's name
        self, request: events_pb2.UnshelveEventRequest, context: Any
    ) -> events_pb2.UnshelveEventResponse:
        """A human puts it back before its time."""
        principal = await self._actor(request.id, context)
        event = await self._book.unshelve(request.id, principal.name, request.reason)
        return events_pb2.UnshelveEventResponse(event=event_to_proto(event))

    async def WatchEvents(  # noqa: N802 - the rpc's name
        self, request: events_pb2.WatchEventsRequest, context: Any
    ) -> AsyncIterator[events_pb2.WatchEventsResponse]:
        """Stored changes since a time, then changes as they happen."""
        cameras = scope(principal_of(context), request.cameras)
        chosen = None if cameras is None else frozenset(cameras)

        def is_wanted(event: Event) -> bool:
            return chosen is None or event.camera in chosen

        # Watching begins before reading, so that nothing falls between; what comes twice has the same version.
        with self._book.watchers.watching(is_wanted) as watcher:
            # The client learns that the watch stands before anything happens.
            await context.send_initial_metadata(())
            if request.since_ns > 0:
                async for event in self._book.changed_since(request.since_ns, cameras):
                    yield events_pb2.WatchEventsResponse(event=event_to_proto(event))
            while True:
                yield events_pb2.WatchEventsResponse(event=event_to_proto(await watcher.next()))

    async def _actor(self, event_id: str, context: Any) -> Principal:
        """Who calls, if the event is in their scope. Raises UnknownEvent: whether there are others is not told."""
        await self._visible(event_id, context)
        return principal_of(context)
