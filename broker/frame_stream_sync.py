"""A stream of frames for programs without an event loop; otherwise as `frame_stream`.

One thread reads a stream; another one may change its cameras.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Unpack

import grpc

from broker.core import BatchReader
from broker.stream_options import CameraSet
from broker.stream_state import Selection, StreamItem, StreamState
from mesh.errors import TrueframeError, Unavailable, from_rpc_error
from trueframe.v1.broker_pb2 import StreamFramesRequest

# Opens a call with an iterator of requests; lists the ids of the cameras that exist.
OpenCall = Callable[[Iterator[StreamFramesRequest]], Any]
ListIds = Callable[[], list[str]]


class SyncFrameStream:
    """An open subscription as an iterator of items. Leaving it to itself ends it too; so does `close`."""

    def __init__(
        self,
        endpoint: str,
        open_call: OpenCall,
        list_ids: ListIds,
        state: StreamState,
    ) -> None:
        self._state = state
        self._calls = _Calls(endpoint, open_call, list_ids, state)
        # The generator knows the calls, not this object: one that is forgotten must be able to go, and end its call.
        self._batches = self._calls.batches()
        self._reader = BatchReader(b"")

    def __iter__(self) -> SyncFrameStream:
        return self

    def __next__(self) -> StreamItem:
        while True:
            for item in self._reader:
                if self._state.take(item):
                    return item
            self._reader = BatchReader(next(self._batches))

    def __enter__(self) -> SyncFrameStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def update(self, cameras: Iterable[str] = (), **more: Unpack[CameraSet]) -> None:
        """Replaces the camera set of the open stream; see FrameStream.update."""
        self._calls.ask(self._state.change(Selection.of(cameras, **more)))

    def close(self) -> None:
        """Ends the subscription."""
        self._batches.close()  # type: ignore[attr-defined]


class _Calls:
    """Batches over any number of calls."""

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
        self._requests: _Requests | None = None

    def ask(self, request: StreamFramesRequest) -> None:
        """Sends one more request on the open call, if one is."""
        if self._requests is not None:
            self._requests.put(request)

    def batches(self) -> Iterator[bytes]:
        state = self._state
        retry = state.retry(time.monotonic())
        while True:
            requests = self._requests = _Requests(state.request())
            call = self._open_call(iter(requests))
            try:
                for batch in call:
                    retry.worked()
                    state.has_connected = True
                    yield batch
                error: TrueframeError = Unavailable(f"broker at {self._endpoint}", "ended the stream")
            except grpc.RpcError as raised:
                error = from_rpc_error(raised)
            finally:
                self._requests = None
                requests.close()
                call.cancel()
            if not self._may_retry(error):
                raise error
            wait_s = retry.wait_s(time.monotonic())
            if wait_s is None:
                raise error
            time.sleep(wait_s)

    def _may_retry(self, error: TrueframeError) -> bool:
        if not self._state.asks_about_missing(error):
            return self._state.is_transient(error)
        with contextlib.suppress(TrueframeError):
            return self._state.keep_only(self._list_ids())
        return True


class _Requests:
    """What a call has to say: gRPC reads it in a thread of its own. Ending it would half-close the stream."""

    def __init__(self, first: StreamFramesRequest) -> None:
        self._waiting: queue.SimpleQueue[StreamFramesRequest | None] = queue.SimpleQueue()
        self._waiting.put(first)

    def put(self, request: StreamFramesRequest) -> None:
        self._waiting.put(request)

    def close(self) -> None:
        self._waiting.put(None)

    def __iter__(self) -> Iterator[StreamFramesRequest]:
        while (request := self._waiting.get()) is not None:
            yield request
