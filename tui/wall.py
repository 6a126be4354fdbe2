"""The wall: a tile a camera, drawn on the app's tick from the newest pictures, changed rows only.

What should not be in this module: where pictures come from (`trueframe.feeds`), how a tile looks (`tile`).
"""

from __future__ import annotations

import time

from rich.color import ColorSystem
from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from trueframe.situation import CameraSight, Situation
from trueframe.times import show_duration
from tui.grid import Grid, grid_for, neighbour
from tui.keys import WALL_KEYS, bindings
from tui.palette import FAINT, GROUND_HEX, PLAIN, badge_of
from tui.strips import ReadyStrip
from tui.tile import Tile

SECOND_NS = 1_000_000_000


class Wall(Widget, can_focus=True):
    """All cameras at once, or one of them large."""

    DEFAULT_CSS = "Wall { width: 1fr; height: 1fr; background: #101010; }"
    BINDINGS = bindings(WALL_KEYS)

    class PicturesWanted(Message):
        """Pictures of this many pixels fit the tiles. `cameras` are those in sight; empty means all there are."""

        def __init__(self, width: int, height: int, cameras: tuple[str, ...]) -> None:
            super().__init__()
            self.width = width
            self.height = height
            self.cameras = cameras

    class Focused(Message):
        """One camera is shown alone, or all again (None)."""

        def __init__(self, camera: str | None) -> None:
            super().__init__()
            self.camera = camera

    class Refused(Message):
        """A key did nothing, and why."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    class RecordedWanted(Message):
        """The user wants to see a camera's recorded frames, from so many seconds ago on."""

        def __init__(self, camera: str, seconds_ago: int) -> None:
            super().__init__()
            self.camera = camera
            self.seconds_ago = seconds_ago

    def __init__(self, situation: Situation, true_colour: bool = True) -> None:
        super().__init__(id="wall")
        self.situation = situation
        self.selected = 0
        self.zoomed: str | None = None
        self._true_colour = true_colour
        self._grid = grid_for(1, 80, 24)
        self._tiles: dict[str, Tile] = {}
        self._page: list[CameraSight] = []
        self._page_number = 0
        self._count = 0
        self._strips: list[Strip] = []
        self._stale: set[int] = set()
        self._laid_out: tuple[object, ...] = ()
        self._ground = Strip.render_style(PLAIN, " ", ColorSystem.TRUECOLOR if true_colour else ColorSystem.EIGHT_BIT)

    @property
    def grid(self) -> Grid:
        """How the tiles stand."""
        return self._grid

    @property
    def page_of_pages(self) -> tuple[int, int]:
        """Number of the page in sight, from 1, and of all."""
        return self._page_number + 1, self._grid.pages(len(self._shown()))

    @property
    def selected_camera(self) -> str | None:
        """Id of the camera that the cursor is on."""
        shown = self._shown()
        return shown[self.selected].id if shown and self.selected < len(shown) else None

    def _shown(self) -> list[CameraSight]:
        cameras = list(self.situation.cameras.values())
        if self.zoomed is not None:
            cameras = [camera for camera in cameras if camera.id == self.zoomed]
        # Cameras that are switched off stand last.
        return sorted(cameras, key=lambda camera: (camera.state == "disabled", camera.id))

    # Keys.

    def action_move(self, dx: int, dy: int) -> None:
        """Moves the cursor."""
        self.selected = neighbour(self.selected, len(self._shown()), self._grid, dx, dy)
        self.draw_newest()

    def action_page(self, step: int) -> None:
        """Turns the page."""
        count = len(self._shown())
        target = self._page_number + step
        if 0 <= target < self._grid.pages(count):
            self.selected = target * self._grid.per_page
            self.draw_newest()

    def action_zoom(self) -> None:
        """Shows one camera large, or all again."""
        if self.zoomed is not None:
            self.leave_zoom()
        elif self.selected_camera is not None:
            self.focus_camera(self.selected_camera)

    def focus_camera(self, camera: str) -> None:
        """Shows one camera large."""
        if camera in self.situation.cameras and self.zoomed != camera:
            self.zoomed = camera
            self.post_message(self.Focused(camera))
            self.draw_newest()

    def action_recorded(self, seconds: int) -> None:
        """Shows recorded frames of the camera that the cursor is on."""
        if self.selected_camera is not None:
            self.post_message(self.RecordedWanted(self.selected_camera, -seconds))

    def action_acknowledge(self) -> None:
        """Says where that is done: a camera may have several alarms, and nobody acknowledges one unread."""
        self.post_message(self.Refused("a: acknowledging is done in the list of alarms; Tab leads there"))

    def leave_zoom(self) -> bool:
        """Shows all cameras again; returns whether one was large."""
        if self.zoomed is None:
            return False
        camera, self.zoomed = self.zoomed, None
        self.post_message(self.Focused(None))
        ids = [one.id for one in self._shown()]
        self.selected = ids.index(camera) if camera in ids else 0
        self.draw_newest()
        return True

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a tile, a double click makes it large."""
        column, row = event.x // self._grid.tile_width, event.y // self._grid.tile_height
        if column < self._grid.columns and row < self._grid.rows:
            wanted = self._page_number * self._grid.per_page + row * self._grid.columns + column
            if wanted < len(self._shown()):
                self.selected = wanted
                if event.chain == 2:
                    self.action_zoom()
                self.draw_newest()

    def on_focus(self) -> None:
        """The cursor shows where keys go."""
        self.draw_newest()

    def on_blur(self) -> None:
        """The cursor is elsewhere."""
        self.draw_newest()

    def on_resize(self) -> None:
        """Another size, another grid."""
        self.draw_newest()

    # Drawing.

    def draw_newest(self) -> None:
        """Takes what is new in the situation; asks Textual to write the rows that changed."""
        if not self.size.width or not self.size.height:
            return
        shown = self._shown()
        self.selected = max(0, min(self.selected, len(shown) - 1))
        self._grid = grid_for(len(shown), self.size.width, self.size.height)
        self._page_number = self.selected // self._grid.per_page
        start = self._page_number * self._grid.per_page
        self._page = shown[start : start + self._grid.per_page]
        layout = (self.size, self._grid, len(shown), tuple(camera.id for camera in self._page))
        if layout != self._laid_out:
            self._lay_out(layout)
            return
        now_ns = time.time_ns()
        through_textual: set[int] = set()
        patches: list[str] = []
        is_direct = self._may_write
        for place, camera in enumerate(self._page):
            tile = self._tiles[camera.id]
            tile_row, tile_column = divmod(place, self._grid.columns)
            top, left = tile_row * self._grid.tile_height, tile_column * self._grid.tile_width
            pictured, noted, has_header = self._draw_tile(place, camera, now_ns)
            for row in {*pictured, *noted}:
                y = top + 1 + row
                self._stale.add(y)
                if is_direct and row not in noted:
                    patches.append(tile.row_patch(row, self.region.y + y, self.region.x + left))
                else:
                    through_textual.add(y)
            if has_header:
                self._stale.add(top)
                through_textual.add(top)
        if patches:
            self._write("".join(patches))
        self._refresh_rows(through_textual)

    @property
    def _may_write(self) -> bool:
        """Whether nothing lies over the wall, so that cells may be written where they stand."""
        return not self.app.is_headless and self.app.screen is self.screen and not self.app._batch_count

    def _write(self, ansi: str) -> None:
        """Repaints cells of the wall past Textual, which could only repaint whole rows.

        On a moving scene three cells of a hundred change, in four rows of ten. Whatever Textual draws of the wall later
        comes from `render_lines`, which knows of these changes too.
        """
        driver = self.app._driver
        if driver is not None:
            self.app._begin_update()
            driver.write(ansi)
            self.app._end_update()

    def _lay_out(self, layout: tuple[object, ...]) -> None:
        grid = self._grid
        self._laid_out = layout
        self._tiles = {
            camera.id: Tile(grid.picture_width, grid.picture_rows, self._true_colour) for camera in self._page
        }
        is_all = len(self._page) == len(self.situation.cameras)
        in_sight = () if is_all else tuple(camera.id for camera in self._page)
        self.post_message(self.PicturesWanted(grid.picture_width, grid.picture_rows * 2, in_sight))
        now_ns = time.time_ns()
        for place, camera in enumerate(self._page):
            self._draw_tile(place, camera, now_ns)
        self._strips = [self._row(y) for y in range(self.size.height)]
        self._stale.clear()
        self.refresh()

    def _draw_tile(self, place: int, camera: CameraSight, now_ns: int) -> tuple[list[int], list[int], bool]:
        """Brings one tile up to date; returns changed picture rows, rows with changed notes, and if its header did."""
        tile = self._tiles[camera.id]
        picture = self.situation.pictures.get(camera.id)
        gives_pictures = camera.state in ("live", "frozen")
        pictured = tile.show_picture(picture, dim=not gives_pictures)
        if picture is not None:
            self.situation.picture_drawn(camera.id)
        noted = tile.show_notes(self._notes(camera, now_ns))
        selected = self.has_focus and self._page_number * self._grid.per_page + place == self.selected
        return pictured, noted, tile.show_header(camera, now_ns, selected, self.situation.alarm_of(camera.id))

    def _notes(self, camera: CameraSight, now_ns: int) -> list[str]:
        if not camera.is_alarm:
            return []
        since = show_duration(max(0, now_ns - camera.since_ns) / SECOND_NS)
        badge = badge_of(camera.state)
        return [f"{badge.mark} {badge.word} {since}", *([camera.detail] if camera.detail else [])]

    def _refresh_rows(self, dirty: set[int]) -> None:
        rows = sorted(row for row in dirty if row < len(self._strips))
        regions = []
        while rows:
            last = 0
            while last + 1 < len(rows) and rows[last + 1] == rows[last] + 1:
                last += 1
            regions.append(Region(0, rows[0], self.size.width, last + 1))
            rows = rows[last + 1 :]
        if regions:
            self.refresh(*regions)

    def _row(self, y: int) -> Strip:
        grid, width = self._grid, self.size.width
        tile_row, row = divmod(y, grid.tile_height)
        cameras = self._page[tile_row * grid.columns : (tile_row + 1) * grid.columns]
        if tile_row >= grid.rows or not cameras:
            return self._empty_row(y)
        tiles = [self._tiles[camera.id] for camera in cameras]
        gap = grid.tile_width - grid.picture_width
        rest = width - grid.tile_width * len(tiles)

        def segments() -> list[Segment]:
            pieces: list[Segment] = []
            for tile in tiles:
                pieces += tile.header_segments() if row == 0 else tile.row_segments(row - 1)
                pieces.append(Segment(" " * gap, PLAIN))
            return [*pieces, Segment(" " * rest, PLAIN)] if rest else pieces

        if row == 0:
            return Strip(segments(), width)
        gap_ansi = self._ground * gap
        ansi = "".join(tile.row_ansi(row - 1) + gap_ansi for tile in tiles)
        return ReadyStrip(ansi + self._ground * rest, width, segments)

    def _empty_row(self, y: int) -> Strip:
        width = self.size.width
        if self._page or y != self.size.height // 2:
            return Strip([Segment(" " * width, PLAIN)], width)
        text = "no camera yet"
        left = max(0, (width - len(text)) // 2)
        return Strip([Segment((" " * left + text).ljust(width)[:width], FAINT)], width)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows Textual asks for, ready-made."""
        if len(self._strips) != self.size.height:
            self._strips = [self._empty_row(y) for y in range(self.size.height)]
        for row in self._stale:
            if row < len(self._strips):
                self._strips[row] = self._row(row)
        self._stale.clear()
        strips = self._strips[crop.y : crop.bottom]
        if crop.x or crop.width != self.size.width:
            return [strip.crop(crop.x, crop.right) for strip in strips]
        return strips


__all__ = ["GROUND_HEX", "Wall"]
