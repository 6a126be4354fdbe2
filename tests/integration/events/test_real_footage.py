"""Real footage from GStreamer's RTSP server: anomalies with boxes on what moves, and few of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from aggregate.client import SyncLedgerClient
from event_center.client import Event
from mesh.errors import TrueframeError
from tests.inspection_stack import inspection_stack
from tests.real_peers import gstreamer, require, shared
from tests.support import until

CLIPS = {"person": "one-by-one-person-detection.mp4", "car": "car-detection.mp4"}


def test_persons_and_cars_of_real_footage_are_motion_with_boxes_and_a_healthy_signal(tmp_path: Path) -> None:
    require("rtsp")
    clips = {name: shared(f"footage/{file}") for name, file in CLIPS.items()}
    with gstreamer(clips) as server, inspection_stack(tmp_path) as stack:
        with stack.broker.sync_client() as broker:
            for name in clips:
                broker.add_camera(name, server.url(name))
        with stack.events() as client, SyncLedgerClient(stack.config.aggregate.endpoint, stack.broker.token) as ledger:

            def over(camera: str) -> list[Event]:
                with contextlib.suppress(TrueframeError):
                    return [e for e in client.list(cameras=[camera]) if e.ended_ns and e.detector == "motion@1"]
                return []

            until(lambda: over("person") and over("car"), 90, "somebody passed and something drove by")
            for event in (over("person")[-1], over("car")[-1]):
                assert event.score > 0.9
                # The peak may be the very first frame; it is the frame of the highest score, by the ledger.
                assert event.first.seq <= event.peak.seq <= event.last.seq
                scores = {
                    e.verdict.id.seq: e.verdict.score for e in ledger.read(event.camera, inspection=event.inspection)
                }
                within = [scores.get(seq, 0.0) for seq in range(event.first.seq, event.last.seq + 1)]
                assert scores[event.peak.seq] == event.score == max(within)
                assert within.index(max(within)) == event.peak.seq - event.first.seq
                box = event.boxes[0]
                # A person near the camera or a car: neither a speck nor the whole picture.
                assert 0.02 < box.width < 0.8
                assert 0.05 < box.height <= 1.0
            assert not [e for e in client.list() if e.detector.startswith("signal")]
        with stack.inspections() as inspections:
            # Health learns the camera first.
            for status in [one for one in inspections.list() if one.inspection.detector != "health"]:
                assert status.frames_scored > 5 * status.frames_skipped, status.inspection.id
