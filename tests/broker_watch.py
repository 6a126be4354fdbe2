"""Watching a broker: a stream that is read in the background, and a camera's state. For tests of any part."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Unpack

from broker.client import BrokerClient, Camera, Gap, StreamItem, StreamOptions, WireFrame
from tests.support import auntil


class Recording:
    """Reads a stream while the block runs, and keeps everything by camera; `error` is what ended it before."""

    def __init__(self, client: BrokerClient, cameras: Iterable[str] = (), **options: Unpack[StreamOptions]) -> None:
        self.items: dict[str, list[StreamItem]] = defaultdict(list)
        self.error: Exception | None = None
        self.stream = client.stream(cameras, **options)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Recording:
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.stream.aclose()

    async def _read(self) -> None:
        try:
            async for item in self.stream:
                self.items[item.camera].append(item)
        except Exception as error:
            self.error = error

    def frames(self, camera: str) -> list[WireFrame]:
        """Those that came of a camera."""
        return [item for item in self.items[camera] if isinstance(item, WireFrame)]

    def gaps(self, camera: str) -> list[Gap]:
        """Those that were told of a camera."""
        return [item for item in self.items[camera] if isinstance(item, Gap)]

    async def until_frames(self, camera: str, count: int, timeout_s: float = 30.0) -> list[WireFrame]:
        """All frames of a camera, once there are so many."""

        def enough() -> bool:
            if self.error is not None:
                raise self.error
            return len(self.frames(camera)) >= count

        await auntil(enough, timeout_s, f"{count} frames of {camera}, have {len(self.frames(camera))}")
        return self.frames(camera)

    async def until_more(self, camera: str, count: int) -> None:
        """Returns when so many frames more of the camera have come."""
        await self.until_frames(camera, len(self.frames(camera)) + count)


async def camera_in_state(client: BrokerClient, camera: str, *states: int, timeout_s: float = 25.0) -> Camera:
    """The camera, once it is in one of these states."""

    async def reached() -> Camera | None:
        found = await client.get_camera(camera)
        return found if found.state in states else None

    found = await auntil(reached, timeout_s, f"{camera} is in one of the states {states}")
    assert found is not None
    return found
