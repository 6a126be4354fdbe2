"""An event as a JSON document, the records of its alarm included: what changes together lies in one document.

`format` 2 has what stands beside the state of an alarm. Documents without a number are of the time before; they are
read as what they say, their marks replayed from their records, and get the number when they are written next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from event_center.alarm import Alarm, Deed, Marks, Record, State, Stimulus, replay
from event_center.event import Box, Clip, Event, Kind
from event_center.marks import Shelf, Was
from event_center.searching import words
from event_center.work.labels import Label, Verdict
from mesh.ids import FrameId

FORMAT = 2
# What lists are filtered by, beside what they always were.
MARK_INDEXES = (
    "priority by started_ns", "is_shelved", "is_suppressed", "is_out_of_service", "is_stale", "is_set_aside",
    "is_flooding", "flood",
    "folded_into", "raised_ns", "owner", "verdict", "words[] by started_ns",
)  # fmt: skip
_PLAIN = (
    "camera", "detector", "summary", "started_ns", "ended_ns", "score", "peak_ns", "version", "changed_ns",
    "is_confirmed", "source_version",
)  # fmt: skip
# Younger than the first documents, with what those mean.
_LATER: dict[str, Any] = {
    "inspection": "", "folded_into": "", "members_end_ns": 0, "group": "", "first_out": "", "flood_scope": "",
}  # fmt: skip
# Looked up, as an enum's own way from a value to its member takes ten times as long; a page has a thousand of them.
_DEEDS = {one.value: one for one in Deed}
_STATES = {one.value: one for one in State}
_KINDS = {one.value: one for one in Kind}
_MARKS = (
    "suppressed_by", "out_of_service", "flood", "is_stale", "occurrences", "raised_ns", "standing_ns", "waiting_ns",
    "steps", "escalated_ns", "owner",
)  # fmt: skip


def to_document(event: Event) -> dict[str, Any]:
    """The event as a JSON object."""
    marks = event.alarm.marks
    return {
        "format": FORMAT,
        **{key: getattr(event, key) for key in _PLAIN},
        **{key: getattr(event, key) for key in _LATER},
        "kind": event.kind.value,
        "regions": list(event.regions),
        "first": _text(event.first),
        "peak": _text(event.peak),
        "last": _text(event.last),
        "boxes": [[b.x, b.y, b.width, b.height, b.label, b.score, b.track, b.said] for b in event.boxes],
        "alarm_state": event.alarm.state.value,
        "acknowledged_by": event.alarm.acknowledged_by,
        "acknowledged_ns": event.alarm.acknowledged_ns,
        "records": [_record_document(record) for record in event.alarm.records],
        "clip": _clip_document(event.clip),
        "open_members": list(event.open_members),
        "marks": _marks_document(marks),
        "base_priority": event.priority,
        # Derived, for lists. A flag that is not set is not there: most events have none.
        "priority": event.shown_priority,
        **_flags(marks),
        "words": words(event),
        **({"is_flooding": 1} if event.flood_scope and event.ended_ns == 0 else {}),
    }


def from_document(id: str, document: Mapping[str, Any]) -> Event:  # noqa: A002
    """The inverse of `to_document`. An event stored before there were alarms has none."""
    plain = {key: document[key] for key in _PLAIN} | {key: document.get(key, none) for key, none in _LATER.items()}
    records = tuple(_record(number, one) for number, one in enumerate(document.get("records", ()), 1))
    return Event(
        id=id,
        kind=_KINDS[document["kind"]],
        priority=document.get("base_priority", document["priority"]),
        first=_frame(document["first"]),
        peak=_frame(document["peak"]),
        last=_frame(document["last"]),
        boxes=tuple(Box(*box) for box in document["boxes"]),
        alarm=Alarm(
            _STATES[document.get("alarm_state", State.NONE)],
            document.get("acknowledged_by", ""),
            document.get("acknowledged_ns", 0),
            records,
            _marks(document["marks"]) if "marks" in document else replay(records).marks,
        ),
        clip=_clip(document.get("clip")),
        open_members=tuple(document.get("open_members", ())),
        regions=tuple(document.get("regions", ())),
        **plain,
    )


def with_words(body: dict[str, Any]) -> dict[str, Any]:
    """A document from before events could be searched for, with its words."""
    return body if "words" in body else {**body, "words": words(from_document("", body))}


def _flags(marks: Marks) -> dict[str, Any]:
    flags = {f"is_{word}": 1 for word in marks.words} | ({"is_set_aside": 1} if marks.is_set_aside else {})
    named = {"flood": marks.flood, "owner": marks.owner, "verdict": marks.label.verdict.value if marks.label else ""}
    return flags | {key: name for key, name in named.items() if name} | {"raised_ns": marks.raised_ns}


def _marks_document(marks: Marks) -> dict[str, Any]:
    shelf = marks.shelf
    plain = {key: value for key in _MARKS if (value := getattr(marks, key))}
    plain |= {"shelf": [shelf.until_ns, shelf.by, shelf.reason, shelf.is_once]} if shelf else {}
    plain |= {"label": _label_document(marks.label)} if marks.label else {}
    undoable = [[was.deed.value, was.number, was.actor, was.at_ns, _marks_document(was.before)]
                for was in marks.undoable]  # fmt: skip
    return plain | ({"undoable": undoable} if undoable else {})


def _marks(document: Mapping[str, Any]) -> Marks:
    plain = {key: document[key] for key in _MARKS if key in document}
    undoable = tuple(
        Was(_DEEDS[deed], number, actor, at_ns, _marks(before))
        for deed, number, actor, at_ns, before in document.get("undoable", ())
    )
    shelf = Shelf(*document["shelf"]) if "shelf" in document else None
    return Marks(shelf=shelf, label=_label(document.get("label")), undoable=undoable, **plain)


def _label_document(label: Label) -> list[Any]:
    return [label.verdict.value, label.region, list(label.tags)]


def _label(document: list[Any] | None) -> Label | None:
    return Label(Verdict(document[0]), document[1], tuple(document[2])) if document else None


def _record_document(record: Record) -> list[Any]:
    done = record.stimulus
    plain = [done.deed.value, done.actor, done.at_ns, record.before.value, record.after.value, done.text,
             done.request_id]  # fmt: skip
    if done.label:
        return [*plain, done.until_ns, done.reference, _label_document(done.label)]
    return [*plain, done.until_ns, done.reference] if done.until_ns or done.reference else plain


def _record(number: int, document: list[Any]) -> Record:
    deed, actor, at_ns, before, after, text, request_id = document[:7]
    until_ns, reference = document[7:9] or (0, "")
    label = _label(document[9]) if len(document) > 9 else None
    stimulus = Stimulus(_DEEDS[deed], actor, at_ns, text, request_id, until_ns, reference, label)
    return Record(number, stimulus, _STATES[before], _STATES[after])


def _clip_document(clip: Clip | None) -> list[Any] | None:
    return [clip.from_ns, clip.to_ns, clip.is_confirmed, clip.version] if clip else None


def _clip(document: list[Any] | None) -> Clip | None:
    return Clip(*document) if document else None


def _text(frame: FrameId | None) -> str | None:
    return str(frame) if frame else None


def _frame(text: str | None) -> FrameId | None:
    return FrameId.parse(text) if text else None
