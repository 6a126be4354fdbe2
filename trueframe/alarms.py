"""Events as views know them, and the order in which an operator wants them. Pure.

What should not be in this module: where they come from (`feeds`), how they look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesh.ids import FrameId

# Which alarms come first: those that wait for a human, then those that go on, then what is over.
_RANKS = {"unacknowledged": 0, "returned_unacknowledged": 0, "acknowledged": 1}
LAST_RANK = 2


@dataclass(frozen=True, slots=True)
class BoxSight:
    """A rectangle in fractions of width and height."""

    x: float
    y: float
    width: float
    height: float
    label: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class CommentSight:
    """What somebody wrote. `written_ns` in UTC nanoseconds."""

    author: str
    written_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class EventSight:
    """An event as last told. Times in UTC nanoseconds; `ended_ns` 0 while it goes on.

    `alarm` is where its alarm stands: "unacknowledged", "acknowledged", "returned_unacknowledged" (over, and nobody has
    seen it), "normal" (over and seen), or "none" if it needs no human.
    """

    id: str
    kind: str
    camera: str
    detector: str
    summary: str
    priority: int = 4
    score: float = 0.0
    first: FrameId | None = None
    peak: FrameId | None = None
    last: FrameId | None = None
    started_ns: int = 0
    ended_ns: int = 0
    peak_ns: int = 0
    boxes: tuple[BoxSight, ...] = ()
    version: int = 0
    footage_confirmed: bool = False
    alarm: str = "none"
    acknowledged_by: str = ""
    acknowledged_ns: int = 0
    comments: tuple[CommentSight, ...] = ()
    clip_from_ns: int = 0
    clip_to_ns: int = 0
    is_set_aside: bool = False
    """Shelved, suppressed or out of service: out of the queue."""
    folded_into: str = ""
    """The alarm that it is one more occurrence of."""

    @property
    def waits(self) -> bool:
        """Nobody has acknowledged it yet, and it is in the queue."""
        return self.alarm in ("unacknowledged", "returned_unacknowledged") and not self.is_set_aside

    @property
    def rank(self) -> int:
        """0 waits for a human, 1 was seen and goes on, 2 is over, set aside or no alarm."""
        return LAST_RANK if self.is_set_aside else _RANKS.get(self.alarm, LAST_RANK)


def urgency(event: EventSight) -> tuple[int, int, int, str]:
    """Sorts events for an operator: what waits first, by priority, then newest first."""
    return (event.rank, event.priority if event.rank < LAST_RANK else 0, -event.started_ns, event.id)


def most_urgent(events: Iterable[EventSight]) -> Mapping[str, EventSight]:
    """By camera, the most urgent event that waits or goes on; `events` stand in the order of urgency."""
    found: dict[str, EventSight] = {}
    for event in events:
        if event.rank < LAST_RANK:
            found.setdefault(event.camera, event)
    return found
