"""A simulator, a broker and a pixel host, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.pixel_desk import Desk, running_desk
from tests.pixel_process import HostProcess, running_pixel_host

CAMERAS = ("cam-1", "cam-2")


@pytest.fixture(scope="session")
def sim() -> Iterator[Simulator]:
    with running(len(CAMERAS), fps=10, gop_s=1.0) as simulator:
        yield simulator


def _broker(sim: Simulator, data: Path) -> Iterator[BrokerProcess]:
    with running_broker(data) as process:
        with process.sync_client() as client:
            for camera in CAMERAS:
                client.add_camera(camera, sim.urls[camera])
        yield process


@pytest.fixture(scope="session")
def broker(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """Shared: leave cam-1 and cam-2 as they are, and the process alive."""
    yield from _broker(sim, tmp_path_factory.mktemp("pixel") / "data")


@pytest.fixture(scope="session")
def host(broker: BrokerProcess) -> Iterator[HostProcess]:
    """Shared: leave it alive."""
    with running_pixel_host(broker) as process:
        yield process


@pytest.fixture
def own_broker(sim: Simulator, tmp_path: Path) -> Iterator[BrokerProcess]:
    """For tests that end it."""
    yield from _broker(sim, tmp_path / "data")


@pytest.fixture
def own_host(own_broker: BrokerProcess) -> Iterator[HostProcess]:
    """For tests that end it, or its broker."""
    with running_pixel_host(own_broker) as process:
        yield process


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """rings.sock in this process: cameras are outlets that a test writes to."""
    with running_desk() as desk:
        yield desk
