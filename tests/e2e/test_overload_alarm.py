"""Overload as an operator meets it: an alarm of the system while nothing is lost, which returns by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.embedded import embedded
from tests.noise_film import make_noise
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
    noise = make_noise(tmp_path / "noise.mp4")
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
