"""What an event is, inside the event center, and as a JSON document. The wire's form is in `wire.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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


def event_id(started_ns: int, *parts: str) -> str:
    """An id that sorts by time and is the same whenever the same thing is told again."""
    return f"{started_ns // 1000:014x}{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"


def to_document(event: Event) -> dict[str, Any]:
    """The event as a JSON object."""
    return {
        "kind": event.kind.value,
        "camera": event.camera,
        "detector": event.detector,
        "summary": event.summary,
        "priority": event.priority,
        "started_ns": event.started_ns,
        "ended_ns": event.ended_ns,
        "score": event.score,
        "first": _text(event.first),
        "peak": _text(event.peak),
        "last": _text(event.last),
        "peak_ns": event.peak_ns,
        "boxes": [[b.x, b.y, b.width, b.height, b.label, b.score] for b in event.boxes],
        "version": event.version,
        "changed_ns": event.changed_ns,
        "is_confirmed": event.is_confirmed,
        "source_version": event.source_version,
    }


def from_document(id: str, document: Mapping[str, Any]) -> Event:  # noqa: A002
    """The inverse of `to_document`."""
    plain = {key: document[key] for key in _PLAIN}
    return Event(
        id=id,
        kind=Kind(document["kind"]),
        first=_frame(document["first"]),
        peak=_frame(document["peak"]),
        last=_frame(document["last"]),
        boxes=tuple(Box(*box) for box in document["boxes"]),
        **plain,
    )


_PLAIN = (
    "camera", "detector", "summary", "priority", "started_ns", "ended_ns", "score", "peak_ns", "version", "changed_ns",
    "is_confirmed", "source_version",
)  # fmt: skip


def _text(frame: FrameId | None) -> str | None:
    return str(frame) if frame else None


def _frame(text: str | None) -> FrameId | None:
    return FrameId.parse(text) if text else None
