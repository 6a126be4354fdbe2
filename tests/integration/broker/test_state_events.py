"""Camera states on the bus: in order, each once, also those from before the bus was there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.bus import EVENT_STREAM, Bus, Message
from simulator.testing import Simulator
from tests.broker_process import running_broker
from tests.real_peers import free_port
from tests.support import auntil
from trueframe.v1.cameras_pb2 import CAMERA_STATE_LIVE, CAMERA_STATE_LOST


class Nats:
    """nats-server on a port of its own, started when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = Path(sys.executable).parent / "nats-server"
        arguments = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder)]
        self._process = subprocess.Popen(
            [str(binary), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    server = Nats(tmp_path / "nats")
    yield server
    server.stop()


async def test_states_from_before_the_bus_came_are_told_in_order_and_once(
    nats: Nats, sim: Simulator, tmp_path: Path
) -> None:
    told: list[dict[str, Any]] = []

    async def keep(message: Message) -> None:
        told.append(json.loads(message.data))

    def states(camera: str) -> list[str]:
        return [event["state"] for event in told if event["camera"] == camera and "about" not in event]

    with running_broker(tmp_path / "data", f"nats.url={nats.url}") as broker:
        async with broker.client() as client:
            await client.add_camera("gate", sim.urls["cam-1"], display_name="Nordtor")
            await client.add_camera("gone", f"rtsp://u:hidden@127.0.0.1:{free_port()}/x")

            async def both_settled() -> bool:
                gate, gone = await client.get_camera("gate"), await client.get_camera("gone")
                return (gate.state, gone.state) == (CAMERA_STATE_LIVE, CAMERA_STATE_LOST)

            await auntil(both_settled, 15)
            nats.start()
            async with Bus(nats.url, name="test") as bus:
                await bus.ready(15)
                await bus.ensure_stream()
                subscription = bus.subscribe_durable(EVENT_STREAM, "test", "trueframe.camera.>", keep)
                await auntil(lambda: states("gate") and states("gone")[-1:] == ["lost"], 20)
                assert states("gate") == ["connecting", "live"]
                assert states("gone") == ["connecting", "lost"]
                await client.remove_camera("gate")
                await auntil(lambda: states("gate")[-1] == "removed", 10)
                await subscription.close()
    live = next(event for event in told if event["state"] == "live")
    assert live["camera_name"] == "Nordtor"
    assert live["before"]["state"] == "connecting"
    assert live["before"]["duration_ns"] == live["since_ns"] - live["before"]["since_ns"] > 0
    assert live["last"].startswith("gate/")
    lost = next(event for event in told if event["state"] == "lost")
    assert "refuses the connection" in lost["detail"]
    assert "hidden" not in json.dumps(told)
