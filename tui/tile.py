"""One camera on the wall: a header with state, name and age, and the newest picture below it.

What should not be in this module: Textual widgets, where the tile stands (`wall`).
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from trueframe.alarms import EventSight
from trueframe.situation import CameraSight, Picture
from trueframe.times import show_duration
from tui.cells import PictureCells
from tui.palette import ALARM, BRIGHT, FAINT, GROUND, PLAIN, SELECTED, alarm_style, badge_of, is_lit, mark_of
from tui.strips import picture_segments

# A change of at most so much in every channel is sensor noise and not drawn.
TOLERANCE = 10
STALE_AFTER_NS = 2_000_000_000
SECOND_NS = 1_000_000_000
MOST_NOTE_ROWS = 5

Text = tuple[str, Style]


def fit(text: str, width: int) -> str:
    """The text in exactly `width` cells; cut with an ellipsis where it is too long."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(width - 1, 0)) + "…" if width > 0 else ""


def wrapped(lines: Sequence[str], width: int, most: int) -> list[str]:
    """The lines in pieces of at most `width` characters, at most `most`; what is left out leaves an ellipsis."""
    pieces: list[str] = []
    for line in lines:
        if len(pieces) < most:
            pieces += wrap(line, max(width, 1), max_lines=most - len(pieces), placeholder="…")
    return pieces


def header(
    camera: CameraSight, age_ns: int | None, width: int, selected: bool, alarm: Text | None = None
) -> list[Text]:
    """State, its most urgent alarm, name and age of the picture in exactly `width` cells."""
    badge = badge_of(camera.state)
    state = f" {badge.mark} " if camera.is_live and width < 40 else f" {badge.mark} {badge.word} "
    if cell_len(state) > width // 2 and camera.is_live:
        state = f" {badge.mark} "
    if age_ns is None:
        age, age_style = " no picture ", FAINT
    else:
        # Below a second the figure would flicker and say nothing.
        age = f" {show_duration(age_ns / SECOND_NS)} " if age_ns >= SECOND_NS else " <1 s "
        age_style = FAINT if age_ns < STALE_AFTER_NS else ALARM if camera.is_live else FAINT
    if cell_len(state) + cell_len(age) + 4 > width:
        age = ""
    mark: Text = alarm if alarm is not None and cell_len(state) + cell_len(alarm[0]) <= width else ("", PLAIN)
    if cell_len(state) + cell_len(mark[0]) + cell_len(age) > width:
        age = ""
    name_width = max(0, width - cell_len(state) - cell_len(mark[0]) - cell_len(age))
    name_style = SELECTED if selected else BRIGHT if camera.is_live else PLAIN
    state = set_cell_size(state, min(cell_len(state), width))
    line = [(state, badge.style), mark, (fit(f" {camera.name}", name_width), name_style), (age, age_style)]
    return line if mark[0] else [line[0], *line[2:]]


class Tile:
    """What is on the screen of one camera, in cells."""

    def __init__(self, width: int, rows: int, true_colour: bool) -> None:
        """`width`, `rows`: of the picture; the header stands above it."""
        self.width = width
        self.rows = rows
        self._cells = PictureCells(width, rows, true_colour, GROUND)
        self._color_system = ColorSystem.TRUECOLOR if true_colour else ColorSystem.EIGHT_BIT
        self._shown: Picture | None = None
        self._is_dim = False
        self._header: list[Text] = []
        self._notes: dict[int, str] = {}

    def show_header(self, camera: CameraSight, now_ns: int, selected: bool, alarm: EventSight | None) -> bool:
        """Draws the header with the camera's most urgent alarm; returns whether it changed."""
        age = now_ns - self._shown.received_ns if self._shown else None
        mark = (f" {mark_of(alarm)} ", alarm_style(alarm, is_lit(now_ns))) if alarm is not None else None
        wanted = header(camera, age, self.width, selected, mark)
        changed = wanted != self._header
        self._header = wanted
        return changed

    def show_picture(self, picture: Picture | None, dim: bool) -> list[int]:
        """Draws the newest picture; returns the rows that changed. `dim`: it is not live any more."""
        if picture is self._shown and dim == self._is_dim:
            return []
        dirty: list[int] = []
        if picture is not None:
            tolerance = TOLERANCE if dim == self._is_dim and self._shown is not None else 0
            dirty = self._cells.update(picture.rgb, picture.width, picture.height, tolerance, dim)
        self._shown, self._is_dim = picture, dim
        return dirty

    def show_notes(self, lines: list[str]) -> list[int]:
        """Lays lines over the middle of the picture, wrapped; returns the rows that changed."""
        lines = wrapped(lines, self.width - 1, min(self.rows, MOST_NOTE_ROWS))
        first = (self.rows - len(lines)) // 2
        wanted = {first + number: fit(f" {line}", self.width) for number, line in enumerate(lines)}
        changed = {row for row in {*wanted, *self._notes} if wanted.get(row) != self._notes.get(row)}
        self._notes = wanted
        return sorted(changed)

    def header_segments(self) -> list[Segment]:
        """The header."""
        return [Segment(text, style) for text, style in self._header if text]

    def row_ansi(self, row: int) -> str:
        """A picture row, ready."""
        if note := self._notes.get(row):
            return Strip.render_style(ALARM, note, self._color_system)
        return self._cells.ansi(row)

    def row_patch(self, row: int, line: int, column: int) -> str:
        """What repaints the cells that changed last in a picture row, which stands at this place on the screen."""
        if note := self._notes.get(row):
            ansi = Strip.render_style(ALARM, note, self._color_system)
            return f"\x1b[{line + 1};{column + 1}H{ansi}"
        return self._cells.patch(row, line, column)

    def row_segments(self, row: int) -> list[Segment]:
        """The same row in pieces, for when something is laid over it."""
        if note := self._notes.get(row):
            return [Segment(note, ALARM)]
        return picture_segments(self._cells.colours(row))
