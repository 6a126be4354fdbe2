"""The cameras that exist, as the broker tells them: so that an unknown one is refused, and "all" means all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
import grpc.aio

from mesh.errors import NotFound, Unavailable, from_rpc_error
from mesh.logs import get_logger, rate_limited
from mesh.masks import Masks
from mesh.masks import from_proto as masks_of
from trueframe.v1 import cameras_pb2, cameras_pb2_grpc

log = get_logger("broker.pixel.known")

_FIRST_ANSWER_WITHIN_S = 5.0


class KnownCameras:
    """Follows the broker's cameras. `run` it as one task. `on_change` is called after cameras came or went.

    `on_masks` is called with a camera whose privacy masks may have changed.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: cameras_pb2_grpc.CameraServiceAsyncStub = cameras_pb2_grpc.CameraServiceStub(channel)
        self._cameras: dict[str, cameras_pb2.Camera] = {}
        self._complete = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None
        self.on_masks: Callable[[str], None] = lambda camera: None

    @property
    def ids(self) -> frozenset[str]:
        """Ids of all cameras."""
        return frozenset(self._cameras)

    def condition(self, camera: str) -> str:
        """State and detail of a camera for a person: "lost: the host does not answer"."""
        known = self._cameras.get(camera)
        if known is None:
            return "unknown"
        state = cameras_pb2.CameraState.Name(known.state).removeprefix("CAMERA_STATE_").lower()
        return f"{state}: {known.detail}" if known.detail else state

    def masks(self, camera: str) -> Masks:
        """Privacy masks of a camera."""
        known = self._cameras.get(camera)
        return masks_of(known.masks) if known is not None else ()

    async def require(self, camera: str) -> None:
        """Raises NotFound for a camera that does not exist; Unavailable while the broker was never heard."""
        if not self._complete.is_set():
            try:
                await asyncio.wait_for(self._complete.wait(), _FIRST_ANSWER_WITHIN_S)
            except TimeoutError:
                raise Unavailable("broker", "does not answer", "Is it running? `trueframe status` tells.") from None
        if camera not in self._cameras:
            raise NotFound(f"camera {camera!r}", "does not exist", "`trueframe cameras list` names those that do.")

    async def run(self) -> None:
        """Follows until cancelled; heals by itself."""
        while True:
            try:
                await self._follow()
            except grpc.RpcError as error:
                if rate_limited("known cameras", 10.0):
                    log.info("broker does not tell its cameras", reason=str(from_rpc_error(error)))
            await asyncio.sleep(0.3)

    async def _follow(self) -> None:
        present: dict[str, cameras_pb2.Camera] | None = {}
        call = self._stub.WatchCameras(cameras_pb2.WatchCamerasRequest())
        try:
            async for change in call:
                camera = change.camera
                before, masks_before = self.ids, self.masks(camera.spec.id)
                if present is not None:
                    if camera.spec.id and not change.removed:
                        present[camera.spec.id] = camera
                    if not change.caught_up:
                        continue
                    self._cameras, present = present, None
                    for known in self._cameras:
                        self.on_masks(known)
                    self._complete.set()
                elif change.removed:
                    self._cameras.pop(camera.spec.id, None)
                else:
                    self._cameras[camera.spec.id] = camera
                    if self.masks(camera.spec.id) != masks_before:
                        self.on_masks(camera.spec.id)
                if self.ids != before:
                    self.on_change()
        finally:
            call.cancel()
