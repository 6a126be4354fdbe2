"""Cameras that a caller is answered for."""

from __future__ import annotations

from collections.abc import Sequence

from mesh.errors import InvalidArgument, PermissionDenied
from mesh.ids import validate_camera_id
from mesh.security import Principal

MAX_CAMERAS = 10_000


def scope(principal: Principal, asked: Sequence[str]) -> list[str] | None:
    """Cameras to answer for; None means all there are. Raises InvalidArgument, PermissionDenied."""
    if len(asked) > MAX_CAMERAS:
        raise InvalidArgument("cameras", f"are more than {MAX_CAMERAS}")
    for camera in asked:
        principal.require(validate_camera_id(camera))
    if asked:
        return sorted(set(asked))
    return None if principal.cameras is None else sorted(principal.cameras)


def require_every(principal: Principal, cameras: Sequence[str], what: str) -> None:
    """Raises PermissionDenied unless the caller may act on all of these; none named means every camera there is."""
    if not cameras and principal.cameras is not None:
        raise PermissionDenied(what, "concerns every camera, and your token names some", "Name cameras of yours.")
    for camera in cameras:
        principal.require(camera)
