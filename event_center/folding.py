"""How what is told becomes events: anomalies, camera states, recording watermarks and holds folded in. Pure.

Everything may be told more than once and out of order; a fold returns None when nothing changes. Storing events and
telling watchers belong to `book.py`; what ails trueframe itself is folded in `conditions.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from event_center.alarm import follow
from event_center.event import Box, Clip, Event, Kind, event_id
from mesh.ids import FrameId


@dataclass(frozen=True, slots=True)
class AnomalyReport:
    """An anomaly as the aggregate told of it."""

    id: str
    version: int
    camera: str
    camera_name: str
    detector: str
    first: FrameId
    peak: FrameId
    last: FrameId
    started_ns: int
    peak_ns: int
    ended_ns: int
    score: float
    boxes: tuple[Box, ...]
    regions: tuple[str, ...]
    inspection: str = ""
    said: str = ""
    """What stood out at the peak, in words; empty if nothing was said."""


@dataclass(frozen=True, slots=True)
class CameraReport:
    """A camera's state as the broker told of it. `state` is the proto's name without prefix, in small letters."""

    camera: str
    camera_name: str
    state: str
    since_ns: int
    detail: str
    last: FrameId | None = None
    about: str = "state"
    """What of the camera: "state" (does it give a picture), or "clock" (is its own time right)."""

    @property
    def key(self) -> str:
        """Where it is remembered what was told last; no camera's id holds a space."""
        return self.camera if self.about == "state" else f"{self.camera} {self.about}"


@dataclass(frozen=True, slots=True)
class HoldReport:
    """Footage held for an event, as the media center told of it."""

    event: str
    camera: str
    clip: Clip


@dataclass(frozen=True, slots=True)
class CameraMemory:
    """What must be remembered of a camera between two of its states."""

    since_ns: int = 0
    state: str = ""
    open_event: str = ""


TROUBLES = {
    "lost": "is lost",
    "refused": "refuses the connection",
    "unauthorised": "rejects the credentials",
    "silent": "is connected and sends nothing",
    "clock-wrong": "has a wrong clock",
}
RELIEFS = frozenset({"live", "disabled", "ended", "removed", "clock-good"})

# What its events' ids are made of: a camera that is lost and has a wrong clock has two.
_SUBJECTS = {"state": "camera", "clock": "camera clock"}

# An event of these kinds needs a human, and so is an alarm. Law 10: what ails trueframe itself is one like any other.
ALARM_KINDS = frozenset({Kind.ANOMALY, Kind.CAMERA, Kind.SYSTEM})

# Who raises and returns alarms, as their records name it.
_AGGREGATE, _BROKER = "aggregate", "broker"

_SIGNAL_SUMMARIES = {
    "frozen": "Picture frozen",
    "black": "Picture black",
    "overexposed": "Picture blown out",
    "no picture": "No picture, one colour only,",
}


def fold_anomaly(existing: Event | None, report: AnomalyReport, watermark: FrameId | None, now_ns: int) -> Event | None:
    """The event after the report; None if the event says that, or something newer, already."""
    if existing is not None and report.version <= existing.source_version:
        return None
    summary, priority = describe_anomaly(report)
    # Known to be on disk, though nobody has told the watermark since the start.
    is_same_footage = existing is not None and existing.is_confirmed and existing.last == report.last
    # What the desk made of it (its alarm, its clip, what it belongs to) stays.
    base = existing or Event(report.id, Kind.ANOMALY, report.camera, report.detector, summary, priority, 0, version=0)
    event = replace(
        base,
        detector=report.detector,
        summary=summary,
        priority=priority,
        started_ns=report.started_ns,
        ended_ns=report.ended_ns,
        score=report.score,
        first=report.first,
        peak=report.peak,
        last=report.last,
        peak_ns=report.peak_ns,
        boxes=report.boxes,
        version=base.version + 1,
        changed_ns=now_ns,
        is_confirmed=is_same_footage or _reaches(watermark, report.last),
        source_version=report.version,
        inspection=report.inspection,
        regions=report.regions,
    )
    return with_alarm(event, _AGGREGATE)


def describe_anomaly(report: AnomalyReport) -> tuple[str, int]:
    """A sentence for an operator, and the priority."""
    place = f"on {report.camera_name or report.camera}"
    name = report.detector.partition("@")[0]
    where = f"in {_listed(report.regions)} " if report.regions else ""
    if report.said:
        # The detector's own words say more than its name.
        return f"{report.said[0].upper()}{report.said[1:].rstrip('.')} {where}{place}", 2 if report.regions else 3
    if name == "motion":
        return f"Motion {where}{place}", 2 if report.regions else 3
    if name == "signal":
        label = report.boxes[0].label if report.boxes else ""
        return f"{_SIGNAL_SUMMARIES.get(label, 'Picture disturbed')} {place}", 2
    return f"{name.capitalize()} {where}{place}", 2 if report.regions else 3


def fold_camera(
    memory: CameraMemory, open_event: Event | None, report: CameraReport, now_ns: int
) -> tuple[CameraMemory, Event | None]:
    """Memory and changed event after a state; the event must be stored before the memory.

    `open_event` is the event that the memory names, if any.
    """
    if report.since_ns < memory.since_ns or (report.since_ns == memory.since_ns and report.state == memory.state):
        return memory, None
    is_open = open_event is not None and open_event.ended_ns == 0
    event: Event | None = None
    open_id = memory.open_event
    if report.state in TROUBLES:
        if is_open and open_event is not None:
            summary, priority = describe_camera(report)
            if (summary, priority) != (open_event.summary, open_event.priority):
                event = replace(open_event, summary=summary, priority=priority)
        else:
            event = _camera_event(report)
            open_id = event.id
    elif report.state in RELIEFS:
        if is_open and open_event is not None:
            event = replace(open_event, ended_ns=max(report.since_ns, open_event.started_ns))
        open_id = ""
    if event is not None:
        is_new = not (is_open and open_event is not None)
        event = replace(
            event,
            version=1 if is_new else event.version + 1,
            changed_ns=now_ns,
            source_version=report.since_ns,
        )
        event = with_alarm(event, _BROKER)
    return CameraMemory(report.since_ns, report.state, open_id), event


def describe_camera(report: CameraReport) -> tuple[str, int]:
    """A sentence for an operator, and the priority."""
    sentence = f"Camera {report.camera_name or report.camera} {TROUBLES.get(report.state, report.state)}"
    detail = " ".join(report.detail.split()).rstrip(".")
    return (f"{sentence}: {detail}" if detail else sentence), 3 if report.about == "clock" else 2


def fold_watermark(event: Event, watermark: FrameId, now_ns: int) -> Event | None:
    """The event once footage up to `watermark` is on disk; None if that changes nothing."""
    if event.is_confirmed or not _reaches(watermark, event.last):
        return None
    return replace(event, is_confirmed=True, version=event.version + 1, changed_ns=now_ns)


def fold_hold(event: Event, report: HoldReport, now_ns: int) -> Event | None:
    """The event with the clip that is held for it; None if it has that, or a newer one, already."""
    if event.clip is not None and report.clip.version <= event.clip.version:
        return None
    return replace(event, clip=report.clip, version=event.version + 1, changed_ns=now_ns)


def with_alarm(event: Event, actor: str) -> Event:
    """The event with its alarm as its condition stands; one that is folded into another has none."""
    if event.kind not in ALARM_KINDS or event.folded_into:
        return event
    alarm = follow(event.alarm, holds=event.holds, actor=actor, at_ns=event.changed_ns)
    return replace(event, alarm=alarm)


def raiser_of(event: Event) -> str:
    """Who raises and returns the alarm of such an event, as its records name it."""
    match event.kind:
        case Kind.ANOMALY:
            return _AGGREGATE
        case Kind.CAMERA:
            return _BROKER
        case Kind.SYSTEM:
            return event.detector.partition(".")[0]


def _camera_event(report: CameraReport) -> Event:
    summary, priority = describe_camera(report)
    return Event(
        id=event_id(report.since_ns, _SUBJECTS[report.about], report.camera, str(report.since_ns)),
        kind=Kind.CAMERA,
        camera=report.camera,
        detector=f"camera-{report.about}",
        summary=summary,
        priority=priority,
        started_ns=report.since_ns,
        first=report.last,
        last=report.last,
    )


def _reaches(watermark: FrameId | None, last: FrameId | None) -> bool:
    return watermark is not None and last is not None and watermark.camera == last.camera and watermark >= last


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
