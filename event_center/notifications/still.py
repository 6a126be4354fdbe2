"""The picture that goes along with a message: the frame of the alarm out of the footage, its boxes drawn on it.

Whoever waits for one waits so many seconds and no more; without one the message goes out, and says so. A media center
that did not answer is not asked again for a while: a flood of alarms must not wait for it one by one.
"""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from dataclasses import dataclass

from PIL import Image

from event_center.event import Box
from event_center.notifications.delivery import Content
from media_center.client import FootageClient
from mesh.box_drawing import draw_boxes
from mesh.clocks import Clock, SystemClock
from mesh.errors import DeadlineExceeded, TrueframeError, Unavailable
from mesh.ids import FrameId

_WIDTH = 960
_QUALITY = 80
_AGAIN_S = 0.5
_KEPT = 8
_LEFT_ALONE_NS = 10_000_000_000
_MAX_PIXELS = 40_000_000
_NO_ANSWER = "the media center does not answer"


@dataclass(frozen=True, slots=True)
class Still:
    """A JPEG of at most 960 pixels in width, drawn on: for people, no evidence."""

    jpeg: bytes


class StillMaker:
    """Asks the media center, and keeps the last few: several channels tell of the same alarm."""

    def __init__(self, footage: FootageClient, clock: Clock | None = None) -> None:
        self._footage = footage
        self._clock = clock or SystemClock()
        self._away_until_ns = 0
        self._kept: OrderedDict[tuple[object, ...], Still] = OrderedDict()

    async def still(self, content: Content, wait_s: float) -> tuple[Still | None, str]:
        """The still, or why there is none, within so many seconds."""
        key = content.frame, content.boxes
        if key in self._kept:
            return self._kept[key], ""
        if self._clock.monotonic_ns() < self._away_until_ns:
            return None, f"without its picture: {_NO_ANSWER}"
        last: list[str] = [_NO_ANSWER]
        try:
            async with asyncio.timeout(wait_s):
                png = await self._picture(FrameId.parse(content.frame), last)
                boxes = tuple(Box(*box) for box in content.boxes)
                still = await asyncio.to_thread(drawn, png, boxes)
        except TimeoutError:
            if last[0] == _NO_ANSWER:
                self._away_until_ns = self._clock.monotonic_ns() + _LEFT_ALONE_NS
            return None, f"without its picture: {last[0]}"
        except (OSError, ValueError, TrueframeError) as error:
            return None, f"without its picture: {' '.join(str(error).split())[:200]}"
        self._kept[key] = still
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return still, ""

    async def _picture(self, frame: FrameId, last: list[str]) -> bytes:
        """The PNG, as soon as it is to be had: footage comes to the disk a moment after the alarm."""
        while True:
            try:
                # It leaves the house: with privacy masks, whatever this service may see.
                return (await self._footage.snapshot(frame, _WIDTH, masked=True)).png
            except (Unavailable, DeadlineExceeded):
                last[0] = _NO_ANSWER
            except TrueframeError as error:
                last[0] = " ".join(str(error).split())[:200]
            await asyncio.sleep(_AGAIN_S)


def drawn(png: bytes, boxes: tuple[Box, ...]) -> Still:
    """The picture with its boxes. Raises OSError or ValueError if it is none, or far too large."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as opened:
        if opened.width * opened.height > _MAX_PIXELS:
            raise ValueError("the picture is too large")
        picture = opened.convert("RGB")
    draw_boxes(picture, boxes)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return Still(buffer.getvalue())
