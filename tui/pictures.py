"""Recorded pictures, fetched one at a time in the order of urgency and kept for a while.

The archive decodes one frame at a time and begins a new decoder when a request is given up, so requests are never
cancelled and never sent in parallel: what is wanted most is asked for next. What should not be in this module: which
frames are wanted (`frame_screen`), drawing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mesh.errors import TrueframeError
from mesh.ids import FrameId
from tui.desk import Desk
from tui.snapshot import Pixels, decode_png

# At most 1280x720x3 bytes each.
MOST_KEPT = 24


@dataclass(frozen=True, slots=True)
class Shot:
    """A recorded frame, decoded."""

    id: FrameId
    received_ns: int
    pixels: Pixels
    inexact: bool


class Pictures:
    """Run `run` as a task. `told` is called with each answer for a wanted frame, an error included."""

    def __init__(self, desk: Desk) -> None:
        self.told: Callable[[FrameId, Shot | Exception], None] = lambda frame, answer: None
        self.fetched = 0
        self._desk = desk
        self._kept: OrderedDict[tuple[FrameId, int], Shot] = OrderedDict()
        self._wanted: list[FrameId] = []
        self._width = 640
        self._is_wanted = asyncio.Event()

    def get(self, frame: FrameId) -> Shot | None:
        """A picture that is there already."""
        shot = self._kept.get((frame, self._width))
        if shot is not None:
            self._kept.move_to_end((frame, self._width))
        return shot

    def want(self, frames: Sequence[FrameId], width: int) -> None:
        """These are wanted now, the first one most; takes the place of what was wanted before."""
        self._width = width
        self._wanted = [frame for frame in frames if (frame, width) not in self._kept]
        if self._wanted:
            self._is_wanted.set()

    async def run(self) -> None:
        """Fetches until cancelled."""
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            while self._wanted:
                frame, width = self._wanted.pop(0), self._width
                if (frame, width) in self._kept:
                    continue
                answer = await self._fetch(frame, width)
                if isinstance(answer, Shot):
                    self._kept[frame, width] = answer
                    while len(self._kept) > MOST_KEPT:
                        self._kept.popitem(last=False)
                self.told(frame, answer)

    async def _fetch(self, frame: FrameId, width: int) -> Shot | Exception:
        self.fetched += 1
        try:
            found = await self._desk.picture(frame, width)
            pixels = await asyncio.to_thread(decode_png, found.png)
        except (TrueframeError, ValueError) as error:
            return error
        return Shot(found.id, found.received_ns, pixels, found.inexact)
