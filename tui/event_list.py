"""The list of events, newest first: marked by shape, word and colour.

What should not be in this module: what an event is (`trueframe.situation`), its picture (`frame_screen`).
"""

from __future__ import annotations

from datetime import datetime

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from trueframe.situation import EventSight, Situation
from tui.keys import EVENT_KEYS, bindings
from tui.palette import ALARM_TEXT, BRIGHT, FAINT, KINDS, PAST, PLAIN, SELECTED
from tui.tile import Text, fit

SECOND_NS = 1_000_000_000
TITLE_ROWS = 1


def clock(utc_ns: int) -> str:
    """Local time of day; the zone stands in the status line."""
    return f"{datetime.fromtimestamp(utc_ns // SECOND_NS).astimezone():%H:%M:%S}"


def event_line(event: EventSight, width: int, selected: bool, camera_width: int = 14) -> list[Text]:
    """One event in exactly `width` cells: mark and priority, time, camera, what, score."""
    is_over = bool(event.ended_ns)
    mark = KINDS.get(event.kind, "◆")
    mark = {"▲": "△", "■": "□", "◆": "◇"}.get(mark, mark) if is_over else mark
    style = SELECTED if selected else PAST if is_over else ALARM_TEXT if event.priority <= 2 else BRIGHT
    score = f" {event.score:.2f} " if event.score else " "
    head = f" {mark}{event.priority} {clock(event.started_ns)} "
    room = max(0, width - len(head) - len(score))
    camera = fit(event.camera or "system", min(camera_width, room // 2)) + " " if room > 12 else ""
    what = fit(event.summary or event.detector or event.kind, max(0, room - len(camera)))
    rest = SELECTED if selected else PAST if is_over else PLAIN
    return [(fit(head, min(width, len(head))), style), (fit(f"{camera}{what}{score}", max(0, width - len(head))), rest)]


class EventList(Widget, can_focus=True):
    """The events of the situation. The cursor stays with its event when newer ones come."""

    DEFAULT_CSS = "EventList { background: #101010; }"
    BINDINGS = bindings(EVENT_KEYS)

    class Chosen(Message):
        """The user wants to see this event's frame."""

        def __init__(self, event: EventSight) -> None:
            super().__init__()
            self.event = event

    def __init__(self, situation: Situation) -> None:
        super().__init__(id="events")
        self.situation = situation
        self.selected_id: str | None = None
        self._top = 0
        self._drawn: object = None

    @property
    def selected(self) -> int:
        """Place of the cursor; 0 is the newest event."""
        if self.selected_id is not None:
            for place, event in enumerate(self.situation.events):
                if event.id == self.selected_id:
                    return place
        return 0

    @property
    def selected_event(self) -> EventSight | None:
        """The event under the cursor."""
        events_ = self.situation.events
        return events_[self.selected] if events_ else None

    def action_move(self, step: int) -> None:
        """Moves the cursor."""
        events_ = self.situation.events
        if events_:
            place = max(0, min(len(events_) - 1, self.selected + step))
            self.selected_id = events_[place].id
            self.draw_newest()

    def action_newest(self) -> None:
        """To the newest event, and on with the next ones."""
        self.selected_id = None
        self.draw_newest()

    def action_show(self) -> None:
        """Shows the frame of the event under the cursor."""
        if event := self.selected_event:
            self.post_message(self.Chosen(event))

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on an event, a double click shows its frame."""
        place = self._top + event.y - TITLE_ROWS
        if event.y >= TITLE_ROWS and 0 <= place < len(self.situation.events):
            self.selected_id = self.situation.events[place].id
            if event.chain == 2:
                self.action_show()
            self.draw_newest()

    def on_focus(self) -> None:
        """The cursor shows where keys go."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor is elsewhere."""
        self.refresh()

    def draw_newest(self) -> None:
        """Asks Textual to draw if anything changed."""
        rows = max(1, self.size.height - TITLE_ROWS)
        place = self.selected
        self._top = max(0, min(self._top, len(self.situation.events) - rows))
        if place < self._top:
            self._top = place
        elif place >= self._top + rows:
            self._top = place - rows + 1
        now = (id(self.situation.events), self._top, place, self.size)
        if now != self._drawn:
            self._drawn = now
            self.refresh()

    def _camera_width(self) -> int:
        shown = self.situation.events[self._top : self._top + self.size.height]
        return max(6, min(14, max((cell_len(event.camera) for event in shown), default=0)))

    def render_line(self, y: int) -> Strip:
        """One line."""
        width = self.size.width
        events_ = self.situation.events
        if y == 0:
            ongoing = sum(1 for event in events_ if not event.ended_ns)
            text = f" EVENTS {len(events_)}, {ongoing} going on" if events_ else " EVENTS"
            return Strip([Segment(fit(text, width), FAINT)], width)
        place = self._top + y - TITLE_ROWS
        if place >= len(events_):
            text = " none so far" if not events_ and y == TITLE_ROWS else ""
            return Strip([Segment(fit(text, width), FAINT)], width)
        line = event_line(events_[place], width, self.has_focus and place == self.selected, self._camera_width())
        return Strip([Segment(text, style) for text, style in line], width)
