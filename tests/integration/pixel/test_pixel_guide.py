"""The examples of the integrators' guide about pixels run as they stand there."""

from __future__ import annotations

import asyncio
import os
import re
import textwrap
from pathlib import Path

import pytest

from tests.pixel_process import HostProcess
from trueframe.client import AsyncClient, Client, Running

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "integrator.md"
_SECTION = GUIDE.read_text().partition("### Pixels\n")[2].partition("\n#")[0]
EXAMPLES = re.findall(r"```python\n(.*?)```", _SECTION, re.DOTALL)


class EnoughError(Exception):
    """An example that would go on for ever has shown what it does."""


def running(host: HostProcess) -> Running:
    endpoints = {"pixels": host.endpoint, "rings": str(host.rings)}
    keys = host.broker.data / "keys"
    return Running(os.getpid(), 0, str(host.broker.data), "", str(keys / "service.token"), endpoints)


def test_the_guide_has_its_examples() -> None:
    assert len(EXAMPLES) == 3
    assert ["open_ring" in EXAMPLES[0], "stream_pixels" in EXAMPLES[1], "watch_thumbnails" in EXAMPLES[2]] == [True] * 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_and_prints_pictures(example: str, host: HostProcess) -> None:
    printed: list[tuple[object, ...]] = []

    def enough(*what: object) -> None:
        printed.append(what)
        if len(printed) == 5:
            raise EnoughError

    scope: dict[str, object] = {"print": enough}
    if "async with" in example:
        exec("async def main(tf):\n" + textwrap.indent(example, "    "), scope)

        async def run() -> None:
            async with AsyncClient(running(host)) as tf:
                await scope["main"](tf)  # type: ignore[operator]

        with pytest.raises(EnoughError):
            asyncio.run(run())
    else:
        with Client(running(host)) as tf, pytest.raises(EnoughError):
            exec(example, {**scope, "tf": tf})
    assert all("cam-" in str(what[0]) for what in printed)
