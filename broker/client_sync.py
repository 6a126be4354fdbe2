"""The broker's client without an event loop: `client_async` as plain calls; import it from `broker.client`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Unpack

from broker.client_calls import (
    DEADLINE_S,
    PAGE,
    SERVICE,
    CameraOptions,
    add_camera_request,
    one_camera,
    translated,
)
from broker.frame_stream_sync import SyncFrameStream
from broker.stream_options import StreamOptions
from broker.stream_state import StreamState
from mesh.channel import Token, connect_sync
from mesh.grpc_bytes import bytes_stream_stream
from trueframe.v1 import broker_pb2, broker_pb2_grpc, cameras_pb2, cameras_pb2_grpc
from trueframe.v1.broker_pb2 import Load, Subscription
from trueframe.v1.cameras_pb2 import Camera, CameraSpec, PrivacyMask, WatchCamerasResponse


class SyncBrokerClient:
    """The same for programs without an event loop. One thread at a time for each stream."""

    def __init__(self, endpoint: str, token: Token | None) -> None:
        self.endpoint = endpoint
        self._channel = connect_sync(endpoint, token)
        self._cameras: Any = cameras_pb2_grpc.CameraServiceStub(self._channel)
        self._broker: Any = broker_pb2_grpc.BrokerServiceStub(self._channel)
        self._stream = bytes_stream_stream(self._channel, SERVICE, "StreamFrames")

    def __enter__(self) -> SyncBrokerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all calls and the channel."""
        self._channel.close()

    def stream(self, cameras: Iterable[str] = (), **options: Unpack[StreamOptions]) -> SyncFrameStream:
        """As BrokerClient.stream. Leaving the loop, or closing the iterator, ends the subscription."""
        return SyncFrameStream(self.endpoint, self._stream, self._list_ids, StreamState.of(cameras, **options))

    def _list_ids(self) -> list[str]:
        return [camera.spec.id for camera in self.list_cameras()]

    # ---- cameras ----------------------------------------------------------------------------------------------------

    def add_camera(self, camera: str, source: str, **options: Unpack[CameraOptions]) -> Camera:
        """As BrokerClient.add_camera."""
        request = add_camera_request(camera, source, **options)
        with translated():
            return one_camera(self._cameras.AddCamera(request, timeout=DEADLINE_S))

    def update_camera(self, spec: CameraSpec) -> Camera:
        """Replaces a camera's description; an empty source keeps the stored one. Raises InvalidArgument, NotFound."""
        with translated():
            answer = self._cameras.UpdateCamera(cameras_pb2.UpdateCameraRequest(spec=spec), timeout=DEADLINE_S)
            return one_camera(answer)

    def set_privacy_masks(self, camera: str, masks: Iterable[PrivacyMask]) -> Camera:
        """Replaces a camera's privacy masks; none uncovers it. Raises InvalidArgument, NotFound."""
        with translated():
            request = cameras_pb2.SetPrivacyMasksRequest(id=camera, masks=masks)
            return one_camera(self._cameras.SetPrivacyMasks(request, timeout=DEADLINE_S))

    def remove_camera(self, camera: str) -> None:
        """Removes a camera; its footage stays. Raises NotFound."""
        with translated():
            self._cameras.RemoveCamera(cameras_pb2.RemoveCameraRequest(id=camera), timeout=DEADLINE_S)

    def get_camera(self, camera: str) -> Camera:
        """One camera as it is. Raises NotFound."""
        with translated():
            return one_camera(self._cameras.GetCamera(cameras_pb2.GetCameraRequest(id=camera), timeout=DEADLINE_S))

    def list_cameras(self) -> list[Camera]:
        """All cameras in your scope, in the order of their ids."""
        found: list[Camera] = []
        token = ""
        with translated():
            while True:
                request = cameras_pb2.ListCamerasRequest(page_size=PAGE, page_token=token)
                answer = self._cameras.ListCameras(request, timeout=DEADLINE_S)
                found.extend(answer.cameras)
                token = answer.next_page_token
                if not token:
                    return found

    def watch_cameras(self) -> Iterator[WatchCamerasResponse]:
        """The present state of every camera, then changes, until the broker goes or you stop."""
        with translated():
            call = self._cameras.WatchCameras(cameras_pb2.WatchCamerasRequest())
            try:
                yield from call
            finally:
                call.cancel()

    # ---- the broker itself ------------------------------------------------------------------------------------------

    def list_subscriptions(self) -> list[Subscription]:
        """Open subscriptions with their counters."""
        with translated():
            answer = self._broker.ListSubscriptions(broker_pb2.ListSubscriptionsRequest(), timeout=DEADLINE_S)
            return list(answer.subscriptions)

    def load(self) -> list[Load]:
        """How much of every limit the broker uses, by name."""
        with translated():
            answer = self._broker.GetLoad(broker_pb2.GetLoadRequest(), timeout=DEADLINE_S)
            return list(answer.loads)
