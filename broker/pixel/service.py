"""The gRPC face of the pixel host: PixelService of pixels.proto. Thin: it checks scope, asks, translates."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from broker.pixel.covering import Views
from broker.pixel.host import PixelHost, WantedCamera
from broker.pixel.png import encode_png
from broker.pixel.remote import RemoteStreams
from broker.pixel.scale import fit
from broker.pixel.thumbnails import SmallPicture
from broker.pixel.viewer import MIN_SIDE, Viewer
from mesh.errors import InvalidArgument, Unavailable
from mesh.grpc_bytes import bytes_handler
from mesh.ids import FrameId, validate_camera_id
from mesh.security import principal_of
from trueframe.v1 import pixels_pb2, pixels_pb2_grpc

PIXEL_SERVICE = "trueframe.v1.PixelService"
_PICTURE_WITHIN_S = 5.0
_MAX_SIDE = 16384


class PixelServicer(pixels_pb2_grpc.PixelServiceServicer):
    """The decoded pictures of this machine."""

    def __init__(self, host: PixelHost) -> None:
        self._host = host
        self._remote = RemoteStreams(host)

    def pixels_handler(self) -> grpc.GenericRpcHandler:
        """StreamPixels, for `serve(generic=[...])`: a picture is packed once and shared by all of its readers."""
        return bytes_handler(PIXEL_SERVICE, "StreamPixels", self.StreamPixels, pixels_pb2.StreamPixelsRequest)

    async def WatchThumbnails(  # noqa: N802
        self, request_iterator: AsyncIterator[pixels_pb2.WatchThumbnailsRequest], context: Any
    ) -> AsyncIterator[pixels_pb2.WatchThumbnailsResponse]:
        """Streams small pictures; each request replaces the choice."""
        viewer = Viewer(self._host, principal_of(context))
        try:
            requests = aiter(request_iterator)
            try:
                await viewer.choose(await anext(requests))
            except StopAsyncIteration:
                raise InvalidArgument("call", "has no request") from None
            chooser = asyncio.create_task(_choose_on(viewer, requests))
            try:
                while True:
                    # A choice that is refused ends the call, by the error that the chooser raises.
                    taker = asyncio.create_task(viewer.take())
                    await asyncio.wait({taker, chooser}, return_when=asyncio.FIRST_COMPLETED)
                    if chooser.done() and chooser.exception() is not None:
                        taker.cancel()
                        await chooser
                    yield await taker
            finally:
                chooser.cancel()
                await asyncio.gather(chooser, return_exceptions=True)
        finally:
            viewer.close()

    async def GetLivePicture(  # noqa: N802
        self, request: pixels_pb2.GetLivePictureRequest, context: Any
    ) -> pixels_pb2.GetLivePictureResponse:
        """The next picture of a camera as a PNG file."""
        camera = validate_camera_id(request.camera)
        principal = principal_of(context)
        principal.require(camera)
        is_covered = request.masked or not principal.sees_unmasked
        if request.max_width and not MIN_SIDE <= request.max_width <= _MAX_SIDE:
            raise InvalidArgument(f"max_width {request.max_width}", f"has to be {MIN_SIDE} to {_MAX_SIDE}, or 0")
        left_s = context.time_remaining()
        within_s = _PICTURE_WITHIN_S if left_s is None else min(_PICTURE_WITHIN_S, left_s * 0.8)
        async with self._host.wanting(camera) as wanted:
            try:
                async with asyncio.timeout(within_s):
                    picture = await _next_picture(wanted, request.max_width, is_covered=is_covered)
            except TimeoutError:
                raise Unavailable(
                    f"picture of camera {camera}",
                    f"none came within {within_s:.1f} s; the camera is {self._host.known.condition(camera)}",
                ) from None
        png = await asyncio.to_thread(encode_png, picture.rgb, picture.width, picture.height)
        return pixels_pb2.GetLivePictureResponse(
            png=png,
            id=picture.id.to_proto(),
            received_ns=picture.received_ns,
            inexact=picture.inexact,
            masked=picture.masked,
        )

    async def StreamPixels(  # type: ignore[override]  # noqa: N802
        self, request: pixels_pb2.StreamPixelsRequest, context: Any
    ) -> AsyncIterator[bytes]:
        """Planes of one camera; the responses are serialised already (`pixels_handler`)."""
        camera = validate_camera_id(request.camera)
        principal_of(context).require(camera)
        async for message in self._remote.stream(camera, request, is_covered=not principal_of(context).sees_unmasked):
            yield message

    async def ListDecoders(  # noqa: N802
        self, request: pixels_pb2.ListDecodersRequest, context: Any
    ) -> pixels_pb2.ListDecodersResponse:
        """What is decoded at present, in the caller's scope."""
        principal = principal_of(context)
        return pixels_pb2.ListDecodersResponse(
            decoders=[_decoder(wanted) for wanted in self._host.decoding if principal.allows(wanted.camera)]
        )


async def _choose_on(viewer: Viewer, requests: AsyncIterator[pixels_pb2.WatchThumbnailsRequest]) -> None:
    async for request in requests:
        await viewer.choose(request)


async def _next_picture(wanted: WantedCamera, max_width: int, *, is_covered: bool) -> SmallPicture:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[SmallPicture] = loop.create_future()

    def resolve(picture: SmallPicture) -> None:
        if not future.done():
            future.set_result(picture)

    def on_picture(views: Views, frame_id: FrameId, received_ns: int, inexact: bool) -> None:
        planes, masks = views.of(covered=is_covered)
        width, height = planes.width, planes.height
        if max_width:
            width, height = fit(width, height, max_width, _MAX_SIDE)
        rgb = planes.rgb24(width, height)
        picture = SmallPicture(frame_id, received_ns, width, height, rgb, inexact, bool(masks))
        with contextlib.suppress(RuntimeError):  # the loop is closing
            loop.call_soon_threadsafe(resolve, picture)

    forget = wanted.decoder.next_picture(on_picture)
    try:
        return await future
    finally:
        forget()


def _decoder(wanted: WantedCamera) -> pixels_pb2.Decoder:
    figures = wanted.decoder.figures
    return pixels_pb2.Decoder(
        camera=wanted.camera,
        pictures=figures.pictures,
        skipped_frames=figures.skipped_frames,
        failed_frames=figures.failed_frames,
        lag_ns=figures.lag_ns,
        readers=wanted.outlet.readers,
        decoder=figures.decoder,
        width=figures.width,
        height=figures.height,
        problem=figures.problem,
    )
