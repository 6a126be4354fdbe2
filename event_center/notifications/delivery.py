"""One message on its way to one channel: what it says, and how far it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from event_center.event import Event
from event_center.notifications.rules import Occasion
from event_center.states import State


class Progress(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"
    SENT = "sent"
    """The other side has taken it."""
    REFUSED = "refused"
    """The other side does not want it, and never will."""
    GIVEN_UP = "given_up"
    """It could not be delivered in all the time that it had."""
    SUPERSEDED = "superseded"
    """While the channel did not work, a newer message of the same alarm took its place."""
    DROPPED = "dropped"
    """Too many waited."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is said: of an alarm as it was when it was decided, or a digest. Times in UTC nanoseconds."""

    occasion: str
    """raise, escalate, return, unacknowledged; digest; test."""
    summary: str
    event: str = ""
    version: int = 0
    priority: int = 0
    camera: str = ""
    group: str = ""
    kind: str = ""
    detector: str = ""
    regions: tuple[str, ...] = ()
    state: str = ""
    started_ns: int = 0
    ended_ns: int = 0
    at_ns: int = 0
    """When what is told happened."""
    score: float = 0.0
    frame: str = ""
    """The frame that the still shows."""
    boxes: tuple[tuple[float, float, float, float, str, float], ...] = ()
    count: int = 0
    """Of a digest: how many alarms."""
    lines: tuple[str, ...] = ()
    """Of a digest: one each."""

    @property
    def title(self) -> str:
        """One line for a human."""
        word = _WORDS.get(self.occasion, "")
        return f"{word}: {self.summary}" if word else self.summary


_WORDS = {
    Occasion.RAISE.value: "Alarm",
    Occasion.ESCALATE.value: "Alarm escalated",
    Occasion.RETURN.value: "Over",
    Occasion.UNACKNOWLEDGED.value: "Nobody has acknowledged",
    "test": "Test",
}
MAX_BOXES = 50


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to a channel. `id` is stable: the same thing told again has the same."""

    id: str
    channel: str
    rule: str
    content: Content
    made_ns: int
    progress: Progress = Progress.PENDING
    attempts: int = 0
    reason: str = ""
    """Why the last attempt failed, or what was left out."""
    done_ns: int = 0


def content_of(event: Event, occasion: Occasion, at_ns: int) -> Content:
    """What is said of an alarm."""
    frame = event.peak or event.first or event.last
    return Content(
        occasion=occasion.value,
        summary=event.summary,
        event=event.id,
        version=event.version,
        priority=event.shown_priority,
        camera=event.camera,
        group=event.group,
        kind=event.kind.value,
        detector=event.detector,
        regions=event.regions,
        state=State(event.alarm.state).value,
        started_ns=event.started_ns,
        ended_ns=event.ended_ns,
        at_ns=at_ns,
        score=event.score,
        frame=str(frame) if frame else "",
        boxes=tuple((b.x, b.y, b.width, b.height, b.label, b.score) for b in event.boxes[:MAX_BOXES]),
    )


def to_document(delivery: Delivery) -> dict[str, Any]:
    """The delivery as a JSON object."""
    body = asdict(delivery)
    del body["id"]
    body["progress"] = delivery.progress.value
    body["camera"] = delivery.content.camera
    return {"format": 1, **body}


def from_document(id: str, body: Mapping[str, Any]) -> Delivery:  # noqa: A002
    """The inverse of `to_document`."""
    content = dict(body["content"])
    content |= {
        "regions": tuple(content["regions"]), "lines": tuple(content["lines"]),
        "boxes": tuple(tuple(box) for box in content["boxes"]),
    }  # fmt: skip
    return Delivery(
        id=id, channel=body["channel"], rule=body["rule"], content=Content(**content), made_ns=body["made_ns"],
        progress=Progress(body["progress"]), attempts=body["attempts"], reason=body["reason"], done_ns=body["done_ns"],
    )  # fmt: skip
