"""What stands beside the states of alarms as JSON: marks, rules, what is out of service, load. Used by --json."""

from __future__ import annotations

from trueframe.times import when
from trueframe.v1 import events_pb2


def mark_fields(event: events_pb2.Event) -> dict[str, object]:
    """What stands beside the state of its alarm, and what it belongs to."""
    shelf = {
        "until_ns": event.shelved_until_ns,
        "until": when(event.shelved_until_ns),
        "by": event.shelved_by,
        "reason": event.shelve_reason,
        "once": event.shelved_once,
    }
    return {
        "base_priority": event.base_priority,
        "escalated_ns": event.escalated_ns,
        "raised_ns": event.raised_ns,
        "set_aside": event.set_aside,
        "shelf": shelf if event.shelved_until_ns else None,
        "suppressed_by": event.suppressed_by,
        "out_of_service": event.out_of_service,
        "stale": event.is_stale,
        "occurrences": event.occurrences,
        "folded_into": event.folded_into,
        "group": event.group,
        "first_out": event.first_out,
        "flood": event.flood,
        "owner": event.owner,
        "label": label_record(event.label) if event.HasField("label") else None,
    }


def label_record(label: events_pb2.EventLabel) -> dict[str, object]:
    """What people call an event."""
    verdict = events_pb2.EventVerdict.Name(label.verdict).removeprefix("EVENT_VERDICT_").lower()
    return {"verdict": verdict, "region": label.region, "tags": list(label.tags)}


def out_of_service_record(entry: events_pb2.OutOfService) -> dict[str, object]:
    """Something that is, or was, out of service."""
    return {
        "camera": entry.camera,
        "detector": entry.detector,
        "by": entry.by,
        "reason": entry.reason,
        "since_ns": entry.since_ns,
        "since": when(entry.since_ns),
        "until_ns": entry.until_ns,
        "until": when(entry.until_ns),
        "history": [_change_record(one) for one in entry.history],
    }


def suppression_rule_record(rule: events_pb2.SuppressionRule) -> dict[str, object]:
    """A rule that suppresses alarms."""
    named = rule.active_while.WhichOneof("condition") or ""
    return {
        "id": rule.id,
        "while": f"{named.replace('_', ' ')} {getattr(rule.active_while, named)}" if named else "",
        "cameras": list(rule.cameras),
        "detectors": list(rule.detectors),
        "reason": rule.reason,
        "by": rule.by,
        "changed_ns": rule.changed_ns,
        "changed": when(rule.changed_ns),
        "active": rule.is_active,
        "deleted": rule.is_deleted,
        "history": [_change_record(one) for one in rule.history],
    }


def _change_record(change: events_pb2.ChangeRecord) -> dict[str, object]:
    at = {"at_ns": change.at_ns, "at": when(change.at_ns)}
    return {**at, "actor": change.actor, "deed": change.deed, "text": change.text}


def load_record(load: events_pb2.GetAlarmLoadResponse) -> dict[str, object]:
    """How much the alarms are."""
    return {
        "priorities": [
            {"priority": one.priority, "standing": one.standing, "unacknowledged": one.unacknowledged}
            for one in load.priorities
        ],
        "raised_in_ten_minutes": load.raised_in_ten_minutes,
        "stale": load.stale,
        "shelved": load.shelved,
        "suppressed": load.suppressed,
        "out_of_service": load.out_of_service,
        "floods": [
            {
                "event": flood.event, "group": flood.group, "since_ns": flood.since_ns, "since": when(flood.since_ns),
                "members": flood.members, "first_out": flood.first_out,
            }
            for flood in load.floods
        ],
    }  # fmt: skip
