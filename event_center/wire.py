"""Events to and from the wire: protobuf of the service, and the payloads that come over the bus, checked.

A payload that cannot be understood raises InvalidArgument and changes nothing.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from google.protobuf.message import DecodeError

from event_center.alarm import Alarm, Deed, Marks, Record, State, apply
from event_center.conditions import ConditionReport
from event_center.event import Box, Clip, Event, Kind
from event_center.folding import AnomalyReport, CameraReport, HoldReport
from event_center.work.wire import label_to_proto
from mesh.errors import InvalidArgument
from mesh.ids import FrameId, validate_camera_id
from trueframe.v1 import events_pb2, footage_pb2, frames_pb2, inspection_pb2

MAX_BOXES = 64
MAX_SAID = 500
MAX_WATERMARKS = 100_000
# Of JSON that is not what it should be; a number may be "Infinity" there.
_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError, AttributeError, OverflowError)
_CONDITION_WORD = re.compile(r"[a-z0-9_-]{1,40}")

KINDS: dict[Kind, events_pb2.EventKind.ValueType] = {
    Kind.ANOMALY: events_pb2.EVENT_KIND_ANOMALY,
    Kind.CAMERA: events_pb2.EVENT_KIND_CAMERA,
    Kind.SYSTEM: events_pb2.EVENT_KIND_SYSTEM,
}

STATES: dict[State, events_pb2.AlarmState.ValueType] = {
    State.NONE: events_pb2.ALARM_STATE_UNSPECIFIED,
    State.NORMAL: events_pb2.ALARM_STATE_NORMAL,
    State.UNACKNOWLEDGED: events_pb2.ALARM_STATE_UNACKNOWLEDGED,
    State.ACKNOWLEDGED: events_pb2.ALARM_STATE_ACKNOWLEDGED,
    State.RETURNED: events_pb2.ALARM_STATE_RETURNED_UNACKNOWLEDGED,
}
DEEDS: dict[Deed, events_pb2.EventDeed.ValueType] = {
    Deed.RAISED: events_pb2.EVENT_DEED_RAISED,
    Deed.RETURNED: events_pb2.EVENT_DEED_RETURNED,
    Deed.RAISED_AGAIN: events_pb2.EVENT_DEED_RAISED_AGAIN,
    Deed.ACKNOWLEDGED: events_pb2.EVENT_DEED_ACKNOWLEDGED,
    Deed.COMMENTED: events_pb2.EVENT_DEED_COMMENTED,
    Deed.SHELVED: events_pb2.EVENT_DEED_SHELVED,
    Deed.UNSHELVED: events_pb2.EVENT_DEED_UNSHELVED,
    Deed.SUPPRESSED: events_pb2.EVENT_DEED_SUPPRESSED,
    Deed.UNSUPPRESSED: events_pb2.EVENT_DEED_UNSUPPRESSED,
    Deed.TAKEN_OUT: events_pb2.EVENT_DEED_TAKEN_OUT_OF_SERVICE,
    Deed.BROUGHT_BACK: events_pb2.EVENT_DEED_RETURNED_TO_SERVICE,
    Deed.STALE: events_pb2.EVENT_DEED_BECAME_STALE,
    Deed.ESCALATED: events_pb2.EVENT_DEED_ESCALATED,
    Deed.REALARMED: events_pb2.EVENT_DEED_REALARMED,
    Deed.GROUPED: events_pb2.EVENT_DEED_GROUPED,
    Deed.ASSIGNED: events_pb2.EVENT_DEED_ASSIGNED,
    Deed.HANDED_BACK: events_pb2.EVENT_DEED_HANDED_BACK,
    Deed.LABELLED: events_pb2.EVENT_DEED_LABELLED,
    Deed.UNACKNOWLEDGED: events_pb2.EVENT_DEED_UNACKNOWLEDGED,
    Deed.UNDONE: events_pb2.EVENT_DEED_UNDONE,
}
MARKS: dict[str, events_pb2.AlarmMark.ValueType] = {
    "shelved": events_pb2.ALARM_MARK_SHELVED,
    "suppressed": events_pb2.ALARM_MARK_SUPPRESSED,
    "out_of_service": events_pb2.ALARM_MARK_OUT_OF_SERVICE,
    "stale": events_pb2.ALARM_MARK_STALE,
}


def event_to_proto(event: Event, newest_comments: int | None = None) -> events_pb2.Event:
    """The event for clients; with only its newest comments if a number is given."""
    comments, marks = event.alarm.comments, event.alarm.marks
    if newest_comments is not None:
        comments = comments[-newest_comments:]
    message = events_pb2.Event(
        id=event.id,
        kind=KINDS[event.kind],
        camera=event.camera,
        detector=event.detector,
        summary=event.summary,
        priority=event.shown_priority,
        base_priority=event.priority,
        score=event.score,
        started_ns=event.started_ns,
        ended_ns=event.ended_ns,
        peak_ns=event.peak_ns,
        boxes=[
            events_pb2.Box(
                x=b.x, y=b.y, width=b.width, height=b.height, label=b.label, score=b.score, track=b.track, said=b.said
            )
            for b in event.boxes
        ],
        version=event.version,
        changed_ns=event.changed_ns,
        footage_confirmed=event.is_confirmed,
        alarm_state=STATES[event.alarm.state],
        acknowledged_by=event.alarm.acknowledged_by,
        acknowledged_ns=event.alarm.acknowledged_ns,
        comments=[events_pb2.Comment(author=c.actor, written_ns=c.at_ns, text=c.text) for c in comments],
        inspection=event.inspection,
        folded_into=event.folded_into,
        group=event.group,
        first_out=event.first_out,
        is_first_out=bool(event.first_out) and event.first_out == event.id,
        set_aside=marks.is_set_aside,
        suppressed_by=marks.suppressed_by,
        out_of_service=bool(marks.out_of_service),
        occurrences=marks.occurrences,
        flood=marks.flood,
        is_stale=marks.is_stale,
        escalated_ns=marks.escalated_ns,
        raised_ns=marks.raised_ns,
        owner=marks.owner,
    )
    if marks.label is not None:
        message.label.CopyFrom(label_to_proto(marks.label))
    if marks.shelf is not None:
        message.shelved_until_ns, message.shelved_by = marks.shelf.until_ns, marks.shelf.by
        message.shelve_reason, message.shelved_once = marks.shelf.reason, marks.shelf.is_once
    if event.clip is not None:
        clip = event.clip
        message.clip.CopyFrom(events_pb2.ClipHold(from_ns=clip.from_ns, to_ns=clip.to_ns, confirmed=clip.is_confirmed))
    for field, frame in ((message.first, event.first), (message.peak, event.peak), (message.last, event.last)):
        if frame is not None:
            field.CopyFrom(frame.to_proto())
    return message


def kinds_from_proto(kinds: Any) -> list[Kind]:
    """Kinds of a filter. Raises InvalidArgument."""
    by_number = {number: kind for kind, number in KINDS.items()}
    if unknown := [number for number in kinds if number not in by_number]:
        raise InvalidArgument("kinds", f"holds {unknown[0]}, which is no kind of event")
    return [by_number[number] for number in kinds]


def states_from_proto(states: Any) -> list[State]:
    """Alarm states of a filter; UNSPECIFIED are events that are no alarms. Raises InvalidArgument."""
    by_number = {number: state for state, number in STATES.items()}
    if unknown := [number for number in states if number not in by_number]:
        raise InvalidArgument("alarm_states", f"holds {unknown[0]}, which is no state of an alarm")
    return [by_number[number] for number in states]


def records_to_proto(alarm: Alarm) -> list[events_pb2.EventRecord]:
    """All records of an alarm for clients, oldest first, each with the marks that stood after it."""
    told: list[events_pb2.EventRecord] = []
    replayed = Alarm()
    for record in alarm.records:
        replayed = apply(replayed, record.stimulus)
        told.append(_record_to_proto(record, replayed.marks))
    return told


def _record_to_proto(record: Record, marks: Marks) -> events_pb2.EventRecord:
    return events_pb2.EventRecord(
        number=record.number,
        at_ns=record.stimulus.at_ns,
        actor=record.stimulus.actor,
        deed=DEEDS[record.stimulus.deed],
        from_state=STATES[record.before],
        to_state=STATES[record.after],
        text=record.stimulus.text,
        until_ns=record.stimulus.until_ns,
        reference=record.stimulus.reference,
        marks=[MARKS[word] for word in marks.words],
        label=label_to_proto(record.stimulus.label) if record.stimulus.label else None,
    )


def anomaly_report(payload: bytes) -> AnomalyReport:
    """What the aggregate told."""
    message = inspection_pb2.Anomaly()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise InvalidArgument("anomaly", f"is no protobuf message ({error})") from None
    camera = validate_camera_id(message.camera)
    if not 0 < len(message.id) <= 100 or not message.id.isalnum() or message.version < 1:
        raise InvalidArgument(f"anomaly {message.id[:80]!r}", "has no well-formed id and version")
    if len(message.boxes) > MAX_BOXES or len(message.regions) > MAX_BOXES:
        raise InvalidArgument(f"anomaly {message.id}", f"has more than {MAX_BOXES} boxes or regions")
    return AnomalyReport(
        id=message.id,
        version=message.version,
        camera=camera,
        camera_name=message.camera_name[:200],
        detector=message.detector[:100],
        first=_frame(message.id, camera, message.first),
        peak=_frame(message.id, camera, message.peak),
        last=_frame(message.id, camera, message.last),
        started_ns=message.started_ns,
        peak_ns=message.peak_ns,
        ended_ns=message.ended_ns,
        score=_fraction(message.id, message.score),
        boxes=tuple(_box(message.id, box) for box in message.boxes),
        regions=tuple(name[:100] for name in message.regions),
        inspection=message.inspection[:200],
        said=" ".join(message.said.split())[:MAX_SAID],
    )


def camera_report(payload: bytes) -> CameraReport:
    """What the broker told: JSON, described in `broker/announcer.py`."""
    try:
        body = json.loads(payload)
        camera = validate_camera_id(str(body["camera"]))
        last = FrameId.parse(str(body["last"])) if body.get("last") else None
        report = CameraReport(
            camera=camera,
            camera_name=str(body.get("camera_name") or "")[:200],
            state=str(body["state"])[:40],
            since_ns=_int64(body["since_ns"]),
            detail=str(body.get("detail") or "")[:500],
            last=last,
            about=str(body.get("about") or "state"),
        )
    except _UNREADABLE as error:
        raise InvalidArgument("camera state", f"cannot be read ({type(error).__name__}: {error})") from None
    if report.about not in ("state", "clock"):
        raise InvalidArgument(f"state of camera {camera}", f"is about {report.about[:40]!r}, which is unknown")
    if last is not None and last.camera != camera:
        raise InvalidArgument(f"state of camera {camera}", "names a frame of another camera")
    return report


def condition_report(payload: bytes) -> ConditionReport:
    """What a part told of itself: JSON, described in `mesh/conditions.py`."""
    try:
        body = json.loads(payload)
        report = ConditionReport(
            service=str(body["service"]),
            name=str(body["condition"]),
            camera=validate_camera_id(str(body["camera"])) if body.get("camera") else "",
            holds=bool(body["holds"]),
            since_ns=_int64(body["since_ns"]),
            summary=" ".join(str(body.get("summary") or "").split())[:500],
            priority=min(max(int(body.get("priority") or 3), 1), 4),
        )
    except _UNREADABLE as error:
        raise InvalidArgument("condition", f"cannot be read ({type(error).__name__}: {error})") from None
    if not all(_CONDITION_WORD.fullmatch(word) for word in (report.service, report.name)):
        raise InvalidArgument("condition", f"has no well-formed service and name ({report.service[:40]!r})")
    if report.holds and not report.summary:
        raise InvalidArgument(f"condition {report.key}", "has no summary")
    return report


def hold_report(payload: bytes) -> HoldReport:
    """What the media center told: JSON, described in `media_center/hold_book.py`."""
    try:
        body = json.loads(payload)
        report = HoldReport(
            event=str(body["event"])[:200],
            camera=validate_camera_id(str(body["camera"])),
            clip=Clip(
                from_ns=_int64(body["from_ns"]),
                to_ns=_int64(body["to_ns"]),
                is_confirmed=bool(body["confirmed"]),
                version=_int64(body["version"]),
            ),
        )
    except _UNREADABLE as error:
        raise InvalidArgument("hold", f"cannot be read ({type(error).__name__}: {error})") from None
    if report.clip.from_ns > report.clip.to_ns or report.clip.version < 1:
        raise InvalidArgument(f"hold for event {report.event}", "has no well-formed times and version")
    return report


def watermarks(payload: bytes) -> list[FrameId]:
    """How far footage is on disk, as the media center told: a WatchPersistedResponse."""
    message = footage_pb2.WatchPersistedResponse()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise InvalidArgument("watermarks", f"are no protobuf message ({error})") from None
    if len(message.watermarks) > MAX_WATERMARKS:
        raise InvalidArgument("watermarks", f"are more than {MAX_WATERMARKS}")
    marks = [FrameId.from_proto(mark) for mark in message.watermarks]
    for mark in marks:
        validate_camera_id(mark.camera)
        if mark.epoch < 0 or mark.seq < 0:
            raise InvalidArgument("watermarks", f"name frame {mark}, which cannot be")
    return marks


def _int64(value: Any) -> int:
    number = int(value)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{number} is no 63-bit number")
    return number


def _frame(anomaly: str, camera: str, frame: frames_pb2.FrameId) -> FrameId:
    if frame.camera != camera or frame.epoch < 0 or frame.seq < 0:
        raise InvalidArgument(f"anomaly {anomaly}", "names a frame of another camera, or none")
    return FrameId.from_proto(frame)


def _box(anomaly: str, box: events_pb2.Box) -> Box:
    x, y, width, height, score = (_fraction(anomaly, v) for v in (box.x, box.y, box.width, box.height, box.score))
    return Box(x, y, width, height, box.label[:100], score, max(box.track, 0), box.said[:MAX_SAID])


def _fraction(anomaly: str, value: float) -> float:
    if not math.isfinite(value):
        raise InvalidArgument(f"anomaly {anomaly}", "holds a number that is none")
    return min(max(value, 0.0), 1.0)
