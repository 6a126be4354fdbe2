"""The life of an embedded instance: what it prints, what it survives, what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.ids import FrameId
from simulator.testing import Simulator, running
from tests.embedded import Embedded, embedded
from tests.support import until


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(2, log=tmp_path_factory.mktemp("sent")) as simulator:
        yield simulator


def sources(cameras: Simulator) -> list[str]:
    return [f"{camera}={url}" for camera, url in cameras.urls.items()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_headless_prints_a_line_a_second_each_event_and_a_summary(cameras: Simulator, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", "up", *sources(cameras), "--headless", "--for", "12s"],
        env={**os.environ, "TRUEFRAME_DATA": str(tmp_path / "data"), "TZ": "Asia/Kolkata"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    status = [line for line in lines if "  cameras 2/2 live  " in line]
    assert 7 <= len(status) <= 12
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+05:30  cameras 2/2 live  fps [\d.]+  frames \d+  "
                    r"recorded \d+  events \d+  lag [\d.]+ s", status[-1])  # fmt: skip
    assert re.search(r"\+05:30  EVENT  cam-[12]  motion@1  .*  score \d\.\d\d  cam-[12]/\d+/\d+$", done.stdout, re.M)
    assert re.match(r"summary: 12 s, 2 of 2 cameras were live, \d+ frames \(0 damaged, 0 network gaps\)", lines[-1])


def test_an_instance_without_any_live_camera_ends_with_1_and_says_why(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", "up", "gate=rtsp://127.0.0.1:9/x", "--headless", "--for", "3s"],
        env={**os.environ, "TRUEFRAME_DATA": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1
    assert "camera  gate  lost  camera at 127.0.0.1:9: refuses the connection. Check the port" in done.stdout


def test_every_part_that_is_killed_comes_back_and_that_is_said(cameras: Simulator, tmp_path: Path) -> None:
    with embedded(tmp_path / "data", *sources(cameras)) as instance:
        for name, pid in instance.children.items():
            os.kill(pid, signal.SIGKILL)
            until(lambda: instance.children.get(name, pid) != pid, 15, f"{name} is started again")  # noqa: B023
            until(lambda: f"trueframe: {name} is back" in instance.said, 15, f"{name} is back")  # noqa: B023
            assert f"{name} was killed by SIGKILL" in instance.said
        with instance.client() as client:
            before = time.time_ns()
            until(lambda: all(c.last_received_ns > before for c in client.broker.list_cameras()), 20, "live again")


def test_no_child_outlives_a_killed_supervisor_and_the_next_start_goes_on(cameras: Simulator, tmp_path: Path) -> None:
    instance = Embedded(tmp_path / "data", *sources(cameras))
    instance.start()
    with instance.client() as client:
        until(lambda: len(client.footage.recordings().recordings) == 2, 30, "footage of both")
    children = list(instance.children.values())
    assert len(children) == 8
    instance.kill()
    until(lambda: not any(map(is_alive, children)), 20, "all children are gone")
    instance.start()
    try:
        with instance.client() as client:
            # Four stretches: two of before, two of now, with greater epochs.
            found = until(
                lambda: len(r := client.footage.recordings().recordings) == 4 and r, 30, "footage of both runs"
            )
            ids = [FrameId.from_proto(recording.first) for recording in found]
            assert ids == sorted(ids)
    finally:
        children = list(instance.children.values())
        assert instance.stop() == 0
    assert not any(map(is_alive, children))


def test_one_page_has_the_metrics_of_all_services(cameras: Simulator, tmp_path: Path) -> None:
    with embedded(tmp_path / "data", *sources(cameras), "--metrics-port", "0") as instance:
        url = re.search(r"metrics at (http://\S+)", instance.said)
        assert url

        def page() -> str:
            with urllib.request.urlopen(url[1], timeout=10) as answer:
                read: str = answer.read().decode()
                return read

        # The worker serves nothing that `up` could wait for.
        until(lambda: 'service="detector_pool"} 1' in page(), 20, "the worker's metrics")
        text = page()
    up = dict(re.findall(r'trueframe_service_up\{service="([\w.]+)"\} (\d)', text))
    assert set(up) >= {"broker", "broker.pixel", "media_center", "event_center", "aggregate", "detector_pool"}
    assert set(up.values()) == {"1"}


def test_private_things_are_private(cameras: Simulator, tmp_path: Path) -> None:
    data = tmp_path / "data"
    secret = sources(cameras)[0].replace("rtsp://", "rtsp://admin:geheim@")
    with embedded(data, secret) as instance:
        for folder in ("run", "keys", "logs", "media", "broker"):
            assert (data / folder).stat().st_mode & 0o077 == 0, folder
        for file in (
            *(data / "keys").glob("*.token"),
            data / "keys/signing.key",
            data / "run/nats.conf",
            data / "run/run.json",
        ):
            assert file.stat().st_mode & 0o077 == 0, file
        assert "geheim" not in instance.said
    for log in (data / "logs").iterdir():
        assert b"geheim" not in log.read_bytes(), log


def test_a_part_that_lives_and_does_not_answer_is_told_and_left_alone(cameras: Simulator, tmp_path: Path) -> None:
    with embedded(tmp_path / "data", *sources(cameras)) as instance:
        pid = instance.children["event center"]
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: "ALARM  event center does not answer" in instance.said, 15, "the view's alarm")
            until(lambda: f"event center (process {pid}) runs and does not answer" in instance.said, 30, "it is told")
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: "event center answers again" in instance.said, 15, "it is told that it answers")
        assert instance.children["event center"] == pid
