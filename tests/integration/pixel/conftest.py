"""A simulator, a broker and a pixel host, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.pixel_process import HostProcess, running_pixel_host

CAMERAS = ("cam-1", "cam-2")


@pytest.fixture(scope="session")
def sim() -> Iterator[Simulator]:
    with running(len(CAMERAS), fps=10, gop_s=1.0) as simulator:
        yield simulator


@pytest.fixture
def broker(sim: Simulator, tmp_path: Path) -> Iterator[BrokerProcess]:
    with running_broker(tmp_path / "data") as process:
        with process.sync_client() as client:
            for camera in CAMERAS:
                client.add_camera(camera, sim.urls[camera])
        yield process


@pytest.fixture
def host(broker: BrokerProcess) -> Iterator[HostProcess]:
    with running_pixel_host(broker) as process:
        yield process
