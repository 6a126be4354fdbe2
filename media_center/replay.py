"""Replay: several cameras' recorded streams on one clock, in batches, at any speed, going on as more is recorded.

What belongs here: merging, batching, pacing, following. What does not: one camera's stream (`stream`) and gRPC.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterator, Sequence

from media_center.archive import Archive
from media_center.footage import CameraFootage
from media_center.ranges import Bounds, select
from media_center.replay_pace import Pacer
from media_center.stream import CameraStream, StreamedItem
from mesh.clocks import Clock

MAX_BATCH_ITEMS = 16
MAX_BATCH_BYTES = 1 << 20


def merge(streams: Sequence[Iterator[StreamedItem]]) -> Iterator[StreamedItem]:
    """Items of all streams by the time they are due; each stream keeps its order."""
    if len(streams) == 1:
        return streams[0]
    return heapq.merge(*streams, key=lambda item: item.due_ns)


def take_batch(items: Iterator[StreamedItem]) -> list[StreamedItem]:
    """The next items: at most 16 or 1 MiB; a larger one alone or last. Empty at the end."""
    batch: list[StreamedItem] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.data)
        if len(batch) == MAX_BATCH_ITEMS or size >= MAX_BATCH_BYTES:
            break
    return batch


async def replay(
    archive: Archive, ranges: Sequence[Bounds], clock: Clock, *, speed: float, with_lead_in: bool, follow: bool
) -> AsyncIterator[bytes]:
    """Encoded FrameBatches of the ranges. Files are read in threads, a batch ahead of the caller at most.

    Raises NeverRecorded.
    """
    version = archive.version
    footages = [archive.footage(bounds.camera) for bounds in ranges]
    selections = await asyncio.gather(
        *(
            asyncio.to_thread(select, footage, bounds, with_lead_in=with_lead_in)
            for footage, bounds in zip(footages, ranges, strict=True)
        )
    )
    streams = [CameraStream(selection, bounds.camera) for selection, bounds in zip(selections, ranges, strict=True)]
    pace = _Pace(clock, speed)
    while True:
        items = merge([stream.items(footage) for stream, footage in zip(streams, footages, strict=True)])
        while batch := await asyncio.to_thread(take_batch, items):
            async for part in pace.parts(batch):
                yield b"".join(item.data for item in part)
        if not follow:
            return
        version = await archive.wait_for_commit(version)
        footages = _refresh(archive, streams)


def _refresh(archive: Archive, streams: Sequence[CameraStream]) -> list[CameraFootage]:
    return [archive.footage(stream.camera) for stream in streams]


class _Pace:
    """Lets batches through part by part, each when it is due."""

    def __init__(self, clock: Clock, speed: float) -> None:
        self._clock = clock
        self._pacer = Pacer(speed)

    async def parts(self, batch: list[StreamedItem]) -> AsyncIterator[list[StreamedItem]]:
        """The batch in parts that are due at the same time."""
        start = 0
        while start < len(batch):
            if left_ns := self._wait_ns(batch[start]):
                await asyncio.sleep(left_ns / 1e9)
            stop = start + 1
            while stop < len(batch) and not self._wait_ns(batch[stop]):
                stop += 1
            yield batch[start:stop]
            start = stop

    def _wait_ns(self, item: StreamedItem) -> int:
        return self._pacer.wait_ns(item.due_ns, self._clock.monotonic_ns())
