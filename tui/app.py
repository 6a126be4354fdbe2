"""The terminal wall as a Textual app: panes, the one drawing tick, what keys do across panes.

What should not be in this module: gRPC beyond the calls that a key asks for; how panes draw.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine

from textual.app import App, ComposeResult
from textual.containers import Container
from textual.events import Resize

from mesh.errors import TrueframeError
from trueframe.alarms import EventSight
from trueframe.bearer import Bearer
from trueframe.situation import CameraSight, Situation
from tui.comment_screen import CommentScreen
from tui.desk import Desk
from tui.event_list import EventList
from tui.frame_screen import FrameScreen, Place
from tui.help_screen import HelpScreen
from tui.keys import ACKNOWLEDGE_KEY, APP_KEYS, COMMENT_KEY, bindings
from tui.notice import Notice
from tui.palette import has_true_colour
from tui.pictures import Pictures
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
    #panes.focused { layout: vertical; }
    #panes.focused EventList { width: 1fr; height: 6; min-height: 3; border-left: none; border-top: solid #303030; }
    """

    def __init__(
        self,
        situation: Situation,
        desk: Desk,
        feed: Callable[[], Awaitable[None]] | None = None,
        want_pictures: Callable[[int, int, tuple[str, ...]], None] = lambda width, height, cameras: None,
        bearer: Bearer | None = None,
        duration_s: float | None = None,
        true_colour: bool | None = None,
    ) -> None:
        super().__init__()
        self.situation = situation
        self.ticks = 0
        self.ticks_skipped = 0
        self.bearer = bearer or Bearer()
        self.notice = Notice()
        self.pictures = Pictures(desk)
        self._desk = desk
        self._feed = feed
        self._want_pictures = want_pictures
        self._duration_s = duration_s
        self._true_colour = has_true_colour() if true_colour is None else true_colour
        self.wall = Wall(situation, self._true_colour)
        self.event_list = EventList(situation)
        self.status_line = StatusLine(situation, self.bearer, self.notice)
        self._fed: asyncio.Task[None] | None = None
        # What keys set going: kept, so that it is not collected, and ended with the app.
        self._asked: set[asyncio.Task[None]] = set()

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
        self._ask(self.pictures.run())
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
        """Stops the feed and what keys set going."""
        tasks = [*self._asked, *([self._fed] if self._fed is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, what: Coroutine[object, object, None]) -> None:
        """Does something in the background; no key waits for it."""
        task = asyncio.ensure_future(what)
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

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
        self.status_line.page = self.wall.page_of_pages
        for line in self.screen.query(AlarmLine):
            line.draw_newest()
        for status in self.screen.query(StatusLine):
            status.draw_newest()
        if isinstance(self.screen, FrameScreen):
            self.screen.draw_newest()
            return
        self.wall.draw_newest()
        self.event_list.draw_newest()

    def on_wall_pictures_wanted(self, message: Wall.PicturesWanted) -> None:
        """Pictures are scaled where they are decoded, and only those in sight are."""
        self._want_pictures(message.width, message.height, message.cameras)

    def on_wall_focused(self, message: Wall.Focused) -> None:
        """One camera alone: the picture takes the width, its alarms stand below."""
        self.query_one("#panes").set_class(message.camera is not None, "focused")
        self.event_list.show_camera(message.camera)
        self.wall.focus()

    def on_wall_recorded_wanted(self, message: Wall.RecordedWanted) -> None:
        """Shows recorded frames of a camera, as if somebody had pressed the key when it was live."""
        at_ns = time.time_ns() - message.seconds_ago * 1_000_000_000
        self._show_frames(Place(message.camera, at_ns=at_ns), None)

    def on_event_list_chosen(self, message: EventList.Chosen) -> None:
        """Shows the recorded frame of an event; of one that is about no frame, what was recorded when it began."""
        event = message.event
        frame = event.peak or event.first
        if frame is None and not event.camera:
            self.notice.say(f"{event.summary}: no frame belongs to it")
            return
        self._show_frames(Place(event.camera, frame, event.started_ns), event)

    def _show_frames(self, place: Place, event: EventSight | None) -> None:
        self.push_screen(
            FrameScreen(
                place,
                event,
                self.situation,
                self._desk,
                self.pictures,
                self.bearer,
                self.notice,
                self._true_colour,
            )
        )

    def on_frame_screen_live_wanted(self, message: FrameScreen.LiveWanted) -> None:
        """Back to live: the camera alone."""
        if isinstance(self.screen, FrameScreen):
            self.pop_screen()
        self.wall.focus_camera(message.camera)
        self.wall.focus()

    # What is done to alarms.

    def on_event_list_acknowledge_wanted(self, message: EventList.AcknowledgeWanted) -> None:
        """Acknowledges the alarm under the cursor, which goes on to the next one."""
        if self._acknowledge(message.event):
            self.event_list.acknowledging(message.event)

    def on_frame_screen_acknowledge_wanted(self, message: FrameScreen.AcknowledgeWanted) -> None:
        """Acknowledges the alarm whose frame is shown."""
        self._acknowledge(message.event)

    def on_event_list_comment_wanted(self, message: EventList.CommentWanted) -> None:
        """Asks for a comment on the event under the cursor."""
        self._comment(message.event)

    def on_frame_screen_comment_wanted(self, message: FrameScreen.CommentWanted) -> None:
        """Asks for a comment on the event whose frame is shown."""
        self._comment(message.event)

    def on_wall_refused(self, message: Wall.Refused) -> None:
        """Says why a key did nothing."""
        self.notice.say(message.why)

    def on_event_list_refused(self, message: EventList.Refused) -> None:
        """Says why a key did nothing."""
        self.notice.say(message.why)

    def _acknowledge(self, event: EventSight | None) -> bool:
        """Whether it is being acknowledged; says why not otherwise."""
        if why := ACKNOWLEDGE_KEY.why_not(self.bearer):
            self.notice.say(f"a: {why}")
        elif event is None:
            self.notice.say("a: no alarm belongs to this frame")
        elif event.folded_into:
            self.notice.say("a: one more occurrence of an alarm further up; acknowledge that one")
        elif not event.waits:
            by = f", {event.acknowledged_by} did" if event.acknowledged_by else ""
            self.notice.say(f"a: this one does not wait for anybody{by}")
        else:
            self.notice.say(f"acknowledging: {event.summary} …")
            self._ask(self._tell("acknowledged", event, self._desk.acknowledge(event.id)))
            return True
        return False

    def _comment(self, event: EventSight | None) -> None:
        if why := COMMENT_KEY.why_not(self.bearer):
            self.notice.say(f"c: {why}")
        elif event is None:
            self.notice.say("c: no alarm belongs to this frame")
        else:

            def written(text: str | None) -> None:
                if text:
                    self._ask(self._tell("comment kept", event, self._desk.comment(event.id, text)))

            self.push_screen(CommentScreen(event, self.situation), written)

    async def _tell(self, done: str, event: EventSight, deed: Awaitable[None]) -> None:
        try:
            await deed
        except TrueframeError as error:
            self.notice.say(f"not {done}: {error}")
        else:
            self.notice.say(f"{done}: {event.summary}")

    # What tests and the feed may want to know.

    def camera_told(self, now: CameraSight, before: CameraSight | None) -> None:
        """A camera changed its state to an alarm: the terminal's bell is the sound of it."""
        if now.is_alarm and before is not None and not before.is_alarm:
            self.bell()

    def event_told(self, now: EventSight, before: EventSight | None) -> None:
        """An alarm of a high priority began, or came again."""
        if now.priority <= 2 and now.alarm == "unacknowledged" and now.waits and (before is None or not before.waits):
            self.bell()

    # Keys.

    def action_next_pane(self) -> None:
        """From the wall to the alarms and back."""
        (self.event_list if self.wall.has_focus else self.wall).focus()

    async def action_back(self) -> None:
        """From one large camera to all; from the events to the wall."""
        if not self.wall.leave_zoom():
            self.wall.focus()

    def action_help(self) -> None:
        """Shows the keys."""
        self.push_screen(HelpScreen(self.situation, self.bearer))

    async def action_quit(self) -> None:
        """Ends."""
        self.leave()
