"""Where units come from: one LOSSLESS subscription at the broker for all cameras that are decoded at present.

Here: keeping that subscription open, changing its camera set, resuming, sharing items out to cameras. Not here: which
cameras are wanted (host.py), what is done with items (camera.py). The process that decodes has no camera connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import grpc
import grpc.aio

from broker.client import BatchReader, WireFrame
from broker.pixel.inbox import Arrival
from mesh.errors import NotFound, Unavailable, from_rpc_error
from mesh.grpc_bytes import bytes_stream_stream
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from trueframe.v1 import broker_pb2

log = get_logger("broker.pixel.feed")

SUBSCRIBER = "pixel-host"
_SERVICE = "trueframe.v1.BrokerService"
_LONGEST_WAIT_S = 2.0

Sink = Callable[[Arrival], None]


class BrokerFeed:
    """Gives each subscribed camera's items to its sink, in order, on the event loop. `run` it as one task."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call_frames = bytes_stream_stream(channel, _SERVICE, "StreamFrames")
        self._sinks: dict[str, Sink] = {}
        self._last: dict[str, FrameId] = {}
        self._changed = asyncio.Event()

    def subscribe(self, camera: str, sink: Sink) -> None:
        """Begins with the newest join point the broker holds."""
        self._sinks[camera] = sink
        self._changed.set()

    def unsubscribe(self, camera: str) -> None:
        """No item of the camera is given any more."""
        self._sinks.pop(camera, None)
        self._last.pop(camera, None)
        self._changed.set()

    async def run(self) -> None:
        """Streams until cancelled; heals by itself."""
        wait_s = 0.1
        while True:
            if not self._sinks:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                if await self._stream():
                    wait_s = 0.1
                    continue
            except grpc.RpcError as error:
                known = from_rpc_error(error)
                if isinstance(known, NotFound | Unavailable):
                    # A camera that is being removed, or a broker that restarts: told by those whose business it is.
                    log.debug("stream ended", reason=str(known))
                elif rate_limited("feed", 5.0):
                    log.warning("no frames from the broker", reason=str(known))
            await asyncio.sleep(wait_s)
            wait_s = min(_LONGEST_WAIT_S, wait_s * 2)

    async def _stream(self) -> bool:
        """One call; returns whether anything came. Ends when no camera is left."""
        self._changed.clear()
        asked = frozenset(self._sinks)
        call: Any = self._call_frames()
        came = False
        writer: asyncio.Task[None] | None = None
        try:
            await call.write(self._request(asked, asked))
            writer = asyncio.create_task(self._keep_choice(call, asked))
            async for batch in _batches(call):
                came = True
                self._share_out(batch)
                if not self._sinks:
                    break
        except grpc.RpcError:
            if not came:
                raise
        except asyncio.CancelledError:
            # Reading from a call that `_keep_choice` cancelled ends like this too.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
        finally:
            if writer is not None:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
            call.cancel()
        return came

    async def _keep_choice(self, call: Any, asked: frozenset[str]) -> None:
        """Sends the camera set whenever it changes; ends the call when it is empty."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = frozenset(self._sinks)
            if not wanted:
                call.cancel()
                return
            if wanted != asked:
                await call.write(self._request(wanted, wanted - asked))
                asked = wanted

    def _request(self, cameras: Collection[str], fresh: Collection[str]) -> broker_pb2.StreamFramesRequest:
        starts = [
            broker_pb2.CameraStart(camera=camera, after=self._last[camera].to_proto())
            for camera in sorted(fresh)
            if camera in self._last
        ]
        return broker_pb2.StreamFramesRequest(
            cameras=sorted(cameras), starts=starts, delivery=broker_pb2.DELIVERY_LOSSLESS, subscriber=SUBSCRIBER
        )

    def _share_out(self, batch: bytes) -> None:
        for item in BatchReader(batch):
            sink = self._sinks.get(item.camera)
            if sink is None:
                continue  # unsubscribed while the batch was on its way
            if isinstance(item, WireFrame):
                self._last[item.camera] = item.id
            sink(item)


async def _batches(call: Any) -> AsyncIterator[bytes]:
    while True:
        batch = await call.read()
        if batch is grpc.aio.EOF:
            return
        yield batch
