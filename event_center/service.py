"""The gRPC face of the event center. Thin: checks requests and scope, asks the book, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from event_center.book import EventBook
from event_center.errors import UnknownEvent
from event_center.event import Event
from event_center.wire import event_to_proto, kinds_from_proto, record_to_proto, states_from_proto
from mesh.errors import InvalidArgument
from mesh.ids import validate_camera_id
from mesh.security import Principal, principal_of
from trueframe.v1 import events_pb2, events_pb2_grpc

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000
MAX_CAMERAS = 10_000


class EventService(events_pb2_grpc.EventServiceServicer):
    """Events: listed, read, watched, acknowledged, commented. Who does something is the caller's token's name."""

    def __init__(self, book: EventBook) -> None:
        self._book = book

    async def ListEvents(  # noqa: N802 - the rpc's name
        self, request: events_pb2.ListEventsRequest, context: Any
    ) -> events_pb2.ListEventsResponse:
        """A page of events, newest first."""
        if not 0 <= request.page_size <= LARGEST_PAGE:
            raise InvalidArgument(f"page_size {request.page_size}", f"is not between 0 and {LARGEST_PAGE}")
        events, token = await self._book.page(
            cameras=_scope(principal_of(context), request.cameras),
            kinds=kinds_from_proto(request.kinds),
            states=states_from_proto(request.alarm_states),
            from_ns=request.from_ns,
            to_ns=request.to_ns,
            limit=request.page_size or DEFAULT_PAGE,
            page_token=request.page_token,
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
        records = [record_to_proto(record) for record in event.alarm.records]
        return events_pb2.ListEventRecordsResponse(records=records)

    async def WatchEvents(  # noqa: N802 - the rpc's name
        self, request: events_pb2.WatchEventsRequest, context: Any
    ) -> AsyncIterator[events_pb2.WatchEventsResponse]:
        """Stored changes since a time, then changes as they happen."""
        cameras = _scope(principal_of(context), request.cameras)
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

    async def _visible(self, event_id: str, context: Any) -> Event:
        event = await self._book.get(event_id)
        if not principal_of(context).allows(event.camera):
            raise UnknownEvent(event_id)
        return event

    async def _actor(self, event_id: str, context: Any) -> Principal:
        """Who calls, if the event is in their scope. Raises UnknownEvent, PermissionDenied."""
        principal = principal_of(context)
        principal.require((await self._book.get(event_id)).camera)
        return principal


def _scope(principal: Principal, asked: Sequence[str]) -> list[str] | None:
    """Cameras to answer for; None means all there are. Raises InvalidArgument, PermissionDenied."""
    if len(asked) > MAX_CAMERAS:
        raise InvalidArgument("cameras", f"are more than {MAX_CAMERAS}")
    for camera in asked:
        principal.require(validate_camera_id(camera))
    if asked:
        return sorted(set(asked))
    return None if principal.cameras is None else sorted(principal.cameras)
