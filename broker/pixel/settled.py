"""Which frames of one epoch have been told, as runs of seq. Pure.

Writer and readers of a ring both keep one, so that a frame is told once, and one that was never told is noticed even
when pictures come in presentation order and ids are in decode order.
"""

from __future__ import annotations

from bisect import bisect_right

Run = tuple[int, int]


class Settled:
    """A set of seq numbers: all up to `floor`, and runs above it."""

    __slots__ = ("_firsts", "_lasts", "floor")

    def __init__(self, floor: int = -1) -> None:
        self.floor = floor
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __contains__(self, seq: int) -> bool:
        if seq <= self.floor:
            return True
        at = bisect_right(self._firsts, seq) - 1
        return at >= 0 and seq <= self._lasts[at]

    def expects(self, seq: int, floor: int) -> bool:
        """Whether `seq` is the very next one, nothing beyond it is known, and `floor` tells of nothing else."""
        return seq == self.floor + 1 and floor <= seq and not self._firsts

    def add(self, first: int, last: int) -> None:
        """Adds the run first to last, both included."""
        if first == self.floor + 1 and not self._firsts:
            self.floor = max(self.floor, last)
            return
        if last <= self.floor:
            return
        runs = [*zip(self._firsts, self._lasts, strict=True), (max(first, self.floor + 1), last)]
        merged: list[list[int]] = []
        for begin, end in sorted(runs):
            if merged and begin <= merged[-1][1] + 1:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([begin, end])
        if merged[0][0] == self.floor + 1:
            self.floor = merged.pop(0)[1]
        self._firsts, self._lasts = [run[0] for run in merged], [run[1] for run in merged]

    def absent(self, first: int, last: int) -> list[Run]:
        """The runs between first and last, both included, that are not in the set."""
        holes: list[Run] = []
        at = max(first, self.floor + 1)
        for begin, end in zip(self._firsts, self._lasts, strict=True):
            if begin > last:
                break
            if at < begin:
                holes.append((at, begin - 1))
            at = max(at, end + 1)
        if at <= last:
            holes.append((at, last))
        return holes
