"""What waits for its footage: confirmed by a watermark once, and let go if that never comes."""

from __future__ import annotations

from dataclasses import replace

from event_center.awaiting import AWAIT_FOOTAGE_NS, Awaiting
from event_center.event import Event, Kind
from mesh.ids import FrameId


def waiting(name: str, seq: int, changed_ns: int = 1) -> Event:
    return Event(name, Kind.ANOMALY, "yard", "motion@1", "", 3, 0, last=FrameId("yard", 1, seq), changed_ns=changed_ns)


def test_a_watermark_reaches_what_ends_before_it_until_it_was_told() -> None:
    awaiting = Awaiting()
    for event in (waiting("a", 5), waiting("b", 20)):
        awaiting.note(event)
    mark = FrameId("yard", 1, 10)
    assert awaiting.reached(mark) == ["a"]
    # Storing failed: the same one is told again.
    assert awaiting.reached(mark) == ["a"]
    awaiting.told(mark)
    assert awaiting.reached(mark) == []
    awaiting.told(FrameId("yard", 1, 3))
    assert awaiting.watermark("yard") == mark


def test_what_is_confirmed_or_forgotten_waits_no_more() -> None:
    awaiting = Awaiting()
    for event in (waiting("a", 5), waiting("b", 6)):
        awaiting.note(event)
    awaiting.note(replace(waiting("a", 5), is_confirmed=True))
    awaiting.forget("yard", "b")
    awaiting.forget("gate", "c")
    assert len(awaiting) == 0


def test_events_of_a_camera_that_is_never_recorded_wait_for_a_day() -> None:
    awaiting = Awaiting()
    for number in range(100):
        awaiting.note(waiting(f"e{number}", number, 1 + number * AWAIT_FOOTAGE_NS // 10))
    assert len(awaiting) == 11
