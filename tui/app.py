"""The terminal wall as a Textual app: panes, the one drawing tick, what keys do across panes.

What should not be in this module: gRPC beyond the calls that a key asks for; how panes draw.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from textual.app import App, ComposeResult
from textual.containers import Container
from textual.events import Resize

from trueframe.situation import CameraSight, EventSight, Situation
from tui.event_list import EventList
from tui.frame_screen import Fetch, FrameScreen
from tui.help_screen import HelpScreen
from tui.keys import APP_KEYS, bindings
from tui.palette import has_true_colour
from tui.status import AlarmLine, StatusLine
from tui.wall import Wall

TICKS_PER_SECOND = 8
WIDE = 110


class WallApp(App[int]):
    """Shows a situation. `feed`, if given, fills it in the background for as long as the app runs."""

    TITLE = "trueframe"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = bindings(APP_KEYS)
    CSS = """
    Screen { background: #101010; color: #a8a8a8; }
    #panes { layout: horizontal; height: 1fr; }
    #panes EventList { width: 46; height: 1fr; border-left: solid #303030; }
    #panes.narrow { layout: vertical; }
    #panes.narrow EventList { width: 1fr; height: 25%; min-height: 4; border-left: none; border-top: solid #303030; }
    """

    def __init__(
        self,
        situation: Situation,
        fetch: Fetch,
        feed: Callable[[], Awaitable[None]] | None = None,
        want_pictures: Callable[[int, int, tuple[str, ...]], None] = lambda width, height, cameras: None,
        user: str = "",
        duration_s: float | None = None,
        true_colour: bool | None = None,
    ) -> None:
        super().__init__()
        self.situation = situation
        self.ticks = 0
        self.ticks_skipped = 0
        self._fetch = fetch
        self._feed = feed
        self._want_pictures = want_pictures
        self._duration_s = duration_s
        self._true_colour = has_true_colour() if true_colour is None else true_colour
        self.wall = Wall(situation, self._true_colour)
        self.event_list = EventList(situation)
        self.status_line = StatusLine(situation, user)
        self._fed: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        """Alarm line, wall and events, status line."""
        yield AlarmLine(self.situation)
        with Container(id="panes"):
            yield self.wall
            yield self.event_list
        yield self.status_line

    def on_mount(self) -> None:
        """Starts the tick and the feed."""
        self.wall.focus()
        self.set_interval(1 / TICKS_PER_SECOND, self.tick)
        if self._duration_s is not None:
            self.set_timer(self._duration_s, self.leave)
        if self._feed is not None:
            self._fed = asyncio.ensure_future(self._feed())
            self._fed.add_done_callback(self._feed_ended)
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGHUP):
                # The terminal must be put in order again before the process ends.
                loop.add_signal_handler(number, self.leave)

    def _feed_ended(self, fed: asyncio.Task[None]) -> None:
        if not fed.cancelled() and (error := fed.exception()) is not None:
            self._handle_exception(error if isinstance(error, Exception) else RuntimeError(str(error)))

    async def on_unmount(self) -> None:
        """Stops the feed."""
        if self._fed is not None:
            self._fed.cancel()
            await asyncio.gather(self._fed, return_exceptions=True)

    def leave(self) -> None:
        """Ends; the exit code tells whether any camera was ever live."""
        self.exit(0 if self.situation.ever_live else 1)

    def on_resize(self, event: Resize) -> None:
        """Events stand beside the wall where there is room, else below."""
        self.query_one("#panes").set_class(event.size.width < WIDE, "narrow")

    @property
    def _is_writing(self) -> bool:
        """Whether the terminal is still busy with what it was given.

        Textual's writer has a bounded queue and blocks the event loop when that is full: 0.6 s at a time on a slow
        line (FACTS 8). A skipped tick costs an eighth of a second of age, a blocked loop costs keystrokes.
        """
        writer = getattr(self._driver, "_writer_thread", None)
        return writer is not None and writer._queue.qsize() > 0

    def tick(self) -> None:
        """Draws what is new, once."""
        if self._is_writing:
            self.ticks_skipped += 1
            return
        self.ticks += 1
        for line in self.screen.query(AlarmLine):
            line.draw_newest()
        self.wall.draw_newest()
        self.event_list.draw_newest()
        self.status_line.page = self.wall.page_of_pages
        self.status_line.draw_newest()

    def on_wall_pictures_wanted(self, message: Wall.PicturesWanted) -> None:
        """Pictures are scaled where they are decoded, and only those in sight are."""
        self._want_pictures(message.width, message.height, message.cameras)

    def on_event_list_chosen(self, message: EventList.Chosen) -> None:
        """Shows the recorded frame of an event."""
        self.push_screen(FrameScreen(message.event, self.situation, self._fetch, self._true_colour))

    # What tests and the feed may want to know.

    def camera_told(self, now: CameraSight, before: CameraSight | None) -> None:
        """A camera changed its state to an alarm: the terminal's bell is the sound of it."""
        if now.is_alarm and before is not None and not before.is_alarm:
            self.bell()

    def event_told(self, now: EventSight, before: EventSight | None) -> None:
        """An event of a high priority began."""
        if before is None and now.priority <= 2 and not now.ended_ns:
            self.bell()

    # Keys.

    def action_next_pane(self) -> None:
        """From the wall to the events and back."""
        (self.event_list if self.wall.has_focus else self.wall).focus()

    async def action_back(self) -> None:
        """From one large camera to all; from the events to the wall."""
        if not self.wall.leave_zoom():
            self.wall.focus()

    def action_help(self) -> None:
        """Shows the keys."""
        self.push_screen(HelpScreen(self.situation))

    async def action_quit(self) -> None:
        """Ends."""
        self.leave()
