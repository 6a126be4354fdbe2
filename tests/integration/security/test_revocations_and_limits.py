"""Revoked tokens, told by a file and by the bus; and what one caller may ask, over real calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from mesh.bus import Bus
from mesh.channel import connect
from mesh.errors import ResourceExhausted, Unauthenticated, Unavailable, from_rpc_error
from mesh.limits import RETRY_METADATA_KEY
from mesh.revocation import Revocation, RevocationList, Revocations, revoke
from mesh.revocation_bus import exchange, newest, publish
from mesh.tokens import Verifier
from tests.integration.security.conftest import Serving, Site
from tests.nats_process import NatsProcess
from tests.support import auntil
from trueframe.v1 import broker_pb2, broker_pb2_grpc

LIST = broker_pb2.ListSubscriptionsRequest()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsProcess]:
    with NatsProcess(tmp_path / "js") as server:
        yield server


def entry(hall: Site, token: str) -> Revocation:
    principal = Verifier(hall.key.public_key()).verify(token)
    return Revocation(int(time.time()), int(principal.expires_s), token_id=principal.token_id)


async def error_of(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_token_revoked_in_the_file_is_refused_and_its_stream_ends_while_others_go_on(
    hall: Site, serving: Serving
) -> None:
    config = hall.config(with_tls=False)
    bad, good = hall.mint("eve", "maintainer"), hall.mint("eve", "maintainer")
    async with (
        serving(config) as server,
        connect(server.endpoint, bad) as channel,
        connect(server.endpoint, good) as other,
    ):
        stubs = [broker_pb2_grpc.BrokerServiceStub(one) for one in (channel, other)]
        streams = [stub.StreamFrames() for stub in stubs]
        for stream in streams:
            await stream.write(broker_pb2.StreamFramesRequest())
            await stream.read()
        revoke(config.revocations_file, hall.key, entry(hall, bad))

        async def to_its_end() -> None:
            while await streams[0].read() is not grpc.aio.EOF:
                pass

        error = from_rpc_error(await error_of(to_its_end()))
        assert isinstance(error, Unauthenticated)
        assert "has been revoked" in str(error)
        assert isinstance(from_rpc_error(await error_of(stubs[0].ListSubscriptions(LIST))), Unauthenticated)
        await streams[1].read()
        assert (await stubs[1].ListSubscriptions(LIST)).subscriptions[0].principal == "eve"
        streams[1].cancel()


async def test_a_service_with_a_folder_of_its_own_hears_of_a_revocation_on_the_bus_and_keeps_it(
    hall: Site, serving: Serving, nats: NatsProcess, tmp_path: Path
) -> None:
    own = tmp_path / "elsewhere" / "revoked.jws"
    config = hall.config(
        "broker", f"nats.url={nats.url}", f"security.revocations_file={own}", "security.share_revocations=true",
        with_tls=False,
    )  # fmt: skip
    token = hall.mint("eve", "maintainer")
    async with serving(config) as server, connect(server.endpoint, token) as channel:
        stub = broker_pb2_grpc.BrokerServiceStub(channel)
        await stub.ListSubscriptions(LIST)
        revoked = RevocationList().with_entry(entry(hall, token), time.time())
        async with Bus(nats.url, name="administrator") as bus:
            await bus.ready(20)
            await publish(bus, revoked.encode(hall.key))

        async def is_refused() -> bool:
            try:
                await stub.ListSubscriptions(LIST)
            except grpc.aio.AioRpcError as error:
                return isinstance(from_rpc_error(error), Unauthenticated)
            return False

        await auntil(is_refused, 20, "the service believes the list")
    # Without the bus, and after a restart: the list is in its own folder.
    kept = Revocations(own, [hall.key.public_key()])
    assert kept.present == revoked


async def test_a_bus_that_cannot_be_entered_does_not_keep_the_file_from_being_looked_at(
    hall: Site, serving: Serving, tmp_path: Path
) -> None:
    config = hall.config(
        "broker", "security.share_revocations=true", "nats.user=x", f"nats.password_file={tmp_path / 'absent'}",
        with_tls=False,
    )  # fmt: skip
    token = hall.mint("eve", "maintainer")
    async with serving(config) as server, connect(server.endpoint, token) as channel:
        stub = broker_pb2_grpc.BrokerServiceStub(channel)
        await stub.ListSubscriptions(LIST)
        revoke(config.revocations_file, hall.key, entry(hall, token))

        async def is_refused() -> bool:
            try:
                await stub.ListSubscriptions(LIST)
            except grpc.aio.AioRpcError as error:
                return isinstance(from_rpc_error(error), Unauthenticated)
            return False

        await auntil(is_refused, 10, "the service believes the file")


async def test_a_bus_that_lost_the_list_gets_it_back_and_an_older_one_is_not_taken(
    hall: Site, nats: NatsProcess, tmp_path: Path
) -> None:
    older = RevocationList().with_entry(entry(hall, hall.mint("a", "viewer")), time.time() - 60)
    newer = older.with_entry(entry(hall, hall.mint("b", "viewer")), time.time())
    known = Revocations(tmp_path / "revoked.jws", [hall.key.public_key()])
    assert known.take(newer.encode(hall.key), "test")
    async with Bus(nats.url, name="test") as bus:
        await bus.ready(20)
        assert not await exchange(bus, known)
        assert await newest(bus) == known.text
        await publish(bus, older.encode(hall.key))
        assert not await exchange(bus, known)
        assert known.present == newer
        assert await newest(bus) == known.text


async def test_a_damaged_list_at_the_start_keeps_users_out_and_lets_services_in(hall: Site, serving: Serving) -> None:
    config = hall.config(with_tls=False)
    config.revocations_file.touch(mode=0o600)
    config.revocations_file.write_text("no list")
    async with serving(config) as server:
        async with connect(server.endpoint, hall.mint("olga", "administrator")) as channel:
            error = await error_of(broker_pb2_grpc.BrokerServiceStub(channel).ListSubscriptions(LIST))
            assert isinstance(from_rpc_error(error), Unavailable)
        async with connect(server.endpoint, hall.mint("worker", "service")) as channel:
            await broker_pb2_grpc.BrokerServiceStub(channel).ListSubscriptions(LIST)


async def test_calls_that_come_too_fast_are_refused_with_a_time_to_come_back(hall: Site, serving: Serving) -> None:
    config = hall.config(
        "broker", "security.limits.reads_per_s=0.5", "security.limits.reads_burst=2", with_tls=False
    )  # fmt: skip
    async with serving(config) as server:
        async with connect(server.endpoint, hall.mint("olga", "maintainer")) as channel:
            stub = broker_pb2_grpc.BrokerServiceStub(channel)
            await stub.ListSubscriptions(LIST)
            await stub.ListSubscriptions(LIST)
            error = await error_of(stub.ListSubscriptions(LIST))
        assert isinstance(from_rpc_error(error), ResourceExhausted)
        wait_ms = int(dict(error.trailing_metadata())[RETRY_METADATA_KEY])
        assert 0 < wait_ms <= 2000
        # Neither somebody else nor a service pays for it.
        for name, role in (("max", "maintainer"), ("olga", "service")):
            async with connect(server.endpoint, hall.mint(name, role)) as channel:
                for _ in range(2):
                    await broker_pb2_grpc.BrokerServiceStub(channel).ListSubscriptions(LIST)


async def test_open_streams_and_large_requests_of_one_caller_are_bounded(hall: Site, serving: Serving) -> None:
    config = hall.config(
        "broker", "security.limits.max_streams=2", "security.limits.max_stream_message_bytes=2000",
        "security.limits.max_read_bytes=2000", with_tls=False,
    )  # fmt: skip
    async with serving(config) as server, connect(server.endpoint, hall.mint("olga", "maintainer")) as channel:
        stub = broker_pb2_grpc.BrokerServiceStub(channel)
        streams = [stub.StreamFrames() for _ in range(2)]
        for stream in streams:
            await stream.write(broker_pb2.StreamFramesRequest())
            await stream.read()
        third = stub.StreamFrames(iter([broker_pb2.StreamFramesRequest()]))
        assert isinstance(from_rpc_error(await error_of(third.read())), ResourceExhausted)
        streams[0].cancel()

        async def opens(request: broker_pb2.StreamFramesRequest) -> Any:
            try:
                call = stub.StreamFrames(iter([request]))
                await call.read()
                call.cancel()
                return True
            except grpc.aio.AioRpcError as error:
                return str(from_rpc_error(error))

        async def opens_again() -> bool:
            return await opens(broker_pb2.StreamFramesRequest()) is True

        await auntil(opens_again, 10, "a closed stream makes room")
        large = broker_pb2.StreamFramesRequest(subscriber="x" * 3000)

        async def says_too_large() -> bool:
            return "bytes; 2000 are allowed" in str(await opens(large))

        await auntil(says_too_large, 10, "a large message is refused")
        streams[1].cancel()
        raw = channel.unary_unary("/trueframe.v1.BrokerService/ListSubscriptions")
        assert "bytes; 2000 are allowed" in str(from_rpc_error(await error_of(raw(b"\x7a" + bytes(3000)))))
