"""The hand-written health call against real servers, and against what is none."""

import asyncio
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from trueframe.health import is_serving


@pytest.mark.parametrize("is_up", [True, False])
async def test_a_grpc_server_says_whether_it_serves(tmp_path: Path, is_up: bool) -> None:
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    status = health_pb2.HealthCheckResponse.SERVING if is_up else health_pb2.HealthCheckResponse.NOT_SERVING
    await servicer.set("", status)
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    try:
        assert [await is_serving(tmp_path / "s") for _ in range(3)] == [is_up] * 3
    finally:
        await server.stop(None)
    assert not await is_serving(tmp_path / "s")


async def test_a_server_without_health_does_not_serve(tmp_path: Path) -> None:
    server = grpc.aio.server()
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    try:
        assert not await is_serving(tmp_path / "s")
    finally:
        await server.stop(None)


async def test_what_is_silent_absent_or_no_grpc_server_does_not_serve(tmp_path: Path) -> None:
    assert not await is_serving(tmp_path / "absent")
    (tmp_path / "file").touch()
    assert not await is_serving(tmp_path / "file")

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x00\x08\x00\x00\x00\x00\x00\x01HTTP/1.1 400 Bad Request\r\n\r\n" * 100)
        writer.close()

    async with await asyncio.start_unix_server(silent, tmp_path / "silent"):
        assert not await is_serving(tmp_path / "silent", timeout_s=0.3)
    async with await asyncio.start_unix_server(garbage, tmp_path / "garbage"):
        assert not await is_serving(tmp_path / "garbage", timeout_s=0.3)
