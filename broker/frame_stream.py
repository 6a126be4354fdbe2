"""A stream of frames over asyncio that outlives its calls: it reconnects and goes on behind the last ids.

Belongs here: the life of the calls. Does not belong here: what has to be remembered over them (`stream_state`), the
same without an event loop (`frame_stream_sync`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, Unpack

import grpc
import grpc.aio

from broker.core import BatchReader
from broker.stream_options import CameraSet
from broker.stream_state import Selection, StreamItem, StreamState
from mesh.cancellation import honour_cancellation
from mesh.errors import TrueframeError, Unavailable, from_rpc_error

# Opens a call; lists the ids of the cameras that exist.
OpenCall = Callable[[], Any]
ListIds = Callable[[], Coroutine[Any, Any, list[str]]]


class _Stream:
    """What both kinds of stream have: batches over any number of calls, changing the cameras, closing."""

    def __init__(
        self,
        endpoint: str,
        open_call: OpenCall,
        list_ids: ListIds,
        state: StreamState,
    ) -> None:
        self._endpoint = endpoint
        self._open_call = open_call
        self._list_ids = list_ids
        self._state = state
        self._call: Any = None
        self._batches = self._run()

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def update(self, cameras: Iterable[str] = (), **more: Unpack[CameraSet]) -> None:
        """Replaces the camera set of the open stream (see CameraSet); cameras in both sets go on without a seam.

        What is on its way already of a camera that is left out may still come. `starts` count for cameras that are new
        to the stream. A camera that does not exist, or is not yours, ends the stream: reading it raises NotFound or
        PermissionDenied. A stream that is not connected just now asks for the new set when it is.
        """
        request = self._state.change(Selection.of(cameras, **more))
        if self._call is not None:
            # A call that has just ended: the next one asks for the new set.
            with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
                await self._call.write(request)

    async def aclose(self) -> None:
        """Ends the subscription."""
        await self._batches.aclose()  # type: ignore[attr-defined]

    async def _run(self) -> AsyncIterator[bytes]:
        loop, state = asyncio.get_running_loop(), self._state
        retry = state.retry(loop.time())
        while True:
            call = self._open_call()
            try:
                await call.write(state.request())
                self._call = call
                while (batch := await call.read()) is not grpc.aio.EOF:
                    retry.worked()
                    state.has_connected = True
                    yield batch
                error: TrueframeError = Unavailable(f"broker at {self._endpoint}", "ended the stream")
            except grpc.RpcError as raised:
                error = from_rpc_error(raised)
            except asyncio.InvalidStateError:  # grpc.aio: written to a call that had ended.
                error = await _status_of(call)
            finally:
                self._call = None
                call.cancel()
            honour_cancellation()
            if not await self._may_retry(error):
                raise error
            wait_s = retry.wait_s(loop.time())
            if wait_s is None:
                raise error
            await asyncio.sleep(wait_s)

    async def _may_retry(self, error: TrueframeError) -> bool:
        if not self._state.asks_about_missing(error):
            return self._state.is_transient(error)
        # A camera was removed while the broker was away: go on with the others.
        with contextlib.suppress(TrueframeError):
            return self._state.keep_only(await self._list_ids())
        return True


class FrameStream(_Stream):
    """An open subscription as an asynchronous iterator of items. Close it, or use it as a context manager."""

    _reader = BatchReader(b"")

    async def __anext__(self) -> StreamItem:
        while True:
            for item in self._reader:
                if self._state.take(item):
                    return item
            self._reader = BatchReader(await anext(self._batches))


class BatchStream(_Stream):
    """The same as encoded FrameBatch messages."""

    async def __anext__(self) -> bytes:
        batch = await anext(self._batches)
        for item in BatchReader(batch):
            self._state.take(item)
        return batch


async def _status_of(call: Any) -> TrueframeError:
    code, details = await call.code(), await call.details()
    error = grpc.aio.AioRpcError(code, await call.initial_metadata(), await call.trailing_metadata(), details)
    return from_rpc_error(error)
