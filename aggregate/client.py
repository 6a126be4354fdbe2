"""The aggregate for other parts: inspections for people and programs, the pool for workers.

async with InspectionClient(endpoint, token) as inspections:
    for status in await inspections.list():
        print(status.inspection.id, status.worker)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from mesh.channel import Token, connect, connect_sync
from mesh.errors import Unavailable, from_rpc_error
from trueframe.v1 import inspection_pb2
from trueframe.v1.inspection_pb2 import Inspection, InspectionStatus
from trueframe.v1.inspection_pb2_grpc import InspectionServiceStub, PoolServiceStub

__all__ = ["Inspection", "InspectionClient", "InspectionStatus", "PoolClient", "PoolStream", "SyncInspectionClient"]

DEADLINE_S = 10.0


class InspectionClient:
    """Inspections, asynchronously. Raises errors of `mesh.errors`."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect(endpoint, token, **options)
        self._stub: Any = InspectionServiceStub(self._channel)

    async def __aenter__(self) -> InspectionClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of the connection."""
        await self._channel.close()

    async def list(self, *, timeout_s: float = DEADLINE_S) -> list[InspectionStatus]:
        """Inspections with their workers, by id."""
        try:
            answer = await self._stub.ListInspections(inspection_pb2.ListInspectionsRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return [*answer.inspections]

    async def put(self, inspection: Inspection, *, timeout_s: float = DEADLINE_S) -> InspectionStatus:
        """Creates or replaces an inspection. Raises InvalidArgument."""
        request = inspection_pb2.PutInspectionRequest(inspection=inspection)
        try:
            answer = await self._stub.PutInspection(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        status: InspectionStatus = answer.inspection
        return status


class SyncInspectionClient:
    """Inspections for plain programs; as InspectionClient."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect_sync(endpoint, token, **options)
        self._stub: Any = InspectionServiceStub(self._channel)

    def __enter__(self) -> SyncInspectionClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection."""
        self._channel.close()

    def list(self, *, timeout_s: float = DEADLINE_S) -> list[InspectionStatus]:
        """As InspectionClient.list."""
        try:
            answer = self._stub.ListInspections(inspection_pb2.ListInspectionsRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return [*answer.inspections]

    def put(self, inspection: Inspection, *, timeout_s: float = DEADLINE_S) -> InspectionStatus:
        """As InspectionClient.put."""
        request = inspection_pb2.PutInspectionRequest(inspection=inspection)
        try:
            status: InspectionStatus = self._stub.PutInspection(request, timeout=timeout_s).inspection
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return status


class PoolStream:
    """A worker's stream: say requests, iterate what the pool says. Made by `PoolClient.join`."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def say(self, request: inspection_pb2.JoinPoolRequest) -> None:
        """Sends a request. Raises Unavailable once the stream is broken."""
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        except (grpc.aio.UsageError, grpc.aio.BaseError, RuntimeError) as error:
            raise Unavailable("stream to the pool", f"is over ({error})") from None

    async def __aiter__(self) -> AsyncIterator[inspection_pb2.JoinPoolResponse]:
        """What the pool says, until it ends the stream. Raises Unavailable and others."""
        try:
            async for response in self._call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    def close(self) -> None:
        """Ends the stream."""
        self._call.cancel()


class PoolClient:
    """The pool, for workers."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect(endpoint, token, **options)
        self._stub: Any = PoolServiceStub(self._channel)

    async def __aenter__(self) -> PoolClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all streams."""
        await self._channel.close()

    async def join(self, hello: inspection_pb2.WorkerHello) -> PoolStream:
        """Opens a stream and says hello. Raises Unavailable if nobody answers."""
        stream = PoolStream(self._stub.JoinPool())
        try:
            await stream.say(inspection_pb2.JoinPoolRequest(hello=hello))
        except BaseException:
            stream.close()
            raise
        return stream
