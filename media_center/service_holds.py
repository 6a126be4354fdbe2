"""Calls about footage that nothing may delete."""

from __future__ import annotations

from typing import Any

from media_center.holds import Hold
from media_center.room import Room
from mesh.errors import InvalidArgument
from mesh.ids import validate_camera_id
from mesh.security import principal_of
from trueframe.v1 import footage_pb2

_MAX_CAMERAS = 10_000


class HoldsRoom(Room):
    """Holds."""

    async def ListHolds(  # noqa: N802
        self, request: footage_pb2.ListHoldsRequest, context: Any
    ) -> footage_pb2.ListHoldsResponse:
        """What nothing may delete."""
        principal = principal_of(context)
        if len(request.cameras) > _MAX_CAMERAS:
            raise InvalidArgument("cameras", f"are more than {_MAX_CAMERAS}")
        for camera in request.cameras:
            principal.require(validate_camera_id(camera))
        scope = request.cameras or principal.cameras
        holds = await self._holds.list(None if scope is None else sorted(set(scope)))
        return footage_pb2.ListHoldsResponse(holds=[_hold(hold) for hold in holds])


def _hold(hold: Hold) -> footage_pb2.Hold:
    return footage_pb2.Hold(
        id=hold.id,
        camera=hold.camera,
        from_ns=hold.from_ns,
        to_ns=hold.to_ns,
        reason=hold.reason,
        owner=hold.owner,
        created_ns=hold.created_ns,
        confirmed=hold.is_confirmed,
    )
