"""The first minute with the simulated cameras, as `make run ARGS="--headless --for 60s"` shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from broker.client import FrameId, WireFrame
from simulator import sei
from tests.embedded import embedded
from tests.support import until
from trueframe.v1.events_pb2 import EVENT_KIND_ANOMALY, Box, Event


@pytest.mark.timeout(240)
def test_the_scripted_incident_becomes_an_event_that_overlaps_its_truth_in_time_and_place(tmp_path: Path) -> None:
    with embedded(tmp_path / "data", "--simulate", "4") as instance, instance.client() as client:
        truth = instance.truth()
        scripted = {camera: told["incidents"] for camera, told in truth.items()}
        intruded = next(camera for camera, all_of in scripted.items() if any(i["kind"] == "intrusion" for i in all_of))

        def found() -> Event | None:
            events = client.events.list(cameras=[intruded])
            return next((e for e in events if e.kind == EVENT_KIND_ANOMALY and e.ended_ns), None)

        event = until(found, 75, "the intrusion is an event that has ended")
        incident = next(i for i in scripted[intruded] if i["kind"] == "intrusion")
        loop = truth[intruded]["loop_frames"]
        in_loop = {unit.number: unit.frame_in_loop for unit in instance.sent(intruded)}
        # Identity leads from the event's frame to its recorded bytes, their stamp, and the camera's own log.
        frames = {}
        for name in ("first", "peak", "last"):
            frame = FrameId.from_proto(getattr(event, name))
            items = client.footage.replay(intruded, start=frame, end=frame)
            unit = next(item for item in items if isinstance(item, WireFrame))
            assert unit.id == frame
            frames[name] = in_loop[sei.read(unit.payload)[0]] % loop
        assert frames["first"] <= incident["end"], "it began after the incident"
        assert frames["last"] >= incident["start"], "it ended before the incident"
        assert incident["start"] <= frames["peak"] <= incident["end"]
        where = incident["boxes"][frames["peak"] - incident["start"]]
        assert any(overlap(box, where) > 0 for box in event.boxes), f"{event.boxes} lie elsewhere than {where}"


def overlap(box: Box, truth: list[float]) -> float:
    """Common area; truth as left, top, right, bottom in fractions."""
    width = min(box.x + box.width, truth[2]) - max(box.x, truth[0])
    height = min(box.y + box.height, truth[3]) - max(box.y, truth[1])
    return max(0.0, width) * max(0.0, height)


@pytest.mark.timeout(120)
def test_headless_prints_a_status_line_a_second_and_a_summary_and_exits_with_0(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trueframe", "up", "--simulate", "2", "--headless", "--for", "8s"]
    command += ["--data", str(tmp_path / "data")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert finished.returncode == 0, finished.stderr
    status = re.findall(r"cameras 2/2 live  fps [\d.]+", finished.stdout)
    assert 5 <= len(status) <= 9
    assert re.search(r"summary: .*2 of 2 cameras were live", finished.stdout.splitlines()[-1])
