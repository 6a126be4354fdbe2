"""Calls about footage that nothing may delete."""

from __future__ import annotations

from typing import Any

from media_center.hold_book import unknown_hold
from media_center.holds import Hold, made_by_hand
from media_center.room import Room
from mesh.errors import InvalidArgument
from mesh.ids import new_event_id, validate_camera_id
from mesh.security import principal_of
from mesh.tokens import Principal
from trueframe.v1 import footage_pb2

_MAX_CAMERAS = 10_000
_MAX_ID_CHARACTERS = 150


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

    async def PutHold(  # noqa: N802
        self, request: footage_pb2.PutHoldRequest, context: Any
    ) -> footage_pb2.PutHoldResponse:
        """Makes or changes a hold."""
        principal = principal_of(context)
        principal.require(validate_camera_id(request.camera))
        if request.id:
            await self._visible(principal, request.id)
        asked = made_by_hand(
            request.id or f"hold:{new_event_id()}", request.camera, request.from_ns, request.to_ns,
            reason=request.reason, owner=principal.name, expires_ns=request.expires_ns, now_ns=self._clock.utc_ns(),
        )  # fmt: skip
        hold = await self._holds.put_by_hand(asked)
        self._note(principal, "hold", hold.camera, hold.from_ns, hold.to_ns, f"{hold.id}: {hold.reason}")
        return footage_pb2.PutHoldResponse(hold=_hold(hold))

    async def ReleaseHold(  # noqa: N802
        self, request: footage_pb2.ReleaseHoldRequest, context: Any
    ) -> footage_pb2.ReleaseHoldResponse:
        """Ends a hold."""
        principal = principal_of(context)
        hold = await self._visible(principal, request.id)
        await self._holds.release(hold.id, principal.name, request.reason)
        self._note(principal, "release", hold.camera, hold.from_ns, hold.to_ns, f"{hold.id}: {request.reason}")
        return footage_pb2.ReleaseHoldResponse()

    async def _visible(self, principal: Principal, name: str) -> Hold:
        """A hold in the caller's scope. Raises NotFound: whether there are others is not told."""
        hold = await self._holds.find(_checked_id(name))
        if not principal.allows(hold.camera):
            raise unknown_hold(name)
        return hold


def _checked_id(name: str) -> str:
    if not 0 < len(name) <= _MAX_ID_CHARACTERS:
        raise InvalidArgument("hold", "has no well-formed id", "`trueframe holds list` shows them.")
    return name


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
        expires_ns=hold.expires_ns,
    )
