"""Messages that the event center cannot take: an alarm says so, the command shows, retries and drops them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from event_center.client import EventClient
from mesh.bus import Bus
from mesh.errors import InvalidArgument, NotFound
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import auntil
from trueframe.__main__ import COMMANDS
from trueframe.commands.bus import command
from trueframe.v1 import events_pb2


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[InspectionStack]:
    with inspection_stack(tmp_path, "nats", "event_center") as stack:
        yield stack


def at_site(stack: InspectionStack, folder: Path) -> list[str]:
    file = folder / "site.toml"
    nats = stack.config.nats
    file.write_text(f'[run]\ndata_dir = "{stack.data}"\n[nats]\nurl = "{nats.url}"\ntoken_file = "{nats.token_file}"\n')
    return ["--config", str(file)]


async def test_what_lies_aside_is_an_alarm_until_nothing_does(stack: InspectionStack, tmp_path: Path) -> None:
    assert "bus" in COMMANDS
    site = at_site(stack, tmp_path)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(command, ["poison", *arguments, *site], catch_exceptions=False, standalone_mode=False)
        return done.output

    async with (
        Bus.from_config(stack.config, "aggregate") as bus,
        EventClient(stack.config.event_center.endpoint, stack.broker.token) as events,
    ):
        await bus.ensure_stream()
        await bus.publish("trueframe.anomaly.gate", b"gar\x1bbage", event_id="bad-1", type="trueframe.anomaly.opened")
        await bus.publish("trueframe.camera.gate", b'{"camera": "\x1b[2J"}', event_id="bad-2", type="t")

        async def alarm_of(words: str) -> events_pb2.Event | None:
            listed = await events.list(kinds=[events_pb2.EVENT_KIND_SYSTEM])
            return next((one for one in listed if one.summary.startswith(words)), None)

        alarm = await auntil(lambda: alarm_of("2 messages could not be taken"), 30, "an alarm")
        assert alarm is not None
        assert (alarm.detector, alarm.priority) == ("event-center.poison_messages", 3)
        assert "trueframe bus poison list" in alarm.summary

    listed = await asyncio.to_thread(run, "list")
    assert "event-center-anomalies" in listed
    assert "is no protobuf message" in listed
    shown = [json.loads(line) for line in (await asyncio.to_thread(run, "list", "--json")).splitlines()]
    numbers = {one["event_id"]: str(one["number"]) for one in shown}
    assert set(numbers) == {"bad-1", "bad-2"}
    assert "\x1b" not in await asyncio.to_thread(run, "show", numbers["bad-2"])
    assert await asyncio.to_thread(run, "drop", numbers["bad-1"]) == f"{numbers['bad-1']}: dropped\n"
    assert "sent again" in await asyncio.to_thread(run, "retry", "--all")
    with pytest.raises(NotFound, match="poison message"):
        await asyncio.to_thread(run, "show", numbers["bad-1"])
    with pytest.raises(InvalidArgument, match="numbers, or --all"):
        await asyncio.to_thread(run, "drop")

    async def is_back() -> bool:
        return "bad-2" in await asyncio.to_thread(run, "list", "--json")

    await auntil(is_back, 30, "what was sent again is set aside again")
    await asyncio.to_thread(run, "drop", "--all")
    assert await asyncio.to_thread(run, "list") == "no message lies aside\n"
    async with EventClient(stack.config.event_center.endpoint, stack.broker.token) as events:

        async def is_over() -> bool:
            return bool((await events.get(alarm.id)).ended_ns)

        await auntil(is_over, 30, "the alarm has returned")
