"""Work on events, cases and their folder as an operator does it, against one running instance with a camera."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.testing import running
from tests.embedded import Embedded, embedded
from tests.support import until


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("work")
    with running(1, log=folder / "sent") as simulator:
        sources = [f"{camera}={url}" for camera, url in simulator.urls.items()]
        with embedded(folder / "data", *sources) as started:
            until(lambda: anomalies(started.data), 90, "an anomaly")
            yield started


def command(data: Path, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments], env={**os.environ, "TRUEFRAME_DATA": str(data)},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == expect, (arguments, done.returncode, done.stdout[-800:], done.stderr[-800:])
    assert b"Traceback" not in done.stderr
    return done


def told(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def anomalies(data: Path) -> list[dict[str, object]]:
    return told(command(data, "events", "list", "--kind", "anomaly", "--json"))


def test_an_event_is_taken_labelled_found_and_what_was_done_taken_back(instance: Embedded) -> None:
    data, event = instance.data, str(anomalies(instance.data)[-1]["id"])
    assert b"has it" in command(data, "events", "take", event).stdout
    command(data, "events", "assign", event, "김민수", "--reason", "your floor")
    command(data, "events", "label", event, "unsure", "--tag", "고양이")
    assert [one["id"] for one in told(command(data, "events", "search", "고양이 김민", "--json"))] == [event]
    assert b"1 undone" in command(data, "events", "undo", event).stdout
    assert command(data, "events", "search", "고양이", "--json").stdout == b""
    command(data, "events", "hand-back", event)
    (shown,) = told(command(data, "events", "show", event, "--json"))
    assert (shown["owner"], shown["label"]) == ("", None)
    table = command(data, "events", "export", "--query", "motion").stdout.decode().splitlines()
    assert table[0].startswith("id,kind,camera")
    assert any(line.startswith(event) for line in table[1:])
    command(data, "events", "undo", expect=2)
    command(data, "events", "undo", "nope", expect=4)


def test_a_bulk_asks_first_and_says_how_it_is_undone(instance: Embedded) -> None:
    data = instance.data
    camera = str(anomalies(data)[-1]["camera"])
    # Nobody says yes: nothing is done.
    asked = command(data, "events", "bulk", "assign", "--to-owner", "otto", "--camera", camera, expect=130)
    assert b"Do it?" in asked.stderr
    assert told(command(data, "events", "list", "--owner", "otto", "--json")) == []
    (done,) = told(
        command(data, "events", "bulk", "assign", "--to-owner", "otto", "--camera", camera, "--yes", "--json")
    )
    assert set(done["changed"]) == {
        one["id"] for one in told(command(data, "events", "list", "--owner", "otto", "--json"))
    }  # type: ignore[call-overload]
    (undone,) = told(command(data, "events", "undo", "--bulk", str(done["bulk"]), "--json"))
    assert undone == {"undone": len(done["changed"]), "failures": []}  # type: ignore[arg-type]
    command(data, "events", "bulk", "ack", "--yes", expect=2)


def test_a_case_is_filled_exported_as_a_folder_and_verified(instance: Embedded, tmp_path: Path) -> None:
    data, event = instance.data, anomalies(instance.data)[-1]
    until(lambda: told(command(data, "events", "show", str(event["id"]), "--json"))[0]["clip"], 40, "its clip")
    camera = str(event["camera"])
    opened = command(data, "cases", "open", "정문 침입", "--event", str(event["id"]), "--clip", camera, "-4s", "-2s",
                     "--note", "two people", "--json")  # fmt: skip
    case = str(told(opened)[0]["id"])
    command(data, "cases", "close", case, "cleaners")
    command(data, "cases", "note", case, "told the firm")
    assert [one["id"] for one in told(command(data, "cases", "list", "--all", "--query", "침입", "--json"))] == [case]
    until(lambda: command_is_good(data, "cases", "export", case, "-o", str(tmp_path / "out")), 40, "footage is there")
    folder = tmp_path / "out"
    manifest = json.loads((folder / "manifest.json").read_text())
    names = [one["file"] for one in manifest["files"]]
    assert {"case.json", "case.txt", "events.json", "events.txt"} <= set(names)
    assert any(name.startswith(f"clips/1-{camera}/") and name.endswith(".mp4") for name in names)
    assert "told the firm" in (folder / "case.txt").read_text()
    assert b"clip 1-" in command(data, "cases", "verify", str(folder)).stdout
    (folder / "events.txt").write_text("nothing happened")
    assert b"is not what the manifest says" in command(data, "cases", "verify", str(folder), expect=1).stderr
    command(data, "cases", "export", case, "-o", str(folder), expect=1)
    command(data, "cases", "show", "nope", expect=4)


def command_is_good(data: Path, *arguments: str) -> bool:
    """Whether it succeeded; a folder that lacks a clip is taken away, for the next try."""
    done = subprocess.run([sys.executable, "-m", "trueframe", *arguments], timeout=60, check=False,
                          env={**os.environ, "TRUEFRAME_DATA": str(data)}, capture_output=True)  # fmt: skip
    if done.returncode:
        import shutil

        assert done.returncode == 1, done.stderr
        shutil.rmtree(arguments[-1], ignore_errors=True)
    return done.returncode == 0


def test_a_report_of_the_last_hour_is_text_a_page_and_a_table(instance: Embedded, tmp_path: Path) -> None:
    data, camera = instance.data, str(anomalies(instance.data)[-1]["camera"])
    text = command(data, "report", "--from", "-1h", "--title", "Night shift").stdout.decode()
    assert text.startswith("Night shift\n")
    assert f"\n{camera} " in text
    page = tmp_path / "report.html"
    command(data, "report", "--from", "-1h", "--format", "html", "-o", str(page))
    assert page.read_text().count("<svg") >= 3
    rows = command(data, "report", "--from", "-1h", "--format", "csv", "--camera", camera).stdout.decode().splitlines()
    assert [row.split(",")[2] for row in rows[1:]] == ["all", camera]
    # The ledger was asked: some frames have a score.
    assert int(rows[1].split(",")[-3]) > 0
    command(data, "report", "--from", "-1h", "--to", "-2h", expect=2)


def test_the_desk_is_handed_over_and_searches_are_kept(instance: Embedded) -> None:
    data, camera = instance.data, str(anomalies(instance.data)[-1]["camera"])
    assert b"alarms stand" in command(data, "handover", "draft").stdout
    (given,) = told(command(data, "handover", "give", "lens of the gate tomorrow", "--json"))
    assert given["state"]["raised"] > 0  # type: ignore[index]
    assert b"your own" in command(data, "handover", "take", expect=1).stderr
    assert [one["id"] for one in told(command(data, "handover", "list", "--json"))] == [given["id"]]
    assert b"lens of the gate" in command(data, "handover", "show", str(given["id"])).stdout
    command(data, "events", "saved", "save", "motion", "--query", "motion", "--camera", camera, "--shared")
    found = told(command(data, "events", "saved", "run", "motion", "--json"))
    assert found
    assert {one["camera"] for one in found} == {camera}
    assert b"query: motion" in command(data, "events", "saved", "list").stdout
    command(data, "events", "saved", "delete", "motion")
    command(data, "events", "saved", "run", "motion", expect=4)
