"""`examples/follow_events.py` as it is written: each change once, whatever comes twice, late, or after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.bus import Bus, event_subject
from trueframe.v1 import events_pb2

if TYPE_CHECKING:
    from .conftest import NatsServer

ROOT = Path(__file__).parents[3]


async def publish(bus: Bus, event_id: str, version: int, message_id: str) -> None:
    event = events_pb2.Event(id=event_id, version=version, camera="gate", summary="Person at the gate")
    await bus.publish(
        event_subject("gate"), event.SerializeToString(), event_id=message_id, type="trueframe.event.raised"
    )


def follow(data: Path, count: int) -> list[list[str]]:
    command = [sys.executable, str(ROOT / "examples" / "follow_events.py"), str(data), str(data / "seen"), str(count)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True
    )
    return [line.split()[:4] for line in done.stdout.splitlines()]


async def test_the_example_tells_each_change_once_and_goes_on_where_it_was(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    (data / "run").mkdir(parents=True)
    (data / "keys").mkdir()
    (data / "run" / "run.json").write_text(json.dumps({"endpoints": {"nats": nats_server.url}}))
    (data / "keys" / "nats.token").write_text(nats_server.token)
    async with Bus(nats_server.url, nats_server.token, name="event-center") as bus:
        await bus.ensure_stream()
        await publish(bus, "a", 1, "m1")
        await publish(bus, "a", 2, "m2")
        await publish(bus, "a", 1, "m1 replayed")
        await publish(bus, "b", 1, "m3")
        assert follow(data, 3) == [
            ["raised", "a", "version", "1"], ["raised", "a", "version", "2"], ["raised", "b", "version", "1"],
        ]  # fmt: skip
        # As after the loss of the bus's storage: all comes again, and nobody knows where the reader was.
        await bus.client.jetstream().delete_stream("TRUEFRAME_EVENTS")
        await bus.look_at_incarnation()
        await publish(bus, "a", 2, "m2")
        await publish(bus, "b", 1, "m3")
        await publish(bus, "b", 2, "m4")
        assert follow(data, 1) == [["raised", "b", "version", "2"]]
