"""The broker's client without an event loop: `client_async` as plain calls; import it from `broker.client`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from broker.client_calls import DEADLINE_S, PAGE, SERVICE, one_camera, translated, transport_named
from broker.frame_stream_sync import SyncFrameStream
from broker.stream_state import Delivery, Selection, Start, StreamState
from mesh.channel import Token, connect_sync
from mesh.grpc_bytes import bytes_stream_stream
from trueframe.v1 import broker_pb2, broker_pb2_grpc, cameras_pb2, cameras_pb2_grpc
from trueframe.v1.broker_pb2 import Load, Subscription
from trueframe.v1.cameras_pb2 import Camera, CameraSpec, WatchCamerasResponse


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

    def stream(
        self,
        cameras: Iterable[str] = (),
        *,
        all_cameras: bool = False,
        labels: Mapping[str, str] | None = None,
        starts: Mapping[str, Start] | None = None,
        delivery: Delivery = "lossless",
        max_rate: float = 0.0,
        max_pending_items: int = 0,
        max_pending_bytes: int = 0,
        subscriber: str = "",
        reconnect: bool = True,
        connect_timeout_s: float | None = None,
    ) -> SyncFrameStream:
        """As BrokerClient.stream. Leaving the loop, or closing the iterator, ends the subscription."""
        state = StreamState(
            Selection.of(cameras, all_cameras, labels, starts),
            subscriber,
            delivery,
            max_rate,
            max_pending_items,
            max_pending_bytes,
        )
        return SyncFrameStream(self.endpoint, self._stream, self._list_ids, state, reconnect, connect_timeout_s)

    def _list_ids(self) -> list[str]:
        return [camera.spec.id for camera in self.list_cameras()]

    # ---- cameras ----------------------------------------------------------------------------------------------------

    def add_camera(
        self,
        camera: str,
        source: str,
        *,
        display_name: str = "",
        labels: Mapping[str, str] | None = None,
        disabled: bool = False,
        transport: str = "auto",
        tls_sha256: str = "",
        device: str = "",
    ) -> Camera:
        """Adds a camera. `transport`: "auto", "tcp" or "udp".

        Raises InvalidArgument, AlreadyExists, ResourceExhausted.
        """
        spec = CameraSpec(
            id=camera,
            source=source,
            display_name=display_name,
            labels=labels or {},
            disabled=disabled,
            transport=transport_named(transport),
            tls_sha256=tls_sha256,
            device=device,
        )
        with translated():
            answer = self._cameras.AddCamera(cameras_pb2.AddCameraRequest(spec=spec), timeout=DEADLINE_S)
            return one_camera(answer)

    def update_camera(self, spec: CameraSpec) -> Camera:
        """Replaces a camera's description; an empty source keeps the stored one. Raises InvalidArgument, NotFound."""
        with translated():
            answer = self._cameras.UpdateCamera(cameras_pb2.UpdateCameraRequest(spec=spec), timeout=DEADLINE_S)
            return one_camera(answer)

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
