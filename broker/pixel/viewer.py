"""One viewer of small pictures: its choice, what is ready for it, and its pace.

Here: what WatchThumbnails sends and when. Not here: the gRPC call around it (service.py), scaling (thumbnails.py).
A slow viewer holds back nobody: it is told of cameras, not handed pictures, and takes the newest when it can.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from broker.pixel.host import PixelHost, WantedCamera
from broker.pixel.thumbnails import DEFAULT_RATE, MAX_RATE, Size, SmallPicture
from mesh.errors import InvalidArgument
from mesh.ids import FrameId, validate_camera_id
from mesh.tokens import Principal
from trueframe.v1 import pixels_pb2

MAX_WIDTH, MAX_HEIGHT, MIN_SIDE = 1920, 1080, 8
_MOST_BYTES = 4 << 20  # of one message


class Viewer:
    """Chooses, waits and takes. Close it to release its cameras."""

    def __init__(self, host: PixelHost, principal: Principal) -> None:
        self._host = host
        self._principal = principal
        self._size = Size(MIN_SIDE, MIN_SIDE)
        self._rate = DEFAULT_RATE
        self._all = False
        self._watched: dict[str, WantedCamera] = {}
        self._sent: dict[str, FrameId] = {}
        self._due_s: dict[str, float] = {}
        self._ready: set[str] = set()
        self._woken = asyncio.Event()
        self._stop_listening: Callable[[], None] = host.listen(self._thumbnail_ready, self._cameras_changed)

    async def choose(self, request: pixels_pb2.WatchThumbnailsRequest) -> None:
        """Replaces the choice; cameras in both go on. Raises InvalidArgument, NotFound, PermissionDenied, Unavailable.

        After an error the old choice stands.
        """
        bounds, rate = _bounds(request)
        size = replace(bounds, is_covered=not self._principal.sees_unmasked)
        if request.all_cameras:
            cameras: set[str] = set(self._principal.visible(self._host.known.ids))
        else:
            cameras = {validate_camera_id(camera) for camera in request.cameras}
            if not cameras:
                raise InvalidArgument("cameras", "none is named", "Name some, or set all_cameras.")
            for camera in sorted(cameras):
                self._principal.require(camera)
                await self._host.known.require(camera)
        if (size, rate) != (self._size, self._rate):
            self._watch(set())
        self._size, self._rate, self._all = size, rate, request.all_cameras
        self._watch(cameras)

    def close(self) -> None:
        """Releases everything. May be called again."""
        self._watch(set())
        self._stop_listening()
        self._stop_listening = _nothing

    async def take(self) -> pixels_pb2.WatchThumbnailsResponse:
        """Waits until at least one small picture is ready and due; gives at most one a camera."""
        while True:
            response = self._collect()
            if response.thumbnails:
                return response
            self._woken.clear()
            next_due_s = min((self._due_s.get(camera, 0.0) for camera in self._ready), default=None)
            try:
                async with asyncio.timeout(None if next_due_s is None else max(0.001, next_due_s - time.monotonic())):
                    await self._woken.wait()
            except TimeoutError:
                continue  # the next one is due

    def _collect(self) -> pixels_pb2.WatchThumbnailsResponse:
        response = pixels_pb2.WatchThumbnailsResponse()
        now_s, size_bytes = time.monotonic(), 0
        for camera in sorted(self._ready, key=lambda camera: self._due_s.get(camera, 0.0)):
            if self._due_s.get(camera, 0.0) > now_s or size_bytes >= _MOST_BYTES:
                break
            self._ready.discard(camera)
            wanted = self._watched.get(camera)
            picture = wanted.board.newest(self._size) if wanted is not None else None
            if picture is None or self._sent.get(camera) == picture.id:
                continue
            self._sent[camera] = picture.id
            # An eighth less than the interval: frames do not come by the clock.
            self._due_s[camera] = now_s + 0.875 / self._rate
            response.thumbnails.append(_message(picture))
            size_bytes += len(picture.rgb)
        return response

    def _watch(self, cameras: set[str]) -> None:
        for camera in set(self._watched) - cameras:
            wanted = self._watched.pop(camera)
            wanted.board.unwant(self._size, self._rate)
            self._host.release(wanted)
            self._sent.pop(camera, None)
            self._due_s.pop(camera, None)
            self._ready.discard(camera)
        for camera in cameras - set(self._watched):
            wanted = self._host.want_known(camera)
            wanted.board.want(self._size, self._rate)
            self._watched[camera] = wanted
            # Another viewer may watch the same size: then there is a picture at once.
            self._thumbnail_ready(camera)

    def _thumbnail_ready(self, camera: str) -> None:
        if camera in self._watched:
            self._ready.add(camera)
            self._woken.set()

    def _cameras_changed(self) -> None:
        known = self._host.known.ids
        self._watch(set(self._principal.visible(known)) if self._all else set(self._watched) & known)


def _nothing() -> None:
    pass


def _bounds(request: pixels_pb2.WatchThumbnailsRequest) -> tuple[Size, float]:
    width, height, rate = request.max_width, request.max_height, request.max_rate or DEFAULT_RATE
    if not (MIN_SIDE <= width <= MAX_WIDTH and MIN_SIDE <= height <= MAX_HEIGHT):
        raise InvalidArgument(
            f"size {width}x{height}", f"has to be {MIN_SIDE}x{MIN_SIDE} to {MAX_WIDTH}x{MAX_HEIGHT} pixels"
        )
    if not 0.01 <= rate <= MAX_RATE:
        raise InvalidArgument(f"max_rate {rate}", f"has to be 0.01 to {MAX_RATE:g} a second, or 0 for {DEFAULT_RATE:g}")
    return Size(width, height), rate


def _message(picture: SmallPicture) -> pixels_pb2.Thumbnail:
    return pixels_pb2.Thumbnail(
        id=picture.id.to_proto(),
        received_ns=picture.received_ns,
        width=picture.width,
        height=picture.height,
        rgb=picture.rgb,
        inexact=picture.inexact,
        masked=picture.masked,
    )
