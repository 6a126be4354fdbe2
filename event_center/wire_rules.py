"""Suppression rules, what is out of service, and the load of alarms, to and from the wire, checked.

A request that cannot be meant raises InvalidArgument and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from event_center.flood import Flood
from event_center.standing import Load
from event_center.suppression import Change, Entry, Rule, While
from mesh.errors import InvalidArgument
from mesh.ids import validate_camera_id
from mesh.schedule import parse_window
from trueframe.v1 import events_pb2

MAX_NAMED = 1000
_RULE_ID = re.compile(r"[a-z0-9-]{1,63}")
_DETECTOR = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")


def rule_from_proto(message: events_pb2.SuppressionRule) -> Rule:
    """A rule as it was put. Raises InvalidArgument."""
    if not _RULE_ID.fullmatch(message.id):
        raise InvalidArgument(f"rule id {message.id[:80]!r}", "is not of [a-z0-9-], 1 to 63 characters")
    if max(len(message.cameras), len(message.detectors)) > MAX_NAMED:
        raise InvalidArgument(f"rule {message.id}", f"names more than {MAX_NAMED} cameras or detectors")
    named = message.active_while.WhichOneof("condition")
    if named is None:
        raise InvalidArgument(f"rule {message.id}", "does not say while what it is active",
                              "Name a lost camera, a camera out of service, or a schedule.")  # fmt: skip
    subject: str = getattr(message.active_while, named)
    subject = str(parse_window(subject)) if named == "schedule" else validate_camera_id(subject)
    cameras = tuple(sorted({validate_camera_id(camera) for camera in message.cameras}))
    detectors = tuple(sorted({checked_detector(detector) for detector in message.detectors}))
    return Rule(message.id, While(named), subject, cameras, detectors, message.reason)


def checked_detector(name: str) -> str:
    """A detector's name without a version. Raises InvalidArgument."""
    if not _DETECTOR.fullmatch(name):
        raise InvalidArgument(f"detector {name[:60]!r}", "is no name of a detector", 'Leave its version out: "motion".')
    return name


def rule_to_proto(rule: Rule, *, is_active: bool) -> events_pb2.SuppressionRule:
    """A rule for clients."""
    return events_pb2.SuppressionRule(
        id=rule.id,
        active_while=events_pb2.SuppressionCondition(**{rule.condition.value: rule.subject}),
        cameras=rule.cameras,
        detectors=rule.detectors,
        reason=rule.reason,
        by=rule.by,
        changed_ns=rule.changed_ns,
        is_active=is_active,
        is_deleted=rule.is_deleted,
        history=_history(rule.history),
    )


def entry_to_proto(entry: Entry) -> events_pb2.OutOfService:
    """What is out of service, for clients."""
    return events_pb2.OutOfService(
        camera=entry.camera,
        detector=entry.detector,
        by=entry.by,
        reason=entry.reason,
        since_ns=entry.since_ns,
        until_ns=entry.until_ns,
        history=_history(entry.history),
    )


def load_to_proto(load: Load, rate: int, floods: Iterable[Flood]) -> events_pb2.GetAlarmLoadResponse:
    """How much the alarms are, for clients."""
    return events_pb2.GetAlarmLoadResponse(
        priorities=[
            events_pb2.PriorityLoad(
                priority=priority, standing=load.standing[priority], unacknowledged=load.waiting[priority]
            )
            for priority in range(1, 5)
        ],
        raised_in_ten_minutes=rate,
        stale=load.stale,
        shelved=load.shelved,
        suppressed=load.suppressed,
        out_of_service=load.out_of_service,
        floods=[
            events_pb2.AlarmFlood(
                event=flood.id, group=flood.scope, since_ns=flood.since_ns, members=flood.members,
                first_out=flood.first_out,
            )
            for flood in floods
        ],
    )  # fmt: skip


def _history(history: Iterable[Change]) -> list[events_pb2.ChangeRecord]:
    return [events_pb2.ChangeRecord(at_ns=one.at_ns, actor=one.actor, deed=one.deed, text=one.text) for one in history]
