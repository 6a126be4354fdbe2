"""The part of the gRPC face that concerns work on events: owner, label, taking back, many at once."""

from __future__ import annotations

import asyncio
from typing import Any

from event_center import deeds, shelving
from event_center.book import EventBook
from event_center.errors import UnknownEvent
from event_center.event import Event
from event_center.filters import EventFilter, filter_from_proto
from event_center.wire import event_to_proto
from event_center.work import deeds as work
from event_center.work.bulk import MAX_EVENTS, Bulk, BulkDesk, Deed, Preview
from event_center.work.wire import label_from_proto
from mesh.clocks import Clock, SystemClock
from mesh.errors import InvalidArgument, TrueframeError
from mesh.ids import new_event_id
from mesh.logs import get_logger
from mesh.security import Principal, principal_of
from trueframe.v1 import events_pb2, events_pb2_grpc

log = get_logger("event_center.work")

_PAGE = 500
_SAMPLE = 10


class WorkCalls(events_pb2_grpc.EventServiceServicer):
    """Owner, label, undo, bulk. Who does it is the token's name; events outside their scope do not exist for them."""

    def __init__(self, book: EventBook, clock: Clock | None = None) -> None:
        self._book = book
        self._clock = clock or SystemClock()
        self._bulks = BulkDesk()

    async def AssignEvent(  # noqa: N802 - the rpc's name
        self, request: events_pb2.AssignEventRequest, context: Any
    ) -> events_pb2.AssignEventResponse:
        """Somebody gets it, or nobody has it any more."""
        event = await self._done(request.id, _assigning(request, principal_of(context)), context)
        return events_pb2.AssignEventResponse(event=event_to_proto(event))

    async def LabelEvent(  # noqa: N802 - the rpc's name
        self, request: events_pb2.LabelEventRequest, context: Any
    ) -> events_pb2.LabelEventResponse:
        """A human says what it was."""
        event = await self._done(request.id, _labelling(request, principal_of(context)), context)
        return events_pb2.LabelEventResponse(event=event_to_proto(event))

    async def UndoDeed(  # noqa: N802 - the rpc's name
        self, request: events_pb2.UndoDeedRequest, context: Any
    ) -> events_pb2.UndoDeedResponse:
        """A human takes back what they just did."""
        principal = principal_of(context)
        if bool(request.bulk) == bool(request.event):
            raise InvalidArgument("request", "names not exactly one of event and bulk")
        if request.bulk:
            bulk = self._bulks.undoable(request.bulk, principal.name, self._clock.utc_ns())
            return await asyncio.shield(self._undone(bulk, principal))
        event = await self._done(
            request.event, lambda event, now_ns: work.undo(event, principal.name, request.record, now_ns), context
        )
        return events_pb2.UndoDeedResponse(event=event_to_proto(event), undone=1)

    async def PreviewBulk(  # noqa: N802 - the rpc's name
        self, request: events_pb2.PreviewBulkRequest, context: Any
    ) -> events_pb2.PreviewBulkResponse:
        """What a deed on many would concern."""
        principal = principal_of(context)
        deed = self._deed(request.deed, principal)
        if bool(request.ids) == request.HasField("filter"):
            raise InvalidArgument("request", "names not exactly one of ids and filter")
        if request.ids:
            # More than are possible are refused before they are looked for.
            events = [await self._visible(one, context) for one in list(dict.fromkeys(request.ids))[: MAX_EVENTS + 1]]
        else:
            events = await self._listed(filter_from_proto(request.filter, principal))
        token, preview = self._bulks.preview(principal.name, [event.id for event in events], deed, self._clock.utc_ns())
        sample = sorted(events, key=lambda event: event.started_ns, reverse=True)[:_SAMPLE]
        return events_pb2.PreviewBulkResponse(
            count=len(preview.ids), sample=[event_to_proto(event) for event in sample], token=token,
            expires_ns=preview.expires_ns,
        )  # fmt: skip

    async def ConfirmBulk(  # noqa: N802 - the rpc's name
        self, request: events_pb2.ConfirmBulkRequest, context: Any
    ) -> events_pb2.ConfirmBulkResponse:
        """The deed, event by event. It is done to the end even if who confirmed goes away."""
        principal = principal_of(context)
        preview = self._bulks.take(request.token, principal.name, self._clock.utc_ns())
        bulk = await asyncio.shield(self._carried_out(preview, principal))
        return events_pb2.ConfirmBulkResponse(
            bulk=bulk.id, changed=[event for event, _ in bulk.changed], unchanged=bulk.unchanged,
            failures=_failures(bulk.failures),
        )  # fmt: skip

    async def _carried_out(self, preview: Preview, principal: Principal) -> Bulk:
        changed: list[tuple[str, int]] = []
        failures: list[tuple[str, str]] = []

        def noted(event: Event, now_ns: int) -> Event | None:
            after = preview.deed(_in_scope(event, principal), now_ns)
            if after is not None:
                changed.append((event.id, len(after.alarm.records)))
            return after

        for event_id in preview.ids:
            known = len(changed)
            try:
                await self._book.do(event_id, noted)
            except TrueframeError as error:
                del changed[known:]
                failures.append((event_id, str(error)))
        unchanged = len(preview.ids) - len(changed) - len(failures)
        bulk = Bulk(new_event_id(), principal.name, self._clock.utc_ns(), tuple(changed), unchanged, tuple(failures))
        self._bulks.note(bulk)
        log.info("bulk done", bulk=bulk.id, by=bulk.actor, changed=len(changed), failed=len(failures))
        return bulk

    async def _undone(self, bulk: Bulk, principal: Principal) -> events_pb2.UndoDeedResponse:
        failures: list[tuple[str, str]] = []
        for event_id, number in bulk.changed:
            try:
                await self._book.do(
                    event_id,
                    lambda event, now_ns, number=number: work.undo(  # type: ignore[misc]
                        _in_scope(event, principal), principal.name, number, now_ns, done_ns=bulk.done_ns
                    ),
                )
            except TrueframeError as error:
                failures.append((event_id, str(error)))
        log.info("bulk undone", bulk=bulk.id, by=principal.name, failed=len(failures))
        undone = len(bulk.changed) - len(failures)
        return events_pb2.UndoDeedResponse(undone=undone, failures=_failures(failures))

    async def _listed(self, wanted: EventFilter) -> list[Event]:
        found: list[Event] = []
        token = ""
        while True:
            events, token = await self._book.page(wanted, limit=_PAGE, page_token=token)
            found += events
            if not token or len(found) > MAX_EVENTS:
                return found

    def _deed(self, message: events_pb2.BulkDeed, principal: Principal) -> Deed:
        """What is to be done to each. What is wrong with it is said now, not event by event. Raises InvalidArgument."""
        match message.WhichOneof("deed"):
            case "acknowledge":
                text = deeds.checked_text(message.acknowledge.comment) if message.acknowledge.comment else ""
                return lambda event, now_ns: deeds.acknowledge(event, principal.name, text, now_ns)
            case "shelve":
                reason, for_ns = deeds.checked_reason(message.shelve.reason), message.shelve.duration_ns
                longest_ns = self._book.policy.longest_shelving_ns
                shelving.checked_duration(for_ns, longest_ns)
                return lambda event, now_ns: shelving.shelve(event, principal.name, reason, for_ns, longest_ns, now_ns)
            case "label":
                return _labelling(message.label, principal)
            case "assign":
                return _assigning(message.assign, principal)
            case _:
                raise InvalidArgument("deed", "says nothing to do", "Acknowledge, shelve, label or assign.")

    async def _done(self, event_id: str, deed: Deed, context: Any) -> Event:
        principal = principal_of(context)
        return await self._book.do(event_id, lambda event, now_ns: deed(_in_scope(event, principal), now_ns))

    async def _visible(self, event_id: str, context: Any) -> Event:
        return _in_scope(await self._book.get(event_id), principal_of(context))


def _in_scope(event: Event, principal: Principal) -> Event:
    """The event. Raises UnknownEvent: whether there are others is not told."""
    if not principal.allows(event.camera):
        raise UnknownEvent(event.id)
    return event


def _assigning(request: events_pb2.AssignEventRequest, principal: Principal) -> Deed:
    if request.owner and request.to_me:
        raise InvalidArgument("owner", "is named beside to_me")
    name = principal.name if request.to_me else request.owner
    owner = work.checked_owner(name) if name else ""
    reason = deeds.checked_reason(request.reason) if request.reason else ""
    return lambda event, now_ns: work.assign(event, principal.name, owner, reason, now_ns)


def _labelling(request: events_pb2.LabelEventRequest, principal: Principal) -> Deed:
    given = label_from_proto(request.label)
    return lambda event, now_ns: work.label(event, principal.name, given, now_ns)


def _failures(failures: Any) -> list[events_pb2.BulkFailure]:
    return [events_pb2.BulkFailure(event=event, reason=reason) for event, reason in failures]
