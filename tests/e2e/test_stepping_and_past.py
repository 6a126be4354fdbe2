"""Recorded frames one by one and from the past into live, as commands and as the program of the guide."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.testing import running
from tests.embedded import Embedded, embedded
from tests.support import until

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "integrator.md"


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("stepping")
    with running(1, log=folder / "sent") as simulator, embedded(folder / "data", *named(simulator.urls)) as started:
        with started.client() as client:
            until(lambda: sum(r.frames for r in client.footage.recordings().recordings) > 40, 60, "footage")
        yield started


def named(urls: dict[str, str]) -> list[str]:
    return [f"{camera}={url}" for camera, url in urls.items()]


def run(data: Path, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments],
        env={**os.environ, "TRUEFRAME_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expect, (arguments, done.returncode, done.stdout[-500:], done.stderr[-500:])
    return done.stdout if expect == 0 else done.stderr


def ids(output: str) -> list[str]:
    return [str(json.loads(line)["id"]) for line in output.splitlines()]


def test_frames_are_listed_from_a_place_on_and_back_from_it(instance: Embedded) -> None:
    recorded = ids(run(instance.data, "replay", "cam-1", "--json").replace('"epoch_started"', '"x", "id": ""'))[1:]
    here = recorded[20]
    assert ids(run(instance.data, "frames", here, "--count", "3", "--json")) == recorded[20:23]
    assert ids(run(instance.data, "frames", "cam-1", "--from", here, "--count", "-4", "--json")) == recorded[17:21]
    assert ids(run(instance.data, "frames", here, "--count", "-1000", "--json")) == recorded[:21]
    told = run(instance.data, "frames", recorded[0], "--count", "1")
    assert told.startswith(recorded[0])
    assert "join point" in told
    assert len(run(instance.data, "frames", "cam-1", "--count", "-2").splitlines()) == 2
    assert "is 0" in run(instance.data, "frames", "cam-1", "--count", "0", expect=2)
    assert "never recorded" in run(instance.data, "frames", "nowhere", expect=4)
    assert "not recorded" in run(instance.data, "frames", "cam-1/1/1", expect=4)


@pytest.mark.parametrize("arguments", [["--json"], [], ["--json", "--follow"]], ids=" ".join)
def test_the_reader_of_a_replay_may_go_away(instance: Embedded, arguments: list[str]) -> None:
    replay = subprocess.Popen(
        [sys.executable, "-m", "trueframe", "replay", "cam-1", *arguments],
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert replay.stdout is not None
    assert replay.stderr is not None
    assert replay.stdout.read(100)
    replay.stdout.close()
    assert replay.wait(30) == 0
    assert replay.stderr.read() == b""
    replay.stderr.close()


def test_the_guides_program_goes_from_the_past_into_live(instance: Embedded) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (program,) = [block for block in blocks if "tf.stream_from(" in block]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"live after (\d+) frames, at cam-1/\d+/\d+\n", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) > 40
