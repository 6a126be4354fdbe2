"""The users of deploy/nats/cluster.conf, by a real server with these accounts: who may read, and who may take away."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig

from event_center import intake
from media_center import event_intake
from mesh.bus import EVENT_STREAM
from tests.real_peers import free_port
from tests.support import auntil

CONF = Path(__file__).parents[3] / "deploy" / "nats" / "cluster.conf"
READERS = [
    *re.findall(r'"(event-center-[a-z]+)"', Path(intake.__file__ or "").read_text()),
    event_intake.READER,
]  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    accounts = CONF.read_text()[CONF.read_text().index("\naccounts {") :]
    for user in ("PASSWORD", "READER"):
        accounts = accounts.replace(f"$TF_NATS_{user}", '"secret"')
    (tmp_path / "nats.conf").write_text(f'jetstream {{ store_dir: "{tmp_path / "js"}" }}\n{accounts}')
    port, binary = free_port(), Path(sys.executable).parent / "nats-server"
    arguments = ["-a", "127.0.0.1", "-p", str(port), "-c", str(tmp_path / "nats.conf")]
    process = subprocess.Popen([str(binary), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


async def quietly(error: Exception) -> None:
    """What a client is refused comes here too."""


async def entered(url: str, user: str) -> Client:
    async def connected() -> Client | None:
        try:
            return await nats.connect(f"nats://{user}:secret@{url}", allow_reconnect=False, error_cb=quietly)
        except (OSError, nats.errors.Error):
            return None

    client = await auntil(connected, 20, "the server takes users")
    assert client is not None
    return client


async def test_a_reader_reads_events_and_takes_none_from_services(url: str) -> None:
    assert len(READERS) >= 5
    services, reader = await entered(url, "services"), await entered(url, "reader")
    try:
        stream = services.jetstream()
        await stream.add_stream(name=EVENT_STREAM, subjects=["trueframe.event.>"])
        for name in READERS:
            await stream.add_consumer(EVENT_STREAM, ConsumerConfig(durable_name=name, ack_policy="explicit"))
        await stream.publish("trueframe.event.gate", b"alarm")

        own = await reader.jetstream().pull_subscribe("trueframe.event.>", durable="mine", stream=EVENT_STREAM)
        (message,) = await own.fetch(1, timeout=10)
        assert message.data == b"alarm"
        await message.ack()
        for name in READERS:
            taken = await reader.jetstream().pull_subscribe_bind(consumer=name, stream=EVENT_STREAM)
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                await taken.fetch(1, timeout=0.2)
            info = await stream.consumer_info(EVENT_STREAM, name)
            assert (info.num_pending, info.num_ack_pending) == (1, 0), f"{name} still has its event before it"
    finally:
        for client in (reader, services):
            await client.close()
