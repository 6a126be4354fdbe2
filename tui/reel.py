"""Recorded frames of one camera around a place, in recorded order: what a step leads to. Pure.

What should not be in this module: fetching rows or pictures (`desk`, `pictures`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from mesh.ids import FrameId

MOST_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded frame. `gap` says what is missing right before it; empty if nothing is."""

    id: FrameId
    received_ns: int
    gap: str = ""


class Reel:
    """A stretch without unknown holes. Rows that do not touch it take its place."""

    def __init__(self) -> None:
        self._ids: list[FrameId] = []
        self._rows: dict[FrameId, Row] = {}
        # Nothing is recorded before the first row, or behind the last one when it was asked.
        self.begins = False
        self.ends = False

    def __len__(self) -> int:
        return len(self._ids)

    def row(self, frame: FrameId) -> Row | None:
        """What is known of a frame."""
        return self._rows.get(frame)

    def start_at(self, row: Row) -> None:
        """A new place. What is known stays if the place is in it."""
        if row.id not in self._rows:
            self._ids, self._rows = [row.id], {row.id: row}
            self.begins = self.ends = False

    def extend(self, rows: Iterable[Row]) -> None:
        """Takes rows in recorded order that include one that is known; others would leave a hole nobody sees."""
        new = list(rows)
        if not any(row.id in self._rows for row in new):
            return
        for row in new:
            known = self._rows.get(row.id)
            self._rows[row.id] = row if known is None or row.gap else known
        # Epochs grow and sequence numbers count up: the order of ids is the recorded order.
        self._ids = sorted(self._rows)

    def trim(self, around: FrameId) -> None:
        """Lets rows go that are far from a frame."""
        if len(self._ids) <= MOST_ROWS:
            return
        place = bisect_left(self._ids, around)
        low = max(0, min(place - MOST_ROWS // 2, len(self._ids) - MOST_ROWS))
        high = low + MOST_ROWS
        self.begins = self.begins and low == 0
        self.ends = self.ends and high >= len(self._ids)
        self._ids = self._ids[low:high]
        self._rows = {frame: self._rows[frame] for frame in self._ids}

    def neighbour(self, frame: FrameId, step: int) -> Row | None:
        """The row so many frames on; None if that is not known."""
        place = self._place(frame)
        if place is None or not 0 <= place + step < len(self._ids):
            return None
        return self._rows[self._ids[place + step]]

    def margins(self, frame: FrameId) -> tuple[int, int]:
        """How many rows are known before a frame, and behind it."""
        place = self._place(frame)
        return (0, 0) if place is None else (place, len(self._ids) - 1 - place)

    @property
    def first(self) -> Row | None:
        """The oldest known row."""
        return self._rows[self._ids[0]] if self._ids else None

    @property
    def last(self) -> Row | None:
        """The newest known row."""
        return self._rows[self._ids[-1]] if self._ids else None

    def _place(self, frame: FrameId) -> int | None:
        place = bisect_left(self._ids, frame)
        return place if place < len(self._ids) and self._ids[place] == frame else None
