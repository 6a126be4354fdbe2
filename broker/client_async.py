"""The broker's client for asyncio; import it from `broker.client`. Its streams are those of `frame_stream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Unpack

import grpc
import grpc.aio

from broker.client_calls import (
    DEADLINE_S,
    PAGE,
    SERVICE,
    CameraOptions,
    add_camera_request,
    one_camera,
    translated,
)
from broker.frame_stream import BatchStream, FrameStream
from broker.stream_options import StreamOptions
from broker.stream_state import Retry, StreamState
from mesh.channel import Token, connect
from mesh.errors import TrueframeError, Unavailable, from_rpc_error
from mesh.grpc_bytes import bytes_stream_stream
from trueframe.v1 import broker_pb2, broker_pb2_grpc, cameras_pb2, cameras_pb2_grpc
from trueframe.v1.broker_pb2 import Load, Subscription
from trueframe.v1.cameras_pb2 import Camera, CameraSpec, PrivacyMask, WatchCamerasResponse


class BrokerClient:
    """An asynchronous client. `token`: a mesh.channel.Credentials, the token's text, or the Path of its file.

    Every method raises the errors of mesh.errors.
    """

    def __init__(self, endpoint: str, token: Token | None, *, channel: grpc.aio.Channel | None = None) -> None:
        self.endpoint = endpoint
        self._channel = channel or connect(endpoint, token)
        self._cameras = cameras_pb2_grpc.CameraServiceStub(self._channel)
        self._broker = broker_pb2_grpc.BrokerServiceStub(self._channel)
        self._stream = bytes_stream_stream(self._channel, SERVICE, "StreamFrames")

    async def __aenter__(self) -> BrokerClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all calls and the channel."""
        await self._channel.close()

    # ---- frames -----------------------------------------------------------------------------------------------------

    def stream(self, cameras: Iterable[str] = (), **options: Unpack[StreamOptions]) -> FrameStream:
        """Frames (WireFrame), gaps and epochs of cameras, in decode order for each camera, until you stop.

        `cameras` by id; more of them, and how they are delivered, by the keywords of StreamOptions: `all_cameras`,
        `labels`, `starts`, `delivery`, `max_rate`, `max_pending_items`, `max_pending_bytes`, `subscriber`, `reconnect`,
        `connect_timeout_s`. The result is an iterator with `update` (other cameras) and a way to close it.

        Raises InvalidArgument; reading raises NotFound (no such camera), PermissionDenied, InvalidArgument,
        Unauthenticated, ResourceExhausted, and Unavailable without `reconnect`.
        """
        return FrameStream(self.endpoint, self._open, self._list_ids, StreamState.of(cameras, **options))

    def stream_batches(self, cameras: Iterable[str] = (), **options: Unpack[StreamOptions]) -> BatchStream:
        """Like `stream`, as encoded FrameBatch messages: to be passed on, or read with BatchReader.

        After a reconnection an EpochStarted that was given out before may come once more.
        """
        return BatchStream(self.endpoint, self._open, self._list_ids, StreamState.of(cameras, **options))

    def _open(self) -> Any:
        return self._stream(wait_for_ready=False)

    async def _list_ids(self) -> list[str]:
        return [camera.spec.id for camera in await self.list_cameras()]

    # ---- cameras ----------------------------------------------------------------------------------------------------

    async def add_camera(self, camera: str, source: str, **options: Unpack[CameraOptions]) -> Camera:
        """Adds a camera. By keyword: `display_name`, `labels`, `disabled`, `transport`, `tls_sha256`, `device`.

        Raises InvalidArgument, AlreadyExists, ResourceExhausted.
        """
        request = add_camera_request(camera, source, **options)
        with translated():
            return one_camera(await self._cameras.AddCamera(request, timeout=DEADLINE_S))

    async def update_camera(self, spec: CameraSpec) -> Camera:
        """Replaces a camera's description; an empty source keeps the stored one. Raises InvalidArgument, NotFound."""
        with translated():
            request = cameras_pb2.UpdateCameraRequest(spec=spec)
            return one_camera(await self._cameras.UpdateCamera(request, timeout=DEADLINE_S))

    async def set_privacy_masks(self, camera: str, masks: Iterable[PrivacyMask]) -> Camera:
        """Replaces a camera's privacy masks; none uncovers it. Raises InvalidArgument, NotFound."""
        with translated():
            request = cameras_pb2.SetPrivacyMasksRequest(id=camera, masks=masks)
            return one_camera(await self._cameras.SetPrivacyMasks(request, timeout=DEADLINE_S))

    async def remove_camera(self, camera: str) -> None:
        """Removes a camera; its footage stays. Raises NotFound."""
        with translated():
            await self._cameras.RemoveCamera(cameras_pb2.RemoveCameraRequest(id=camera), timeout=DEADLINE_S)

    async def get_camera(self, camera: str) -> Camera:
        """One camera as it is. Raises NotFound."""
        with translated():
            request = cameras_pb2.GetCameraRequest(id=camera)
            return one_camera(await self._cameras.GetCamera(request, timeout=DEADLINE_S))

    async def list_cameras(self) -> list[Camera]:
        """All cameras in your scope, in the order of their ids."""
        found: list[Camera] = []
        token = ""
        with translated():
            while True:
                request = cameras_pb2.ListCamerasRequest(page_size=PAGE, page_token=token)
                answer = await self._cameras.ListCameras(request, timeout=DEADLINE_S)
                found.extend(answer.cameras)
                token = answer.next_page_token
                if not token:
                    return found

    async def watch_cameras(self, *, reconnect: bool = True) -> AsyncIterator[WatchCamerasResponse]:
        """The present state of every camera, then changes. After a reconnection all present states come again."""
        loop = asyncio.get_running_loop()
        retry = Retry(None, loop.time())
        while True:
            try:
                call = self._cameras.WatchCameras(cameras_pb2.WatchCamerasRequest())
                async for change in call:
                    retry.worked()
                    yield change
                error: TrueframeError = Unavailable(f"broker at {self.endpoint}", "ended the watch")
            except grpc.RpcError as raised:
                error = from_rpc_error(raised)
            if not reconnect or not StreamState.is_transient_for_any(error):
                raise error
            await asyncio.sleep(retry.wait_s(loop.time()) or 0.0)

    # ---- the broker itself ------------------------------------------------------------------------------------------

    async def list_subscriptions(self) -> list[Subscription]:
        """Open subscriptions with their counters."""
        with translated():
            answer = await self._broker.ListSubscriptions(broker_pb2.ListSubscriptionsRequest(), timeout=DEADLINE_S)
            return list(answer.subscriptions)

    async def load(self) -> list[Load]:
        """How much of every limit the broker uses, by name."""
        with translated():
            answer = await self._broker.GetLoad(broker_pb2.GetLoadRequest(), timeout=DEADLINE_S)
            return list(answer.loads)
