"""The broker's clients: what other parts, and programs, import.

    async with BrokerClient(endpoint, token) as client:
        async for item in client.stream(["gate"]):
            if isinstance(item, WireFrame):
                print(item.id, item.join_point, len(item.payload))

A stream outlives the broker: it reconnects by itself and resumes behind the last ids it gave out; what was lost
meanwhile comes as a Gap. `SyncBrokerClient` is the same as a plain iterator. What does not belong here: anything that
keeps frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

import grpc
import grpc.aio

from broker.core import (
    BatchReader,
    H264Inspector,
    WireFrame,
    encode_frame,
    encode_item,
    from_length_prefixed,
    to_length_prefixed,
)
from broker.stream_state import Start, StreamItem, StreamState
from mesh.channel import Token, connect, connect_sync
from mesh.errors import TrueframeError, Unavailable, from_rpc_error
from mesh.grpc_bytes import bytes_stream_stream
from mesh.ids import FrameId
from mesh.logs import get_logger
from trueframe.v1 import broker_pb2, broker_pb2_grpc, cameras_pb2, cameras_pb2_grpc
from trueframe.v1.broker_pb2 import Load, StreamFramesRequest, Subscription
from trueframe.v1.cameras_pb2 import Camera, CameraSpec, CameraState, WatchCamerasResponse
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Gap

__all__ = [
    "BatchReader",
    "BrokerClient",
    "Camera",
    "CameraSpec",
    "CameraState",
    "EpochEnded",
    "EpochStarted",
    "FrameId",
    "Gap",
    "H264Inspector",
    "Load",
    "Start",
    "StreamItem",
    "Subscription",
    "SyncBrokerClient",
    "WatchCamerasResponse",
    "WireFrame",
    "encode_frame",
    "encode_item",
    "from_length_prefixed",
    "to_length_prefixed",
]

log = get_logger("broker.client")

T = TypeVar("T")
_SERVICE = "trueframe.v1.BrokerService"
_DEADLINE_S = 10.0
_RETRY_FIRST_S = 0.1
_RETRY_LAST_S = 2.0
_PAGE = 500


class BrokerClient:
    """An asynchronous client. `token`: a mesh.channel.Credentials, the token's text, or the Path of its file.

    Every method raises the errors of mesh.errors.
    """

    def __init__(self, endpoint: str, token: Token | None, *, channel: grpc.aio.Channel | None = None) -> None:
        self.endpoint = endpoint
        self._channel = channel or connect(endpoint, token)
        self._cameras = cameras_pb2_grpc.CameraServiceStub(self._channel)
        self._broker = broker_pb2_grpc.BrokerServiceStub(self._channel)
        self._stream = bytes_stream_stream(self._channel, _SERVICE, "StreamFrames")

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

    async def stream(
        self,
        cameras: Iterable[str] = (),
        *,
        all_cameras: bool = False,
        starts: Mapping[str, Start] | None = None,
        subscriber: str = "",
        reconnect: bool = True,
        connect_timeout_s: float | None = None,
    ) -> AsyncIterator[StreamItem]:
        """Frames (WireFrame), gaps and epochs of cameras, in decode order for each camera, until you stop.

        `starts`: a FrameId to resume behind, or UTC nanoseconds, by camera; live without one. `all_cameras` includes
        those that are added later. With `reconnect` a stream that breaks is opened again behind the last ids; without,
        Unavailable is raised. `connect_timeout_s` bounds the wait for the first connection (None: for ever).

        Raises NotFound (no such camera), PermissionDenied, InvalidArgument, Unauthenticated, ResourceExhausted.
        """
        state = StreamState(cameras, all_cameras, starts or {}, subscriber)
        async for batch in self._batches(state, reconnect, connect_timeout_s):
            for item in BatchReader(batch):
                if state.take(item):
                    yield item

    async def stream_batches(
        self,
        cameras: Iterable[str] = (),
        *,
        all_cameras: bool = False,
        starts: Mapping[str, Start] | None = None,
        subscriber: str = "",
        reconnect: bool = True,
        connect_timeout_s: float | None = None,
    ) -> AsyncIterator[bytes]:
        """Like `stream`, as encoded FrameBatch messages: to be passed on, or read with BatchReader.

        After a reconnection an EpochStarted that was given out before may come once more.
        """
        state = StreamState(cameras, all_cameras, starts or {}, subscriber)
        async for batch in self._batches(state, reconnect, connect_timeout_s):
            for item in BatchReader(batch):
                state.take(item)
            yield batch

    async def _batches(
        self, state: StreamState, reconnect: bool, connect_timeout_s: float | None
    ) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        give_up_at = None if connect_timeout_s is None else loop.time() + connect_timeout_s
        failures = 0
        while True:
            call = self._stream(wait_for_ready=False)
            try:
                await call.write(state.request())
                while (batch := await call.read()) is not grpc.aio.EOF:
                    failures, give_up_at = 0, None
                    state.has_connected = True
                    yield batch
                error: TrueframeError = Unavailable(f"broker at {self.endpoint}", "ended the stream")
            except grpc.RpcError as raised:
                error = from_rpc_error(raised)
            except asyncio.InvalidStateError:  # grpc.aio: written to a call that had ended.
                error = await _status_of(call)
            finally:
                call.cancel()
            failures += 1
            if not await self._may_retry(error, state, reconnect):
                raise error
            wait_s = min(_RETRY_LAST_S, _RETRY_FIRST_S * 2 ** min(failures - 1, 8)) * random.uniform(0.5, 1.0)
            if give_up_at is not None and loop.time() + wait_s > give_up_at:
                raise error
            await asyncio.sleep(wait_s)

    async def _may_retry(self, error: TrueframeError, state: StreamState, reconnect: bool) -> bool:
        if not reconnect:
            return False
        if not state.asks_about_missing(error):
            return state.is_transient(error)
        # A camera was removed while the broker was away: go on with the others.
        with contextlib.suppress(TrueframeError):
            return state.keep_only(camera.spec.id for camera in await self.list_cameras())
        return True

    # ---- cameras ----------------------------------------------------------------------------------------------------

    async def add_camera(
        self,
        camera: str,
        source: str,
        *,
        display_name: str = "",
        labels: Mapping[str, str] | None = None,
        disabled: bool = False,
    ) -> Camera:
        """Adds a camera. Raises InvalidArgument, AlreadyExists, ResourceExhausted."""
        spec = CameraSpec(id=camera, source=source, display_name=display_name, labels=labels or {}, disabled=disabled)
        with _translated():
            answer = await self._cameras.AddCamera(cameras_pb2.AddCameraRequest(spec=spec), timeout=_DEADLINE_S)
            return answer.camera

    async def update_camera(self, spec: CameraSpec) -> Camera:
        """Replaces a camera's description; an empty source keeps the stored one. Raises InvalidArgument, NotFound."""
        with _translated():
            answer = await self._cameras.UpdateCamera(cameras_pb2.UpdateCameraRequest(spec=spec), timeout=_DEADLINE_S)
            return answer.camera

    async def remove_camera(self, camera: str) -> None:
        """Removes a camera; its footage stays. Raises NotFound."""
        with _translated():
            await self._cameras.RemoveCamera(cameras_pb2.RemoveCameraRequest(id=camera), timeout=_DEADLINE_S)

    async def get_camera(self, camera: str) -> Camera:
        """One camera as it is. Raises NotFound."""
        with _translated():
            answer = await self._cameras.GetCamera(cameras_pb2.GetCameraRequest(id=camera), timeout=_DEADLINE_S)
            return answer.camera

    async def list_cameras(self) -> list[Camera]:
        """All cameras in your scope, in the order of their ids."""
        found: list[Camera] = []
        token = ""
        with _translated():
            while True:
                request = cameras_pb2.ListCamerasRequest(page_size=_PAGE, page_token=token)
                answer = await self._cameras.ListCameras(request, timeout=_DEADLINE_S)
                found.extend(answer.cameras)
                token = answer.next_page_token
                if not token:
                    return found

    async def watch_cameras(self, *, reconnect: bool = True) -> AsyncIterator[WatchCamerasResponse]:
        """The present state of every camera, then changes. After a reconnection all present states come again."""
        failures = 0
        while True:
            try:
                call = self._cameras.WatchCameras(cameras_pb2.WatchCamerasRequest())
                async for change in call:
                    failures = 0
                    yield change
                error: TrueframeError = Unavailable(f"broker at {self.endpoint}", "ended the watch")
            except grpc.RpcError as raised:
                error = from_rpc_error(raised)
            if not reconnect or not StreamState.is_transient_for_any(error):
                raise error
            failures += 1
            await asyncio.sleep(min(_RETRY_LAST_S, _RETRY_FIRST_S * 2 ** min(failures - 1, 8)))

    async def list_subscriptions(self) -> list[Subscription]:
        """Open subscriptions with their counters."""
        with _translated():
            answer = await self._broker.ListSubscriptions(broker_pb2.ListSubscriptionsRequest(), timeout=_DEADLINE_S)
            return list(answer.subscriptions)

    async def load(self) -> list[Load]:
        """How much of every limit the broker uses, by name."""
        with _translated():
            answer = await self._broker.GetLoad(broker_pb2.GetLoadRequest(), timeout=_DEADLINE_S)
            return list(answer.loads)


class SyncBrokerClient:
    """The same for programs without an event loop. One thread at a time for each stream."""

    def __init__(self, endpoint: str, token: Token | None) -> None:
        self.endpoint = endpoint
        self._channel = connect_sync(endpoint, token)
        self._cameras: Any = cameras_pb2_grpc.CameraServiceStub(self._channel)
        self._broker: Any = broker_pb2_grpc.BrokerServiceStub(self._channel)
        self._stream = bytes_stream_stream(self._channel, _SERVICE, "StreamFrames")

    def __enter__(self) -> SyncBrokerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all calls and the channel."""
        self._channel.close()

    def stream(
        self,
        cameras: Iterable[str] = (),
        *,
        all_cameras: bool = False,
        starts: Mapping[str, Start] | None = None,
        subscriber: str = "",
        reconnect: bool = True,
        connect_timeout_s: float | None = None,
    ) -> Iterator[StreamItem]:
        """As BrokerClient.stream. Leaving the loop, or closing the iterator, ends the subscription."""
        state = StreamState(cameras, all_cameras, starts or {}, subscriber)
        for batch in self._batches(state, reconnect, connect_timeout_s):
            for item in BatchReader(batch):
                if state.take(item):
                    yield item

    def _batches(self, state: StreamState, reconnect: bool, connect_timeout_s: float | None) -> Iterator[bytes]:
        import threading
        import time

        give_up_at = None if connect_timeout_s is None else time.monotonic() + connect_timeout_s
        failures = 0
        while True:
            done = threading.Event()
            call = self._stream(_one_request(state.request(), done))
            try:
                for batch in call:
                    failures, give_up_at = 0, None
                    state.has_connected = True
                    yield batch
                error: TrueframeError = Unavailable(f"broker at {self.endpoint}", "ended the stream")
            except grpc.RpcError as raised:
                error = from_rpc_error(raised)
            finally:
                done.set()
                call.cancel()
            failures += 1
            if not self._may_retry(error, state, reconnect):
                raise error
            wait_s = min(_RETRY_LAST_S, _RETRY_FIRST_S * 2 ** min(failures - 1, 8)) * random.uniform(0.5, 1.0)
            if give_up_at is not None and time.monotonic() + wait_s > give_up_at:
                raise error
            time.sleep(wait_s)

    def _may_retry(self, error: TrueframeError, state: StreamState, reconnect: bool) -> bool:
        if not reconnect:
            return False
        if not state.asks_about_missing(error):
            return state.is_transient(error)
        with contextlib.suppress(TrueframeError):
            return state.keep_only(camera.spec.id for camera in self.list_cameras())
        return True

    def add_camera(
        self,
        camera: str,
        source: str,
        *,
        display_name: str = "",
        labels: Mapping[str, str] | None = None,
        disabled: bool = False,
    ) -> Camera:
        """Adds a camera. Raises InvalidArgument, AlreadyExists, ResourceExhausted."""
        spec = CameraSpec(id=camera, source=source, display_name=display_name, labels=labels or {}, disabled=disabled)
        with _translated():
            answer = self._cameras.AddCamera(cameras_pb2.AddCameraRequest(spec=spec), timeout=_DEADLINE_S)
            return _camera(answer)

    def update_camera(self, spec: CameraSpec) -> Camera:
        """Replaces a camera's description; an empty source keeps the stored one. Raises InvalidArgument, NotFound."""
        with _translated():
            answer = self._cameras.UpdateCamera(cameras_pb2.UpdateCameraRequest(spec=spec), timeout=_DEADLINE_S)
            return _camera(answer)

    def remove_camera(self, camera: str) -> None:
        """Removes a camera; its footage stays. Raises NotFound."""
        with _translated():
            self._cameras.RemoveCamera(cameras_pb2.RemoveCameraRequest(id=camera), timeout=_DEADLINE_S)

    def get_camera(self, camera: str) -> Camera:
        """One camera as it is. Raises NotFound."""
        with _translated():
            return _camera(self._cameras.GetCamera(cameras_pb2.GetCameraRequest(id=camera), timeout=_DEADLINE_S))

    def list_cameras(self) -> list[Camera]:
        """All cameras in your scope, in the order of their ids."""
        found: list[Camera] = []
        token = ""
        with _translated():
            while True:
                request = cameras_pb2.ListCamerasRequest(page_size=_PAGE, page_token=token)
                answer = self._cameras.ListCameras(request, timeout=_DEADLINE_S)
                found.extend(answer.cameras)
                token = answer.next_page_token
                if not token:
                    return found

    def watch_cameras(self) -> Iterator[WatchCamerasResponse]:
        """The present state of every camera, then changes, until the broker goes or you stop."""
        with _translated():
            call = self._cameras.WatchCameras(cameras_pb2.WatchCamerasRequest())
            try:
                yield from call
            finally:
                call.cancel()

    def list_subscriptions(self) -> list[Subscription]:
        """Open subscriptions with their counters."""
        with _translated():
            answer = self._broker.ListSubscriptions(broker_pb2.ListSubscriptionsRequest(), timeout=_DEADLINE_S)
            return list(answer.subscriptions)

    def load(self) -> list[Load]:
        """How much of every limit the broker uses, by name."""
        with _translated():
            answer = self._broker.GetLoad(broker_pb2.GetLoadRequest(), timeout=_DEADLINE_S)
            return list(answer.loads)


def _camera(answer: Any) -> Camera:
    camera: Camera = answer.camera
    return camera


def _one_request(request: StreamFramesRequest, done: Any) -> Iterator[StreamFramesRequest]:
    yield request
    # The server reads further requests as long as the client may send some; ending here would half-close the stream.
    done.wait()


async def _status_of(call: Any) -> TrueframeError:
    code, details = await call.code(), await call.details()
    error = grpc.aio.AioRpcError(code, await call.initial_metadata(), await call.trailing_metadata(), details)
    return from_rpc_error(error)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None
