"""Calls about the archive as a whole: how far it has come, and how it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from media_center.room import Room
from mesh.ids import validate_camera_id
from mesh.security import principal_of
from trueframe.v1 import footage_pb2, frames_pb2


class ArchiveRoom(Room):
    """Watermarks, and how the disks are."""

    async def GetStorage(  # noqa: N802
        self, request: footage_pb2.GetStorageRequest, context: Any
    ) -> footage_pb2.GetStorageResponse:
        """How the disks are. In a thread: a disk that hangs answers late."""
        return await asyncio.to_thread(self._storage.report)

    async def WatchPersisted(  # noqa: N802
        self, request: footage_pb2.WatchPersistedRequest, context: Any
    ) -> AsyncIterator[footage_pb2.WatchPersistedResponse]:
        """Watermarks."""
        principal = principal_of(context)
        wanted = frozenset(request.cameras)
        for camera in sorted(wanted):
            principal.require(validate_camera_id(camera))
        told: dict[str, frames_pb2.FrameId] = {}
        is_first = True
        while True:
            version = self._archive.version
            moved = [
                mark.to_proto()
                for camera, mark in sorted(self._archive.watermarks.items())
                if principal.allows(camera) and (not wanted or camera in wanted)
            ]
            moved = [mark for mark in moved if told.get(mark.camera) != mark]
            told.update((mark.camera, mark) for mark in moved)
            if moved or is_first:
                yield footage_pb2.WatchPersistedResponse(watermarks=moved)
            is_first = False
            await self._archive.wait_for_commit(version)
