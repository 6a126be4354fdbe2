"""What others import of the pixel host: whole pictures through shared memory or over gRPC, and small ones.

async with PixelClient(endpoint, token) as pixels:
    async with pixels.watch_thumbnails(["gate", "yard"], max_width=160, max_height=90) as watch:
        async for thumbnail in watch:
            show(thumbnail.id.camera, thumbnail.array())

async with PixelClient("10.0.0.7:7443", token) as pixels:         # from another machine
    async with pixels.stream_pixels("gate", max_width=640, max_rate=5) as stream:
        async for picture in stream:
            score(picture.id, picture.grey(320), picture.left_out)

with RingReader(rings_socket, token, "gate") as reader:
    for item in reader:
        match item:
            case Picture(): score(item.id, item.grey(320))
            case Missing(): explain(item.first_id, item.last_id, item.reason)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import numpy as np
from numpy.typing import NDArray

from broker.pixel.async_reader import AsyncRingReader
from broker.pixel.decode import Decoded, NotDecoded, StreamDecoder, packet_of
from broker.pixel.picture import Missing, MissingReason, Picture, RemotePicture, remote_picture
from broker.pixel.planes import planes_of
from broker.pixel.reader import RingReader
from broker.pixel.ring_layout import BT709, FULL_RANGE
from broker.pixel.scale import rgb24
from mesh.channel import Token, connect, connect_sync
from mesh.errors import from_rpc_error
from mesh.ids import FrameId
from trueframe.v1 import pixels_pb2, pixels_pb2_grpc

__all__ = [
    "BT709",
    "FULL_RANGE",
    "AsyncRingReader",
    "Decoded",
    "DecoderStatus",
    "LivePicture",
    "Missing",
    "MissingReason",
    "NotDecoded",
    "Picture",
    "PixelClient",
    "PixelStream",
    "RemotePicture",
    "RingReader",
    "StreamDecoder",
    "SyncPixelClient",
    "SyncPixelStream",
    "Thumbnail",
    "ThumbnailWatch",
    "packet_of",
    "planes_of",
    "rgb24",
]


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture: `rgb` holds rows from the top, three bytes a pixel, without padding."""

    id: FrameId
    received_ns: int
    width: int
    height: int
    rgb: bytes
    inexact: bool

    def array(self) -> NDArray[np.uint8]:
        """The pixels as a read-only array (height, width, 3)."""
        return np.frombuffer(self.rgb, np.uint8).reshape(self.height, self.width, 3)


@dataclass(frozen=True, slots=True)
class LivePicture:
    """The newest picture of a camera as a PNG file."""

    png: bytes
    id: FrameId
    received_ns: int
    inexact: bool
    masked: bool = False
    """Privacy masks cover parts of it."""


@dataclass(frozen=True, slots=True)
class DecoderStatus:
    """One camera's decoder, as `pixels.proto` describes it."""

    camera: str
    pictures: int
    skipped_frames: int
    failed_frames: int
    lag_ns: int
    readers: int
    decoder: str
    width: int
    height: int
    problem: str = ""
    """Why pictures do not come, or not as asked; empty if nothing is wrong."""


class ThumbnailWatch:
    """One open `WatchThumbnails` call: an asynchronous iterator and context manager.

    Ends with the errors of the call as TrueframeError: InvalidArgument, NotFound, PermissionDenied, Unavailable (the
    pixel host went away: open another watch).
    """

    def __init__(self, stub: pixels_pb2_grpc.PixelServiceAsyncStub, first: pixels_pb2.WatchThumbnailsRequest) -> None:
        self._stub = stub
        self._requests: asyncio.Queue[pixels_pb2.WatchThumbnailsRequest | None] = asyncio.Queue()
        self._requests.put_nowait(first)
        self._last = first
        self._call: Any = None
        self._ready: deque[Thumbnail] = deque()

    def choose(
        self,
        cameras: Sequence[str] | None = None,
        *,
        max_width: int | None = None,
        max_height: int | None = None,
        max_rate: float | None = None,
    ) -> None:
        """Replaces the choice; what is None stays. An empty sequence of cameras asks for all."""
        request = pixels_pb2.WatchThumbnailsRequest()
        request.CopyFrom(self._last)
        if cameras is not None:
            del request.cameras[:]
            request.cameras.extend(cameras)
            request.all_cameras = not cameras
        if max_width is not None:
            request.max_width = max_width
        if max_height is not None:
            request.max_height = max_height
        if max_rate is not None:
            request.max_rate = max_rate
        self._last = request
        # Only the newest choice counts: what was not sent yet is replaced, so that the queue holds one.
        while not self._requests.empty():
            self._requests.get_nowait()
        self._requests.put_nowait(request)

    async def _choices(self) -> AsyncIterator[pixels_pb2.WatchThumbnailsRequest]:
        while (request := await self._requests.get()) is not None:
            yield request

    async def __aenter__(self) -> ThumbnailWatch:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> ThumbnailWatch:
        return self

    async def __anext__(self) -> Thumbnail:
        if self._call is None:
            self._call = self._stub.WatchThumbnails(self._choices())
        while not self._ready:
            try:
                response = await self._call.read()
            except grpc.RpcError as error:
                raise from_rpc_error(error) from None
            if response is grpc.aio.EOF:
                raise StopAsyncIteration
            self._ready.extend(_thumbnail(message) for message in response.thumbnails)
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Ends the call."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._requests.put_nowait(None)


class PixelStream:
    """One open `StreamPixels` call: an asynchronous iterator of RemotePicture, and context manager.

    Ends with the errors of the call as TrueframeError: InvalidArgument, NotFound (no such camera, or it was removed),
    PermissionDenied, ResourceExhausted, Unavailable (the pixel host went away: open another stream).
    """

    def __init__(self, call: Any) -> None:
        self._call = call

    async def __aenter__(self) -> PixelStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> PixelStream:
        return self

    async def __anext__(self) -> RemotePicture:
        try:
            response = await self._call.read()
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        if response is grpc.aio.EOF:
            raise StopAsyncIteration
        return remote_picture(response)

    async def aclose(self) -> None:
        """Ends the call."""
        self._call.cancel()


class SyncPixelStream:
    """One open `StreamPixels` call for plain programs: an iterator and context manager. Errors as PixelStream's."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._closed = False

    def __enter__(self) -> SyncPixelStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> SyncPixelStream:
        return self

    def __next__(self) -> RemotePicture:
        try:
            return remote_picture(next(self._call))
        except grpc.RpcError as error:
            if self._closed:
                raise StopIteration from None
            raise from_rpc_error(error) from None

    def close(self) -> None:
        """Ends the call, from any thread: an iteration under way stops."""
        self._closed = True
        self._call.cancel()


class PixelClient:
    """The pixel host of one machine, asynchronous. Errors are TrueframeError; close it, or use `async with`."""

    def __init__(self, endpoint: str, token: Token | None) -> None:
        self._channel = connect(endpoint, token)
        self._stub: pixels_pb2_grpc.PixelServiceAsyncStub = pixels_pb2_grpc.PixelServiceStub(self._channel)

    async def __aenter__(self) -> PixelClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the channel; open watches end."""
        await self._channel.close()

    def watch_thumbnails(
        self,
        cameras: Iterable[str] = (),
        *,
        max_width: int,
        max_height: int,
        max_rate: float = 0.0,
    ) -> ThumbnailWatch:
        """The newest small pictures of the cameras (none named: of all, later ones included) as they become ready.

        Pictures fit into max_width x max_height; `max_rate` a second for each camera, 0 means 5. Slow readers miss
        older pictures, never the newest.
        """
        chosen = list(cameras)
        return ThumbnailWatch(
            self._stub,
            pixels_pb2.WatchThumbnailsRequest(
                cameras=chosen, all_cameras=not chosen, max_width=max_width, max_height=max_height, max_rate=max_rate
            ),
        )

    def stream_pixels(
        self, camera: str, *, max_width: int = 0, max_height: int = 0, max_rate: float = 0.0
    ) -> PixelStream:
        """The newest pictures of a camera, whole or fitted into max_width x max_height, at most `max_rate` a second.

        0 is no bound. A slow reader is never given old pictures: it misses some, and `left_out` says how many.
        """
        return PixelStream(self._stub.StreamPixels(_pixels_request(camera, max_width, max_height, max_rate)))

    async def live_picture(
        self, camera: str, *, max_width: int = 0, masked: bool = False, timeout_s: float = 10.0
    ) -> LivePicture:
        """The newest picture; `masked`: with privacy masks, whatever your right.

        Raises NotFound, Unavailable (the camera is not live), DeadlineExceeded.
        """
        request = pixels_pb2.GetLivePictureRequest(camera=camera, max_width=max_width, masked=masked)
        try:
            return _live_picture(await self._stub.GetLivePicture(request, timeout=timeout_s))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    async def list_decoders(self) -> list[DecoderStatus]:
        """What is decoded at present, by camera."""
        try:
            response = await self._stub.ListDecoders(pixels_pb2.ListDecodersRequest(), timeout=10.0)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return _decoders(response)


class SyncPixelClient:
    """The pixel host for plain programs. Errors are TrueframeError; close it, or use `with`."""

    def __init__(self, endpoint: str, token: Token | None) -> None:
        self._channel = connect_sync(endpoint, token)
        self._stub = pixels_pb2_grpc.PixelServiceStub(self._channel)

    def __enter__(self) -> SyncPixelClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def stream_pixels(
        self, camera: str, *, max_width: int = 0, max_height: int = 0, max_rate: float = 0.0
    ) -> SyncPixelStream:
        """As `PixelClient.stream_pixels`."""
        return SyncPixelStream(self._stub.StreamPixels(_pixels_request(camera, max_width, max_height, max_rate)))

    def live_picture(
        self, camera: str, *, max_width: int = 0, masked: bool = False, timeout_s: float = 10.0
    ) -> LivePicture:
        """The newest picture; `masked`: with privacy masks, whatever your right.

        Raises NotFound, Unavailable (the camera is not live), DeadlineExceeded.
        """
        request = pixels_pb2.GetLivePictureRequest(camera=camera, max_width=max_width, masked=masked)
        try:
            return _live_picture(self._stub.GetLivePicture(request, timeout=timeout_s))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def list_decoders(self) -> list[DecoderStatus]:
        """What is decoded at present, by camera."""
        try:
            return _decoders(self._stub.ListDecoders(pixels_pb2.ListDecodersRequest(), timeout=10.0))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None


def _thumbnail(message: pixels_pb2.Thumbnail) -> Thumbnail:
    return Thumbnail(
        FrameId.from_proto(message.id), message.received_ns, message.width, message.height, message.rgb, message.inexact
    )


def _pixels_request(camera: str, max_width: int, max_height: int, max_rate: float) -> pixels_pb2.StreamPixelsRequest:
    return pixels_pb2.StreamPixelsRequest(camera=camera, max_width=max_width, max_height=max_height, max_rate=max_rate)


def _live_picture(message: pixels_pb2.GetLivePictureResponse) -> LivePicture:
    return LivePicture(
        message.png, FrameId.from_proto(message.id), message.received_ns, message.inexact, message.masked
    )


def _decoders(response: pixels_pb2.ListDecodersResponse) -> list[DecoderStatus]:
    return [
        DecoderStatus(
            m.camera,
            m.pictures,
            m.skipped_frames,
            m.failed_frames,
            m.lag_ns,
            m.readers,
            m.decoder,
            m.width,
            m.height,
            m.problem,
        )
        for m in response.decoders
    ]
