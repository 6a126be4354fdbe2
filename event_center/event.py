"""What an event is, inside the event center. As a JSON document it is in `documents.py`, on the wire in `wire.py`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from event_center.alarm import Alarm
from mesh.ids import FrameId


class Kind(StrEnum):
    """What kind of thing happened."""

    ANOMALY = "anomaly"
    CAMERA = "camera"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in fractions of the picture."""

    x: float
    y: float
    width: float
    height: float
    label: str
    score: float
    track: int = 0
    """The thing that it shows, followed from frame to frame; 0 if it is not followed."""
    said: str = ""
    """What stands out about it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Footage that the media center holds for an event. Times in UTC nanoseconds."""

    from_ns: int
    to_ns: int
    is_confirmed: bool
    """All of it that was recorded is on disk."""
    version: int
    """Of the media center's hold; older or equal ones are repetitions."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, from its beginning to its end. Times in UTC nanoseconds, 0 where there is none."""

    id: str
    kind: Kind
    camera: str
    detector: str
    summary: str
    priority: int
    started_ns: int
    ended_ns: int = 0
    score: float = 0.0
    first: FrameId | None = None
    peak: FrameId | None = None
    last: FrameId | None = None
    peak_ns: int = 0
    boxes: tuple[Box, ...] = ()
    version: int = 1
    changed_ns: int = 0
    is_confirmed: bool = False
    """All footage from first to last is on disk."""
    source_version: int = 0
    """Version of what was folded into it last; older or equal ones are repetitions."""
    inspection: str = ""
    """The inspection that raised it."""
    alarm: Alarm = field(default_factory=Alarm)
    clip: Clip | None = None


def event_id(started_ns: int, *parts: str) -> str:
    """An id that sorts by time and is the same whenever the same thing is told again."""
    return f"{started_ns // 1000:014x}{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"
