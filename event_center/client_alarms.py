"""The part of the clients that concerns alarms beyond seeing them: shelf, service, suppression rules, load, filters.

    event = await events.shelve(event.id, "painters at work", for_s=3600)
    await events.take_out_of_service("gate", "motion", reason="new lens")
    load = await events.load()

`EventClient` and `SyncEventClient` have these methods. Rules, entries and loads are the wire's own messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict

import grpc
import grpc.aio

from mesh.errors import from_rpc_error
from trueframe.v1 import events_pb2
from trueframe.v1.events_pb2 import (
    AlarmState,
    Event,
    EventKind,
    EventVerdict,
    GetAlarmLoadResponse,
    ListEventsRequest,
    OutOfService,
    SuppressionRule,
)

DEADLINE_S = 10.0


class EventFilters(TypedDict, total=False):
    """Which events are listed; what is left out lets everything through. Times in UTC nanoseconds."""

    cameras: Iterable[str]
    from_ns: int
    """Began at or after."""
    to_ns: int
    """Began at or before."""
    kinds: Iterable[EventKind.ValueType]
    alarm_states: Iterable[AlarmState.ValueType]
    priorities: Iterable[int]
    """1 to 4, as escalation raised them."""
    shelved: bool
    suppressed: bool
    out_of_service: bool
    stale: bool
    flood: str
    """Members of the flood of this id."""
    owner: str
    verdicts: Iterable[EventVerdict.ValueType]
    query: str
    """What somebody typed, in any script."""
    folded_into: str
    """Occurrences of the alarm of this id, without itself."""


def list_request(filters: EventFilters, page_size: int) -> ListEventsRequest:
    """The request of a list."""
    fields: dict[str, Any] = {
        key: value if isinstance(value, int | str) else list(value)  # type: ignore[call-overload]
        for key, value in filters.items()
    }
    return ListEventsRequest(page_size=page_size, **fields)


def _shelve_request(event_id: str, reason: str, for_s: float) -> events_pb2.ShelveEventRequest:
    return events_pb2.ShelveEventRequest(id=event_id, reason=reason, duration_ns=round(for_s * 1_000_000_000))


def _out(camera: str, detector: str, reason: str) -> events_pb2.TakeOutOfServiceRequest:
    return events_pb2.TakeOutOfServiceRequest(camera=camera, detector=detector, reason=reason)


def _back(camera: str, detector: str, reason: str) -> events_pb2.ReturnToServiceRequest:
    return events_pb2.ReturnToServiceRequest(camera=camera, detector=detector, reason=reason)


class AlarmCalls:
    """What an asynchronous client can do. Raises errors of `mesh.errors`."""

    _stub: Any

    async def shelve(self, event_id: str, reason: str, *, for_s: float = 0.0, timeout_s: float = DEADLINE_S) -> Event:
        """The alarm on the shelf for so many seconds; 0: until its condition is over. Stored.

        Raises NotFound, FailedPrecondition (no alarm; or over already), InvalidArgument (reason, time),
        PermissionDenied.
        """
        answer = await self._ask("ShelveEvent", _shelve_request(event_id, reason, for_s), timeout_s)
        event: Event = answer.event
        return event

    async def unshelve(self, event_id: str, reason: str = "", *, timeout_s: float = DEADLINE_S) -> Event:
        """The alarm off the shelf, stored. Idempotent. Raises NotFound, PermissionDenied."""
        request = events_pb2.UnshelveEventRequest(id=event_id, reason=reason)
        event: Event = (await self._ask("UnshelveEvent", request, timeout_s)).event
        return event

    async def take_out_of_service(
        self, camera: str = "", detector: str = "", *, reason: str, timeout_s: float = DEADLINE_S
    ) -> OutOfService:
        """A camera, a detector (of all cameras), or one of one, out of service. Idempotent.

        Raises InvalidArgument, PermissionDenied (maintainers only), ResourceExhausted.
        """
        entry: OutOfService = (await self._ask("TakeOutOfService", _out(camera, detector, reason), timeout_s)).entry
        return entry

    async def return_to_service(
        self, camera: str = "", detector: str = "", *, reason: str = "", timeout_s: float = DEADLINE_S
    ) -> OutOfService:
        """In service again, named as it was taken out. Idempotent. Raises NotFound, PermissionDenied."""
        entry: OutOfService = (await self._ask("ReturnToService", _back(camera, detector, reason), timeout_s)).entry
        return entry

    async def out_of_service(self, *, include_past: bool = False, timeout_s: float = DEADLINE_S) -> list[OutOfService]:
        """What is out of service, oldest first."""
        request = events_pb2.ListOutOfServiceRequest(include_past=include_past)
        return list((await self._ask("ListOutOfService", request, timeout_s)).entries)

    async def put_suppression_rule(self, rule: SuppressionRule, *, timeout_s: float = DEADLINE_S) -> SuppressionRule:
        """The rule, stored and in force. Raises InvalidArgument, PermissionDenied (maintainers only)."""
        request = events_pb2.PutSuppressionRuleRequest(rule=rule)
        kept: SuppressionRule = (await self._ask("PutSuppressionRule", request, timeout_s)).rule
        return kept

    async def suppression_rules(
        self, *, include_deleted: bool = False, timeout_s: float = DEADLINE_S
    ) -> list[SuppressionRule]:
        """Rules by id."""
        request = events_pb2.ListSuppressionRulesRequest(include_deleted=include_deleted)
        return list((await self._ask("ListSuppressionRules", request, timeout_s)).rules)

    async def delete_suppression_rule(
        self, rule_id: str, reason: str = "", *, timeout_s: float = DEADLINE_S
    ) -> SuppressionRule:
        """The rule, ended. Idempotent. Raises NotFound, PermissionDenied."""
        request = events_pb2.DeleteSuppressionRuleRequest(id=rule_id, reason=reason)
        rule: SuppressionRule = (await self._ask("DeleteSuppressionRule", request, timeout_s)).rule
        return rule

    async def load(self, *, timeout_s: float = DEADLINE_S) -> GetAlarmLoadResponse:
        """How much the alarms are, of the cameras in scope."""
        answer: GetAlarmLoadResponse = await self._ask("GetAlarmLoad", events_pb2.GetAlarmLoadRequest(), timeout_s)
        return answer

    async def _ask(self, rpc: str, request: object, timeout_s: float) -> Any:
        try:
            return await getattr(self._stub, rpc)(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None


class SyncAlarmCalls:
    """What a client for plain programs can do; as AlarmCalls."""

    _stub: Any

    def shelve(self, event_id: str, reason: str, *, for_s: float = 0.0, timeout_s: float = DEADLINE_S) -> Event:
        """As AlarmCalls.shelve."""
        event: Event = self._ask("ShelveEvent", _shelve_request(event_id, reason, for_s), timeout_s).event
        return event

    def unshelve(self, event_id: str, reason: str = "", *, timeout_s: float = DEADLINE_S) -> Event:
        """As AlarmCalls.unshelve."""
        request = events_pb2.UnshelveEventRequest(id=event_id, reason=reason)
        event: Event = self._ask("UnshelveEvent", request, timeout_s).event
        return event

    def take_out_of_service(
        self, camera: str = "", detector: str = "", *, reason: str, timeout_s: float = DEADLINE_S
    ) -> OutOfService:
        """As AlarmCalls.take_out_of_service."""
        entry: OutOfService = self._ask("TakeOutOfService", _out(camera, detector, reason), timeout_s).entry
        return entry

    def return_to_service(
        self, camera: str = "", detector: str = "", *, reason: str = "", timeout_s: float = DEADLINE_S
    ) -> OutOfService:
        """As AlarmCalls.return_to_service."""
        entry: OutOfService = self._ask("ReturnToService", _back(camera, detector, reason), timeout_s).entry
        return entry

    def out_of_service(self, *, include_past: bool = False, timeout_s: float = DEADLINE_S) -> list[OutOfService]:
        """As AlarmCalls.out_of_service."""
        request = events_pb2.ListOutOfServiceRequest(include_past=include_past)
        return list(self._ask("ListOutOfService", request, timeout_s).entries)

    def put_suppression_rule(self, rule: SuppressionRule, *, timeout_s: float = DEADLINE_S) -> SuppressionRule:
        """As AlarmCalls.put_suppression_rule."""
        request = events_pb2.PutSuppressionRuleRequest(rule=rule)
        kept: SuppressionRule = self._ask("PutSuppressionRule", request, timeout_s).rule
        return kept

    def suppression_rules(
        self, *, include_deleted: bool = False, timeout_s: float = DEADLINE_S
    ) -> list[SuppressionRule]:
        """As AlarmCalls.suppression_rules."""
        request = events_pb2.ListSuppressionRulesRequest(include_deleted=include_deleted)
        return list(self._ask("ListSuppressionRules", request, timeout_s).rules)

    def delete_suppression_rule(
        self, rule_id: str, reason: str = "", *, timeout_s: float = DEADLINE_S
    ) -> SuppressionRule:
        """As AlarmCalls.delete_suppression_rule."""
        request = events_pb2.DeleteSuppressionRuleRequest(id=rule_id, reason=reason)
        rule: SuppressionRule = self._ask("DeleteSuppressionRule", request, timeout_s).rule
        return rule

    def load(self, *, timeout_s: float = DEADLINE_S) -> GetAlarmLoadResponse:
        """As AlarmCalls.load."""
        answer: GetAlarmLoadResponse = self._ask("GetAlarmLoad", events_pb2.GetAlarmLoadRequest(), timeout_s)
        return answer

    def _ask(self, rpc: str, request: object, timeout_s: float) -> Any:
        try:
            return getattr(self._stub, rpc)(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
