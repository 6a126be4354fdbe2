"""What a view knows of a running instance: cameras, pictures, events, services. Pure: observations in, figures out.

Shared by the terminal wall and the headless printer. What should not be in this module: gRPC (`feeds`), drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from mesh.ids import FrameId
from trueframe.alarms import EventSight, most_urgent, urgency

MOST_EVENTS = 1000
SERVICES = ("broker", "pixels", "media_center", "event_center", "aggregate")
SERVICE_NAMES = {
    "broker": "broker",
    "pixels": "pixel host",
    "media_center": "media center",
    "event_center": "event center",
    "aggregate": "aggregate",
}


@dataclass(frozen=True, slots=True)
class CameraSight:
    """A camera as last told. `state` is the lower-case name: "live", "lost" and so on. Times in UTC nanoseconds."""

    id: str
    name: str
    state: str
    since_ns: int = 0
    detail: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    damaged_frames: int = 0
    network_gaps: int = 0
    frame_rate: float = 0.0
    last_received_ns: int = 0
    told_ns: int = 0
    clock_detail: str = ""
    """What is wrong with its own clock; empty while it is good."""

    @property
    def is_live(self) -> bool:
        """Frames arrive."""
        return self.state == "live"

    @property
    def is_alarm(self) -> bool:
        """It should give a picture and gives none."""
        return self.state in ("silent", "frozen", "refused", "unauthorised", "lost")


@dataclass(frozen=True, slots=True)
class Picture:
    """The newest small picture of a camera: three bytes R, G, B a pixel. `arrived_ns`: UTC, when this view got it."""

    id: FrameId
    received_ns: int
    width: int
    height: int
    rgb: bytes = field(repr=False)
    inexact: bool = False
    arrived_ns: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """Whether a service answers. `is_up` is None until it was asked for the first time."""

    service: str
    is_up: bool | None = None
    since_ns: int = 0
    detail: str = ""


class Situation:
    """The latest of everything. Holds one picture a camera and at most MOST_EVENTS events; older ones are let go."""

    def __init__(self, began_ns: int | None = None) -> None:
        """Recorded frames are counted from `began_ns` on, the instance's start; None counts what this view sees."""
        self._began_ns = began_ns
        self.cameras: dict[str, CameraSight] = {}
        self.pictures: dict[str, Picture] = {}
        self.links: dict[str, Link] = {service: Link(service) for service in SERVICES}
        self.recorded_frames = 0
        self.recorded_when_listed = 0
        self.events_let_go = 0
        self.pictures_replaced = 0
        self._drawn: set[str] = set()
        self._events: dict[str, EventSight] = {}
        self._by_urgency: list[EventSight] | None = None
        self._urgent: Mapping[str, EventSight] = {}
        self._watermarks: dict[str, FrameId] = {}
        self._was_live: set[str] = set()

    # What comes in.

    def camera_told(self, camera: CameraSight) -> CameraSight | None:
        """A camera is so; returns how it was before."""
        before = self.cameras.get(camera.id)
        self.cameras[camera.id] = camera
        if camera.is_live:
            self._was_live.add(camera.id)
        return before

    def cameras_listed(self) -> None:
        """All cameras were told with their figures of one moment; what was recorded by then belongs to these."""
        self.recorded_when_listed = self.recorded_frames

    def camera_removed(self, camera: str) -> None:
        """A camera is no more."""
        self.cameras.pop(camera, None)
        self.pictures.pop(camera, None)
        self._watermarks.pop(camera, None)

    def picture_arrived(self, picture: Picture) -> None:
        """A newer picture takes the place of the older one, drawn or not."""
        camera = picture.id.camera
        if camera in self.pictures and camera not in self._drawn:
            self.pictures_replaced += 1
        self._drawn.discard(camera)
        self.pictures[camera] = picture

    def picture_drawn(self, camera: str) -> None:
        """The newest picture of a camera is on the screen."""
        self._drawn.add(camera)

    def event_told(self, event: EventSight) -> EventSight | None:
        """An event is so; returns the version known before, or the same event if it is no news."""
        before = self._events.get(event.id)
        if before is not None and before.version >= event.version:
            return before
        self._events[event.id] = event
        self._by_urgency = None
        if len(self._events) > MOST_EVENTS:
            # What waits for somebody stands first and is let go last.
            for old in self.events[MOST_EVENTS:]:
                del self._events[old.id]
                self.events_let_go += 1
            self._by_urgency = None
        return before

    def link_told(self, service: str, is_up: bool, now_ns: int, detail: str = "") -> bool:
        """A service answers or not; returns whether that is news."""
        before = self.links[service]
        if before.is_up == is_up:
            return False
        self.links[service] = Link(service, is_up, now_ns, detail)
        return True

    def persisted(self, watermarks: Iterable[FrameId]) -> None:
        """Footage is on disk up to these frames."""
        for mark in watermarks:
            before = self._watermarks.get(mark.camera)
            self._watermarks[mark.camera] = mark
            if before is None:
                # An epoch is named by the time at which it opened. What was recorded before is not counted.
                if self._began_ns is not None and mark.epoch >= self._began_ns:
                    self.recorded_frames += mark.seq + 1
                continue
            self.recorded_frames += mark.seq - before.seq if mark.epoch == before.epoch else mark.seq + 1

    # What comes out.

    @property
    def events(self) -> list[EventSight]:
        """Those that wait for a human first, by priority; then those that go on; newest first among equals."""
        if self._by_urgency is None:
            self._by_urgency = sorted(self._events.values(), key=urgency)
            self._urgent = most_urgent(self._by_urgency)
        return self._by_urgency

    def alarm_of(self, camera: str) -> EventSight | None:
        """The most urgent alarm of a camera that waits or goes on."""
        return self._urgent.get(camera) if self.events else None

    @property
    def waiting_count(self) -> int:
        """How many alarms nobody has acknowledged."""
        return sum(event.waits for event in self.events)

    def event(self, event_id: str) -> EventSight | None:
        """One event."""
        return self._events.get(event_id)

    @property
    def wanted_cameras(self) -> list[CameraSight]:
        """All cameras that nobody switched off, by id."""
        return [self.cameras[camera] for camera in sorted(self.cameras) if self.cameras[camera].state != "disabled"]

    @property
    def live_count(self) -> int:
        """How many cameras are live."""
        return sum(camera.is_live for camera in self.cameras.values())

    @property
    def ever_live(self) -> int:
        """How many cameras have been live since this view began."""
        return len(self._was_live)

    @property
    def down(self) -> list[Link]:
        """Services that do not answer: each is an alarm."""
        return [link for link in self.links.values() if link.is_up is False]

    def watermark(self, camera: str) -> FrameId | None:
        """The last frame of a camera that is confirmed on disk."""
        return self._watermarks.get(camera)

    def is_recorded(self, frame: FrameId) -> bool:
        """Whether a frame lies at or before its camera's watermark."""
        mark = self._watermarks.get(frame.camera)
        return mark is not None and frame <= mark

    def picture_lag_ns(self) -> int | None:
        """Median time from the arrival of a frame at the broker to its picture here; None without live pictures."""
        lags = [
            max(0, picture.arrived_ns - picture.received_ns)
            for camera, picture in self.pictures.items()
            if picture.arrived_ns and (sight := self.cameras.get(camera)) and sight.is_live
        ]
        return round(median(lags)) if lags else None

    def frame_age_ns(self) -> int | None:
        """Age of the newest frame, when it was told, of the live camera that is furthest behind; None without one."""
        ages = [c.told_ns - c.last_received_ns for c in self.cameras.values() if c.is_live and c.last_received_ns]
        return max(0, *ages) if ages else None
