"""The part of both clients that has footage compared with what proves it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from media_center.client_calls import errors
from trueframe.v1 import footage_pb2, footage_pb2_grpc


class ProofCalls:
    """Part of FootageClient."""

    _stub: footage_pb2_grpc.FootageServiceAsyncStub

    async def scrub(self, cameras: Iterable[str] = ()) -> AsyncIterator[footage_pb2.ScrubFootageResponse]:
        """Compares footage with its digests, seals and signatures now; of all cameras if none is named.

        Yields progress and findings, each finding once. Ends with the work; leaving it early ends the work.
        """
        call: Any = self._stub.ScrubFootage(footage_pb2.ScrubFootageRequest(cameras=cameras))
        try:
            with errors():
                async for answer in call:
                    yield answer
        finally:
            call.cancel()


class SyncProofCalls:
    """Part of SyncFootageClient."""

    _stub: Any

    def scrub(self, cameras: Iterable[str] = ()) -> Iterator[footage_pb2.ScrubFootageResponse]:
        """As FootageClient.scrub."""
        call = self._stub.ScrubFootage(footage_pb2.ScrubFootageRequest(cameras=cameras))
        try:
            with errors():
                yield from call
        finally:
            call.cancel()
