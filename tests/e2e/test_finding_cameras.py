"""Cameras found, tried, imported and exported on the command line; a wrong clock as an alarm, through all parts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.onvif import Login, OnvifServer
from simulator.onvif_device import SimulatedDevice, VideoProfile
from simulator.testing import Simulator, running
from tests.embedded import Embedded, embedded
from tests.support import until

# cam-1 is attached from the beginning, a device has cam-2 as well; each of the others belongs to one test.
TRAITS = {"cam-3": "clock_offset_s=9"}


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(4, log=tmp_path_factory.mktemp("finding") / "sent", traits=TRAITS) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def instance(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("instance")
    with embedded(folder / "data", f"cam-1={sim.urls['cam-1']}") as started:
        yield started


@pytest.fixture(scope="module")
def device(sim: Simulator) -> Iterator[str]:
    """Address of a device that has both cameras and wants a login."""
    urls = {name: sim.urls[name] for name in ("cam-1", "cam-2")}
    profiles = tuple(VideoProfile(name, name, url, width=320, height=180) for name, url in urls.items())
    server = OnvifServer([SimulatedDevice("nvr", "NVR", profiles, model="Yard 9")], Login("admin", "hidden"))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    yield server.addresses["nvr"]
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def command(instance: Embedded, *arguments: str, expect: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments],
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data)},
        capture_output=True,
        input=stdin,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expect, (arguments, done.returncode, done.stdout[-800:], done.stderr[-800:])
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stdout + done.stderr
    return done


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_network_without_devices_is_told_with_what_can_be_done(instance: Embedded) -> None:
    done = command(instance, "cameras", "discover", "--timeout", "0.5", "--interface", "lo", expect=1)
    assert "No ONVIF device answered" in done.stderr
    assert "There are:" in command(instance, "cameras", "discover", "--interface", "nope", expect=2).stderr


def test_a_device_that_wants_a_login_says_so(instance: Embedded, device: str) -> None:
    done = command(instance, "cameras", "discover", "--address", device, expect=1)
    assert "wants user and password" in done.stdout
    done = command(instance, "cameras", "discover", "--address", device, "--user", "admin", expect=2)
    assert "--password-stdin" in done.stderr


def test_a_device_is_listed_added_and_then_known(instance: Embedded, device: str) -> None:
    ask = ("cameras", "discover", "--address", device, "--user", "admin", "--password-stdin")
    done = command(instance, *ask, stdin="hidden\n")
    assert "attached as cam-1" in done.stdout
    assert "trueframe cameras add 'Yard 9 cam-2' rtsp://USER:PASSWORD@127.0.0.1:" in done.stdout
    (told,) = lines(command(instance, *ask, "--json", stdin="hidden\n"))
    assert (told["manufacturer"], told["failure"]) == ("trueframe", "")
    assert [stream["attached_as"] for stream in told["streams"]] == ["cam-1", ""]  # type: ignore[attr-defined]
    # The main stream is there already; the other one is asked for.
    assert "Nothing to add" in command(instance, *ask, "--add", stdin="hidden\n").stderr
    done = command(instance, *ask, "--add", "--all-streams", stdin="hidden\n")
    assert "added yard-9-cam-2: rtsp://127.0.0.1:" in done.stdout
    (camera,) = [row for row in lines(command(instance, "cameras", "list", "--json")) if row["id"] == "yard-9-cam-2"]
    assert (camera["display_name"], camera["device"]) == ("Yard 9 cam-2", "Yard 9")
    assert command(instance, *ask, stdin="hidden\n").stdout.count("attached as") == 2


def test_a_login_is_asked_for_once_and_hidden(instance: Embedded, device: str) -> None:
    # Two devices, the same twice, want it; the terminal is a real one.
    asking = ("cameras", "discover", "--address", device, "--address", f"{device}?again")
    said = on_a_terminal(instance, asking, [("User of the devices: ", "admin"), ("Password: ", "hidden")])
    assert said.count("Password: ") == 1
    assert said.count("attached as cam-1") == 2
    assert "hidden" not in said


def on_a_terminal(instance: Embedded, arguments: tuple[str, ...], answers: list[tuple[str, str]]) -> str:
    """What a command says on a terminal whose user answers its questions; exit code 0."""
    mine, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trueframe", *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data), "COLUMNS": "200", "TERM": "dumb"},
    )
    os.close(its)
    said = ""
    for question, answer in [*answers, ("\0", "")]:
        with contextlib.suppress(OSError):  # The terminal's other end is closed: the command has ended.
            while question not in said:
                said += os.read(mine, 4096).decode(errors="replace")
            os.write(mine, f"{answer}\n".encode())
    os.close(mine)
    assert process.wait(30) == 0, said
    return said


def test_a_wrong_clock_becomes_an_alarm_and_is_seen_in_the_status(instance: Embedded, sim: Simulator) -> None:
    command(instance, "cameras", "add", "Hof", sim.urls["cam-3"])

    def alarms() -> list[dict[str, object]]:
        told = lines(command(instance, "events", "list", "--json"))
        return [event for event in told if event["detector"] == "camera-clock"]

    (alarm,) = until(alarms, 30, "the alarm")
    assert (alarm["camera"], alarm["kind"], alarm["priority"]) == ("hof", "camera", 3)
    assert str(alarm["summary"]).startswith("Camera Hof has a wrong clock: Its clock is ")
    (status,) = lines(command(instance, "status", "--json"))
    assert status["clocks"]["wrong"] == 1  # type: ignore[index]
    assert "hof: Its clock is " in command(instance, "status").stdout
    # A camera that is switched off has no wrong clock.
    command(instance, "cameras", "set", "hof", "--off")
    until(lambda: alarms()[0]["alarm_state"] == "returned_unacknowledged", 20, "the alarm returns")


def test_a_source_and_a_camera_are_tried(instance: Embedded, sim: Simulator) -> None:
    done = command(instance, "cameras", "probe", sim.urls["cam-4"], "--seconds", "1")
    assert "yes over tcp, first frame after" in done.stdout
    assert "h264 320x180" in done.stdout
    (told,) = lines(command(instance, "cameras", "probe", "cam-1", "--json"))
    assert (told["attached_as"], told["playable"], told["key_frame_interval"]) == ("cam-1", True, 10)
    assert sim.status()["cam-1"]["peak_viewers"] == 1
    done = command(instance, "cameras", "probe", "rtsp://u:hidden@127.0.0.1:9/x", expect=1)
    assert done.stdout.startswith("not playable (lost): camera at 127.0.0.1:9: refuses")


def test_cameras_are_imported_all_or_none_and_exported(instance: Embedded, tmp_path: Path) -> None:
    table = tmp_path / "cameras.csv"
    good = "north;rtsp://u:hidden@127.0.0.1:9/n;Nordtor;floor=2;yes\n"
    table.write_text(f"id;source;name;label:floor;disabled\n{good}Bad Id;rtsp://h/x;;;\n", encoding="utf-8-sig")
    done = command(instance, "cameras", "import", str(table), expect=2)
    assert "line 3" in done.stderr
    assert "nothing was added" in done.stderr
    assert "north" not in command(instance, "cameras", "list").stdout

    dry = lines(command(instance, "cameras", "import", str(table), "--skip-bad", "--dry-run", "--json", expect=1))
    assert [row["result"] for row in dry] == ["would add", "bad"]
    assert "north" not in command(instance, "cameras", "list").stdout
    command(instance, "cameras", "import", str(table), "--skip-bad", expect=1)

    out = tmp_path / "out.csv"
    command(instance, "cameras", "export", "-o", str(out))
    assert "hidden" not in out.read_text()
    rows = lines(command(instance, "cameras", "import", str(out), "--json"))
    assert {row["result"] for row in rows} == {"exists"}
    changed = out.read_text().replace("Nordtor", "Südtor")
    rows = lines(command(instance, "cameras", "import", "-", "--json", stdin=changed, expect=1))
    assert [row["detail"] for row in rows if row["result"] == "differs"] == [
        "display_name; left as it is, `trueframe cameras set north` changes it"
    ]


def test_an_id_that_is_taken_names_the_command_that_changes_it(instance: Embedded) -> None:
    done = command(instance, "cameras", "add", "x", "rtsp://127.0.0.1:9/x", "--id", "cam-1", expect=1)
    assert "trueframe cameras set cam-1" in done.stderr
