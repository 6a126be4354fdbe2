"""Privacy masks of every camera that was ever known here: followed at the broker, kept in a file.

What belongs here: the book, its file, following. What does not: which pixels a mask covers (`mesh.masks`) and which
calls show pictures (the `service_*` rooms).

Masks cover footage that was recorded before them, and stay in the book when their camera is removed at the broker,
since its footage stays too. Of a camera that the book does not name nobody knows whether it has masks until the broker
answers: callers who may not see what they cover wait, and are then refused. Only where there is no book at all, because
no broker ever answered here, are there no masks either.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import grpc.aio

from mesh.errors import InvalidArgument, Unavailable, from_rpc_error
from mesh.files import write_private
from mesh.logs import get_logger, rate_limited
from mesh.masks import Masks, decode, encode, from_proto
from trueframe.v1 import cameras_pb2, cameras_pb2_grpc

log = get_logger("media_center.mask_book")

_PATIENCE_S = 5.0
_RETRY_S = 0.5


class MaskBook:
    """The masks. `run` it as one task."""

    def __init__(self, path: Path, channel: grpc.aio.Channel) -> None:
        self._path = path
        self._stub: cameras_pb2_grpc.CameraServiceAsyncStub = cameras_pb2_grpc.CameraServiceStub(channel)
        self._masks = _read(path)
        self._is_new = not path.exists()
        self._is_told = asyncio.Event()
        self._is_kept = True

    async def of(self, camera: str) -> Masks:
        """Masks of a camera. Raises Unavailable: it is not known whether there are any."""
        if camera in self._masks:
            return self._masks[camera]
        if self._is_new:
            return ()
        try:
            await asyncio.wait_for(self._is_told.wait(), _PATIENCE_S)
        except TimeoutError:
            raise Unavailable(
                f"privacy masks of camera {camera!r}",
                "are not known: the broker does not answer",
                "Try again when it runs; a token with `--unmasked` needs none.",
            ) from None
        return self._masks.get(camera, ())

    async def run(self) -> None:
        """Follows the broker until cancelled; heals by itself."""
        while True:
            try:
                await self._follow()
            except grpc.RpcError as error:
                if rate_limited("mask book", 30.0):
                    log.info("the broker does not tell its cameras", reason=str(from_rpc_error(error)))
            await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        call = self._stub.WatchCameras(cameras_pb2.WatchCamerasRequest())
        try:
            async for change in call:
                if change.camera.spec.id and not change.removed:
                    self._take(change.camera)
                if change.caught_up:
                    if self._is_new:
                        self._is_kept = False
                    self._is_new = False
                    self._is_told.set()
                if not self._is_kept:
                    await self._keep()
        finally:
            call.cancel()

    def _take(self, camera: cameras_pb2.Camera) -> None:
        masks = from_proto(camera.masks)
        if self._masks.get(camera.spec.id) == masks:
            return
        self._masks[camera.spec.id] = masks
        self._is_kept = False

    async def _keep(self) -> None:
        """Writes the file; what a disk refuses is tried again with the next news."""
        rows = {name: encode(known) for name, known in self._masks.items()}
        try:
            await asyncio.to_thread(write_private, self._path, json.dumps(rows, ensure_ascii=False).encode())
            self._is_kept = True
        except OSError as error:
            if rate_limited("mask book file", 30.0):
                log.error("privacy masks cannot be kept in their file", reason=error.strerror)


def _read(path: Path) -> dict[str, Masks]:
    """What is kept; nothing is known of what cannot be read."""
    try:
        rows = json.loads(path.read_bytes())
        return {str(camera): decode(str(text)) for camera, text in rows.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, InvalidArgument):
        log.error("the book of privacy masks cannot be read: the broker is asked anew", file=path.name)
        return {}
