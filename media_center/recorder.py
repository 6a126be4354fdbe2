"""The recorder: a LOSSLESS subscriber of all cameras that cuts their streams into fragments for the writer.

What belongs here: the subscription, where it resumes, the passing of time. What does not: when to cut (`cutter`) and
everything about disks (`writer`). It never waits for anyone: what the writer has no room for is dropped and told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from broker.client import BrokerClient, Start, StreamItem
from media_center.cutter import Cutter, Fragment, Limits, Resumption
from media_center.writer import FootageWriter
from mesh.clocks import Clock
from mesh.errors import TrueframeError
from mesh.logs import get_logger, rate_limited
from trueframe.v1 import frames_pb2

log = get_logger("media_center.recorder")

SUBSCRIBER = "media-center"
_TICK_S = 0.05
_STOP_TIMEOUT_S = 10.0
# The oldest that the broker still holds: footage begins as early as it can.
_OLDEST = 1


class Recorder:
    """Records every camera of one broker, from where its footage on disk ends."""

    def __init__(
        self,
        client: BrokerClient,
        writer: FootageWriter,
        limits: Limits,
        clock: Clock,
        resumptions: Mapping[str, Resumption | None],
    ) -> None:
        self._client = client
        self._writer = writer
        self._limits = limits
        self._clock = clock
        self._cutters = {camera: Cutter(camera, limits, resumption) for camera, resumption in resumptions.items()}
        self.frames = 0

    @property
    def open_bytes(self) -> int:
        """About what fragments not yet closed hold in memory."""
        return sum(cutter.open_bytes for cutter in self._cutters.values())

    async def run(self) -> None:
        """Records until cancelled; then writes and syncs what is there. Raises what no retry can heal."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tick(), name="footage tick")
                tasks.create_task(self._receive(), name="footage subscription")
        finally:
            await asyncio.shield(asyncio.to_thread(self.stop))

    async def _receive(self) -> None:
        starts = await self._starts()
        stream = self._client.stream(all_cameras=True, starts=starts, subscriber=SUBSCRIBER)
        async with contextlib.aclosing(stream):
            async for item in stream:
                self.take(item)

    async def _starts(self) -> dict[str, Start]:
        """Behind the last frame recorded of each camera; for others, the oldest that the broker holds."""
        while True:
            try:
                cameras = [camera.spec.id for camera in await self._client.list_cameras()]
                break
            except TrueframeError as error:
                if rate_limited("recorder waits for broker", 10):
                    log.info("waiting for the broker", reason=str(error))
                await asyncio.sleep(0.2)
        starts: dict[str, Start] = dict.fromkeys(cameras, _OLDEST)
        for camera, cutter in self._cutters.items():
            if cutter.last is not None:
                starts[camera] = cutter.last
        return starts

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.tick()

    def tick(self) -> None:
        """Closes the fragments whose time is over although nothing follows them."""
        now_ns = self._clock.monotonic_ns()
        for cutter in self._cutters.values():
            self._submit(cutter.tick(now_ns))

    def stop(self) -> bool:
        """Writes and syncs what is there. Returns whether that was done in time."""
        for cutter in self._cutters.values():
            self._submit(cutter.flush())
        is_done = self._writer.stop(_STOP_TIMEOUT_S)
        if not is_done:
            log.error("the disk did not take the last fragments in time")
        return is_done

    def take(self, item: StreamItem) -> None:
        """Takes the next item of the subscription."""
        if isinstance(item, frames_pb2.Gap):
            item = as_recorded(item)
        elif not isinstance(item, frames_pb2.EpochStarted | frames_pb2.EpochEnded):
            self.frames += 1
        cutter = self._cutters.get(item.camera)
        if cutter is None:
            cutter = self._cutters[item.camera] = Cutter(item.camera, self._limits)
        self._submit(cutter.take(item, self._clock.monotonic_ns()))
        if cutter.stray and rate_limited(f"stray {item.camera}", 10):
            log.error("frames of an epoch that was not announced are not recorded", camera=item.camera,
                      frames=cutter.stray)  # fmt: skip

    def _submit(self, fragments: list[Fragment]) -> None:
        for fragment in fragments:
            if not self._writer.submit(fragment) and rate_limited("footage queue full", 1):
                log.error("disk too slow: frames are not recorded", camera=fragment.camera,
                          queued_bytes=self._writer.queued_bytes)  # fmt: skip


def as_recorded(gap: frames_pb2.Gap) -> frames_pb2.Gap:
    """A gap of the recorder's own subscription as footage tells it: an overrun means that nobody was recording."""
    if gap.reason != frames_pb2.GAP_REASON_OVERRUN:
        return gap
    told = frames_pb2.Gap()
    told.CopyFrom(gap)
    told.reason = frames_pb2.GAP_REASON_RECORDER_LOST
    return told
