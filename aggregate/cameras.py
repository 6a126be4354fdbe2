"""Which cameras exist, as the broker says, told to the inspections."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aggregate.inspections import Inspections
from mesh.errors import TrueframeError
from mesh.logs import get_logger
from trueframe.v1 import cameras_pb2

log = get_logger("aggregate.cameras")


async def follow(changes: AsyncIterator[cameras_pb2.WatchCamerasResponse], inspections: Inspections) -> None:
    """Takes every change until the iterator ends.

    After a reconnection all present cameras come again: those that do not were removed meanwhile.
    """
    present: set[str] = set()
    names: dict[str, str] = {}
    async for change in changes:
        camera, name = change.camera.spec.id, change.camera.spec.display_name
        try:
            if camera and change.removed:
                present.discard(camera)
                names.pop(camera, None)
                await inspections.camera_left(camera)
            elif camera:
                present.add(camera)
                if names.get(camera) != name or camera not in inspections.cameras:
                    await inspections.camera_came(camera, name)
                    names[camera] = name
            if change.caught_up:
                for gone in sorted(inspections.cameras - present):
                    names.pop(gone, None)
                    await inspections.camera_left(gone)
                present = set()
        except TrueframeError as error:
            # The store is away: the camera's next change, or its next coming, tries again.
            log.error("camera cannot be taken up", camera=camera, reason=str(error))
