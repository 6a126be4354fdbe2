"""Alarms of a run against the truth, detector by detector: whose business, too short, beside, false, open before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.alarm_tally import Run, judge_alarms, result_of
from benchmarks.coverage import Book
from benchmarks.harness import Child, Simulation
from benchmarks.observers import Alarm, Minted, Seen
from mesh.ids import FrameId
from simulator import log
from trueframe.v1.events_pb2 import EVENT_KIND_ANOMALY, Event

LOOP, STEP_NS = 600, 100_000_000
START_NS = 1_800_000_000_000_000_000
CAMERA = "gate"
BOX = [0.1, 0.2, 0.3, 0.6]


def at_ns(number: int) -> int:
    return START_NS + number * STEP_NS


def frame_id(number: int) -> FrameId:
    return FrameId(CAMERA, 1, number)


@pytest.fixture
def cameras(tmp_path: Path) -> Simulation:
    """A minute of one camera: somebody where nobody may be, 10 s; a picture covered for 14 s, blurred for 5 s."""
    incidents = [
        {"kind": "intrusion", "start": 100, "end": 200, "region": None, "boxes": [BOX] * 100},
        {"kind": "cover", "start": 300, "end": 440, "region": None, "boxes": None},
        {"kind": "blur", "start": 500, "end": 550, "region": None, "boxes": None},
    ]
    told = {"cameras": {CAMERA: {"loop_frames": LOOP, "incidents": incidents}}}
    (tmp_path / "truth.json").write_text(json.dumps(told))
    writer = log.LogWriter(log.path_of(tmp_path, CAMERA))
    for number in range(LOOP):
        writer.append(number, at_ns(number), number * STEP_NS, b"", number, 1, 0, 1)
    writer.close()
    return Simulation(cast(Child, None), {CAMERA: "rtsp://"}, tmp_path, 0)


def alarm(detector: str, first: int, last: int, *, later_ms: int = 400, is_placed: bool = False) -> Alarm:
    said = Event(
        id=f"{detector}-{first}", kind=EVENT_KIND_ANOMALY, camera=CAMERA, detector=detector,
        first=frame_id(first).to_proto(), peak=frame_id(first + 1).to_proto(), last=frame_id(last).to_proto(),
        started_ns=at_ns(first), ended_ns=at_ns(last),
    )  # fmt: skip
    if is_placed:
        said.boxes.add(x=0.1, y=0.2, width=0.2, height=0.4)
    return Alarm(said, first * STEP_NS + later_ms * 1_000_000, said)


def judged(cameras: Simulation, *alarms: Alarm, names: tuple[str, ...] = ("motion", "normality", "health")) -> Any:
    """The detectors' parts of what comes out of frames 50 to 600."""
    seen = Seen()
    seen.frames[CAMERA] = [Minted(frame_id(n), at_ns(n), n * STEP_NS, n) for n in range(LOOP)]
    seen.alarms = {one.event.id: one for one in alarms}
    scored = {(1, n) for n in range(LOOP)}
    ledger = {f"{CAMERA}.{name}": Book(CAMERA, scored) for name in names}
    run = Run(camera_hours=0.5)
    for name in names:
        run.share(name)
    judge_alarms(run, seen, cameras, ledger, at_ns(50), at_ns(600))
    return result_of([run])


def test_an_incident_counts_for_each_detector_whose_business_it_is_and_latency_is_its_own(cameras: Simulation) -> None:
    result = judged(
        cameras,
        alarm("motion@1", 105, 190, is_placed=True),
        alarm("health@2", 352, 440, later_ms=700),
    )
    parts = result["detectors"]
    assert {name: (part["incidents"], part["found"]) for name, part in parts.items()} == {
        "motion": (1, 1), "normality": (1, 0), "health": (1, 1),
    }  # fmt: skip
    assert (result["incidents"], result["found"]) == (2, 2)
    # Motion's condition is complete 0.3 s behind its first frame, health's 0.5 s.
    assert (parts["motion"]["latency_ms"]["p50"], parts["health"]["latency_ms"]["p50"]) == (100.0, 200.0)
    assert parts["health"]["begun_to_alarm_ms"]["p50"] == 5900.0
    assert len(parts["normality"]["missed"]) == 1


def test_what_is_over_before_a_detector_speaks_is_in_no_denominator_and_is_told(cameras: Simulation) -> None:
    part = judged(cameras)["detectors"]["health"]
    assert (part["incidents"], part["too_short_for_it"]) == (1, 1)


def test_an_alarm_at_the_time_of_anothers_incident_is_beside_it_and_any_other_is_false(cameras: Simulation) -> None:
    result = judged(cameras, alarm("normality@1:abc", 301, 320), alarm("normality@1:abc", 460, 470))
    part = result["detectors"]["normality"]
    assert (part["beside_an_incident"], part["false_per_camera_hour"]) == (1, 2.0)
    assert (part["found"], len(result["false"])) == (0, 1)


def test_an_alarm_that_was_open_before_has_no_latency_and_is_told_with_its_length(cameras: Simulation) -> None:
    part = judged(cameras, alarm("normality@1:abc", 20, 590))["detectors"]["normality"]
    assert part["alarms"] == 0
    assert part["open_before"] == ["normality@1:abc on gate: 54 s of it"]
