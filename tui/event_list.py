"""The alarm list: what waits for a human first, marked by shape, word and colour, blinking while it waits.

What should not be in this module: what an alarm is (`trueframe.alarms`), its picture (`frame_screen`), acknowledging it
(`app`).
"""

from __future__ import annotations

import time

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from trueframe.alarms import LAST_RANK, EventSight
from trueframe.situation import Situation
from tui.keys import EVENT_KEYS, bindings
from tui.palette import BRIGHT, FAINT, PAST, PLAIN, SELECTED, alarm_style, alarm_word, is_lit, mark_of
from tui.tile import Text, fit

SECOND_NS = 1_000_000_000
TITLE_ROWS = 1
# Who reads needs so long to see that another alarm has come under the cursor.
SETTLE_S = 0.4


def short_age(age_ns: int) -> str:
    """An age in four cells: " 12s", "  3m", " 22h", "110d"."""
    seconds = max(0, age_ns // SECOND_NS)
    for unit, length in (("s", 60), ("m", 60), ("h", 24)):
        if seconds < length:
            return f"{seconds}{unit}".rjust(4)
        seconds //= length
    return f"{min(seconds, 999)}d".rjust(4)


def event_line(
    event: EventSight, width: int, selected: bool, now_ns: int, camera_width: int = 14, lit: bool = True
) -> list[Text]:
    """One alarm in exactly `width` cells: mark and priority, state, age, camera, what, score."""
    score = f" {event.score:.2f} " if event.score else " "
    head = f" {mark_of(event)} {alarm_word(event):5} "
    age = f"{short_age(now_ns - event.started_ns)} "
    rest_style = SELECTED if selected else BRIGHT if event.waits else PLAIN if event.rank < LAST_RANK else PAST
    room = max(0, width - cell_len(head) - len(age) - len(score))
    camera = fit(event.camera or "system", min(camera_width, room // 2)) + " " if room > 12 else ""
    what = fit(event.summary or event.detector or event.kind, max(0, room - cell_len(camera)))
    head = fit(head, min(width, cell_len(head)))
    return [
        (head, alarm_style(event, lit)),
        (fit(f"{age}{camera}{what}{score}", max(0, width - cell_len(head))), rest_style),
    ]


class EventList(Widget, can_focus=True):
    """The alarms and events of the situation, or of one camera. The cursor stays with its alarm when others come."""

    DEFAULT_CSS = "EventList { background: #101010; }"
    BINDINGS = bindings(EVENT_KEYS)

    class Chosen(Message):
        """The user wants to see this event's frame."""

        def __init__(self, event: EventSight) -> None:
            super().__init__()
            self.event = event

    class AcknowledgeWanted(Message):
        """The user has seen this alarm."""

        def __init__(self, event: EventSight) -> None:
            super().__init__()
            self.event = event

    class CommentWanted(Message):
        """The user wants to write to this event."""

        def __init__(self, event: EventSight) -> None:
            super().__init__()
            self.event = event

    class Refused(Message):
        """A key did nothing, and why."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def __init__(self, situation: Situation) -> None:
        super().__init__(id="events")
        self.situation = situation
        self.camera: str | None = None
        self.selected_id: str | None = None
        self._top = 0
        self._drawn: object = None
        self._lines: dict[int, object] = {}
        # The alarm under the cursor on the screen, and since when, if it came there by itself.
        self._under_cursor: str | None = None
        self._came_at = 0.0

    @property
    def shown(self) -> list[EventSight]:
        """What the list holds, the most urgent first."""
        everything = self.situation.events
        if self.camera is None:
            return everything
        return [event for event in everything if event.camera == self.camera]

    @property
    def selected(self) -> int:
        """Place of the cursor; 0 is the most urgent."""
        if self.selected_id is not None:
            for place, event in enumerate(self.shown):
                if event.id == self.selected_id:
                    return place
        return 0

    @property
    def selected_event(self) -> EventSight | None:
        """The event under the cursor."""
        shown = self.shown
        return shown[self.selected] if shown else None

    def show_camera(self, camera: str | None) -> None:
        """Only this camera's, or all."""
        if camera != self.camera:
            self.camera, self.selected_id = camera, None
            self.draw_newest()

    # Keys.

    def _put_cursor(self, event_id: str | None) -> None:
        self.selected_id = event_id
        event = self.selected_event
        self._under_cursor, self._came_at = event.id if event else None, 0.0
        self.draw_newest()

    def action_move(self, step: int) -> None:
        """Moves the cursor."""
        if shown := self.shown:
            self._put_cursor(shown[max(0, min(len(shown) - 1, self.selected + step))].id)

    def action_first(self) -> None:
        """To the most urgent one, and on with whatever is that."""
        self._put_cursor(None)

    def action_show(self) -> None:
        """Shows the frame of the event under the cursor."""
        if event := self.selected_event:
            self.post_message(self.Chosen(event))

    def action_acknowledge(self) -> None:
        """Acknowledges the alarm under the cursor; the cursor goes on to the next one that waits.

        An alarm that has come under the cursor by itself a moment ago is not acknowledged: nobody has seen it.
        """
        event = self.selected_event
        if event is None:
            self.post_message(self.Refused("there is no alarm"))
        elif event.id != self._under_cursor or time.monotonic() - self._came_at < SETTLE_S:
            self.post_message(self.Refused("another alarm has just come under the cursor: look, and press again"))
        else:
            self.post_message(self.AcknowledgeWanted(event))

    def acknowledging(self, event: EventSight) -> None:
        """This one is being acknowledged: the cursor goes on to the next one that waits, if there is one."""
        shown = self.shown
        place = self.selected
        following = [one for one in (*shown[place + 1 :], *shown[:place]) if one.waits and one.id != event.id]
        if following:
            self._put_cursor(following[0].id)
            # It is there by itself: a key held down must not acknowledge a whole list.
            self._came_at = time.monotonic()

    def action_comment(self) -> None:
        """Writes to the event under the cursor."""
        if event := self.selected_event:
            self.post_message(self.CommentWanted(event))

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on an event, a double click shows its frame."""
        place = self._top + event.y - TITLE_ROWS
        shown = self.shown
        if event.y >= TITLE_ROWS and 0 <= place < len(shown):
            self._put_cursor(shown[place].id)
            if event.chain == 2:
                self.action_show()

    def on_focus(self) -> None:
        """The cursor shows where keys go."""
        self.draw_newest(anew=True)

    def on_blur(self) -> None:
        """The cursor is elsewhere."""
        self.draw_newest(anew=True)

    # Drawing.

    def draw_newest(self, anew: bool = False) -> None:
        """Asks Textual to draw the lines that changed: by news, by their age, or because they blink."""
        rows = max(1, self.size.height - TITLE_ROWS)
        shown, place = self.shown, self.selected
        event = self.selected_event
        if (event.id if event else None) != self._under_cursor:
            self._under_cursor, self._came_at = event.id if event else None, time.monotonic()
        self._top = max(0, min(self._top, len(shown) - rows))
        if place < self._top:
            self._top = place
        elif place >= self._top + rows:
            self._top = place - rows + 1
        now_ns = time.time_ns()
        lit = is_lit(now_ns)
        whole = (id(self.situation.events), self.camera, self._top, place, self.size, self.has_focus)
        lines: dict[int, object] = {
            TITLE_ROWS + y: (one.id, short_age(now_ns - one.started_ns), lit and one.waits)
            for y, one in enumerate(shown[self._top : self._top + rows])
        }
        if anew or whole != self._drawn:
            self.refresh()
        else:
            changed = [y for y, line in lines.items() if self._lines.get(y) != line]
            if changed:
                self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))
        self._drawn, self._lines = whole, lines

    def _camera_width(self) -> int:
        if self.camera is not None:
            return 0
        shown = self.shown[self._top : self._top + self.size.height]
        return max(6, min(14, max((cell_len(event.camera) for event in shown), default=0)))

    def _title(self) -> str:
        shown = self.shown
        waiting = sum(event.waits for event in shown)
        seen = sum(event.rank == 1 for event in shown)
        parts = [f"{waiting} unacknowledged"] if waiting else []
        parts += [f"{seen} seen"] if seen else []
        rest = len(shown) - waiting - seen
        parts += [f"{rest} over"] if rest else []
        name = " ALARMS" if self.camera is None else f" ALARMS OF {self.camera}"
        return f"{name}  {', '.join(parts)}" if parts else name

    def render_line(self, y: int) -> Strip:
        """One line."""
        width = self.size.width
        shown = self.shown
        if y == 0:
            return Strip([Segment(fit(self._title(), width), FAINT)], width)
        place = self._top + y - TITLE_ROWS
        if place >= len(shown):
            text = " none so far" if not shown and y == TITLE_ROWS else ""
            return Strip([Segment(fit(text, width), FAINT)], width)
        now_ns = time.time_ns()
        selected = self.has_focus and place == self.selected
        line = event_line(shown[place], width, selected, now_ns, self._camera_width(), is_lit(now_ns))
        return Strip([Segment(text, style) for text, style in line], width)
