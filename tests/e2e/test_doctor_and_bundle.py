"""`trueframe doctor` and `trueframe support-bundle` as a user runs them, on an instance that runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from simulator.testing import running
from tests.embedded import Embedded, embedded
from tests.support import until


def trueframe(instance: Embedded, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments, "--data", str(instance.data)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}


def is_live(instance: Embedded) -> bool:
    with instance.client() as client:
        return all(camera.last_received_ns for camera in client.broker.list_cameras())


@pytest.mark.slow
def test_doctor_and_bundle_tell_of_a_running_instance_and_of_a_part_that_stands_still(tmp_path: Path) -> None:
    with running(1, log=tmp_path / "sent") as cameras:
        source = cameras.urls["cam-1"].replace("rtsp://", "rtsp://admin:Geheim-7531@")
        with embedded(tmp_path / "data", f"cam-1={source}", "--metrics-port", "0") as instance:
            until(lambda: is_live(instance), 30, "the camera is live")
            well = findings(trueframe(instance, "doctor", "--json"))
            for check in ("NATS", "service broker", "service aggregate", "cameras", "disk primary", "public key"):
                assert well[check]["level"] == "ok", well[check]
            assert [row for row in well.values() if row["level"] == "failure"] == []

            bundle = tmp_path / "bundle.tar.gz"
            made = trueframe(instance, "support-bundle", "-o", str(bundle), "--json")
            assert made.returncode == 0, made.stderr
            assert json.loads(made.stdout)["left_out"] == []

            stopped = instance.children["media center"]
            os.kill(stopped, signal.SIGSTOP)
            try:
                ill = trueframe(instance, "doctor", "--json")
            finally:
                os.kill(stopped, signal.SIGCONT)
    assert ill.returncode == 1
    assert findings(ill)["service media_center"]["level"] == "failure"
    assert findings(ill)["service broker"]["level"] == "ok"
    with tarfile.open(bundle) as archive:
        members = {
            member.name.removeprefix("trueframe-support/"): file.read().decode()
            for member in archive.getmembers()
            if (file := archive.extractfile(member)) is not None
        }
    state = json.loads(members["status.json"])
    assert [camera["id"] for camera in state["cameras"]] == ["cam-1"]
    assert "trueframe_broker_frames_total" in members["metrics.txt"]
    assert "Geheim-7531" not in "".join(members.values()) + ill.stdout + made.stdout
