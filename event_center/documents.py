"""An event as a JSON document, the records of its alarm included: what changes together lies in one document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from event_center.alarm import Alarm, Deed, Record, State, Stimulus
from event_center.event import Box, Clip, Event, Kind
from mesh.ids import FrameId

_PLAIN = (
    "camera", "detector", "summary", "priority", "started_ns", "ended_ns", "score", "peak_ns", "version", "changed_ns",
    "is_confirmed", "source_version", "inspection",
)  # fmt: skip


def to_document(event: Event) -> dict[str, Any]:
    """The event as a JSON object."""
    return {
        **{key: getattr(event, key) for key in _PLAIN},
        "kind": event.kind.value,
        "first": _text(event.first),
        "peak": _text(event.peak),
        "last": _text(event.last),
        "boxes": [[b.x, b.y, b.width, b.height, b.label, b.score, b.track, b.said] for b in event.boxes],
        "alarm_state": event.alarm.state.value,
        "acknowledged_by": event.alarm.acknowledged_by,
        "acknowledged_ns": event.alarm.acknowledged_ns,
        "records": [_record_document(record) for record in event.alarm.records],
        "clip": _clip_document(event.clip),
    }


def from_document(id: str, document: Mapping[str, Any]) -> Event:  # noqa: A002
    """The inverse of `to_document`. An event stored before there were alarms has none."""
    plain = {key: document.get(key, "") if key == "inspection" else document[key] for key in _PLAIN}
    return Event(
        id=id,
        kind=Kind(document["kind"]),
        first=_frame(document["first"]),
        peak=_frame(document["peak"]),
        last=_frame(document["last"]),
        boxes=tuple(Box(*box) for box in document["boxes"]),
        alarm=Alarm(
            State(document.get("alarm_state", State.NONE)),
            document.get("acknowledged_by", ""),
            document.get("acknowledged_ns", 0),
            tuple(_record(number, one) for number, one in enumerate(document.get("records", ()), 1)),
        ),
        clip=_clip(document.get("clip")),
        **plain,
    )


def _record_document(record: Record) -> list[Any]:
    done = record.stimulus
    return [done.deed.value, done.actor, done.at_ns, record.before.value, record.after.value, done.text,
            done.request_id]  # fmt: skip


def _record(number: int, document: list[Any]) -> Record:
    deed, actor, at_ns, before, after, text, request_id = document
    return Record(number, Stimulus(Deed(deed), actor, at_ns, text, request_id), State(before), State(after))


def _clip_document(clip: Clip | None) -> list[Any] | None:
    return [clip.from_ns, clip.to_ns, clip.is_confirmed, clip.version] if clip else None


def _clip(document: list[Any] | None) -> Clip | None:
    return Clip(*document) if document else None


def _text(frame: FrameId | None) -> str | None:
    return str(frame) if frame else None


def _frame(text: str | None) -> FrameId | None:
    return FrameId.parse(text) if text else None
