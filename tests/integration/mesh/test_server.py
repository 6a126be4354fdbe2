from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mesh.channel import Credentials, connect, connect_sync
from mesh.config import Config
from mesh.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PortInUse,
    ResourceExhausted,
    TrueframeError,
    Unauthenticated,
    Unavailable,
    Unsupported,
    from_rpc_error,
)
from mesh.files import write_private
from mesh.grpc_bytes import bytes_handler, bytes_stream_stream
from mesh.security import current_principal, principal_of
from mesh.server import RunningServer, serve
from tests.support import auntil
from trueframe.v1 import broker_pb2, broker_pb2_grpc, frames_pb2

BROKER = "trueframe.v1.BrokerService"
Mint = Callable[..., str]
LIST = broker_pb2.ListSubscriptionsRequest()


class Broker(broker_pb2_grpc.BrokerServiceServicer):
    """A servicer whose conduct each test chooses."""

    def __init__(self) -> None:
        self.raises: Exception | None = None
        self.streams = 0

    async def ListSubscriptions(self, request: Any, context: Any) -> broker_pb2.ListSubscriptionsResponse:  # noqa: N802
        if self.raises is not None:
            raise self.raises
        caller = principal_of(context)
        caller.require("gate")
        assert caller == current_principal()
        return broker_pb2.ListSubscriptionsResponse(subscriptions=[broker_pb2.Subscription(principal=caller.name)])

    async def StreamFrames(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        self.streams += 1
        try:
            async for request in request_iterator:
                if self.raises is not None:
                    raise self.raises
                yield batch(request.subscriber.encode() + b" to " + principal_of(context).name.encode())
        finally:
            self.streams -= 1


def batch(payload: bytes) -> frames_pb2.FrameBatch:
    return frames_pb2.FrameBatch(items=[frames_pb2.Item(frame=frames_pb2.Frame(payload=payload))])


@contextlib.asynccontextmanager
async def serving(
    config: Config, endpoint: str = "", generic: tuple[Any, ...] = (), **named: Any
) -> AsyncIterator[tuple[RunningServer, Broker]]:
    broker = Broker()
    registration = (broker_pb2_grpc.add_BrokerServiceServicer_to_server, broker, BROKER)
    async with serve(endpoint or config.broker.endpoint, config, [registration], generic, **named) as server:
        yield server, broker


@contextlib.asynccontextmanager
async def client(server: RunningServer, token: Any) -> AsyncIterator[broker_pb2_grpc.BrokerServiceStub]:
    async with connect(server.endpoint, token) as channel:
        yield broker_pb2_grpc.BrokerServiceStub(channel)


async def error_of(call: Any) -> TrueframeError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def test_a_call_with_a_token_reaches_the_servicer_which_knows_the_caller(config: Config, mint: Mint) -> None:
    token = mint("olga", "service")
    async with serving(config) as (server, _), client(server, token) as stub:
        answer = await stub.ListSubscriptions(LIST)
        assert answer.subscriptions[0].principal == "olga"
        call = stub.StreamFrames()
        await call.write(broker_pb2.StreamFramesRequest(subscriber="wall"))
        assert await call.read() == batch(b"wall to olga")
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_the_synchronous_channel_does_the_same(config: Config, mint: Mint) -> None:
    token = mint("olga", "service")

    def use(endpoint: str) -> tuple[str, list[bytes]]:
        with connect_sync(endpoint, token) as channel:
            stub = broker_pb2_grpc.BrokerServiceStub(channel)
            name = stub.ListSubscriptions(LIST).subscriptions[0].principal
            requests = iter([broker_pb2.StreamFramesRequest(subscriber="wall")])
            return name, [one.items[0].frame.payload for one in stub.StreamFrames(requests)]

    async with serving(config) as (server, _):
        assert await asyncio.to_thread(use, server.endpoint) == ("olga", [b"wall to olga"])


async def test_there_is_no_anonymous_path_but_health(config: Config, mint: Mint) -> None:
    mint("nobody", "viewer")
    async with serving(config) as (server, broker), connect(server.endpoint, None) as channel:
        stub = broker_pb2_grpc.BrokerServiceStub(channel)
        assert isinstance(await error_of(stub.ListSubscriptions(LIST)), Unauthenticated)
        # Not even a stream on which the client says nothing.
        assert isinstance(await error_of(stub.StreamFrames().read()), Unauthenticated)
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        assert isinstance(await error_of(reflection.ServerReflectionInfo().read()), Unauthenticated)
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", BROKER):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert broker.streams == 0


@pytest.mark.parametrize(
    "metadata", [("authorization", "Basic abc"), ("authorization", "Bearer"), ("authorization", "Bearer a.b.c")]
)
async def test_other_authorisation_is_refused_without_an_echo(
    config: Config, mint: Mint, metadata: tuple[str, str]
) -> None:
    mint("nobody", "viewer")
    async with serving(config) as (server, _), connect(server.endpoint, None) as channel:
        stub = broker_pb2_grpc.BrokerServiceStub(channel)
        error = await error_of(stub.ListSubscriptions(LIST, metadata=(metadata,)))
    assert isinstance(error, Unauthenticated)
    assert "abc" not in str(error)
    assert "a.b.c" not in str(error)


async def test_a_token_of_another_key_or_past_its_time_is_refused(config: Config, mint: Mint, tmp_path: Path) -> None:
    from mesh.security import create_signing_key, mint_token

    stranger = mint_token(create_signing_key(tmp_path / "k", tmp_path / "p"), "eve", "service")
    old = mint("olga", "service", ttl=timedelta(seconds=-60))
    async with serving(config) as (server, _):
        async with client(server, stranger) as stub:
            assert "a key this service does not know" in str(await error_of(stub.ListSubscriptions(LIST)))
        async with client(server, old) as stub:
            assert "has expired" in str(await error_of(stub.ListSubscriptions(LIST)))


async def test_a_role_without_the_right_is_told_which_roles_have_it(config: Config, mint: Mint) -> None:
    async with serving(config) as (server, _), client(server, mint("vera", "viewer")) as stub:
        error = await error_of(stub.ListSubscriptions(LIST))
    assert isinstance(error, PermissionDenied)
    assert (error.thing, error.reason) == ("ListSubscriptions", "is not allowed to 'vera' as viewer")
    assert error.remedy == "Roles that may: administrator, maintainer, service."


async def test_a_camera_outside_the_tokens_scope_is_denied(config: Config, mint: Mint) -> None:
    async with serving(config) as (server, _):
        async with client(server, mint("max", "maintainer", cameras=["yard"])) as stub:
            assert isinstance(await error_of(stub.ListSubscriptions(LIST)), PermissionDenied)
        async with client(server, mint("max", "maintainer", cameras=["yard", "gate"])) as stub:
            await stub.ListSubscriptions(LIST)


@pytest.mark.parametrize(
    "error",
    [
        NotFound("camera 'tür'", "does not exist", "Kameras: …"),
        InvalidArgument("thing", "reason"),
        ResourceExhausted("disk", "is full", "Make space."),
        PortInUse("endpoint", "is taken"),
    ],
)
async def test_an_error_arrives_with_its_fields(config: Config, mint: Mint, error: TrueframeError) -> None:
    async with serving(config) as (server, broker), client(server, mint("olga", "service")) as stub:
        broker.raises = error
        for call in (stub.ListSubscriptions(LIST), stub.StreamFrames(iter([broker_pb2.StreamFramesRequest()])).read()):
            arrived = await error_of(call)
            assert (arrived.thing, arrived.reason, arrived.remedy) == (error.thing, error.reason, error.remedy)
            assert isinstance(error, type(arrived))


async def test_an_error_inside_a_task_group_arrives_too(config: Config, mint: Mint) -> None:
    async with serving(config) as (server, broker), client(server, mint("olga", "service")) as stub:
        broker.raises = ExceptionGroup("tasks", [NotFound("camera 'gate'", "does not exist")])
        assert isinstance(await error_of(stub.ListSubscriptions(LIST)), NotFound)


async def test_an_error_larger_than_metadata_may_be_still_arrives(config: Config, mint: Mint) -> None:
    async with serving(config) as (server, broker), client(server, mint("olga", "service")) as stub:
        for character in ("ü", "\n", '"', "€"):
            broker.raises = NotFound(*[character * 9000] * 3)
            assert isinstance(await error_of(stub.ListSubscriptions(LIST)), NotFound)


async def test_a_fault_of_ours_gives_a_reference_and_no_word_of_itself(
    config: Config, mint: Mint, capfd: pytest.CaptureFixture[str]
) -> None:
    from mesh import logs

    logs.configure("test")
    async with serving(config) as (server, broker), client(server, mint("olga", "service")) as stub:
        broker.raises = RuntimeError("cannot open rtsp://admin:secret@cam")
        error = await error_of(stub.ListSubscriptions(LIST))
    assert isinstance(error, Internal)
    assert "rtsp" not in str(error)
    reference = error.reason.partition("reference ")[2].rstrip(")")
    logged = capfd.readouterr().err
    assert f"reference={reference}" in logged
    assert "RuntimeError: cannot open rtsp://cam" in logged
    assert "secret" not in logged


async def test_ready_made_bytes_replace_one_method_and_leave_the_others_reflection_and_health(
    config: Config, mint: Mint
) -> None:
    ready = batch(b"encoded once").SerializeToString()

    async def write_bytes(requests: Any, context: Any) -> None:
        async for request in requests:
            if request.subscriber == "bad":
                raise InvalidArgument("subscriber", "is bad")
            await context.write(ready + ready)

    handler = bytes_handler(BROKER, "StreamFrames", write_bytes, broker_pb2.StreamFramesRequest, request_streaming=True)
    token = mint("olga", "service")
    async with (
        serving(config, generic=(handler,)) as (server, _),
        connect(server.endpoint, token) as channel,
        connect(server.endpoint, None) as anonymous,
    ):
        stub = broker_pb2_grpc.BrokerServiceStub(channel)
        call = stub.StreamFrames(iter([broker_pb2.StreamFramesRequest()]))
        assert [item.frame.payload async for one in call for item in one.items] == [b"encoded once"] * 2
        raw = bytes_stream_stream(channel, BROKER, "StreamFrames")
        assert [one async for one in raw(iter([broker_pb2.StreamFramesRequest()]))] == [ready + ready]
        bad = stub.StreamFrames(iter([broker_pb2.StreamFramesRequest(subscriber="bad")]))
        assert isinstance(await error_of(bad.read()), InvalidArgument)
        stub_without_token = broker_pb2_grpc.BrokerServiceStub(anonymous)
        assert isinstance(await error_of(stub_without_token.StreamFrames().read()), Unauthenticated)
        assert (await stub.ListSubscriptions(LIST)).subscriptions[0].principal == "olga"
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        names = {service.name for service in (await reflection.read()).list_services_response.service}
        assert {BROKER, "grpc.health.v1.Health"} <= names


async def test_a_message_of_forty_mebibytes_passes_both_ways(config: Config, mint: Mint) -> None:
    token = mint("olga", "service")
    large = bytes(40 << 20)

    async def write_bytes(_: Any, context: Any) -> None:
        await context.write(large)

    handler = bytes_handler(BROKER, "StreamFrames", write_bytes, broker_pb2.StreamFramesRequest, request_streaming=True)
    async with serving(config, generic=(handler,)) as (server, _), connect(server.endpoint, token) as channel:
        call = bytes_stream_stream(channel, BROKER, "StreamFrames")(iter([]))
        assert len(await call.read()) == 40 << 20


async def test_a_stream_that_a_client_leaves_leaves_nothing_behind(config: Config, mint: Mint) -> None:
    async with serving(config) as (server, broker), client(server, mint("olga", "service")) as stub:
        call = stub.StreamFrames()
        await call.write(broker_pb2.StreamFramesRequest())
        await call.read()
        assert broker.streams == 1
        call.cancel()
        await auntil(lambda: broker.streams == 0)


async def test_stopping_ends_streams_at_once_with_unavailable(config: Config, mint: Mint) -> None:
    token = mint("olga", "service")
    async with contextlib.AsyncExitStack() as client_side:
        async with serving(config, grace_s=20.0) as (server, broker):
            stub = await client_side.enter_async_context(client(server, token))
            call = stub.StreamFrames()
            await call.write(broker_pb2.StreamFramesRequest())
            await call.read()
            started_s = time.monotonic()
        error = await error_of(call.read())
    assert isinstance(error, Unavailable)
    assert "is stopping" in str(error)
    assert time.monotonic() - started_s < 5
    assert broker.streams == 0


async def test_an_open_stream_ends_with_its_token(config: Config, mint: Mint) -> None:
    # Tokens are believed 30 seconds beyond their end, for clocks that differ.
    token = mint("olga", "service", ttl=timedelta(seconds=-28))
    async with serving(config) as (server, _), client(server, token) as stub:
        call = stub.StreamFrames()
        await call.write(broker_pb2.StreamFramesRequest())
        await call.read()
        error = await asyncio.wait_for(error_of(call.read()), 10)
    assert isinstance(error, Unauthenticated)
    assert "has expired while the stream was open" in str(error)


async def test_a_renewed_token_file_is_used_without_a_restart(config: Config, mint: Mint, tmp_path: Path) -> None:
    path = tmp_path / "service.token"
    write_private(path, mint("old", "service").encode())
    credentials = Credentials.from_file(path)
    async with serving(config) as (server, _), client(server, credentials) as stub:
        assert (await stub.ListSubscriptions(LIST)).subscriptions[0].principal == "old"
        write_private(path, mint("new", "service").encode())
        assert (await stub.ListSubscriptions(LIST)).subscriptions[0].principal == "new"
        path.unlink()
        assert (await stub.ListSubscriptions(LIST)).subscriptions[0].principal == "new"


async def test_a_unary_call_has_a_deadline(config: Config, mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.channel.DEADLINE_S", 0.3)
    path = config.run_dir / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        async with connect(f"unix:{path}", mint("olga", "service")) as channel:
            stub = broker_pb2_grpc.BrokerServiceStub(channel)
            error = await error_of(stub.ListSubscriptions(LIST, wait_for_ready=True))
    assert isinstance(error, TimeoutError)


async def test_nobody_at_the_endpoint_is_unavailable_and_names_the_thing(config: Config, mint: Mint) -> None:
    async with connect(config.broker.endpoint, mint("olga", "service")) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await broker_pb2_grpc.BrokerServiceStub(channel).ListSubscriptions(LIST)
    error = from_rpc_error(caught.value, "broker")
    assert isinstance(error, Unavailable)
    assert error.thing == "broker"
    assert "trueframe status" in error.remedy


async def test_a_client_finds_a_service_that_comes_back(config: Config, mint: Mint) -> None:
    async with connect(config.broker.endpoint, mint("olga", "service")) as channel:
        stub = broker_pb2_grpc.BrokerServiceStub(channel)
        for _ in range(2):
            async with serving(config):
                started_s = time.monotonic()
                await stub.ListSubscriptions(LIST, wait_for_ready=True)
                assert time.monotonic() - started_s < 4
            await auntil(lambda: channel.get_state() is not grpc.ChannelConnectivity.READY)


async def test_a_socket_left_behind_is_replaced_and_private(config: Config, mint: Mint) -> None:
    path = Path(config.broker.endpoint.removeprefix("unix:"))
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    async with serving(config) as (server, _), client(server, mint("olga", "service")) as stub:
        await stub.ListSubscriptions(LIST)
        assert path.stat().st_mode & 0o777 == 0o600  # noqa: ASYNC240


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_an_endpoint_in_use_is_told_and_its_server_undisturbed(config: Config, mint: Mint, kind: str) -> None:
    token = mint("olga", "service")
    async with serving(config, "" if kind == "unix" else "127.0.0.1:0") as (server, _):
        with pytest.raises(PortInUse, match="another process serves there"):
            async with serving(config, server.endpoint):
                pass
        async with client(server, token) as stub:
            await stub.ListSubscriptions(LIST)


async def test_a_file_in_the_sockets_place_is_kept(config: Config, mint: Mint) -> None:
    mint("olga", "service")
    path = Path(config.broker.endpoint.removeprefix("unix:"))
    path.write_text("mine")  # noqa: ASYNC240
    with pytest.raises(FailedPrecondition, match="not a socket"):
        async with serving(config):
            pass
    assert path.read_text() == "mine"  # noqa: ASYNC240


async def test_impossible_endpoints_are_refused(config: Config, mint: Mint) -> None:
    mint("olga", "service")
    for endpoint, error in (
        (f"unix:{config.run_dir}/{'x' * 120}.sock", FailedPrecondition),
        (f"unix:{config.run_dir}/no/x.sock", FailedPrecondition),
        ("0.0.0.0:0", InvalidArgument),
    ):
        with pytest.raises(error):
            async with serving(config, endpoint):
                pass


async def test_health_tells_not_serving_when_asked_to(config: Config, mint: Mint) -> None:
    mint("olga", "service")
    async with serving(config) as (server, _), connect(server.endpoint, None) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        await server.set_serving(False, BROKER)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=BROKER))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_garbage_in_place_of_a_request_is_refused_and_others_are_served(config: Config, mint: Mint) -> None:
    async with serving(config) as (server, broker), connect(server.endpoint, mint("olga", "service")) as channel:
        stub = broker_pb2_grpc.BrokerServiceStub(channel)
        for _ in range(3):
            unary = channel.unary_unary(f"/{BROKER}/ListSubscriptions")
            assert isinstance(await error_of(unary(b"\xff\xff\xff")), TrueframeError)
            stream = channel.stream_stream(f"/{BROKER}/StreamFrames")
            assert isinstance(await error_of(stream(iter([b"\xff\xff\xff"])).read()), TrueframeError)
        assert (await stub.ListSubscriptions(LIST)).subscriptions
        await auntil(lambda: broker.streams == 0)


async def test_a_message_beyond_the_limit_is_refused(config: Config, mint: Mint) -> None:
    async with serving(config) as (server, _), connect(server.endpoint, mint("olga", "service")) as channel:
        unary = channel.unary_unary(f"/{BROKER}/ListSubscriptions")
        assert isinstance(await error_of(unary(bytes((64 << 20) + 1))), ResourceExhausted)


async def test_an_unknown_rpc_is_told_as_such(config: Config, mint: Mint) -> None:
    async with serving(config) as (server, _), connect(server.endpoint, mint("olga", "service")) as channel:
        assert isinstance(await error_of(channel.unary_unary(f"/{BROKER}/Invented")(b"")), Unsupported)


async def test_more_calls_than_allowed_are_refused_and_the_rest_goes_on(
    config: Config, mint: Mint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesh.server.MAX_CALLS", 3)
    async with serving(config) as (server, _), client(server, mint("olga", "service")) as stub:
        calls = [stub.StreamFrames() for _ in range(3)]
        for call in calls:
            await call.write(broker_pb2.StreamFramesRequest())
            await call.read()
        assert isinstance(await error_of(stub.ListSubscriptions(LIST)), ResourceExhausted)
        calls.pop().cancel()

        async def answered() -> bool:
            try:
                await stub.ListSubscriptions(LIST)
            except grpc.aio.AioRpcError:
                return False
            return True

        await auntil(answered)
        for call in calls:
            call.cancel()
