"""From messages of the services to the values that views work with.

What should not be in this module: anything that decides.
"""

from __future__ import annotations

from mesh.ids import FrameId
from trueframe.alarms import BoxSight, CommentSight, EventSight
from trueframe.situation import CameraSight
from trueframe.v1 import cameras_pb2, events_pb2, frames_pb2

_STATES: dict[int, str] = {
    int(number): name.removeprefix("CAMERA_STATE_").lower() for name, number in cameras_pb2.CameraState.items()
}
_CODECS: dict[int, str] = {
    int(number): name.removeprefix("CODEC_").lower() for name, number in frames_pb2.Codec.items()
}
_TRANSPORTS: dict[cameras_pb2.Transport.ValueType, str] = {
    cameras_pb2.TRANSPORT_UNSPECIFIED: "auto",
    cameras_pb2.TRANSPORT_TCP: "tcp",
    cameras_pb2.TRANSPORT_UDP: "udp",
}
_KINDS: dict[int, str] = {
    int(number): name.removeprefix("EVENT_KIND_").lower() for name, number in events_pb2.EventKind.items()
}
_ALARM_STATES: dict[int, str] = {
    int(number): name.removeprefix("ALARM_STATE_").lower() for name, number in events_pb2.AlarmState.items()
}


def camera_state(number: int) -> str:
    """The lower-case name of a state."""
    return _STATES.get(number, f"state {number}")


def codec_name(number: int) -> str:
    """The lower-case name of a codec; "-" for none."""
    return _CODECS.get(number, f"codec {number}") if number else "-"


def transport_name(number: int) -> str:
    """How packets come as people write it: "auto", "tcp" or "udp"."""
    return next((text for known, text in _TRANSPORTS.items() if known == number), f"transport {number}")


def transport_number(name: str) -> cameras_pb2.Transport.ValueType:
    """The inverse of `transport_name`, for names that a command has checked."""
    return {text: number for number, text in _TRANSPORTS.items()}[name]


def event_kind(number: int) -> str:
    """The lower-case name of a kind of event."""
    return _KINDS.get(number, f"kind {number}")


def alarm_state(number: int) -> str:
    """The lower-case name of an alarm's state; "none" for an event that is no alarm."""
    return _ALARM_STATES.get(number, f"state {number}") if number else "none"


def camera_sight(camera: cameras_pb2.Camera, told_ns: int) -> CameraSight:
    """A camera."""
    return CameraSight(
        id=camera.spec.id,
        name=camera.spec.display_name or camera.spec.id,
        state=camera_state(camera.state),
        since_ns=camera.state_since_ns,
        detail=camera.detail,
        width=camera.width,
        height=camera.height,
        frames=camera.frames,
        damaged_frames=camera.damaged_frames,
        network_gaps=camera.network_gaps,
        frame_rate=camera.frame_rate,
        last_received_ns=camera.last_received_ns,
        told_ns=told_ns,
        clock_detail=camera.clock.detail,
    )


def event_sight(event: events_pb2.Event) -> EventSight:
    """An event."""
    return EventSight(
        id=event.id,
        kind=event_kind(event.kind),
        camera=event.camera,
        detector=event.detector,
        summary=event.summary,
        priority=event.priority,
        score=event.score,
        first=FrameId.from_proto(event.first) if event.HasField("first") else None,
        peak=FrameId.from_proto(event.peak) if event.HasField("peak") else None,
        last=FrameId.from_proto(event.last) if event.HasField("last") else None,
        started_ns=event.started_ns,
        ended_ns=event.ended_ns,
        peak_ns=event.peak_ns,
        boxes=tuple(BoxSight(b.x, b.y, b.width, b.height, b.label, b.score) for b in event.boxes),
        version=event.version,
        footage_confirmed=event.footage_confirmed,
        alarm=alarm_state(event.alarm_state),
        acknowledged_by=event.acknowledged_by,
        acknowledged_ns=event.acknowledged_ns,
        comments=tuple(CommentSight(one.author, one.written_ns, one.text) for one in event.comments),
        clip_from_ns=event.clip.from_ns,
        clip_to_ns=event.clip.to_ns,
        is_set_aside=event.set_aside,
        folded_into=event.folded_into,
    )
