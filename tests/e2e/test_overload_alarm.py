"""Overload as an operator meets it: an alarm of the system while nothing is lost, which returns by itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.embedded import embedded
from tests.support import until
from trueframe.v1.events_pb2 import (
    ALARM_STATE_RETURNED_UNACKNOWLEDGED,
    ALARM_STATE_UNACKNOWLEDGED,
    EVENT_KIND_SYSTEM,
    Event,
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_full_rings_are_an_alarm_that_returns_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = tmp_path / "noise.mp4"
    rng = np.random.default_rng(1)
    with av.open(str(noise), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "5", "qp": "12"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (360, 320), np.uint8), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    monkeypatch.setenv("TRUEFRAME_BROKER__MEMORY_BYTES", str(16 << 20))
    monkeypatch.setenv("TRUEFRAME_BROKER__MIN_RING_SECONDS", "0")
    with embedded(tmp_path / "data", f"noise={noise}?loop=1") as instance, instance.client() as tf:

        def alarms() -> list[Event]:
            return [event for event in tf.events.list(limit=50) if event.kind == EVENT_KIND_SYSTEM]

        (alarm,) = until(alarms, 60, "full rings raise an alarm")
        assert alarm.camera == ""
        assert alarm.alarm_state == ALARM_STATE_UNACKNOWLEDGED
        assert "broker.memory_bytes" in alarm.summary
        degraded = [load.name for load in tf.broker.load() if load.degraded]
        assert degraded == ["ring_memory"]
        assert tf.broker.get_camera("noise").damaged_frames == 0
        tf.broker.remove_camera("noise")
        until(lambda: alarms()[0].alarm_state == ALARM_STATE_RETURNED_UNACKNOWLEDGED, 90, "it returns")
        assert len(alarms()) == 1
        tf.events.acknowledge(alarms()[0].id, "one camera less")
