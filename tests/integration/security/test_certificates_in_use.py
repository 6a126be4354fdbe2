"""Certificates in use: renewed while streams are open, refused, about to end, and a port for users without one."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from mesh.bus import EVENT_STREAM, SYSTEM_CONDITIONS, Bus, Message
from mesh.certificates import Kind
from mesh.channel import Credentials, connect, connect_sync
from mesh.errors import FailedPrecondition, InvalidArgument, Unauthenticated, from_rpc_error
from mesh.metrics import REGISTRY
from mesh.server import serve
from mesh.tls import ClientTls, TlsFiles
from tests.integration.security.conftest import DAY, Serving, Site
from tests.nats_process import NatsProcess
from tests.real_peers import free_port
from tests.support import auntil
from trueframe.v1 import broker_pb2, broker_pb2_grpc

LIST = broker_pb2.ListSubscriptionsRequest()


async def open_stream(channel: Any) -> Any:
    call = broker_pb2_grpc.BrokerServiceStub(channel).StreamFrames()
    await call.write(broker_pb2.StreamFramesRequest())
    await call.read()
    return call


async def served_serial(endpoint: str, hall: Site) -> str:
    """Serial number of the certificate that a new connection is shown."""
    import ssl

    from cryptography import x509

    host, _, port = endpoint.rpartition(":")
    context = ssl.create_default_context(cafile=str(hall.certs.ca_file))
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


async def test_renewed_certificates_are_taken_up_by_both_sides_while_a_stream_goes_on(
    hall: Site, serving: Serving
) -> None:
    credentials = Credentials.from_config(
        hall.config("aggregate", f"security.token_file={_token(hall, 'service')}")
    )  # fmt: skip
    async with serving(hall.config()) as server, connect(server.endpoint, credentials) as channel:
        stub = broker_pb2_grpc.BrokerServiceStub(channel)
        stream = await open_stream(channel)
        before = await served_serial(server.endpoint, hall)
        assert before == hall.certs.find("broker").described.serial
        # A new authority too: first its certificate is there for all, then what it signs.
        hall.certs.renew("ca", None, hall.now + timedelta(seconds=1))
        hall.certs.renew("broker", None, hall.now)
        hall.certs.renew("aggregate", None, hall.now)
        renewed = hall.certs.find("broker").described
        assert renewed.issuer != hall.certs.find("olga").described.issuer
        await auntil(lambda: _is_served(server.endpoint, hall, renewed.serial), 10, "the renewed one is shown")
        assert (await stub.ListSubscriptions(LIST)).subscriptions[0].principal == "service"
        for _ in range(3):
            await stream.read()
        assert not stream.done()
        stream.cancel()


async def _is_served(endpoint: str, hall: Site, serial: str) -> bool:
    return await served_serial(endpoint, hall) == serial


def _token(hall: Site, role: str) -> Path:
    from mesh.files import write_private

    path = hall.folder / f"{role}.token"
    write_private(path, hall.mint(role, role).encode())
    return path


async def test_a_channel_of_the_synchronous_api_takes_a_renewed_certificate_too(hall: Site, serving: Serving) -> None:
    tls = ClientTls(TlsFiles(hall.certs.ca_file, hall.certs.folder / "olga.crt", hall.certs.folder / "olga.key"))

    def use(endpoint: str) -> list[str]:
        with connect_sync(endpoint, Credentials(hall.mint("olga", "maintainer"), tls=tls)) as channel:
            stub = broker_pb2_grpc.BrokerServiceStub(channel)
            names = [stub.ListSubscriptions(LIST).subscriptions[0].principal]
            generation = tls.generation
            hall.certs.renew("olga", None, hall.now)
            names.append(stub.ListSubscriptions(LIST).subscriptions[0].principal)
            assert tls.generation == generation + 1
            return names

    async with serving(hall.config()) as server:
        assert await asyncio.to_thread(use, server.endpoint) == ["olga", "olga"]


async def test_a_renewed_pair_that_does_not_match_is_not_used(hall: Site, serving: Serving) -> None:
    async with serving(hall.config()) as server:
        before = await served_serial(server.endpoint, hall)
        (hall.certs.folder / "broker.key").write_bytes((hall.certs.folder / "olga.key").read_bytes())
        assert await served_serial(server.endpoint, hall) == before
        hall.certs.renew("broker", None, hall.now)
        await auntil(lambda: _is_served(server.endpoint, hall, hall.certs.find("broker").described.serial), 10)


async def test_users_without_a_certificate_have_a_port_where_services_are_refused(hall: Site, serving: Serving) -> None:
    offset = 1000
    port = next(port for port in iter(free_port, 0) if port < 60_000)
    config = hall.config("broker", f"security.tls.users_port_offset={offset}")
    async with serving(config, f"127.0.0.1:{port}"):
        tls = ClientTls(TlsFiles(hall.certs.ca_file))
        users = f"127.0.0.1:{port + offset}"
        async with connect(users, Credentials(hall.mint("olga", "maintainer"), tls=tls)) as channel:
            answer = await broker_pb2_grpc.BrokerServiceStub(channel).ListSubscriptions(LIST)
            assert answer.subscriptions[0].principal == "olga"
        async with connect(users, Credentials(hall.mint("thief", "service"), tls=tls)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await broker_pb2_grpc.BrokerServiceStub(channel).ListSubscriptions(LIST)
            assert isinstance(from_rpc_error(caught.value), Unauthenticated)


async def test_a_service_does_not_start_with_a_certificate_that_does_not_hold(hall: Site) -> None:
    hall.certs.issue(Kind.SERVICE, "old", ["127.0.0.1"], DAY, hall.now - 2 * DAY)
    with pytest.raises(FailedPrecondition, match="ended on"):
        async with serve("127.0.0.1:0", hall.config("old"), []):
            pass
    stranger = Site(hall.folder / "elsewhere") if (hall.folder / "elsewhere").mkdir() is None else hall
    config = hall.config("broker", f"security.tls.ca_file={stranger.certs.ca_file}")
    with pytest.raises(FailedPrecondition, match="signed by none of the authorities"):
        async with serve("127.0.0.1:0", config, []):
            pass


async def test_no_token_is_sent_over_a_network_in_the_clear(hall: Site) -> None:
    with pytest.raises(InvalidArgument, match="in the clear"):
        connect("10.0.0.1:7411", hall.mint("olga", "viewer"))
    with pytest.raises(InvalidArgument, match="in the clear"):
        async with serve("0.0.0.0:0", hall.config(with_tls=False), []):
            pass


async def test_the_end_of_a_certificate_is_a_metric_and_an_alarm(hall: Site, serving: Serving, tmp_path: Path) -> None:
    hall.certs.renew("broker", timedelta(days=3), hall.now)
    ends = hall.certs.find("broker").described.ends.timestamp()

    def told() -> float | None:
        return REGISTRY.get_sample_value("trueframe_certificate_ends_seconds", {"certificate": "certificate"})

    heard: list[dict[str, Any]] = []

    async def hear(message: Message) -> None:
        heard.append(json.loads(message.data))

    with NatsProcess(tmp_path / "js") as nats:
        async with Bus(nats.url, name="test") as bus, serving(hall.config("broker", f"nats.url={nats.url}")):
            await bus.ready(20)
            await bus.ensure_stream()
            async with bus.durable(EVENT_STREAM, "test", SYSTEM_CONDITIONS, hear):
                await auntil(lambda: told() == ends, 10, "the metric says when it ends")
                await auntil(lambda: heard, 20, "the condition is told")
    assert (heard[0]["service"], heard[0]["condition"], heard[0]["holds"]) == ("broker", "certificate_ends", True)
    assert "ends on" in heard[0]["summary"]
