"""The examples of the integrators' guide about live streams run as they stand there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from simulator.testing import Simulator
from tests.broker_process import BrokerProcess
from trueframe.client import Client, Running

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "integrator.md"
_SECTION = GUIDE.read_text().partition("### Live streams for every purpose\n")[2].partition("\n### ")[0]
EXAMPLES = re.findall(r"```python\n(.*?)```", _SECTION, re.DOTALL)


class EnoughError(Exception):
    """An example that would go on for ever has shown what it does."""


def test_the_guide_has_its_examples() -> None:
    assert ["latest" in EXAMPLES[0], "keyframes" in EXAMPLES[1], "update" in EXAMPLES[2]] == [True] * 3
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_and_prints_frames_of_both_cameras(
    example: str, broker: BrokerProcess, sim: Simulator, tmp_path: Path
) -> None:
    with broker.sync_client() as client:
        for camera in ("cam-1", "cam-2"):
            client.add_camera(camera, sim.urls[camera], labels={"site": "north"})
    (tmp_path / "token").touch(0o600)
    (tmp_path / "token").write_text(broker.token)
    running = Running(os.getpid(), 0, str(tmp_path), "", str(tmp_path / "token"), {"broker": broker.endpoint})
    seen: set[str] = set()
    printed = 0

    def enough(*what: object) -> None:
        nonlocal printed
        printed += 1
        seen.add(str(what[0]).partition("/")[0])
        if printed >= 10 and seen == {"cam-1", "cam-2"}:
            raise EnoughError

    with Client(running) as tf, pytest.raises(EnoughError):
        exec(example, {"tf": tf, "print": enough})
    assert seen == {"cam-1", "cam-2"}
