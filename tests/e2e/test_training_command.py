"""`trueframe train` on a running instance: recorded footage becomes a model that inspects it again."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregate.client import RolloutStep
from mesh.config import Config, LearningConfig, RunConfig
from simulator.encode import cached, default_cache
from simulator.spec import SceneSpec
from tests.embedded import Embedded, embedded
from tests.films import write_mp4
from tests.support import until
from trueframe.learner import Learner

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


def command(instance: Embedded, folder: Path, *arguments: str, expect: int = 0, timeout_s: float = 100.0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments],
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data)},
        cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False,
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


def due(
    instance: Embedded, folder: Path, *arguments: str, camera: str = "yard", expect: int = 0, timeout_s: float = 100.0
) -> str:
    """What `train --due` says of the camera's inspection by normality."""
    said = command(instance, folder, "train", "--due", camera, *arguments, "--json", expect=expect, timeout_s=timeout_s)
    (told,) = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    assert told["inspection"] == f"{camera}.normality"
    return str(told["told"])


def watched(instance: Embedded, folder: Path, camera: str = "yard") -> None:
    """A camera that sends nothing, inspected by what is normal for it."""
    with instance.client() as client:
        client.broker.add_camera(camera, "rtsp://127.0.0.1:9/gone")
        until(lambda: any(s.inspection.camera == camera for s in client.inspections.list()), 30, "it is known")
    command(instance, folder, "inspections", "start", f"{camera}.normality")


def test_what_is_due_is_told_and_what_is_tried_is_promoted_only_if_its_gates_let_it(
    instance: Embedded, tmp_path: Path
) -> None:
    watched(instance, tmp_path)
    # Nobody loads these: what is looked at is which of them is due, and what is done about it.
    with instance.client() as client:
        digests = [client.models.add(nothing_in_it(number))[0].digest for number in range(2)]
        client.models.roll_out("yard.normality", RolloutStep.PROMOTE, digests[0])
    assert due(instance, tmp_path).startswith("not due")
    told = due(instance, tmp_path, "--max-age", "0s", expect=4)
    assert "was never recorded here" in told
    command(instance, tmp_path, "models", "shadow", "yard.normality", digests[1][:12])
    # It has seen nothing: neither the command nor who learns by itself lets it speak.
    assert "nobody has measured it yet" in due(instance, tmp_path, "--trial", "0s", expect=1)
    Learner(Config(run=RunConfig(data_dir=instance.data), learning=LearningConfig(trial_s=0))).look_round()
    assert rollout(instance) == (digests[0], digests[1])
    # While one is tried no other is trained, however old the one that speaks.
    assert due(instance, tmp_path, "--max-age", "0s").startswith("not due")
    command(instance, tmp_path, "models", "promote", "yard.normality", "--force")
    assert rollout(instance) == (digests[1], "")
    command(instance, tmp_path, "inspections", "stop", "yard.normality")
    assert "No normality inspection" in command(instance, tmp_path, "train", "--due", "yard")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_model_that_is_due_is_trained_from_the_last_day_and_published(
    instance: Embedded, film: Path, tmp_path: Path
) -> None:
    command(instance, tmp_path, "import", str(film), "--camera", "lane", "--start", "-10m", "--no-inspect")
    watched(instance, tmp_path, "lane")
    told = due(instance, tmp_path, camera="lane", timeout_s=550)
    assert told.startswith("it has no model yet. ")
    assert "speaks from the next frame on" in told
    assert rollout(instance, "lane")[0]
    assert due(instance, tmp_path, camera="lane").startswith("not due")
    command(instance, tmp_path, "inspections", "stop", "lane.normality")


def nothing_in_it(number: int) -> bytes:
    """A version of a model that no detector can load."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("detector.toml", f'detector = "normality"\nname = "yard.normality"\nsummary = "{number}"\n')
    return target.getvalue()


def rollout(instance: Embedded, camera: str = "yard") -> tuple[str, str]:
    """Digests of the version that speaks and of the one that is tried."""
    with instance.client() as client:
        found = [one.rollout for one in client.models.list() if one.name == f"{camera}.normality"]
    return (found[0].promoted, found[0].shadow) if found else ("", "")
