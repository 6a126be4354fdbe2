"""`trueframe import` as a user has it: a film becomes footage, and the report tells what happened in it, and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from simulator.clip import Clip
from simulator.encode import cached, default_cache
from simulator.spec import IncidentSpec, SceneSpec
from simulator.truth import Found, Occurrence
from tests.embedded import Embedded, embedded
from tests.films import write_mp4
from tests.real_peers import shared
from tests.support import until
from tests.tiny_models import TINY_TOML, bright_finder, model_of
from trueframe.enrolment import motion_inspection

START = 1_700_000_000_000_000_000
SCENE = SceneSpec(
    "hall", fps=10, loop_s=40, incidents=(IncidentSpec("intrusion", 12, 8), IncidentSpec("freeze", 28, 6))
)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("import") / "data") as started:
        yield started


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clip]:
    """A simulated scene as an MP4 file that says when it was begun."""
    (clip,) = cached([SCENE], default_cache())
    path = tmp_path_factory.mktemp("film") / "scene.mp4"
    write_mp4(clip, SCENE.fps, path, "2023-11-14T22:13:20.000000Z")
    return path, clip


def command(instance: Embedded, folder: Path, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments],
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data), "TZ": "Asia/Kolkata"},
        cwd=folder, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == expect, (arguments, done.returncode, done.stdout[-800:], done.stderr[-800:])
    assert "Traceback" not in done.stderr
    return done.stdout + (done.stderr if expect else "")


def test_a_film_is_imported_inspected_and_what_happened_in_it_reported(
    instance: Embedded, film: tuple[Path, Clip], tmp_path: Path
) -> None:
    path, clip = film
    with instance.client() as client:
        client.broker.add_camera("view", "rtsp://127.0.0.1:9/gone")
        until(lambda: [s for s in client.inspections.list() if s.inspection.camera == "view"], 30, "it is inspected")
        client.inspections.put(motion_inspection("view", clip.truth["regions"]))
    arguments = ("import", str(path), "--camera", "film", "--like", "view", "--report", "told", "--json")
    said = [json.loads(line) for line in command(instance, tmp_path, *arguments).splitlines()]
    imported, *moments, last = said
    assert (imported["frames"], imported["first"], imported["first_ns"]) == (len(clip.units), f"film/{START}/0", START)
    assert imported["from"] == "2023-11-15 03:43:20.000+05:30"
    assert (last["kind"], last["pictures"], last["frames_without_picture"]) == ("report", len(clip.units), 0)
    assert last["moments"] == len(moments)
    report = json.loads((tmp_path / "told" / "report.json").read_text())
    assert report["moments"] == [{key: one[key] for key in one if key != "kind"} for one in moments]
    told = [found_of(moment) for moment in moments]
    for incident in clip.truth["incidents"]:
        occurrence = occurrence_of(incident)
        assert max(occurrence.overlap(found) for found in told) > 0.3, (incident["kind"], told)
    for moment in moments:
        with av.open(str(tmp_path / "told" / moment["still"])) as picture:
            still = next(picture.decode(video=0)).to_ndarray(format="rgb24")
        assert still.shape == (SCENE.height, SCENE.width, 3)
        is_box = (still == (255, 60, 0)).all(axis=2)
        assert is_box.any() == bool(moment["boxes"])
        assert moment["started_ns"] == START + round(moment["seconds_into_file"] * 10**9)
    text = (tmp_path / "told" / "report.txt").read_text()
    assert "2023-11-15 03:43:" in text
    assert all(moment["still"] in text and moment["peak"] in text for moment in moments)
    replayed = command(instance, tmp_path, "replay", "film", "--verify", "--from", f"film/{START}/0")
    assert f"{len(clip.units)} equal their digest" in replayed


def found_of(moment: dict[str, Any]) -> Found:
    """A moment in the terms of the simulator's truth: the film shows its frames in the order of ids."""
    first, peak, last = (int(moment[name].rpartition("/")[2]) for name in ("first", "peak", "last"))
    boxes = tuple((b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in moment["boxes"])
    return Found(moment["detector"], first, peak, last, boxes)


def occurrence_of(incident: dict[str, Any]) -> Occurrence:
    start = incident["start"]
    boxes = {start + number: tuple(box) for number, box in enumerate(incident["boxes"] or []) if box}
    return Occurrence("film", incident["kind"], start, incident["end"] - 1, True, incident["region"], boxes)


def test_what_cannot_be_imported_is_refused_with_what_helps(
    instance: Embedded, film: tuple[Path, Clip], tmp_path: Path
) -> None:
    path, _ = film
    undated = tmp_path / "undated.h264"
    undated.write_bytes(path.with_suffix(".h264").read_bytes())
    assert "Give --start" in command(instance, tmp_path, "import", str(undated), "--camera", "x", expect=2)
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    for arguments, words in (
        ((str(path), "--camera", "x", "--report", "full"), "exists and is not empty"),
        ((str(path), "--camera", "x", "--report", "no/where"), "there is no folder"),
        ((str(path), "--camera", "x", "--start", "yesterdayish"), "cannot be read"),
        ((str(path), "--camera", "x", "--inspect", "magic"), "magic"),
        (("gone.mp4", "--camera", "x", "--start", "now"), "does not exist"),
    ):
        assert words in command(instance, tmp_path, "import", *arguments, expect=2)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["full", "undated.h264"]
    said = command(instance, tmp_path, "import", str(undated), "--camera", "plain", "--no-inspect",
                   "--start", "2023-11-14 12:00")  # fmt: skip
    assert "2023-11-14 12:00:00.000+05:30" in said
    assert "the file has no times" in said
    assert "another name" in command(instance, tmp_path, "import", str(undated), "--camera", "plain", "--no-inspect",
                                     "--start", "2023-11-14 12:00:05", expect=1)  # fmt: skip


def test_a_film_is_inspected_with_any_detector_and_model_and_as_a_camera_is(
    instance: Embedded, film: tuple[Path, Clip], tmp_path: Path
) -> None:
    path, clip = film
    tiny = model_of(tmp_path / "tiny", TINY_TOML, bright_finder())
    command(instance, tmp_path, "models", "publish", "tiny")

    def inspected(camera: str, *arguments: str) -> dict[str, Any]:
        said = command(instance, tmp_path, "import", str(path), "--camera", camera, *arguments, "--json").splitlines()
        told: dict[str, Any] = json.loads(said[-1])
        return told

    told = inspected("modelled", "--inspect", "objects@tiny", "--inspect", "static")
    assert told["detectors"] == ["objects@tiny", "static"]
    assert set(told["learning"]) == {f"objects@1:{tiny.digest[:12]}", "static@1"}
    assert (told["pictures"], told["detector_failures"]) == (len(clip.units), 0)
    # With the options, models and regions of a camera's inspections: two models in one of them.
    rules = """rules = 'seen: "bright" in "yard"'\nsources = ["objects@tiny", "static"]\n"""
    with instance.client() as client:
        client.broker.add_camera("ruled", "rtsp://127.0.0.1:9/gone")
        until(lambda: [s for s in client.inspections.list() if s.inspection.camera == "ruled"], 30, "it is inspected")
    for arguments in (
        ("inspections", "stop", "ruled.motion", "ruled.health", "ruled.signal"),
        ("inspections", "start", "ruled.rules", "--option", rules.splitlines()[0], "--option", rules.splitlines()[1]),
        ("inspections", "regions", "ruled.rules", "--inspect", "yard: 0,0 1,0 1,1 0,1"),
    ):
        command(instance, tmp_path, *arguments)
    told = inspected("as-ruled", "--like", "ruled")
    assert told["detectors"] == ["rules"]
    assert set(told["learning"]) == {f"rules@1:{tiny.digest[:12]}"}
    assert told["detector_failures"] == 0
    for wrong, code, words in (
        (("--inspect", "objects"), 4, "no published model"),
        (("--inspect", "objects@none"), 4, "no published model"),
        (("--inspect", "clip@tiny"), 2, "is for detector objects"),
    ):
        said = command(instance, tmp_path, "import", str(path), "--camera", "not-there", *wrong, expect=code)
        assert words in said
        # Before any work.
        assert "not-there" not in command(instance, tmp_path, "retention", "show")


def test_real_clips_are_imported_and_one_of_another_codec_is_refused(instance: Embedded, tmp_path: Path) -> None:
    clip, other = shared("footage/car-detection.mp4"), shared("footage/vtest.avi")
    *moments, last = [
        json.loads(line)
        for line in command(instance, tmp_path, "import", str(clip), "--camera", "car", "--inspect", "motion",
                            "--json").splitlines()[1:]
    ]  # fmt: skip
    assert (last["pictures"], last["folder"]) == (377, "car-car-detection-report")
    assert len(moments) >= 2
    refused = command(instance, tmp_path, "import", str(other), "--camera", "walk", "--start", "-1h", expect=2)
    assert "ffmpeg -i vtest.avi -c:v libx264 vtest-h264.mp4" in refused
