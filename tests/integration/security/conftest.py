from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mesh.certificate_folder import CertificateFolder
from mesh.certificates import Kind
from mesh.config import Config, load
from mesh.files import private_folder
from mesh.security import principal_of
from mesh.server import RunningServer, serve
from mesh.tokens import create_signing_key, mint_token
from trueframe.v1 import broker_pb2, broker_pb2_grpc, frames_pb2

DAY = timedelta(days=1)
BROKER = "trueframe.v1.BrokerService"


class Broker(broker_pb2_grpc.BrokerServiceServicer):
    """Says who calls; a stream answers until it is left."""

    async def ListSubscriptions(self, request: Any, context: Any) -> broker_pb2.ListSubscriptionsResponse:  # noqa: N802
        subscription = broker_pb2.Subscription(principal=principal_of(context).name)
        return broker_pb2.ListSubscriptionsResponse(subscriptions=[subscription])

    async def StreamFrames(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        async for _ in request_iterator:
            while True:
                yield frames_pb2.FrameBatch()
                await asyncio.sleep(0.02)


class Site:
    """A folder of certificates, a key for tokens and configurations that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certs = CertificateFolder(folder / "certs")
        self.now = datetime.now(UTC)
        self.certs.init("hall", 30 * DAY, self.now)
        for name in ("broker", "aggregate"):
            self.certs.issue(Kind.SERVICE, name, ["127.0.0.1"], 20 * DAY, self.now)
        self.certs.issue(Kind.USER, "olga", [], 20 * DAY, self.now)
        keys = private_folder(private_folder(folder / "data") / "keys")
        self.key = create_signing_key(keys / "signing.key", keys / "signing.pub")

    def mint(self, name: str, role: str, cameras: list[str] | None = None) -> str:
        return mint_token(self.key, name, role, cameras)

    def config(self, name: str = "broker", *settings: str, with_tls: bool = True) -> Config:
        pair = self.certs.folder / name
        tls = [
            f"security.tls.ca_file={self.certs.ca_file}",
            f"security.tls.certificate_file={pair}.crt",
            f"security.tls.key_file={pair}.key",
        ]
        own = [f"run.data_dir={self.folder}/data", "nats.url=nats://127.0.0.1:9"]
        return load(None, [*own, *(tls if with_tls else []), *settings], {})


Serving = Callable[..., contextlib.AbstractAsyncContextManager[RunningServer]]


@pytest.fixture
def hall(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def serving() -> Serving:
    @contextlib.asynccontextmanager
    async def made(config: Config, endpoint: str = "127.0.0.1:0") -> AsyncIterator[RunningServer]:
        registration = (broker_pb2_grpc.add_BrokerServiceServicer_to_server, Broker(), BROKER)
        async with serve(endpoint, config, [registration]) as server:
            yield server

    return made
