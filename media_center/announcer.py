"""Tells the bus how far footage is confirmed on disk: one message for all watermarks of a commit.

A message that is lost is healed by the next, which is why this needs no outbox. A bus that is away delays nothing.
"""

from __future__ import annotations

from media_center.archive import Archive
from mesh.bus import FOOTAGE_PERSISTED, Bus
from mesh.errors import TrueframeError
from trueframe.v1 import footage_pb2

EVENT_TYPE = "footage.persisted"


async def announce(archive: Archive, bus: Bus) -> None:
    """Publishes watermarks until cancelled: those that moved; after a failure, all."""
    told: dict[str, object] = {}
    version = archive.version
    while True:
        moved = [mark for camera, mark in sorted(archive.watermarks.items()) if told.get(camera) != mark]
        if moved:
            message = footage_pb2.WatchPersistedResponse(watermarks=[mark.to_proto() for mark in moved])
            try:
                await bus.publish_core(FOOTAGE_PERSISTED, message.SerializeToString(), type=EVENT_TYPE)
                told.update((mark.camera, mark) for mark in moved)
            except TrueframeError:
                told.clear()
        version = await archive.wait_for_commit(version)
