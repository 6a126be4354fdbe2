"""One recorded frame on the screen: lines about the alarm above, the picture, lines about the frame below.

What should not be in this module: what is shown next (`frame_screen`), fetching.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from trueframe.alarms import BoxSight, EventSight
from trueframe.bearer import Bearer
from trueframe.times import show_duration, show_time
from tui.cells import PictureCells
from tui.desk import Explained
from tui.event_list import short_age
from tui.keys import FRAME_HINTS, FRAME_KEYS
from tui.palette import ALARM_TEXT, BRIGHT, DIMMED, FAINT, GROUND, PLAIN, alarm_style, alarm_word, mark_of
from tui.pictures import Shot
from tui.snapshot import draw_boxes, fit_picture
from tui.strips import ReadyStrip, picture_segments
from tui.tile import Text, fit

SECOND_NS = 1_000_000_000
MOST_COMMENTS = 3
MOST_EXPLAINED = 6

Line = list[Text]


def describe(event: EventSight, width: int, lit: bool) -> list[Line]:
    """The lines about an alarm: what it is, where it stands, when it was, what people wrote."""
    state = alarm_word(event)
    head = fit(f" {mark_of(event)} {state} ", min(width, 12))
    score = f"  score {event.score:.2f}" if event.score else ""
    what = f" {event.camera or 'system'}  {event.summary}{score}"
    lasted = (event.ended_ns - event.started_ns) / SECOND_NS if event.ended_ns else None
    parts = [
        show_time(event.started_ns),
        f"lasted {show_duration(lasted)}" if lasted is not None else "going on",
        event.detector,
        "footage confirmed on disk" if event.footage_confirmed else "footage not confirmed yet",
    ]
    if event.clip_from_ns:
        parts.append(f"clip kept: {show_time(event.clip_from_ns)[11:19]} to {show_time(event.clip_to_ns)[11:19]}")
    if event.acknowledged_by:
        parts.append(f"acknowledged by {event.acknowledged_by} at {show_time(event.acknowledged_ns)[11:19]}")
    lines: list[Line] = [
        [(head, alarm_style(event, lit)), (fit(what, max(0, width - cell_len(head))), BRIGHT)],
        [(fit(" " + "  ".join(part for part in parts if part), width), PLAIN)],
    ]
    hidden = len(event.comments) - MOST_COMMENTS
    for number, comment in enumerate(event.comments[-MOST_COMMENTS:]):
        more = f"({hidden} more before) " if hidden > 0 and number == 0 else ""
        text = " ".join(comment.text.split())
        lines.append([(fit(f" {show_time(comment.written_ns)[11:19]} {comment.author}: {more}{text}", width), PLAIN)])
    return lines


def explanation_lines(explanations: Sequence[Explained], width: int) -> list[Line]:
    """What inspections say, wrapped; what fired stands out by word and colour."""
    lines: list[Line] = []
    for one in explanations:
        fired = one.standing == "fired"
        text = f"{'▲' if fired else '·'} {one.inspection}  {one.standing.upper()}  {one.sentence}"
        wrapped = textwrap.wrap(text, max(20, width - 4), subsequent_indent="    ") or [""]
        lines += [[(fit(f" {part}", width), ALARM_TEXT if fired else PLAIN)] for part in wrapped]
    return lines[:MOST_EXPLAINED]


def hints(bearer: Bearer) -> Line:
    """The keys of the screen; those that this bearer cannot use are dimmed and say why."""
    by_id = {key.id: key for key in FRAME_KEYS}
    line: Line = [(" ", FAINT)]
    for key_id, word in FRAME_HINTS:
        key = by_id[key_id]
        why = key.why_not(bearer)
        if why:
            line.append((f"{key.shown} {word}: {why}  ", DIMMED))
        else:
            line += [(f"{key.shown} ", BRIGHT), (f"{word}  ", FAINT)]
    return line


class FramePicture(Widget):
    """The screen between alarm line and status line."""

    DEFAULT_CSS = "FramePicture { width: 1fr; height: 1fr; }"

    def __init__(self, true_colour: bool, bearer: Bearer) -> None:
        super().__init__(id="frame")
        self.shot: Shot | None = None
        self._true_colour = true_colour
        self._bearer = bearer
        self._head: list[Line] = []
        self._foot: list[Line] = []
        self._boxes: tuple[BoxSight, ...] = ()
        self._cells: PictureCells | None = None
        self._drawn: object = None

    def show(
        self, shot: Shot | None, boxes: Iterable[BoxSight], head: list[Line], foot: list[Line], keep_picture: bool
    ) -> None:
        """Draws what changed. `keep_picture`: the one that is shown stays until the next one is there."""
        boxes = tuple(boxes)
        if shot is not None or not keep_picture:
            self.shot, self._boxes = shot, boxes
        foot = [*foot, hints(self._bearer)]
        picture = (id(self.shot), self._boxes, self.size, len(head), len(foot))
        if picture != self._drawn:
            self._drawn = picture
            self._head, self._foot = head, foot
            self._draw()
            self.refresh()
        elif (head, foot) != (self._head, self._foot):
            changed = [y for y, line in enumerate(head) if line != self._head[y]]
            first = self.size.height - len(foot)
            changed += [first + y for y, line in enumerate(foot) if line != self._foot[y]]
            self._head, self._foot = head, foot
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def _draw(self) -> None:
        rows = self.size.height - len(self._head) - len(self._foot)
        if self.shot is None or rows < 1 or self.size.width < 1:
            self._cells = None
            return
        picture = draw_boxes(fit_picture(self.shot.pixels, self.size.width, rows * 2), self._boxes)
        cells = PictureCells(self.size.width, rows, self._true_colour, GROUND)
        cells.update(picture.tobytes(), picture.shape[1], picture.shape[0])
        self._cells = cells

    def render_line(self, y: int) -> Strip:
        """One line."""
        width, height = self.size
        foot = y - (height - len(self._foot))
        line = self._head[y] if y < len(self._head) else self._foot[foot] if foot >= 0 else None
        if line is not None:
            return Strip([Segment(text, style) for text, style in line]).adjust_cell_length(width, PLAIN)
        row = y - len(self._head)
        if self._cells is None or not 0 <= row < self._cells.rows:
            return Strip([Segment(" " * width, PLAIN)], width)
        cells = self._cells
        return ReadyStrip(cells.ansi(row), width, lambda: picture_segments(cells.colours(row)))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines as they are: no style is laid over a picture."""
        return [self.render_line(y).crop(crop.x, crop.right) for y in crop.line_range]


def age_text(received_ns: int, now_ns: int) -> str:
    """How old a recorded picture is."""
    return f"{short_age(now_ns - received_ns).strip()} old"
