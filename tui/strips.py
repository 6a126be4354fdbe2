"""A Textual Strip whose ANSI is ready: nothing is split into segments unless something is laid over it.

This is Textual's inside (`Strip._render_cache`, `_segments`): pinned to textual 8 in pyproject, guarded by a replay
test in tests/unit/tui. What should not be in this module: what the rows show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


def picture_segments(colours: bytes) -> list[Segment]:
    """A row of half blocks in pieces; six bytes a cell, as `PictureCells.colours` gives them."""
    segments = []
    for start in range(0, len(colours), 6):
        top, bottom = colours[start : start + 3], colours[start + 3 : start + 6]
        style = Style(color=f"#{top.hex()}", bgcolor=f"#{bottom.hex()}")
        segments.append(Segment("▀" if top != bottom else " ", style))
    return segments


class ReadyStrip(Strip):
    """One line of cells with ready ANSI. `segments` is called once, when Textual needs the line in pieces."""

    __slots__ = ("_ansi", "_made", "_make")

    def __init__(self, ansi: str, cell_length: int, segments: Callable[[], list[Segment]]) -> None:
        # Strip.__init__ makes seven caches that a line which lives for one tick never uses.
        self._cell_length = cell_length
        self._render_cache = ansi
        self._link_ids = set()
        self._cell_count = cell_length
        self._ansi = ansi
        self._make = segments
        self._made: Strip | None = None

    def _whole(self) -> Strip:
        if self._made is None:
            self._made = Strip(self._make(), self._cell_length)
        return self._made

    @property
    def _segments(self) -> list[Segment]:  # type: ignore[override]
        return self._whole()._segments

    @property
    def cell_length(self) -> int:
        """Cells across."""
        length = self._cell_length
        assert length is not None
        return length

    def render(self, console: Console) -> str:
        """The ready ANSI."""
        return self._ansi

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        """Itself when it is not cut, pieces otherwise."""
        wanted = [cut for cut in cuts if cut <= self.cell_length]
        return [self] if wanted == [self.cell_length] else self._whole().divide(wanted)

    def crop(self, start: int, end: int | None = None) -> Strip:
        """Itself when all of it is wanted, a piece otherwise."""
        if start == 0 and (end is None or end >= self.cell_length):
            return self
        return self._whole().crop(start, end)

    def __getattr__(self, name: str) -> Any:
        # Caches that were never made: the ordinary strip has them.
        if name.startswith("__") or name in ("_made", "_make"):
            raise AttributeError(name)
        return getattr(self._whole(), name)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def __len__(self) -> int:
        return len(self._segments)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__
