"""The part of both clients that asks how the disks are."""

from __future__ import annotations

from typing import Any

from media_center.client_calls import DEADLINE_S, errors
from trueframe.v1 import footage_pb2, footage_pb2_grpc


class StorageCalls:
    """Part of FootageClient."""

    _stub: footage_pb2_grpc.FootageServiceAsyncStub

    async def storage(self) -> footage_pb2.GetStorageResponse:
        """How the disks under the footage are: space, speed, what waits, what ails them."""
        with errors():
            return await self._stub.GetStorage(footage_pb2.GetStorageRequest(), timeout=DEADLINE_S)


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
