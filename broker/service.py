"""The gRPC face of the broker: CameraService and BrokerService. Thin: it checks scope, asks, and translates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import grpc.aio

from broker.fanout import Counters
from broker.kinds import Reason
from broker.registry import CameraRegistry, Entry
from broker.subscriptions import Subscription, Subscriptions
from broker.view import camera_view, stored_of
from mesh.audit import note_before
from mesh.audit_text import said
from mesh.clocks import Clock
from mesh.errors import InvalidArgument
from mesh.grpc_bytes import bytes_handler
from mesh.masks import checked, from_proto
from mesh.security import principal_of
from trueframe.v1 import broker_pb2, broker_pb2_grpc, cameras_pb2, cameras_pb2_grpc

BROKER_SERVICE = "trueframe.v1.BrokerService"
CAMERA_SERVICE = "trueframe.v1.CameraService"

_DEFAULT_PAGE = 500
_LARGEST_PAGE = 1000


class CameraServicer(cameras_pb2_grpc.CameraServiceServicer):
    """The cameras of this broker."""

    def __init__(self, registry: CameraRegistry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    async def AddCamera(  # noqa: N802
        self, request: cameras_pb2.AddCameraRequest, context: Any
    ) -> cameras_pb2.AddCameraResponse:
        """Adds a camera and begins to connect to it."""
        principal_of(context).require(request.spec.id)
        entry = await self._registry.add(stored_of(request.spec))
        return cameras_pb2.AddCameraResponse(camera=self._view(entry))

    async def UpdateCamera(  # noqa: N802
        self, request: cameras_pb2.UpdateCameraRequest, context: Any
    ) -> cameras_pb2.UpdateCameraResponse:
        """Changes a camera."""
        principal_of(context).require(request.spec.id)
        self._note_before(request.spec.id)
        entry = await self._registry.update(stored_of(request.spec))
        return cameras_pb2.UpdateCameraResponse(camera=self._view(entry))

    async def SetPrivacyMasks(  # noqa: N802
        self, request: cameras_pb2.SetPrivacyMasksRequest, context: Any
    ) -> cameras_pb2.SetPrivacyMasksResponse:
        """Replaces a camera's privacy masks."""
        principal_of(context).require(request.id)
        self._note_before(request.id)
        entry = await self._registry.set_masks(request.id, checked(from_proto(request.masks)))
        return cameras_pb2.SetPrivacyMasksResponse(camera=self._view(entry))

    async def RemoveCamera(  # noqa: N802
        self, request: cameras_pb2.RemoveCameraRequest, context: Any
    ) -> cameras_pb2.RemoveCameraResponse:
        """Removes a camera."""
        principal_of(context).require(request.id)
        self._note_before(request.id)
        await self._registry.remove(request.id)
        return cameras_pb2.RemoveCameraResponse()

    async def GetCamera(  # noqa: N802
        self, request: cameras_pb2.GetCameraRequest, context: Any
    ) -> cameras_pb2.GetCameraResponse:
        """One camera."""
        principal_of(context).require(request.id)
        return cameras_pb2.GetCameraResponse(camera=self._view(self._registry.get(request.id)))

    async def ListCameras(  # noqa: N802
        self, request: cameras_pb2.ListCamerasRequest, context: Any
    ) -> cameras_pb2.ListCamerasResponse:
        """A page of the cameras in the caller's scope; a page token is the last id of the page before."""
        if request.page_size < 0:
            raise InvalidArgument("page_size", "is negative")
        principal = principal_of(context)
        size = min(request.page_size or _DEFAULT_PAGE, _LARGEST_PAGE)
        after = _decode_token(request.page_token)
        visible = [e for e in self._registry.entries() if principal.allows(e.stored.id) and e.stored.id > after]
        response = cameras_pb2.ListCamerasResponse(cameras=[self._view(entry) for entry in visible[:size]])
        if len(visible) > size:
            response.next_page_token = f"after:{visible[size - 1].stored.id}"
        return response

    async def WatchCameras(  # noqa: N802
        self, request: cameras_pb2.WatchCamerasRequest, context: Any
    ) -> AsyncIterator[cameras_pb2.WatchCamerasResponse]:
        """The present state of every camera, then changes; the last of the present ones says `caught_up`."""
        principal = principal_of(context)
        watch = self._registry.watch()
        try:
            present = [entry for entry in self._registry.entries() if principal.allows(entry.stored.id)]
            known = {entry.stored.id for entry in present}
            if not present:
                yield cameras_pb2.WatchCamerasResponse(caught_up=True)
            for entry in present:
                yield cameras_pb2.WatchCamerasResponse(camera=self._view(entry), caught_up=entry is present[-1])
            while True:
                for camera in principal.visible(await watch.changed()):
                    if camera in self._registry:
                        known.add(camera)
                        yield cameras_pb2.WatchCamerasResponse(camera=self._view(self._registry.get(camera)))
                    elif camera in known:
                        known.discard(camera)
                        gone = cameras_pb2.Camera(spec=cameras_pb2.CameraSpec(id=camera))
                        yield cameras_pb2.WatchCamerasResponse(camera=gone, removed=True)
        finally:
            self._registry.unwatch(watch)

    def _note_before(self, camera: str) -> None:
        """How the camera is described, for the audit log."""
        view = self._view(self._registry.get(camera))
        note_before(said(cameras_pb2.Camera(spec=view.spec, masks=view.masks)))

    def _view(self, entry: Entry) -> cameras_pb2.Camera:
        return camera_view(entry, self._clock.monotonic_ns())


class BrokerServicer(broker_pb2_grpc.BrokerServiceServicer):
    """Live frames."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        load: Callable[[], broker_pb2.GetLoadResponse] = broker_pb2.GetLoadResponse,
    ) -> None:
        self._subscriptions = subscriptions
        self._load = load

    async def ListSubscriptions(  # noqa: N802
        self, request: broker_pb2.ListSubscriptionsRequest, context: Any
    ) -> broker_pb2.ListSubscriptionsResponse:
        """Open subscriptions; counters of cameras in the caller's scope only."""
        principal = principal_of(context)
        return broker_pb2.ListSubscriptionsResponse(
            subscriptions=[_subscription_view(s, principal.allows) for s in self._subscriptions.list()]
        )

    async def GetLoad(  # noqa: N802
        self, request: broker_pb2.GetLoadRequest, context: Any
    ) -> broker_pb2.GetLoadResponse:
        """How heavily this broker is loaded."""
        return self._load()

    async def StreamFrames(  # type: ignore[override]  # noqa: N802 - a coroutine that writes, not a generator
        self, request_iterator: AsyncIterator[broker_pb2.StreamFramesRequest], context: Any
    ) -> None:
        """Live frames as they come. Writes ready-made bytes, so it is served through `stream_handler` only."""
        await self._subscriptions.serve(request_iterator, principal_of(context), context.write)

    def stream_handler(self) -> grpc.GenericRpcHandler:
        """StreamFrames with ready-made bytes as answers; outranks the generated method."""
        return bytes_handler(
            BROKER_SERVICE, "StreamFrames", self.StreamFrames, broker_pb2.StreamFramesRequest, request_streaming=True
        )


def _subscription_view(subscription: Subscription, allows: Any) -> broker_pb2.Subscription:
    return broker_pb2.Subscription(
        number=subscription.number,
        subscriber=subscription.name,
        principal=subscription.principal.name,
        opened_ns=subscription.opened_ns,
        counters=[
            _counters_view(camera, subscription.subscriber.counters(camera))
            for camera in sorted(subscription.subscriber.cameras)
            if allows(camera)
        ],
        delivery=subscription.terms.delivery,
        pending_bytes=subscription.subscriber.pending_bytes,
        delivered_bytes=subscription.subscriber.delivered_bytes,
        delivered_batches=subscription.subscriber.delivered_batches,
    )


def _counters_view(camera: str, counters: Counters) -> broker_pb2.SubscriptionCounters:
    return broker_pb2.SubscriptionCounters(
        camera=camera,
        captured=counters.captured,
        delivered=counters.delivered,
        pending=counters.pending,
        not_delivered=[
            broker_pb2.NotDelivered(reason=cast(Reason, reason), count=missed.count, unknown_gaps=missed.unknown_gaps)
            for reason, missed in sorted(counters.not_delivered.items())
        ],
    )


def _decode_token(token: str) -> str:
    if not token:
        return ""
    prefix, colon, camera = token.partition(":")
    if prefix != "after" or not colon or len(camera) > 63:
        raise InvalidArgument("page_token", "is not one of ours", "Use next_page_token of an earlier answer.")
    return camera
