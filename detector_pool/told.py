"""Which frames of a camera have been told so far, in whatever order they came. Pure."""

from __future__ import annotations

from mesh.ids import FrameId


class Told:
    """All frames up to `position`, and some behind it: with B-frames pictures come in the order they are shown.

    `after`: the last frame that was told before; None: nothing was, and the first that comes is the beginning.
    """

    def __init__(self, after: FrameId | None = None) -> None:
        self._camera = after.camera if after else ""
        self._epoch = after.epoch if after else None
        self._floor = after.seq if after else -1
        self._above: dict[int, int] = {}

    @property
    def position(self) -> FrameId | None:
        """The last frame up to which all were told; None before the first."""
        if self._epoch is None or self._floor < 0:
            return None
        return FrameId(self._camera, self._epoch, self._floor)

    @property
    def is_even(self) -> bool:
        """Whether nothing behind `position` was told."""
        return not self._above

    def has(self, frame: FrameId) -> bool:
        """Whether the frame was told."""
        if self._epoch is None or frame.epoch > self._epoch:
            return False
        if frame.epoch < self._epoch or frame.seq <= self._floor:
            return True
        return any(first <= frame.seq <= last for first, last in self._above.items())

    def add(self, frame: FrameId, count: int = 1) -> None:
        """The frame, and `count` - 1 behind it, were told."""
        if self._epoch is None:
            self._camera, self._epoch, self._floor = frame.camera, frame.epoch, frame.seq - 1
        elif frame.epoch > self._epoch:
            # Of an epoch that begins under its eyes, a source tells from the first frame on.
            self._epoch, self._floor, self._above = frame.epoch, -1, {}
        elif frame.epoch < self._epoch:
            return
        last = frame.seq + count - 1
        if frame.seq > self._floor + 1:
            self._above[frame.seq] = max(last, self._above.get(frame.seq, last))
            return
        self._floor = max(self._floor, last)
        for first in sorted(self._above):
            if first > self._floor + 1:
                break
            self._floor = max(self._floor, self._above.pop(first))
