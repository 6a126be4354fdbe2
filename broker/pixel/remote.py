"""StreamPixels: the planes of one camera for one reader on another machine.

Here: bounds of a request, the reader's pace, what was left out. Not here: packing (plane_board.py).
A slow reader holds back nobody: it takes the newest picture when the one before has left, and is told of the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from broker.pixel.beat import Beat
from broker.pixel.host import PixelHost
from broker.pixel.plane_board import PlaneSize, with_left_out
from broker.pixel.ring_layout import MAX_SIDE
from mesh.errors import InvalidArgument, NotFound, ResourceExhausted
from trueframe.v1 import pixels_pb2

MIN_SIDE, MAX_RATE = 8, 240.0
MAX_STREAMS = 256
"""Of one host, together."""
_LIVE_NS = 1_000_000_000  # what is older is not called live: a newcomer is not given it


class RemoteStreams:
    """All StreamPixels calls of one host."""

    def __init__(self, host: PixelHost) -> None:
        self._host = host
        self._open = 0

    async def stream(
        self, camera: str, request: pixels_pb2.StreamPixelsRequest, *, is_covered: bool = False
    ) -> AsyncIterator[bytes]:
        """Responses, serialised; `is_covered`: with privacy masks.

        Raises InvalidArgument, NotFound, ResourceExhausted, Unavailable (no broker).
        """
        bounds, rate = _bounds(request)
        size = replace(bounds, is_covered=is_covered)
        if self._open >= MAX_STREAMS:
            raise ResourceExhausted(
                "pixel host", f"streams pixels to {self._open} readers already", "Run a pixel host beside the readers."
            )
        self._open += 1
        try:
            async with self._host.wanting(camera) as wanted:
                woken = asyncio.Event()
                loop = asyncio.get_running_loop()

                def wake() -> None:
                    with contextlib.suppress(RuntimeError):  # the loop is closing
                        loop.call_soon_threadsafe(woken.set)

                board = wanted.plane_board
                last, beat = board.pictures, Beat(int(1e9 / rate) if rate else 0)
                seat = board.want(size, rate, wake)
                stop_listening = self._host.listen(lambda _: None, woken.set)
                try:
                    while True:
                        if wanted.has_ended:
                            raise NotFound(f"camera {camera!r}", "was removed")
                        now_ns = time.monotonic_ns()
                        picture = seat.newest()
                        if picture is None or picture.number <= last or now_ns - picture.packed_ns > _LIVE_NS:
                            woken.clear()
                            await woken.wait()
                        elif wait_ns := beat.wait_ns(now_ns):
                            await asyncio.sleep(wait_ns / 1e9)
                        else:
                            # Before the sending, which takes as long as the reader does.
                            beat.take(now_ns)
                            left_out, last = picture.number - last - 1, picture.number
                            yield with_left_out(picture.message, left_out)
                finally:
                    stop_listening()
                    seat.leave()
        finally:
            self._open -= 1


def _bounds(request: pixels_pb2.StreamPixelsRequest) -> tuple[PlaneSize, float]:
    for name, side in (("max_width", request.max_width), ("max_height", request.max_height)):
        if side and not MIN_SIDE <= side <= MAX_SIDE:
            raise InvalidArgument(f"{name} {side}", f"has to be {MIN_SIDE} to {MAX_SIDE} pixels, or 0 for full size")
    rate = request.max_rate
    if rate and not 0.01 <= rate <= MAX_RATE:
        raise InvalidArgument(f"max_rate {rate:g}", f"has to be 0.01 to {MAX_RATE:g} a second, or 0 for all")
    return PlaneSize(request.max_width, request.max_height), rate
