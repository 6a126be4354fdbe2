"""MQTT against Debian's mosquitto with TLS and a password: away, killed, refusing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.config_notifications import NotificationChannel
from tests.mosquitto import USER, Listener, Mosquitto, mosquitto
from tests.notified import Notified, config, notified
from tests.support import auntil

TOPIC = "site/alarms"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as one:
        yield one


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    one = Listener(broker, TOPIC)
    yield one
    one.close()


def bell(broker: Mosquitto, **fields: object) -> NotificationChannel:
    settings: dict[str, object] = {
        "host": "localhost", "port": broker.port, "security": "tls", "ca_file": broker.folder / "ca.pem", "user": USER,
        "secret_file": broker.folder / "password", "topic": TOPIC, "longest_wait_s": 0.1, "timeout_s": 5.0,
    }  # fmt: skip
    return NotificationChannel("bell", "mqtt", **(settings | fields))  # type: ignore[arg-type]


async def test_an_alarm_is_published_with_its_id(broker: Mosquitto, listener: Listener, tmp_path: Path) -> None:
    async with notified(tmp_path, config(bell(broker))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: listener.heard, what="it is heard")
        await auntil(lambda: _ended(site, "sent"), what="it is known to be told")
    assert (listener.heard[0]["id"], listener.heard[0]["camera"]) == ("a00001.1.raise.bell", "yard")
    assert listener.properties[0] == {"trueframe-id": "a00001.1.raise.bell"}


async def _ended(site: Notified, progress: str) -> bool:
    found = await site.progress()
    return bool(found) and set(found) == {progress}


async def test_a_broker_that_was_killed_gets_every_alarm_once_it_is_back(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    async with notified(tmp_path, config(bell(broker))) as site:
        broker.kill()
        for number in range(3):
            await site.raise_alarm(number)
        await auntil(lambda: site.conditions.holds("channel_bell"), what="the channel is an alarm")
        broker.start()
        listener.wait()
        await auntil(lambda: _ended(site, "sent"), what="all are told")
        await auntil(lambda: not site.conditions.holds("channel_bell"), what="the channel works again")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"user": "stranger"}, "does not let us in (Not authorized)"),
        ({"ca_file": None}, "certificate is not believed"),
        ({"port": 1}, "Connection refused"),
    ],
    ids=["stranger", "unknown certificate", "nobody there"],
)
async def test_who_is_not_let_in_says_why(
    broker: Mosquitto, tmp_path: Path, fields: dict[str, object], reason: str
) -> None:
    async with notified(tmp_path, config(bell(broker, **fields))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: site.conditions.holds("channel_bell"), what="it is an alarm")
        assert reason in (await site.deliveries())[0].reason
