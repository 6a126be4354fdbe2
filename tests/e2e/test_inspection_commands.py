"""Inspections, explanations, coverage and re-inspection as a user has them in a shell, on a running instance."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.testing import running
from tests.embedded import Embedded, embedded
from tests.support import until

ENDINGS = ("health", "motion", "signal")
EVERY = {f"cam-1.{detector}" for detector in ENDINGS}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("inspections")
    with running(2, log=folder / "sent") as simulator:
        sources = [f"{camera}={url}" for camera, url in simulator.urls.items()]
        with embedded(folder / "data", *sources) as started:
            with started.client() as client:
                until(lambda: all(s.frames_scored > 20 for s in client.inspections.list()), 90, "frames are scored")
                until(lambda: len(client.inspections.list()) == 2 * len(ENDINGS), 30, "each has its inspections")
            yield started


def command(instance: Embedded, *arguments: str, expect: int = 0, token: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments],
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data), "TRUEFRAME_TOKEN_FILE": str(token or "")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == expect, (arguments, done.returncode, done.stdout[-800:], done.stderr[-800:])
    assert "Traceback" not in done.stderr
    if expect and expect != 1:
        assert done.stderr.count("\n") == 1, done.stderr
    return done.stdout + done.stderr if expect else done.stdout


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def explained(instance: Embedded, *arguments: str) -> dict[str, dict[str, object]]:
    (record,) = records(command(instance, "explain", *arguments, "--json"))
    found = record["explanations"]
    assert isinstance(found, list)
    return {one["inspection"]: one for one in found}


def test_inspections_are_listed_stopped_and_started_and_explain_knows(instance: Embedded) -> None:
    listed = records(command(instance, "inspections", "list", "--json"))
    assert {one["id"] for one in listed} == {f"cam-{n}.{detector}" for n in (1, 2) for detector in ENDINGS}
    assert all(one["state"] == "running" for one in listed)
    assert "cam-1.motion" in command(instance, "inspections", "list", "--camera", "cam-1")
    (stopped,) = records(command(instance, "inspections", "stop", "cam-2.motion", "--json"))
    assert (stopped["state"], stopped["worker"]) == ("stopped", "")

    def now() -> dict[str, object]:
        return explained(instance, "cam-2", "now")["cam-2.motion"]

    until(lambda: now()["standing"] == "not_inspected", 30, "a frame that came after the stop is on disk")
    assert "stopped by" in str(now()["sentence"])
    (started,) = records(command(instance, "inspections", "start", "cam-2.motion", "--threshold", "0.5", "--json"))
    assert started["threshold"] == 0.5
    until(lambda: now()["standing"] in ("normal", "fired", "not_scored"), 30, "it goes on")


def test_a_frame_is_explained_by_time_and_by_id(instance: Embedded) -> None:
    (record,) = records(command(instance, "explain", "cam-1", "-2s", "--json"))
    assert record["recorded"]
    by_id = explained(instance, str(record["frame"]))
    assert set(by_id) == EVERY
    assert by_id["cam-1.signal"]["standing"] == "normal"
    assert "cam-1.signal: NORMAL. Scored" in command(instance, "explain", str(record["frame"]))
    assert "days" not in command(instance, "explain", "cam-1", "now")


def test_coverage_accounts_for_every_recorded_frame(instance: Embedded) -> None:
    with instance.client() as client:
        (recording,) = client.footage.recordings(["cam-1"]).recordings[:1]
        # A camera is recorded from its first frame on, and inspected from when a worker has taken it.
        firsts = {name: next(iter(client.ledger.read("cam-1", inspection=f"cam-1.{name}"))) for name in ENDINGS}
    until(lambda: ledger_reaches(instance, recording.last_ns), 20, "it is in the ledger")
    for name, first in firsts.items():
        # Each from its own first word on: a run of frames without a score counts where it begins.
        span = ("--from", str(first.verdict.received_ns), "--to", str(recording.last_ns))
        rows = {str(row["inspection"]): row for row in records(command(instance, "coverage", "cam-1", *span, "--json"))}
        assert set(rows) == EVERY
        row = rows[f"cam-1.{name}"]
        assert row["unspoken"] == 0, row
        assert row["recorded"] == row["captured"] == row["spoken_of"]
        assert row["scored"] > 0  # type: ignore[operator]
    table = command(instance, "coverage", "cam-1", "--every", "1m")
    assert "warming up" in table
    assert "NOT INSPECTED BECAUSE" in table


def test_another_model_looks_at_recorded_frames_and_the_differences_are_written(
    instance: Embedded, tmp_path: Path
) -> None:
    with instance.client() as client:
        (recording,) = client.footage.recordings(["cam-1"]).recordings[:1]
    until(lambda: ledger_reaches(instance, recording.last_ns), 20, "it is in the ledger")
    model, file = tmp_path / "model", tmp_path / "differences.csv"
    model.mkdir()
    (model / "detector.toml").write_text('detector = "signal"\nname = "as-it-is"\n')
    span = ("--from", str(recording.last_ns - 4_000_000_000), "--to", str(recording.last_ns - 1_000_000_000))
    (found,) = records(
        command(instance, "reinspect", "cam-1", *span, "--model", str(model), "--csv", str(file), "--json")
    )
    assert (found["kind"], found["inspection"], found["then"]) == ("difference", "cam-1.signal", "signal@1")
    assert found["frames"] > 20  # type: ignore[operator]
    assert found["both_scored"] > 10  # type: ignore[operator]
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == found["frames"]
    compared = [row for row in rows if row["difference"]]
    assert len(compared) == found["both_scored"]
    assert all(float(row["difference"]) == float(row["now"]) - float(row["then"]) for row in compared)
    told = command(instance, "reinspect", "cam-1", *span, "--model", "nonesuch", expect=4)
    assert "models list" in told


def test_observations_are_written_as_csv(instance: Embedded, tmp_path: Path) -> None:
    file = tmp_path / "seen.csv"
    told = command(instance, "observations", "cam-1", "--from", "-1h", "--to", "now", "--csv", str(file))
    assert str(file) in told
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    frames = [row for row in rows if row["kind"] == "frame"]
    assert {row["inspection"] for row in frames} == EVERY
    assert any(row["reason"] == "warming_up" for row in frames)
    assert all(0 <= float(row["score"]) <= 1 for row in frames if not row["reason"])
    assert "kind" in command(
        instance, "observations", "cam-1", "--from", "-1h", "--to", "now", "--inspection", "cam-1.signal"
    )


def test_recorded_frames_inspected_again_have_the_same_scores(instance: Embedded) -> None:
    with instance.client() as client:
        (recording,) = client.footage.recordings(["cam-1"]).recordings[:1]
    until(lambda: ledger_reaches(instance, recording.last_ns), 20, "it is in the ledger")
    span = ("--from", str(recording.last_ns - 4_000_000_000), "--to", str(recording.last_ns - 1_000_000_000))
    sums = records(command(instance, "reinspect", "cam-1", *span, "--json"))
    assert {one["inspection"] for one in sums} == EVERY
    for one in sums:
        assert one["equal"] == one["frames"] > 20  # type: ignore[operator]
    frames = records(
        command(instance, "reinspect", "cam-1", *span, "--inspection", "cam-1.signal", "--frames", "--json")
    )
    assert frames[0]["kind"] == "frame"
    assert frames[0]["then"] == frames[0]["now"]


def ledger_reaches(instance: Embedded, received_ns: int) -> bool:
    with instance.client() as client:
        return all(
            any(True for _ in client.ledger.read("cam-1", inspection=f"cam-1.{name}", from_ns=received_ns))
            for name in ENDINGS
        )


def test_regions_are_drawn_shown_and_cleared_and_what_is_wrong_with_one_is_told(
    instance: Embedded, tmp_path: Path
) -> None:
    def regions(*arguments: str) -> list[dict[str, Any]]:
        return records(command(instance, "inspections", "regions", "cam-2.motion", *arguments, "--json"))

    assert regions() == [{"inspection": "cam-2.motion", "regions": []}]
    drawn = regions("--inspect", "yard: 0.1,0.4 0.6,0.4 0.6,1", "--line", "door: 0.2,0.5 0.8,0.5")
    (yard, door) = drawn[0]["regions"]
    assert (yard["name"], yard["use"], yard["corners"]) == ("yard", "inspect", [[0.1, 0.4], [0.6, 0.4], [0.6, 1.0]])
    assert door["use"] == "line"
    assert "forwards goes upwards" in command(instance, "inspections", "regions", "cam-2.motion", "--turn", "door")
    # What it shows is what it reads.
    file = tmp_path / "regions.json"
    file.write_text(json.dumps(regions("--remove", "door")[0]))
    assert regions("--clear")[0]["regions"] == []
    assert regions("--file", str(file))[0]["regions"] == [yard]
    (listed,) = [
        one for one in records(command(instance, "inspections", "list", "--json")) if one["id"] == "cam-2.motion"
    ]
    assert (listed["state"], [one["name"] for one in listed["regions"]]) == ("running", ["yard"])
    for wrong, code, words in (
        (("--ignore", "sky: 0,0 640,0 640,100"), 2, "region 'sky': has the corner 640,0 outside of the picture"),
        (("--remove", "yrad"), 2, "There are: yard"),
        (("--file", str(file), "--clear"), 2, "Give it alone"),
    ):
        told = command(instance, "inspections", "regions", "cam-2.motion", *wrong, expect=code)
        assert words in told
    assert "There are: " in command(instance, "inspections", "regions", "cam-7.motion", expect=4)
    assert regions()[0]["regions"] == [yard]
    command(instance, "inspections", "regions", "cam-2.motion", "cam-1.motion", "--clear")


def test_mistakes_are_one_line_that_says_what_to_do(instance: Embedded) -> None:
    for arguments, code, said in (
        (("inspections", "stop", "cam-1.nothing"), 4, "There are: cam-1.health"),
        (("inspections", "start", "cam-9.motion"), 4, "camera 'cam-9'"),
        (("inspections", "start", "cam-1.nothing"), 2, "which no worker knows. There are:"),
        (("inspections", "start", "nothing"), 2, "is not CAMERA.DETECTOR"),
        (("explain", "cam-1"), 2, "says no time"),
        (("explain", "cam-1/1/1", "now"), 2, "says when already"),
        (("explain", "nowhere", "now"), 4, "nowhere"),
        (("coverage", "nowhere"), 4, "was never inspected"),
        (("coverage", "cam-1", "--from", "-1m", "--to", "-2m"), 2, "is empty"),
        (("coverage", "cam-1", "--every", "90s"), 2, "whole minutes"),
        (("reinspect", "nowhere", "--from", "-9s", "--to", "now"), 4, "does not exist"),
    ):
        assert said in command(instance, *arguments, expect=code), arguments


def test_a_viewer_may_look_and_not_change(instance: Embedded, tmp_path: Path) -> None:
    token = tmp_path / "eve"
    command(instance, "token", "create", "eve", "--role", "viewer", "--camera", "cam-1", "-o", str(token))
    listed = records(command(instance, "inspections", "list", "--json", token=token))
    assert {one["camera"] for one in listed} == {"cam-1"}
    assert "cam-1.motion" in command(instance, "explain", "cam-1", "-2s", token=token)
    assert "viewer" in command(instance, "inspections", "stop", "cam-1.motion", token=token, expect=1)
    assert "scope" in command(instance, "explain", "cam-2", "-2s", token=token, expect=1)
