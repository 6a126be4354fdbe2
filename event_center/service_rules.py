"""The part of the gRPC face that concerns all alarms together: suppression rules, what is out of service, the load."""

from __future__ import annotations

from typing import Any

from event_center.book import EventBook
from event_center.errors import no_rule
from event_center.policy import SITE
from event_center.scope import require_every
from event_center.suppression import Entry, Rule, While
from event_center.wire_rules import (
    checked_detector,
    entry_to_proto,
    load_to_proto,
    rule_from_proto,
    rule_to_proto,
)
from mesh.clocks import Clock, SystemClock
from mesh.errors import InvalidArgument
from mesh.ids import validate_camera_id
from mesh.security import Principal, principal_of
from trueframe.v1 import events_pb2, events_pb2_grpc


class RuleCalls(events_pb2_grpc.EventServiceServicer):
    """Rules, service, load. What concerns every camera may only be changed by who has every camera in scope."""

    def __init__(self, book: EventBook, clock: Clock | None = None) -> None:
        self._book = book
        self._clock = clock or SystemClock()

    async def TakeOutOfService(  # noqa: N802 - the rpc's name
        self, request: events_pb2.TakeOutOfServiceRequest, context: Any
    ) -> events_pb2.TakeOutOfServiceResponse:
        """A maintainer takes a camera or a detector out."""
        principal = _for_entry(request.camera, request.detector, context)
        entry = await self._book.take_out(request.camera, request.detector, principal.name, request.reason)
        return events_pb2.TakeOutOfServiceResponse(entry=entry_to_proto(entry))

    async def ReturnToService(  # noqa: N802 - the rpc's name
        self, request: events_pb2.ReturnToServiceRequest, context: Any
    ) -> events_pb2.ReturnToServiceResponse:
        """A maintainer brings it back."""
        principal = _for_entry(request.camera, request.detector, context)
        entry = await self._book.bring_back(request.camera, request.detector, principal.name, request.reason)
        return events_pb2.ReturnToServiceResponse(entry=entry_to_proto(entry))

    async def ListOutOfService(  # noqa: N802 - the rpc's name
        self, request: events_pb2.ListOutOfServiceRequest, context: Any
    ) -> events_pb2.ListOutOfServiceResponse:
        """What is out of service."""
        principal = principal_of(context)
        entries = [
            entry for entry in self._book.rules.situation.entries.values()
            if (request.include_past or not entry.until_ns) and _sees(principal, entry)
        ]  # fmt: skip
        entries.sort(key=lambda entry: (entry.since_ns, entry.key))
        return events_pb2.ListOutOfServiceResponse(entries=[entry_to_proto(entry) for entry in entries])

    async def PutSuppressionRule(  # noqa: N802 - the rpc's name
        self, request: events_pb2.PutSuppressionRuleRequest, context: Any
    ) -> events_pb2.PutSuppressionRuleResponse:
        """A maintainer makes or changes a rule. One that is there may only be changed by who could have made it."""
        principal = principal_of(context)
        rule = rule_from_proto(request.rule)
        _require(principal, rule)
        if known := self._book.rules.situation.rules.get(rule.id):
            _require(principal, known)
        return events_pb2.PutSuppressionRuleResponse(rule=self._told(await self._book.put_rule(rule, principal.name)))

    async def ListSuppressionRules(  # noqa: N802 - the rpc's name
        self, request: events_pb2.ListSuppressionRulesRequest, context: Any
    ) -> events_pb2.ListSuppressionRulesResponse:
        """Rules by id."""
        principal = principal_of(context)
        rules = [
            self._told(rule) for _, rule in sorted(self._book.rules.situation.rules.items())
            if (request.include_deleted or not rule.is_deleted) and _sees_rule(principal, rule)
        ]  # fmt: skip
        return events_pb2.ListSuppressionRulesResponse(rules=rules)

    async def DeleteSuppressionRule(  # noqa: N802 - the rpc's name
        self, request: events_pb2.DeleteSuppressionRuleRequest, context: Any
    ) -> events_pb2.DeleteSuppressionRuleResponse:
        """A maintainer ends a rule."""
        principal = principal_of(context)
        known = self._book.rules.rule(request.id)
        if not _sees_rule(principal, known):
            raise no_rule(request.id)
        _require(principal, known)
        rule = await self._book.delete_rule(request.id, principal.name, request.reason)
        return events_pb2.DeleteSuppressionRuleResponse(rule=self._told(rule))

    async def GetAlarmLoad(  # noqa: N802 - the rpc's name
        self, request: events_pb2.GetAlarmLoadRequest, context: Any
    ) -> events_pb2.GetAlarmLoadResponse:
        """How much the alarms are, of the caller's cameras. A flood of the site is everybody's."""
        principal = principal_of(context)
        desk = self._book.desk
        floods = [
            flood for flood in desk.flood_watch.floods.values()
            if flood.scope == SITE or any(principal.allows(one) for one in desk.flood_watch.cameras_of(flood))
        ]  # fmt: skip
        rate = desk.flood_watch.rate(self._clock.utc_ns(), principal.cameras)
        return load_to_proto(desk.standing.load(principal.cameras), rate, floods)

    def _told(self, rule: Rule) -> events_pb2.SuppressionRule:
        return rule_to_proto(rule, is_active=self._book.rules.situation.is_active(rule, self._clock.utc_ns()))


def _for_entry(camera: str, detector: str, context: Any) -> Principal:
    """Who calls, if the entry makes sense and is in their scope. Raises InvalidArgument, PermissionDenied."""
    if not camera and not detector:
        raise InvalidArgument("request", "names neither a camera nor a detector")
    if camera:
        validate_camera_id(camera)
    if detector:
        checked_detector(detector)
    principal = principal_of(context)
    require_every(principal, [camera] if camera else [], f"detector {detector} of every camera")
    return principal


def _require(principal: Principal, rule: Rule) -> None:
    require_every(principal, rule.cameras, f"rule {rule.id}")
    if rule.condition is not While.SCHEDULE:
        # Whether a rule is active tells how that camera stands.
        principal.require(rule.subject)


def _sees(principal: Principal, entry: Entry) -> bool:
    return not entry.camera or principal.allows(entry.camera)


def _sees_rule(principal: Principal, rule: Rule) -> bool:
    return not rule.cameras or any(principal.allows(camera) for camera in rule.cameras)
