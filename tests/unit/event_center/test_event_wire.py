"""Payloads from the bus: understood, or refused without a trace."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_center.event import Box, Event, Kind
from event_center.wire import anomaly_report, camera_report, event_to_proto, watermarks
from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from trueframe.v1 import events_pb2, footage_pb2, frames_pb2, inspection_pb2


def anomaly() -> inspection_pb2.Anomaly:
    frame = frames_pb2.FrameId(camera="yard", epoch=7, seq=3)
    return inspection_pb2.Anomaly(
        id="00ab12", version=1, camera="yard", detector="motion@1", first=frame, peak=frame, last=frame, score=0.5,
        boxes=[events_pb2.Box(x=0.1, y=0.1, width=0.5, height=0.5, label="motion", score=0.5)], regions=["gate"],
    )  # fmt: skip


def test_an_anomaly_is_understood() -> None:
    report = anomaly_report(anomaly().SerializeToString())
    assert report.first == FrameId("yard", 7, 3)
    assert report.regions == ("gate",)


@pytest.mark.parametrize("field", ["id", "camera", "first"])
def test_an_anomaly_without_what_it_needs_is_refused(field: str) -> None:
    message = anomaly()
    message.ClearField(field)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        anomaly_report(message.SerializeToString())


def test_numbers_that_are_none_are_refused() -> None:
    message = anomaly()
    message.score = float("nan")
    with pytest.raises(InvalidArgument):
        anomaly_report(message.SerializeToString())


@given(st.binary(max_size=200))
def test_any_bytes_are_understood_or_refused(payload: bytes) -> None:
    for parse in (anomaly_report, camera_report, watermarks):
        with contextlib.suppress(InvalidArgument):
            parse(payload)


def test_a_camera_state_is_understood_and_one_that_is_not_is_refused() -> None:
    body = {"camera": "yard", "camera_name": "Hof", "state": "lost", "since_ns": 5, "detail": "no route"}
    report = camera_report(json.dumps(body | {"last": "yard/3/9"}).encode())
    assert (report.state, report.since_ns, report.last) == ("lost", 5, FrameId("yard", 3, 9))
    assert camera_report(json.dumps(body | {"last": None}).encode()).last is None
    assert report.about == "state"
    assert camera_report(json.dumps(body | {"about": "clock", "state": "clock-good"}).encode()).about == "clock"
    for wrong in (
        {"about": "weather"},
        {"since_ns": "x"},
        {"since_ns": 1 << 70},
        {"since_ns": float("inf")},
        {"camera": "Ä"},
        {"last": "gate/1/1"},
        {"last": 5},
    ):
        with pytest.raises(InvalidArgument):
            camera_report(json.dumps(body | wrong).encode())


def test_watermarks_are_understood_and_impossible_ones_refused() -> None:
    marks = [FrameId("yard", 5, 8), FrameId("gate", 6, 0)]
    payload = footage_pb2.WatchPersistedResponse(watermarks=[mark.to_proto() for mark in marks]).SerializeToString()
    assert watermarks(payload) == marks
    wrong = footage_pb2.WatchPersistedResponse(watermarks=[frames_pb2.FrameId(camera="yard", epoch=-1)])
    with pytest.raises(InvalidArgument):
        watermarks(wrong.SerializeToString())


def test_an_event_for_clients_says_everything() -> None:
    frame = FrameId("yard", 7, 3)
    message = event_to_proto(
        Event("e", Kind.CAMERA, "yard", "camera-state", "Camera lost", 2, 1, 2, 0.5, frame, frame, frame, 3,
              (Box(0.1, 0.2, 0.3, 0.4, "x", 0.5),), 4, 5, True, 6)
    )  # fmt: skip
    assert message.kind == events_pb2.EVENT_KIND_CAMERA
    assert message.first == frame.to_proto()
    assert message.footage_confirmed
    assert message.boxes[0].label == "x"
