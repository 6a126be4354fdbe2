"""A broker and simulated cameras for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """A fresh broker that notices silence quickly."""
    with running_broker(tmp_path / "data", "broker.silent_after_s=1.5", "broker.connect_timeout_s=2") as process:
        yield process


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    """Four simulated cameras at 25 frames a second; a test that gives one a fault takes it away again."""
    with running(4, fps=25, gop_s=1.0) as simulator:
        yield simulator
