"""The worker's side of JoinPool against a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio

from aggregate.client import PoolClient, PoolStream
from trueframe.v1 import inspection_pb2, inspection_pb2_grpc

BLOCKS, HEARTBEATS = 2000, 200


class CountingPool(inspection_pb2_grpc.PoolServiceServicer):
    """Says how many requests have come, each time one comes."""

    async def JoinPool(  # noqa: N802 - the rpc's name
        self, request_iterator: AsyncIterator[inspection_pb2.JoinPoolRequest], context: Any
    ) -> AsyncIterator[inspection_pb2.JoinPoolResponse]:
        number = 0
        async for _ in request_iterator:
            number += 1
            acknowledgement = inspection_pb2.BlockAcknowledgement(number=number)
            yield inspection_pb2.JoinPoolResponse(acknowledgement=acknowledgement)


async def test_heartbeats_and_blocks_that_are_said_at_the_same_time_all_arrive(tmp_path: Path) -> None:
    a_block = inspection_pb2.JoinPoolRequest(block=inspection_pb2.VerdictBlock(number=1))
    a_heartbeat = inspection_pb2.JoinPoolRequest(heartbeat=inspection_pb2.WorkerHeartbeat(load=0.5))
    server = grpc.aio.server()
    inspection_pb2_grpc.add_PoolServiceServicer_to_server(CountingPool(), server)
    endpoint = f"unix:{tmp_path}/pool.sock"
    server.add_insecure_port(endpoint)
    await server.start()
    try:
        async with PoolClient(endpoint, None) as pool:
            stream = await pool.join(inspection_pb2.WorkerHello(worker="w", capacity=1))
            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                tasks.create_task(say(stream, a_block, BLOCKS))
                tasks.create_task(say(stream, a_heartbeat, HEARTBEATS))
                tasks.create_task(heard(stream, 1 + BLOCKS + HEARTBEATS))
            stream.close()
    finally:
        await server.stop(0)


async def say(stream: PoolStream, request: inspection_pb2.JoinPoolRequest, times: int) -> None:
    for _ in range(times):
        await stream.say(request)
        await asyncio.sleep(0)


async def heard(stream: PoolStream, until: int) -> None:
    async for response in stream:
        if response.acknowledgement.number >= until:
            return
