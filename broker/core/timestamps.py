"""Counters that wrap, made into ones that do not. Clocks and rates do not belong here."""

from __future__ import annotations


class TimestampUnwrapper:
    """Follows a counter of `bits` bits: the value nearest to the last one is taken, so it may also step back.

    The first value stands as it is; results are plain integers that never wrap (they may become negative).
    """

    __slots__ = ("_half", "_last", "_mask")

    def __init__(self, bits: int = 32) -> None:
        self._mask = (1 << bits) - 1
        self._half = 1 << (bits - 1)
        self._last: int | None = None

    @property
    def last(self) -> int | None:
        """The last result, or None before the first."""
        return self._last

    def unwrap(self, value: int) -> int:
        """The unwrapped value of the next reading."""
        if self._last is None:
            self._last = value & self._mask
        else:
            step = (value - self._last) & self._mask
            self._last += step - self._mask - 1 if step >= self._half else step
        return self._last

    def peek(self, value: int) -> int:
        """What `unwrap` would give, without following: for readings of another kind, such as sender reports."""
        if self._last is None:
            return value & self._mask
        step = (value - self._last) & self._mask
        return self._last + (step - self._mask - 1 if step >= self._half else step)
