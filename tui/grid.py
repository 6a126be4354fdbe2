"""How many tiles of which size fill the wall. Pure.

What should not be in this module: what is in a tile (`wall`).
"""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_WIDTH = 16
SMALLEST_HEIGHT = 5
HEADER_ROWS = 1
GAP = 1


@dataclass(frozen=True, slots=True)
class Grid:
    """Tiles in rows and columns, in cells. A tile's first row is its header; one empty cell stands between columns."""

    columns: int
    rows: int
    tile_width: int
    tile_height: int

    @property
    def per_page(self) -> int:
        """How many tiles one page shows."""
        return self.columns * self.rows

    @property
    def picture_width(self) -> int:
        """Cells of a picture, across; one pixel each."""
        return max(1, self.tile_width - GAP)

    @property
    def picture_rows(self) -> int:
        """Cells of a picture, down; two pixels each."""
        return max(1, self.tile_height - HEADER_ROWS)

    def pages(self, count: int) -> int:
        """How many pages `count` tiles need."""
        return max(1, -(-count // self.per_page))


def _scale(tile_width: int, tile_height: int) -> float:
    """How large a 16:9 picture fits into a tile; a cell shows two square pixels, one above the other."""
    return min((tile_width - GAP) / 16, (tile_height - HEADER_ROWS) * 2 / 9)


def grid_for(count: int, width: int, height: int) -> Grid:
    """The grid that shows `count` cameras largest in `width` x `height` cells; more pages if they become too small."""
    width, height, count = max(width, 1), max(height, 1), max(count, 1)
    most_columns = max(1, width // SMALLEST_WIDTH)
    most_rows = max(1, height // SMALLEST_HEIGHT)
    best: Grid | None = None
    best_rank = (-1.0, -1.0)
    for columns in range(1, min(count, most_columns) + 1):
        rows = min(-(-count // columns), most_rows)
        grid = Grid(columns, rows, width // columns, height // rows)
        shown = min(count, grid.per_page)
        # First of all as many cameras as fit without becoming too small, then the largest pictures.
        rank = (float(shown), _scale(grid.tile_width, grid.tile_height))
        if rank > best_rank:
            best, best_rank = grid, rank
    assert best is not None
    return best


def neighbour(selected: int, count: int, grid: Grid, dx: int, dy: int) -> int:
    """The tile that an arrow key leads to: left and right run on over row ends, up and down stay in the column."""
    if count <= 0:
        return 0
    wanted = selected + dx + dy * grid.columns
    if dy and not 0 <= wanted < count:
        return selected
    return max(0, min(count - 1, wanted))
