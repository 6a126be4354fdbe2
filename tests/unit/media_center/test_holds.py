"""Holds follow their events, however those are told, and answer what retention asks."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from media_center.event_intake import event_report
from media_center.holds import (
    EventReport,
    HeldFootage,
    Hold,
    Rolls,
    confirmed,
    fold_event,
    fold_last_frame,
    is_on_disk,
    is_to_be_told,
)
from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from trueframe.v1 import events_pb2, frames_pb2

SECOND = 1_000_000_000
ROLLS = Rolls(5 * SECOND, 10 * SECOND)
START = 1000 * SECOND


def report(version: int = 1, *, peak_s: float = 0, ended_s: float | None = None, last: int = 0) -> EventReport:
    ended_ns = 0 if ended_s is None else START + round(ended_s * SECOND)
    peak_ns = START + round(peak_s * SECOND)
    return EventReport("e1", version, "gate", "Motion", START, peak_ns, ended_ns, FrameId("gate", 1, last))


def folded(*reports: EventReport) -> Hold:
    hold: Hold | None = None
    for one in reports:
        hold = fold_event(hold, one, ROLLS, 7) or hold
    assert hold is not None
    return hold


def test_a_hold_reaches_from_pre_roll_to_post_roll() -> None:
    hold = folded(report(ended_s=3))
    assert (hold.id, hold.camera, hold.owner) == ("event:e1", "gate", "event-center")
    assert (hold.from_ns, hold.to_ns) == (START - 5 * SECOND, START + 13 * SECOND)


def test_a_hold_grows_with_its_event_and_never_shrinks() -> None:
    hold = folded(report(1), report(2, peak_s=20), report(3, peak_s=1))
    assert hold.to_ns == START + 30 * SECOND
    assert fold_event(hold, report(2, peak_s=20), ROLLS, 9) is None


def test_a_hold_reaches_behind_the_last_frame_of_an_event_that_goes_on() -> None:
    hold = folded(report(1), report(2, last=70))
    assert hold.last == FrameId("gate", 1, 70)
    grown = fold_last_frame(hold, START + 7 * SECOND, ROLLS)
    assert grown is not None
    assert grown.to_ns == START + 17 * SECOND
    assert fold_last_frame(grown, START + 7 * SECOND, ROLLS) is None


def test_a_hold_is_confirmed_only_when_the_event_is_over_and_all_of_it_is_on_disk() -> None:
    assert not is_on_disk(folded(report(1)), START + 99 * SECOND, 0)
    hold = folded(report(1), report(2, ended_s=3))
    assert not is_on_disk(hold, hold.to_ns - 1, 0)
    assert is_on_disk(hold, hold.to_ns, 0)


def test_footage_of_a_camera_that_sends_nothing_any_more_is_confirmed_once_everything_has_settled() -> None:
    hold = folded(report(ended_s=3))
    assert not is_on_disk(hold, START, hold.to_ns - 1)
    assert is_on_disk(hold, 0, hold.to_ns)


def test_a_confirmed_hold_that_grows_is_to_be_confirmed_again() -> None:
    hold = confirmed(folded(report(ended_s=3)))
    assert fold_event(hold, report(1, ended_s=3), ROLLS, 9) is None
    again = fold_event(hold, report(2, ended_s=4), ROLLS, 9)
    assert again is not None
    assert not again.is_confirmed
    assert is_to_be_told(hold, again)


def test_mere_growth_is_told_from_time_to_time_and_the_end_at_once() -> None:
    hold, told = folded(report(1)), 1
    for version in range(2, 62):
        grown = fold_event(hold, report(version, peak_s=version - 1), ROLLS, 9)
        assert grown is not None
        told += is_to_be_told(hold, grown)
        hold = grown
    assert told == 7
    over = fold_event(hold, report(99, ended_s=60), ROLLS, 9)
    assert over is not None
    assert is_to_be_told(hold, over)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.booleans(), st.randoms())
def test_an_event_told_in_any_order_and_repeatedly_gives_the_hold_of_telling_it_in_order(
    peaks: list[float], ends: bool, dice: random.Random
) -> None:
    peaks = sorted(peaks)
    reports = [report(number, peak_s=peak, last=number) for number, peak in enumerate(peaks, 1)]
    if ends:
        reports.append(report(len(reports) + 1, ended_s=peaks[-1] + 1, last=99))
    shuffled = reports * 2
    dice.shuffle(shuffled)

    def essence(hold: Hold) -> Hold:
        return replace(hold, version=0, event_version=0, told_to_ns=0)

    assert essence(folded(*shuffled)) == essence(folded(*reports))


@given(
    st.lists(st.tuples(st.sampled_from(["gate", "yard"]), st.integers(0, 50), st.integers(0, 20)), max_size=12),
    st.integers(0, 70),
    st.integers(0, 30),
)
def test_footage_is_held_exactly_where_a_hold_reaches(
    spans: list[tuple[str, int, int]], begin: int, length: int
) -> None:
    held = HeldFootage()
    for number, (camera, start, size) in enumerate(spans):
        hold = replace(folded(report()), id=f"h{number}", camera=camera, from_ns=start, to_ns=start + size)
        held.put(hold)
        assert held.is_held(camera, start, start)
    for camera in ("gate", "yard", "hall"):
        expected = any(c == camera and s <= begin + length and s + n >= begin for c, s, n in spans)
        assert held.is_held(camera, begin, begin + length) == expected


def test_a_hold_that_grows_holds_more() -> None:
    hold = folded(report())
    held = HeldFootage([hold])
    assert not held.is_held("gate", hold.to_ns + 1, hold.to_ns + 2)
    held.put(replace(hold, to_ns=hold.to_ns + 1))
    assert held.is_held("gate", hold.to_ns + 1, hold.to_ns + 2)


def message(**fields: object) -> bytes:
    values: dict[str, object] = {
        "id": "e1", "kind": events_pb2.EVENT_KIND_ANOMALY, "camera": "gate", "version": 1, "started_ns": START,
        "last": frames_pb2.FrameId(camera="gate", epoch=1, seq=5),
    }  # fmt: skip
    return events_pb2.Event(**values | fields).SerializeToString()  # type: ignore[arg-type]


def test_only_anomalies_have_clips() -> None:
    told = event_report(message())
    assert told is not None
    assert (told.id, told.camera, told.last) == ("e1", "gate", FrameId("gate", 1, 5))
    assert event_report(message(kind=events_pb2.EVENT_KIND_CAMERA)) is None


def test_events_that_cannot_be_are_refused() -> None:
    for payload in (
        b"\xff\xff",
        message(id=""),
        message(id="../e1"),
        message(version=0),
        message(camera="Gate!"),
        message(started_ns=0),
        message(started_ns=-1),
        message(ended_ns=1),
        message(last=frames_pb2.FrameId(camera="yard", epoch=1, seq=5)),
    ):
        try:
            event_report(payload)
        except InvalidArgument:
            continue
        raise AssertionError(payload)
