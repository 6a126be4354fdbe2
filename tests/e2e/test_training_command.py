"""`trueframe train` on a running instance: recorded footage becomes a model that inspects it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.encode import cached, default_cache
from simulator.spec import SceneSpec
from tests.embedded import Embedded, embedded
from tests.films import write_mp4

SCENE = SceneSpec("hall", seed=4, width=192, height=108, fps=6, loop_s=66, incidents=())
SPAN = ("--from", "2023-11-14T22:13:20+00:00", "--to", "2023-11-14T22:14:24+00:00")
FRAMES = 64 * SCENE.fps + 1


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("train") / "data") as started:
        yield started


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (clip,) = cached([SCENE], default_cache())
    path = tmp_path_factory.mktemp("film") / "scene.mp4"
    write_mp4(clip, SCENE.fps, path)
    return path


def command(instance: Embedded, folder: Path, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments],
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data)},
        cwd=folder, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == expect, (arguments, done.returncode, done.stdout[-800:], done.stderr[-800:])
    assert "Traceback" not in done.stderr
    return done.stdout + (done.stderr if expect else "")


def test_a_model_is_trained_from_footage_with_its_card(instance: Embedded, film: Path, tmp_path: Path) -> None:
    start = ("--start", "2023-11-14T22:13:20+00:00", "--no-inspect")
    command(instance, tmp_path, "import", str(film), "--camera", "gate", *start)
    made = json.loads(command(instance, tmp_path, "train", "gate", *SPAN, "-o", "model.zip", "--publish", "--json"))
    assert (made["frames"], made["damaged_left_out"]) == (FRAMES, 0)
    assert made["dropped"]
    assert made["card"]["camera"] == "gate"
    assert made["published"] == {"model": "gate.normality", "digest": made["digest"], "speaks": True}
    told = command(instance, tmp_path, "train", "gate", *SPAN, "--seed", "1", "--publish")
    # The first speaks, the second is tried; and it says what it rests on, what was dropped, and what comes next.
    assert f"runs in the shadow of {made['digest'][:12]}" in told
    assert "Learnt from" in told
    assert "dropped: 2023-11-14" in told
    assert "inspections start gate.normality" in told
    (listed,) = (json.loads(line) for line in command(instance, tmp_path, "models", "list", "--json").splitlines())
    assert listed["promoted"] == made["digest"]
    assert listed["shadow"] not in (None, made["digest"])
    assert "No normality inspection" in command(instance, tmp_path, "train", "--due")
    again = command(instance, tmp_path, "train", "gate", *SPAN, "-o", "model.zip", expect=2)
    assert "exists already" in again


def test_what_cannot_be_trained_on_is_told(instance: Embedded, tmp_path: Path) -> None:
    earlier = ("--from", "2023-11-13T22:13:20+00:00", "--to", "2023-11-13T22:14:20+00:00")
    assert "has nothing in this time" in command(instance, tmp_path, "train", "gate", *earlier, expect=4)
    short = ("--from", "2023-11-14T22:13:20+00:00", "--to", "2023-11-14T22:13:30+00:00")
    assert "needs a minute" in command(instance, tmp_path, "train", "gate", *short, expect=2)
