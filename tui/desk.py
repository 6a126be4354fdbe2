"""What keys ask of the services: pictures and places in footage, acknowledging, comments, explanations.

`Desk` is what screens see; `ServiceDesk` asks the services. What should not be in this module: Textual, drawing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from mesh.errors import NotFound, Unavailable
from mesh.ids import FrameId
from trueframe.alarms import BoxSight
from trueframe.feeds import Feeds
from trueframe.v1.footage_pb2 import IndexRow
from trueframe.v1.frames_pb2 import Gap, GapReason
from trueframe.v1.inspection_pb2 import FrameExplanation, FrameStanding
from tui.reel import Row

SECOND_NS = 1_000_000_000
# A stretch of so many seconds before a frame is read at once.
BEFORE_S = 5


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A frame as the archive gives it."""

    id: FrameId
    received_ns: int
    png: bytes
    inexact: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """What one inspection says of a frame. `standing`: "fired", "normal", "not scored", "not inspected", "pending"."""

    inspection: str
    standing: str
    sentence: str
    boxes: tuple[BoxSight, ...] = ()


class Desk(Protocol):
    """Each raises errors of `mesh.errors`."""

    async def picture(self, frame: FrameId, width: int) -> RecordedFrame:
        """A recorded frame, at most so wide."""

    async def locate(self, camera: str, received_ns: int) -> Row:
        """The frame that was there at a moment."""

    async def rows_until(self, row: Row) -> list[Row]:
        """Some rows before one, and that one, in recorded order; it alone if it is the oldest."""

    async def rows_from(self, row: Row, count: int) -> list[Row]:
        """A row and at most so many behind it."""

    async def explain(self, row: Row) -> list[Explained]:
        """What each inspection says of a frame."""

    async def acknowledge(self, event_id: str) -> None:
        """A human has seen an alarm."""

    async def comment(self, event_id: str, text: str) -> None:
        """A human writes something to an event."""


def gap_text(gap: Gap) -> str:
    """A gap in words."""
    reason = GapReason.Name(gap.reason).removeprefix("GAP_REASON_").lower().replace("_", " ")
    count = f"{gap.count} frames" if gap.HasField("count") else "an unknown number of frames"
    return f"{count} missing: {reason}"


def explained(message: FrameExplanation) -> Explained:
    """From the wire."""
    return Explained(
        message.inspection,
        FrameStanding.Name(message.standing).removeprefix("FRAME_STANDING_").lower().replace("_", " "),
        message.sentence,
        tuple(BoxSight(b.x, b.y, b.width, b.height, b.label, b.score) for b in message.verdict.boxes),
    )


class _Rows:
    """Takes index rows and gaps in order."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._gap = ""

    def take(self, item: IndexRow | Gap) -> None:
        if isinstance(item, Gap):
            self._gap = gap_text(item)
        else:
            self.rows.append(Row(FrameId.from_proto(item.id), item.received_ns, self._gap))
            self._gap = ""


class ServiceDesk:
    """Asks the services. `feeds` gives their clients, None while the view begins."""

    def __init__(self, feeds: Callable[[], Feeds | None]) -> None:
        self._feeds_now = feeds

    @property
    def _feeds(self) -> Feeds:
        feeds = self._feeds_now()
        if feeds is None:
            raise Unavailable("services", "are not connected yet", "Try again in a moment")
        return feeds

    async def picture(self, frame: FrameId, width: int) -> RecordedFrame:
        """As Desk.picture."""
        answer = await self._feeds.footage.snapshot(frame, max_width=width)
        return RecordedFrame(FrameId.from_proto(answer.frame.id), answer.frame.received_ns, answer.png, answer.inexact)

    async def locate(self, camera: str, received_ns: int) -> Row:
        """As Desk.locate."""
        row = await self._feeds.footage.locate(camera, received_ns)
        return Row(FrameId.from_proto(row.id), row.received_ns)

    async def rows_until(self, row: Row) -> list[Row]:
        """As Desk.rows_until."""
        try:
            # Across a hole of any length: the last frame before.
            earlier = await self.locate(row.id.camera, row.received_ns - 1)
        except NotFound:
            return [row]
        if earlier.id >= row.id:
            return [row]
        found = _Rows()
        start_ns = earlier.received_ns - BEFORE_S * SECOND_NS
        async with aclosing(self._feeds.footage.frames(row.id.camera, start_ns, row.id)) as items:  # type: ignore[type-var]
            async for item in items:
                found.take(item)
        return found.rows

    async def rows_from(self, row: Row, count: int) -> list[Row]:
        """As Desk.rows_from."""
        found = _Rows()
        async with aclosing(self._feeds.footage.frames(row.id.camera, row.id)) as items:  # type: ignore[type-var]
            async for item in items:
                found.take(item)
                if len(found.rows) > count:
                    break
        return found.rows

    async def explain(self, row: Row) -> list[Explained]:
        """As Desk.explain."""
        return [explained(one) for one in await self._feeds.ledger.explain(row.id, received_ns=row.received_ns)]

    async def acknowledge(self, event_id: str) -> None:
        """As Desk.acknowledge; the event as it is then is told at once."""
        self._feeds.event_told(await self._feeds.events.acknowledge(event_id))

    async def comment(self, event_id: str, text: str) -> None:
        """As Desk.comment; the event as it is then is told at once."""
        self._feeds.event_told(await self._feeds.events.comment(event_id, text))
