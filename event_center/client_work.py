"""The part of the clients that concerns work on events: owner, label, taking back, many at once.

    await events.assign(event.id, "anna")
    await events.label(event.id, "false", region="door", tags=["cat"])
    preview = await events.preview_bulk(BulkDeed(acknowledge=AcknowledgeEventRequest()), cameras=["gate"])
    done = await events.confirm_bulk(preview.token)
    await events.undo(bulk=done.bulk)

`EventClient` and `SyncEventClient` have these methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Unpack

from event_center.client_alarms import AlarmCalls, EventFilters, SyncAlarmCalls, list_request
from mesh.errors import InvalidArgument
from trueframe.v1 import events_pb2
from trueframe.v1.events_pb2 import BulkDeed, ConfirmBulkResponse, Event, EventLabel, PreviewBulkResponse

DEADLINE_S = 10.0
# Thousands of events, each stored on its own.
BULK_DEADLINE_S = 300.0


def event_label(verdict: str, region: str = "", tags: Iterable[str] = ()) -> EventLabel:
    """A label from words: "true", "false", "unsure"; "" for none. Raises InvalidArgument."""
    known = {"": 0, "true": 1, "false": 2, "unsure": 3}
    if verdict not in known:
        raise InvalidArgument(f"verdict {verdict[:40]!r}", "is none of true, false, unsure")
    number = events_pb2.EventVerdict.ValueType(known[verdict])
    return EventLabel(verdict=number, region=region, tags=list(tags))


def _preview_request(deed: BulkDeed, ids: Sequence[str], filters: EventFilters) -> events_pb2.PreviewBulkRequest:
    if ids:
        return events_pb2.PreviewBulkRequest(deed=deed, ids=list(ids))
    return events_pb2.PreviewBulkRequest(deed=deed, filter=list_request(filters, 0))


class WorkCalls(AlarmCalls):
    """What an asynchronous client can do. Raises errors of `mesh.errors`."""

    async def assign(self, event_id: str, owner: str, reason: str = "", *, timeout_s: float = DEADLINE_S) -> Event:
        """The event in the hands of `owner`; "" hands it back. Idempotent. Raises NotFound, PermissionDenied."""
        request = events_pb2.AssignEventRequest(id=event_id, owner=owner, reason=reason)
        event: Event = (await self._ask("AssignEvent", request, timeout_s)).event
        return event

    async def take(self, event_id: str, reason: str = "", *, timeout_s: float = DEADLINE_S) -> Event:
        """The event in your hands. Idempotent. Raises NotFound, PermissionDenied."""
        request = events_pb2.AssignEventRequest(id=event_id, to_me=True, reason=reason)
        event: Event = (await self._ask("AssignEvent", request, timeout_s)).event
        return event

    async def label(
        self, event_id: str, verdict: str, *, region: str = "", tags: Iterable[str] = (), timeout_s: float = DEADLINE_S
    ) -> Event:
        """The event with a label: "true", "false", "unsure"; "" takes it away. Raises NotFound, InvalidArgument."""
        request = events_pb2.LabelEventRequest(id=event_id, label=event_label(verdict, region, tags))
        event: Event = (await self._ask("LabelEvent", request, timeout_s)).event
        return event

    async def undo(
        self, event_id: str = "", record: int = 0, *, bulk: str = "", timeout_s: float = BULK_DEADLINE_S
    ) -> events_pb2.UndoDeedResponse:
        """What you did in the last ten seconds is taken back: one record of an event (0: your newest), or a bulk.

        Raises NotFound, FailedPrecondition (too late, or something came after it), PermissionDenied (not yours).
        """
        request = events_pb2.UndoDeedRequest(event=event_id, record=record, bulk=bulk)
        answer: events_pb2.UndoDeedResponse = await self._ask("UndoDeed", request, timeout_s)
        return answer

    async def preview_bulk(
        self, deed: BulkDeed, ids: Sequence[str] = (), *, timeout_s: float = DEADLINE_S, **filters: Unpack[EventFilters]
    ) -> PreviewBulkResponse:
        """What a deed on these events, or on all that a filter lists, would concern, and the token for it."""
        answer: PreviewBulkResponse = await self._ask("PreviewBulk", _preview_request(deed, ids, filters), timeout_s)
        return answer

    async def confirm_bulk(self, token: str, *, timeout_s: float = BULK_DEADLINE_S) -> ConfirmBulkResponse:
        """The deed, done; what failed is listed. Raises NotFound: the token is unknown, used, or a minute old."""
        request = events_pb2.ConfirmBulkRequest(token=token)
        answer: ConfirmBulkResponse = await self._ask("ConfirmBulk", request, timeout_s)
        return answer


class SyncWorkCalls(SyncAlarmCalls):
    """What a client for plain programs can do; as WorkCalls."""

    def assign(self, event_id: str, owner: str, reason: str = "", *, timeout_s: float = DEADLINE_S) -> Event:
        """As WorkCalls.assign."""
        request = events_pb2.AssignEventRequest(id=event_id, owner=owner, reason=reason)
        event: Event = self._ask("AssignEvent", request, timeout_s).event
        return event

    def take(self, event_id: str, reason: str = "", *, timeout_s: float = DEADLINE_S) -> Event:
        """As WorkCalls.take."""
        request = events_pb2.AssignEventRequest(id=event_id, to_me=True, reason=reason)
        event: Event = self._ask("AssignEvent", request, timeout_s).event
        return event

    def label(
        self, event_id: str, verdict: str, *, region: str = "", tags: Iterable[str] = (), timeout_s: float = DEADLINE_S
    ) -> Event:
        """As WorkCalls.label."""
        request = events_pb2.LabelEventRequest(id=event_id, label=event_label(verdict, region, tags))
        event: Event = self._ask("LabelEvent", request, timeout_s).event
        return event

    def undo(
        self, event_id: str = "", record: int = 0, *, bulk: str = "", timeout_s: float = BULK_DEADLINE_S
    ) -> events_pb2.UndoDeedResponse:
        """As WorkCalls.undo."""
        request = events_pb2.UndoDeedRequest(event=event_id, record=record, bulk=bulk)
        answer: events_pb2.UndoDeedResponse = self._ask("UndoDeed", request, timeout_s)
        return answer

    def preview_bulk(
        self, deed: BulkDeed, ids: Sequence[str] = (), *, timeout_s: float = DEADLINE_S, **filters: Unpack[EventFilters]
    ) -> PreviewBulkResponse:
        """As WorkCalls.preview_bulk."""
        answer: PreviewBulkResponse = self._ask("PreviewBulk", _preview_request(deed, ids, filters), timeout_s)
        return answer

    def confirm_bulk(self, token: str, *, timeout_s: float = BULK_DEADLINE_S) -> ConfirmBulkResponse:
        """As WorkCalls.confirm_bulk."""
        answer: ConfirmBulkResponse = self._ask("ConfirmBulk", events_pb2.ConfirmBulkRequest(token=token), timeout_s)
        return answer
