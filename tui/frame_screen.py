"""The recorded frame of an event, with its box; steps from frame to frame.

What should not be in this module: decoding and drawing (`snapshot`), what events are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from rich.segment import Segment
from textual import work
from textual.app import ComposeResult
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from mesh.errors import NotFound, TrueframeError
from mesh.ids import FrameId
from trueframe.situation import EventSight, Situation
from trueframe.times import show_duration, show_time
from tui.cells import PictureCells
from tui.keys import FRAME_KEYS, bindings
from tui.palette import ALARM_TEXT, BRIGHT, FAINT, GROUND, PLAIN
from tui.snapshot import Pixels, decode_png, draw_boxes, fit_picture
from tui.status import AlarmLine
from tui.strips import ReadyStrip, picture_segments
from tui.tile import Text, fit

SECOND_NS = 1_000_000_000
# A frame of this very moment is on disk two seconds later at the latest.
TRIES, TRY_AGAIN_S = 12, 0.4


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A frame as the archive gives it."""

    id: FrameId
    received_ns: int
    png: bytes
    inexact: bool = False


Fetch = Callable[[FrameId], Awaitable[RecordedFrame]]


def describe(event: EventSight, width: int) -> list[list[Text]]:
    """The lines above the picture."""
    lasted = (event.ended_ns - event.started_ns) / SECOND_NS if event.ended_ns else None
    when = f"{show_time(event.started_ns)}, " + (
        f"lasted {show_duration(lasted)}" if lasted is not None else "going on"
    )
    footage = "footage confirmed on disk" if event.footage_confirmed else "footage not confirmed yet"
    score = f"  score {event.score:.2f}" if event.score else ""
    return [
        [(fit(f" ▲{event.priority} {event.camera or 'system'}  {event.summary}{score}", width), ALARM_TEXT)],
        [(fit(f" {when}  {event.detector}  {footage}", width), PLAIN)],
    ]


class FrameScreen(Screen[None]):
    """One event's frame. What is slow happens in the background; keys work meanwhile."""

    DEFAULT_CSS = "FrameScreen { background: #101010; } FramePicture { width: 1fr; height: 1fr; }"
    BINDINGS = bindings(FRAME_KEYS)

    def __init__(self, event: EventSight, situation: Situation, fetch: Fetch, true_colour: bool = True) -> None:
        super().__init__()
        self.event = event
        self._situation = situation
        self.wanted = event.peak or event.first
        self._fetch = fetch
        self._picture = FramePicture(true_colour)

    def compose(self) -> ComposeResult:
        """The frame; and alarms, which stay in sight."""
        yield AlarmLine(self._situation)
        yield self._picture

    def on_mount(self) -> None:
        """Fetches the frame."""
        self._picture.event = self.event
        if self.wanted is None:
            self._picture.say("this event is about no frame")
        else:
            self.load(self.wanted)

    @work(exclusive=True)
    async def load(self, frame: FrameId) -> None:
        """Fetches, decodes and shows a frame; a newer wish takes the place of an older one."""
        self.wanted = frame
        self._picture.say(f"fetching {frame} …")
        for attempt in range(TRIES):
            try:
                found = await self._fetch(frame)
                pixels = await asyncio.to_thread(decode_png, found.png)
                boxes = self.event.boxes if frame == self.event.peak else ()
                self._picture.show(replace(found, png=b""), pixels, self.event, bool(boxes))
                return
            except NotFound as error:
                self._picture.say(f"{error}" if attempt == TRIES - 1 else f"{frame} is not on disk yet …")
                await asyncio.sleep(TRY_AGAIN_S)
            except (TrueframeError, ValueError) as error:
                self._picture.say(str(error))
                return

    def action_step(self, step: int) -> None:
        """To the frame before or after."""
        if self.wanted is not None and self.wanted.seq + step >= 0:
            self.load(replace(self.wanted, seq=self.wanted.seq + step))

    def action_go(self, which: str) -> None:
        """To the first, peak or last frame of the event."""
        frame = {"first": self.event.first, "peak": self.event.peak, "last": self.event.last}[which]
        if frame is not None:
            self.load(frame)

    def action_close(self) -> None:
        """Back to the wall."""
        self.dismiss(None)


class FramePicture(Widget):
    """Lines about the event, the picture, lines about the frame."""

    HEAD_ROWS, FOOT_ROWS = 2, 2

    def __init__(self, true_colour: bool) -> None:
        super().__init__(id="frame")
        self.event: EventSight | None = None
        self.frame: RecordedFrame | None = None
        self.said = ""
        self._true_colour = true_colour
        self._pixels: Pixels | None = None
        self._has_boxes = False
        self._cells: PictureCells | None = None

    def say(self, text: str) -> None:
        """Tells what is going on, below the picture."""
        self.said = text
        self.refresh()

    def show(self, frame: RecordedFrame, pixels: Pixels, event: EventSight, has_boxes: bool) -> None:
        """Shows a frame."""
        self.frame, self._pixels, self.event, self._has_boxes = frame, pixels, event, has_boxes
        self.said = ""
        self._draw()
        self.refresh()

    def on_resize(self) -> None:
        """Fits the picture again."""
        self._draw()

    def _draw(self) -> None:
        rows = self.size.height - self.HEAD_ROWS - self.FOOT_ROWS
        if self._pixels is None or rows < 1 or self.size.width < 1:
            self._cells = None
            return
        picture = fit_picture(self._pixels, self.size.width, rows * 2)
        if self._has_boxes and self.event is not None:
            picture = draw_boxes(picture, self.event.boxes)
        cells = PictureCells(self.size.width, rows, self._true_colour, GROUND)
        cells.update(picture.tobytes(), picture.shape[1], picture.shape[0])
        self._cells = cells

    def _foot(self, width: int) -> list[list[Text]]:
        first: list[Text] = [(fit(f" {self.said}", width), BRIGHT)]
        if not self.said and self.frame is not None:
            exact = "  not exact: damaged, or follows damage" if self.frame.inexact else ""
            first = [(fit(f" {self.frame.id}  {show_time(self.frame.received_ns)}{exact}", width), BRIGHT)]
        keys = "  ".join(f"{key.shown} {key.words}" for key in FRAME_KEYS)
        return [first, [(fit(f" {keys}", width), FAINT)]]

    def render_line(self, y: int) -> Strip:
        """One line."""
        width, height = self.size
        if y < self.HEAD_ROWS and self.event is not None:
            return Strip([Segment(text, style) for text, style in describe(self.event, width)[y]], width)
        if y >= height - self.FOOT_ROWS:
            line = self._foot(width)[y - (height - self.FOOT_ROWS)]
            return Strip([Segment(text, style) for text, style in line], width)
        row = y - self.HEAD_ROWS
        if self._cells is None or not 0 <= row < self._cells.rows:
            return Strip([Segment(" " * width, PLAIN)], width)
        cells = self._cells
        return ReadyStrip(cells.ansi(row), width, lambda: picture_segments(cells.colours(row)))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines as they are: no style is laid over a picture."""
        return [self.render_line(y).crop(crop.x, crop.right) for y in crop.line_range]
