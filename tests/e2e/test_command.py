"""The `trueframe` command as a user runs it, against one running instance with two simulated cameras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from simulator.testing import running
from tests.embedded import Embedded, embedded
from tests.support import until

CAMERAS = ("cam-1", "cam-2")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("command")
    with running(len(CAMERAS), log=folder / "sent") as simulator:
        sources = [f"{camera}={url}" for camera, url in simulator.urls.items()]
        with embedded(folder / "data", *sources) as started:
            with started.client() as client:
                # Two seconds of footage, so that ranges have something in them.
                until(lambda: min(recorded_frames(client, camera) for camera in CAMERAS) > 20, 60, "footage")
            yield started


def recorded_frames(client: object, camera: str) -> int:
    return sum(r.frames for r in client.footage.recordings().recordings if r.camera == camera)  # type: ignore[attr-defined]


def command(data: Path | str, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments],
        env={**os.environ, "TRUEFRAME_DATA": str(data)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expect, (arguments, done.returncode, done.stdout[-800:], done.stderr[-800:])
    assert b"Traceback" not in done.stderr
    return done


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_status_tells_that_everything_answers(instance: Embedded) -> None:
    (status,) = lines(command(instance.data, "status", "--json"))
    assert status["services"] == dict.fromkeys(("broker", "pixels", "media_center", "event_center", "aggregate"), True)
    assert status["cameras"] == {"live": 2}
    assert {load["name"]: load["degraded"] for load in status["loads"]}["ring_memory"] is False  # type: ignore[attr-defined]
    said = command(instance.data, "status").stdout
    assert b"cameras: 2 live" in said
    assert b"broker: cameras 2 of 256" in said


def test_cameras_are_added_changed_watched_and_removed_live(instance: Embedded) -> None:
    data = instance.data
    added = command(
        data, "cameras", "add", "Südtor", "rtsp://admin:geheim@127.0.0.1:9/x", "--label", "floor=1", "--json"
    )
    (camera,) = lines(added)
    assert (camera["id"], camera["display_name"], camera["labels"]) == ("sudtor", "Südtor", {"floor": "1"})
    assert b"geheim" not in added.stdout
    until(lambda: by_id(data)["sudtor"]["state"] == "lost", 15)
    assert "refuses the connection" in str(by_id(data)["sudtor"]["detail"])
    command(data, "cameras", "set", "sudtor", "--off", "--name", "South gate")
    assert (by_id(data)["sudtor"]["state"], by_id(data)["sudtor"]["display_name"]) == ("disabled", "South gate")
    again = command(data, "cameras", "add", "sudtor=rtsp://127.0.0.1:9/x", expect=1)
    assert again.stderr.decode().startswith("trueframe: camera 'sudtor': exists already")
    command(data, "cameras", "remove", "sudtor")
    assert set(by_id(data)) == set(CAMERAS)
    command(data, "cameras", "remove", "sudtor", expect=4)
    table = command(data, "cameras", "list").stdout.decode().splitlines()
    assert table[0].split()[:2] == ["ID", "STATE"]
    assert table[1].split()[:2] == ["cam-1", "live"]


def by_id(data: Path) -> dict[str, dict[str, object]]:
    return {str(camera["id"]): camera for camera in lines(command(data, "cameras", "list", "--json"))}


def test_replayed_frames_are_a_file_that_decodes_to_as_many_pictures(instance: Embedded, tmp_path: Path) -> None:
    items = lines(command(instance.data, "replay", "cam-1", "--json", "--from", "-1h"))
    frames = [item for item in items if item["kind"] == "frame"][:20]
    target = tmp_path / "clip.h264"
    first, last = str(frames[0]["id"]), str(frames[-1]["id"])
    command(instance.data, "replay", "cam-1", "--from", first, "--to", last, "-o", str(target))
    assert target.stat().st_size == sum(int(str(frame["size_bytes"])) for frame in frames)
    with av.open(str(target), format="h264") as container:
        assert sum(1 for _ in container.decode(video=0)) == len(frames)
    verified = command(instance.data, "replay", "cam-1", "--to", str(frames[-1]["id"]), "--verify")
    assert f"{len(frames)} equal their digest".encode() in verified.stdout


def test_a_snapshot_is_live_of_a_moment_or_of_exactly_one_frame(instance: Embedded, tmp_path: Path) -> None:
    for name, arguments in {
        "live": ["cam-1"],
        "moment": ["cam-1", "--at", "-2s"],
        "frame": [str(lines(command(instance.data, "replay", "cam-2", "--json"))[5]["id"])],
    }.items():
        target = tmp_path / f"{name}.png"
        (told,) = lines(command(instance.data, "snapshot", *arguments, "-o", str(target), "--json"))
        assert target.read_bytes().startswith(b"\x89PNG")
        if name == "frame":
            assert told["id"] == arguments[0]


def test_an_export_holds_exactly_the_frames_asked_for(instance: Embedded, tmp_path: Path) -> None:
    frames = [item for item in lines(command(instance.data, "replay", "cam-1", "--json")) if item["kind"] == "frame"]
    first, last = str(frames[3]["id"]), str(frames[17]["id"])
    target = tmp_path / "clip.mp4"
    (told,) = lines(
        command(instance.data, "export", "cam-1", "--from", first, "--to", last, "-o", str(target), "--json")
    )
    assert (told["first"], told["last"], told["frames"], told["gaps"]) == (first, last, 15, [])
    assert target.stat().st_size == told["size_bytes"]


def test_events_are_listed_newest_first_and_shown(instance: Embedded) -> None:
    found = until(lambda: lines(command(instance.data, "events", "list", "--kind", "anomaly", "--json")), 40)
    event = found[0]
    assert event["camera"] in CAMERAS
    (shown,) = lines(command(instance.data, "events", "show", str(event["id"]), "--json"))
    assert shown["peak"]
    table = command(instance.data, "events", "list").stdout.decode()
    assert str(event["id"]) in table
    starts = [int(str(one["started_ns"])) for one in lines(command(instance.data, "events", "list", "--json"))]
    assert starts == sorted(starts, reverse=True)


def test_alarms_are_acknowledged_and_commented_and_tell_who_did_what(instance: Embedded) -> None:
    data = instance.data
    waiting = until(
        lambda: lines(command(data, "events", "list", "--state", "unack", "--kind", "anomaly", "--json")), 40
    )
    event = str(waiting[-1]["id"])
    command(data, "events", "comment", event, "ein Fuchs 🦊")
    (seen,) = lines(command(data, "events", "ack", event, "--comment", "on my way", "--json"))
    assert seen["alarm_state"] in ("acknowledged", "normal")
    assert seen["acknowledged_by"]
    again = command(data, "events", "ack", event).stdout.decode()
    assert event in again
    (shown,) = lines(command(data, "events", "show", event, "--json"))
    assert [said["text"] for said in shown["comments"]] == ["ein Fuchs 🦊", "on my way"]  # type: ignore[attr-defined]
    people = ("commented", "acknowledged")
    deeds = [done["deed"] for done in shown["records"] if done["deed"] in ("raised", *people)]  # type: ignore[attr-defined]
    assert deeds == ["raised", "commented", "acknowledged"]
    until(lambda: lines(command(data, "events", "show", event, "--json"))[0]["clip"], 20, "its clip is held")
    page = command(data, "events", "show", event).stdout.decode()
    assert "comment: " in page
    assert "clip: " in page
    camera = str(waiting[-1]["camera"])
    command(data, "events", "ack", "--all-of", camera)
    left = {
        one["id"] for one in lines(command(data, "events", "list", "--camera", camera, "--state", "unack", "--json"))
    }
    assert not left & {one["id"] for one in waiting}
    command(data, "events", "comment", event, "red \x1b[31m", expect=2)
    command(data, "events", "ack", "nope", expect=4)
    command(data, "events", "ack", expect=2)
    (told,) = lines(command(data, "events", "label", event, "false", "--json"))
    assert "stays at" in str(told["sentence"])
    command(data, "events", "label", "nope", "true", expect=4)


def test_alarms_are_shelved_suppressed_and_taken_out_and_the_load_says_so(instance: Embedded) -> None:
    data = instance.data
    alarms = ("events", "list", "--kind", "anomaly", "--json")
    (first, *_) = until(lambda: [one for one in lines(command(data, *alarms)) if not one["folded_into"]], 40)
    event, camera = str(first["id"]), str(first["camera"])
    (shelved,) = lines(command(data, "events", "shelve", event, "--for", "10m", "--reason", "painters", "--json"))
    assert shelved["set_aside"]
    assert "painters" in str(shelved["shelf"])
    assert event in command(data, "events", "list", "--shelved").stdout.decode()
    (load,) = lines(command(data, "events", "load", "--json"))
    assert load["shelved"] == 1
    command(data, "events", "unshelve", event)
    (out,) = lines(command(data, "events", "out-of-service", "take", "--camera", camera, "--reason", "lens", "--json"))
    assert (out["camera"], out["until_ns"]) == (camera, 0)
    assert event in command(data, "events", "list", "--out-of-service").stdout.decode()
    command(data, "events", "out-of-service", "return", "--camera", camera)
    rule = ("events", "suppress", "put", "night", "--while-time", "00:00-24:00", "--camera", camera, "--reason", "dark")
    (put,) = lines(command(data, *rule, "--json"))
    assert put["active"]
    assert event in command(data, "events", "list", "--suppressed").stdout.decode()
    command(data, "events", "suppress", "delete", "night")
    (shown,) = lines(command(data, "events", "show", event, "--json"))
    assert not shown["set_aside"]
    command(data, "events", "shelve", event, "--for", "99d", "--reason", "x", expect=2)
    command(data, "events", "suppress", "put", "night", "--reason", "dark", expect=2)
    command(data, "events", "out-of-service", "return", "--camera", "cam-9", expect=4)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("events", "show", "nope"), 4, "does not exist"),
        (("events", "ack", "--all-of", "nowhere"), 4, "camera 'nowhere': does not exist"),
        (("snapshot", "nowhere"), 4, "does not exist"),
        (("snapshot", "cam-1/1/1"), 4, "is not recorded"),
        (("snapshot", "cam-1", "--at", "25:99"), 2, 'time "25:99"'),
        (("export", "nowhere", "-o", "x.mp4"), 4, "never recorded"),
        (("export", "cam-1", "-o", "/nowhere/x.mp4"), 2, "there is no folder /nowhere"),
        (("replay", "cam-1", "--from", "2000-01-01", "--to", "2000-01-02", "--json"), 4, "cam-1"),
        (("cameras", "add", "ftp://host/x"), 2, 'scheme "ftp" is not known'),
        (("cameras", "add", "nowhere.mp4"), 2, "no such file"),
        (("cameras", "bogus"), 2, "No such command"),
        (("up", "--headless"), 1, "trueframe runs on it already"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    instance: Embedded, arguments: tuple[str, ...], code: int, said: str
) -> None:
    told = command(instance.data, *arguments, expect=code).stderr.decode()
    assert told.startswith("trueframe: ")
    assert said in told
    assert told.count("\n") == 1


def test_a_folder_on_which_nothing_runs_is_told_as_such(tmp_path: Path) -> None:
    for arguments in (("status",), ("cameras", "list"), ("tui",)):
        told = command(tmp_path / "data", *arguments, expect=3).stderr.decode()
        assert "trueframe up" in told


def test_a_program_of_an_integrator_needs_ten_lines(instance: Embedded) -> None:
    program = """
from trueframe.client import FrameId, connect

with connect() as tf:
    print([camera.spec.id for camera in tf.broker.list_cameras()])
    count = 0
    for item in tf.broker.stream(["cam-1"]):
        count += 1
        if count == 5:
            break
    mark = tf.footage.recordings(["cam-1"]).recordings[-1]
    print(len(tf.footage.snapshot(FrameId.from_proto(mark.last)).png) > 100, tf.pixels.live_picture("cam-2").id.camera)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['cam-1', 'cam-2']", "True cam-2"]
