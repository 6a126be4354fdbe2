"""The part of both clients that asks how the disks are, and has footage brought back to the first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from media_center.client_calls import DEADLINE_S, errors, footage_range
from media_center.export_parts import Place
from trueframe.v1 import footage_pb2, footage_pb2_grpc


class StorageCalls:
    """Part of FootageClient."""

    _stub: footage_pb2_grpc.FootageServiceAsyncStub

    async def storage(self) -> footage_pb2.GetStorageResponse:
        """How the disks under the footage are: space, speed, what waits, what ails them."""
        with errors():
            return await self._stub.GetStorage(footage_pb2.GetStorageRequest(), timeout=DEADLINE_S)

    async def bring_back(
        self, camera: str, start: Place = None, end: Place = None, keep_s: int = 0
    ) -> AsyncIterator[footage_pb2.BringBackFootageResponse]:
        """Moves footage back from the second tier, where it stays for `keep_s` (0: seven days). Yields progress.

        Leaving it early ends the work; what is back by then stays. Raises NotFound, FailedPrecondition (there is no
        second tier), ResourceExhausted (no space), Unavailable (the second tier cannot be reached).
        """
        request = footage_pb2.BringBackFootageRequest(range=footage_range(camera, start, end), keep_s=keep_s)
        call: Any = self._stub.BringBackFootage(request)
        try:
            with errors():
                async for answer in call:
                    yield answer
        finally:
            call.cancel()


class SyncStorageCalls:
    """Part of SyncFootageClient."""

    _stub: Any

    def storage(self) -> footage_pb2.GetStorageResponse:
        """As FootageClient.storage."""
        with errors():
            found: footage_pb2.GetStorageResponse = self._stub.GetStorage(
                footage_pb2.GetStorageRequest(), timeout=DEADLINE_S
            )
            return found

    def bring_back(
        self, camera: str, start: Place = None, end: Place = None, keep_s: int = 0
    ) -> Iterator[footage_pb2.BringBackFootageResponse]:
        """As FootageClient.bring_back."""
        request = footage_pb2.BringBackFootageRequest(range=footage_range(camera, start, end), keep_s=keep_s)
        call = self._stub.BringBackFootage(request)
        try:
            with errors():
                yield from call
        finally:
            call.cancel()
