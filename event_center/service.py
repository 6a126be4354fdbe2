"""The gRPC face of the event center. Thin: checks requests and scope, asks the book, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from event_center.book import EventBook
from event_center.errors import UnknownEvent
from event_center.event import Event
from event_center.wire import event_to_proto, kinds_from_proto
from mesh.errors import InvalidArgument
from mesh.ids import validate_camera_id
from mesh.security import Principal, principal_of
from trueframe.v1 import events_pb2, events_pb2_grpc

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000
MAX_CAMERAS = 10_000


class EventService(events_pb2_grpc.EventServiceServicer):
    """Lists, gets and watches events."""

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
        event = await self._book.get(request.id)
        if not principal_of(context).allows(event.camera):
            raise UnknownEvent(request.id)
        return events_pb2.GetEventResponse(event=event_to_proto(event))

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


def _scope(principal: Principal, asked: Sequence[str]) -> list[str] | None:
    """Cameras to answer for; None means all there are. Raises InvalidArgument, PermissionDenied."""
    if len(asked) > MAX_CAMERAS:
        raise InvalidArgument("cameras", f"are more than {MAX_CAMERAS}")
    for camera in asked:
        principal.require(validate_camera_id(camera))
    if asked:
        return sorted(set(asked))
    return None if principal.cameras is None else sorted(principal.cameras)
