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
    regions: tuple[str, ...] = ()
    """Names of the regions that it was in."""
    alarm: Alarm = field(default_factory=Alarm)
    clip: Clip | None = None
    folded_into: str = ""
    """The alarm that it is one more occurrence of; it has none of its own then."""
    open_members: tuple[str, ...] = ()
    """Of an alarm: what is folded into it and goes on."""
    members_end_ns: int = 0
    """Of an alarm: the latest end of what is folded into it and over."""
    group: str = ""
    """Of an alarm: the group of cameras that it belongs to."""
    first_out: str = ""
    """Of an alarm: the one that was raised first in its group."""
    flood_scope: str = ""
    """Of the alarm of a flood: the group that is flooded, or "site"."""

    @property
    def shown_priority(self) -> int:
        """1 (highest) to 4, as escalation raised it."""
        return max(self.priority - self.alarm.marks.steps, 1)

    @property
    def holds(self) -> bool:
        """The condition of its alarm holds: it goes on, or something that is folded into it does."""
        return self.ended_ns == 0 or bool(self.open_members)


def event_id(started_ns: int, *parts: str) -> str:
    """An id that sorts by time and is the same whenever the same thing is told again."""
    return f"{started_ns // 1000:014x}{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"
