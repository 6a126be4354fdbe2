"""The alarm line above and the status line below everything. The texts are pure.

What should not be in this module: asking a service anything.
"""

from __future__ import annotations

import time

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from trueframe.alarms import EventSight
from trueframe.bearer import Bearer
from trueframe.situation import SERVICE_NAMES, Situation
from trueframe.times import show_duration, show_time
from tui.notice import Notice
from tui.palette import ALARM, ALARM_TEXT, BRIGHT, FAINT, PLAIN, alarm_style, is_lit
from tui.tile import Text, fit

SECOND_NS = 1_000_000_000


def alarm_text(situation: Situation, now_ns: int) -> str:
    """What is wrong with trueframe itself; empty if nothing is."""
    down = situation.down
    if not down:
        return ""
    parts = [
        f"{SERVICE_NAMES[link.service]} does not answer ({show_duration((now_ns - link.since_ns) / SECOND_NS)})"
        for link in down
    ]
    return f" ▲ ALARM  {'; '.join(parts)}. What it would show here may be old."


def status_line(
    situation: Situation, bearer: Bearer, now_ns: int, page: tuple[int, int] = (1, 1), notice: str = ""
) -> list[Text]:
    """Cameras, wrong clocks and page if there are any, alarms, lag, link, time, user; or what a key led to."""
    wanted = situation.wanted_cameras
    alarms = sum(camera.is_alarm for camera in wanted)
    wrong = sum(bool(camera.clock_detail) for camera in wanted)
    waiting = situation.waiting_count
    urgent = next((event for event in situation.events if event.waits), None)
    lag = situation.picture_lag_ns()
    asked = [link for link in situation.links.values() if link.is_up is not None]
    if situation.down:
        link = (f"link {len(situation.down)} of {len(situation.links)} DOWN", ALARM_TEXT)
    elif len(asked) < len(situation.links):
        link = ("link connecting", FAINT)
    else:
        link = ("link ok", PLAIN)
    line: list[Text] = [
        (f" {situation.live_count}/{len(wanted)} live", BRIGHT),
        (f"  ▲ {alarms} without picture" if alarms else "", ALARM_TEXT),
        (f"  {wrong} wrong clock{'s' if wrong > 1 else ''}" if wrong else "", BRIGHT),
        (f"  page {page[0]}/{page[1]}" if page[1] > 1 else "", BRIGHT),
        ("  ", PLAIN),
        (f"▲ {waiting} unacknowledged" if urgent else "no alarm waits", _urgent_style(urgent, now_ns)),
    ]
    if notice:
        # In a narrow terminal the figures would leave no room for it.
        line.append((f"  {notice}", BRIGHT))
    else:
        line += [
            (f"  lag {lag / SECOND_NS:.2f} s" if lag is not None else "  lag -", PLAIN),
            ("  ", PLAIN),
            link,
            (f"  {show_time(now_ns, date=False)[:8]} {show_time(now_ns)[-6:]}", BRIGHT),
        ]
        role = f" ({bearer.role})" if bearer.role == "viewer" else ""
        line += [(f"  {bearer.name}{role}", FAINT), ("  ? help  q quit", FAINT)]
    return [part for part in line if part[0]]


def _urgent_style(urgent: EventSight | None, now_ns: int) -> Style:
    return alarm_style(urgent, is_lit(now_ns)) if urgent is not None else PLAIN


class AlarmLine(Widget):
    """One line, only there while something is wrong."""

    DEFAULT_CSS = "AlarmLine { height: 1; dock: top; display: none; }"

    def __init__(self, situation: Situation) -> None:
        super().__init__(id="alarm")
        self.situation = situation
        self._text = ""

    def draw_newest(self) -> None:
        """Shows or hides itself."""
        text = alarm_text(self.situation, time.time_ns())
        if text != self._text:
            if bool(text) != bool(self._text):
                self.display = bool(text)
            self._text = text
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line."""
        return Strip([Segment(fit(self._text, self.size.width), ALARM)], self.size.width)


class StatusLine(Widget):
    """One line, always there."""

    DEFAULT_CSS = "StatusLine { height: 1; dock: bottom; background: #101010; }"

    def __init__(self, situation: Situation, bearer: Bearer, notice: Notice) -> None:
        super().__init__(id="status")
        self.situation = situation
        self.bearer = bearer
        self.notice = notice
        self.page = (1, 1)
        self._line: list[Text] = []

    def draw_newest(self) -> None:
        """Draws it if it changed."""
        line = status_line(self.situation, self.bearer, time.time_ns(), self.page, self.notice.text)
        if line != self._line:
            self._line = line
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line."""
        width = self.size.width
        strip = Strip([Segment(text, style) for text, style in self._line])
        return strip.adjust_cell_length(width, PLAIN)
