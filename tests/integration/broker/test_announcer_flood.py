"""A bus that is away for long: what waits for it is bounded, and the newest state of everything gets through."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from broker import announcer as module
from broker.announcer import Announcer
from broker.load import LoadRow
from broker.owner import OwnerState
from broker.registry import StateChange
from mesh.bus import EVENT_STREAM, Bus, Message
from tests.real_peers import free_port
from tests.support import auntil
from trueframe.v1.cameras_pb2 import CAMERA_STATE_LIVE, CAMERA_STATE_LOST

from .test_state_events import Nats

LIMIT = 300


def change(camera: str, number: int) -> StateChange:
    states = (CAMERA_STATE_LIVE, CAMERA_STATE_LOST)
    before, after = states[number % 2], states[(number + 1) % 2]
    return StateChange(camera, OwnerState(before, "", number), OwnerState(after, f"change {number}", number + 1))


async def test_a_flapping_camera_pushes_nobody_elses_state_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING", LIMIT)
    told: list[dict[str, Any]] = []

    async def keep(message: Message) -> None:
        told.append(json.loads(message.data))

    nats = Nats(tmp_path / "nats")
    async with Bus(nats.url, name="broker") as bus:
        announcer = Announcer(bus)
        announcer.state_changed(change("steady", 0), "", None)
        announcer.load_changed(LoadRow("cpu", "cores", 0.9, 1.0, 0.85, True, "busy", title="Broker", priority=2), 1)
        for number in range(LIMIT * 3):
            announcer.state_changed(change("flapping", number), "", None)
        for number in range(20):
            announcer.state_changed(change(f"cam-{number}", 0), "", None)
        assert announcer.waiting == LIMIT
        assert announcer.dropped == 2 + LIMIT * 3 + 20 - LIMIT
        nats.start()
        try:
            running = asyncio.create_task(announcer.run())
            async with Bus(nats.url, name="test") as reader:
                await reader.ready(15)
                await reader.ensure_stream()
                reader.subscribe_durable(EVENT_STREAM, "states", "trueframe.camera.>", keep)
                reader.subscribe_durable(EVENT_STREAM, "system", "trueframe.system.>", keep)
                await auntil(lambda: len(told) == LIMIT, 30, "all that waited has come")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        finally:
            nats.stop()
    assert announcer.waiting == 0
    states = [one for one in told if "camera_name" in one]
    assert {one["camera"] for one in states} == {"steady", "flapping", *(f"cam-{number}" for number in range(20))}
    of_flapping = [one["since_ns"] for one in states if one["camera"] == "flapping"]
    assert of_flapping == sorted(of_flapping)
    assert of_flapping[-1] == LIMIT * 3, "its newest state came last"
    (load,) = [one for one in told if one.get("condition")]
    assert (load["condition"], load["holds"], load["summary"]) == ("cpu", True, "Broker: busy")


async def test_more_things_than_any_broker_has_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING", 10)
    monkeypatch.setattr(module, "_MAX_THINGS", 50)
    announcer = Announcer(Bus(f"nats://127.0.0.1:{free_port()}", name="broker"))
    for number in range(200):
        announcer.removed(f"cam-{number}", "", number)
    assert announcer.waiting == 50
    assert announcer.dropped == 150
