"""What is told, folded into events: once, whatever order and however often."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from event_center.documents import from_document, to_document
from event_center.event import Box, Event, Kind
from event_center.folding import (
    AnomalyReport,
    CameraMemory,
    CameraReport,
    fold_anomaly,
    fold_camera,
    fold_watermark,
)
from mesh.ids import FrameId

SECOND = 1_000_000_000


def frame(seq: int, epoch: int = 1) -> FrameId:
    return FrameId("yard", epoch, seq)


def anomaly(version: int = 1, *, last: int = 10, ended: bool = False, regions: tuple[str, ...] = ()) -> AnomalyReport:
    return AnomalyReport(
        id="a1", version=version, camera="yard", camera_name="", detector="motion@1", first=frame(3), peak=frame(5),
        last=frame(last), started_ns=SECOND, peak_ns=2 * SECOND, ended_ns=3 * SECOND if ended else 0, score=0.9,
        boxes=(Box(0.1, 0.2, 0.3, 0.4, "motion", 0.9),), regions=regions,
    )  # fmt: skip


def state(name: str, since_s: int, detail: str = "") -> CameraReport:
    return CameraReport("yard", "The yard", name, since_s * SECOND, detail)


def told(reports: list[CameraReport]) -> dict[str, Event]:
    """Events after these states, as the book would store them."""
    events: dict[str, Event] = {}
    memory = CameraMemory()
    for number, report in enumerate(reports):
        memory, event = fold_camera(memory, events.get(memory.open_event), report, number)
        if event is not None:
            events[event.id] = event
    return events


def test_an_anomaly_becomes_an_event_and_its_later_versions_change_it() -> None:
    event = fold_anomaly(None, anomaly(), None, 7)
    assert event is not None
    assert (event.id, event.kind, event.version, event.ended_ns) == ("a1", Kind.ANOMALY, 1, 0)
    later = fold_anomaly(event, anomaly(2, last=20, ended=True), None, 8)
    assert later is not None
    assert (later.version, later.last, later.ended_ns) == (2, frame(20), 3 * SECOND)


def test_an_anomaly_told_again_or_late_changes_nothing() -> None:
    event = fold_anomaly(None, anomaly(3), None, 7)
    assert event is not None
    assert fold_anomaly(event, anomaly(3), None, 9) is None
    assert fold_anomaly(event, anomaly(2), None, 9) is None


def test_summaries_are_sentences_for_operators() -> None:
    def summary(report: AnomalyReport) -> str:
        event = fold_anomaly(None, report, None, 0)
        assert event is not None
        return event.summary

    assert summary(anomaly()) == "Motion on yard"
    assert summary(anomaly(regions=("restricted area",))) == "Motion in restricted area on yard"
    assert summary(anomaly(regions=("a", "b", "c"))) == "Motion in a, b and c on yard"
    frozen = replace(anomaly(), detector="signal@1", boxes=(Box(0, 0, 1, 1, "frozen", 1),), camera_name="Hof Süd")
    assert summary(frozen) == "Picture frozen on Hof Süd"


def test_footage_is_confirmed_once_the_watermark_reaches_the_last_frame() -> None:
    event = fold_anomaly(None, anomaly(last=10), frame(9), 0)
    assert event is not None
    assert not event.is_confirmed
    assert fold_watermark(event, frame(9), 1) is None
    assert fold_watermark(event, FrameId("gate", 9, 99), 1) is None
    confirmed = fold_watermark(event, frame(0, epoch=2), 1)
    assert confirmed is not None
    assert confirmed.is_confirmed
    assert confirmed.version == 2
    grown = fold_anomaly(confirmed, anomaly(2, last=30), frame(12), 2)
    assert grown is not None
    assert not grown.is_confirmed


def test_a_lost_camera_opens_an_event_that_live_closes() -> None:
    events = told(
        [state("connecting", 1), state("lost", 2, "No route to host."), state("connecting", 3), state("live", 9)]
    )
    (event,) = events.values()
    assert event.summary == "Camera The yard is lost: No route to host"
    assert (event.started_ns, event.ended_ns, event.version) == (2 * SECOND, 9 * SECOND, 2)


def test_another_trouble_while_one_is_open_changes_the_event() -> None:
    (event,) = told([state("lost", 2), state("unauthorised", 4)]).values()
    assert event.summary == "Camera The yard rejects the credentials"
    assert event.ended_ns == 0
    assert event.version == 2


def clock(name: str, since_s: int, detail: str = "") -> CameraReport:
    return CameraReport("yard", "The yard", name, since_s * SECOND, detail, about="clock")


def test_a_wrong_clock_is_an_event_of_its_own_that_a_good_one_closes() -> None:
    (event,) = told(
        [clock("clock-good", 1), clock("clock-wrong", 2, "It is 9 s behind."), clock("clock-good", 8)]
    ).values()
    assert event.summary == "Camera The yard has a wrong clock: It is 9 s behind"
    assert (event.kind, event.detector, event.priority) == (Kind.CAMERA, "camera-clock", 3)
    assert (event.started_ns, event.ended_ns) == (2 * SECOND, 8 * SECOND)


def test_a_clock_that_is_wrong_in_another_way_is_the_same_event() -> None:
    (event,) = told([clock("clock-wrong", 2, "It jumped."), clock("clock-wrong", 4, "It is off.")]).values()
    assert event.summary.endswith("It is off")
    assert event.ended_ns == 0


def test_trouble_that_comes_again_is_another_event() -> None:
    events = told([state("lost", 2), state("live", 3), state("silent", 5)])
    assert sorted(e.started_ns for e in events.values()) == [2 * SECOND, 5 * SECOND]


def test_a_state_from_before_is_ignored() -> None:
    (event,) = told([state("lost", 2), state("live", 5), state("lost", 2), state("live", 5)]).values()
    assert event.ended_ns == 5 * SECOND


@given(
    names=st.lists(
        st.sampled_from(["connecting", "live", "lost", "refused", "silent", "unauthorised", "disabled"]), max_size=12
    ),
    data=st.data(),
)
def test_states_told_repeatedly_give_the_events_of_telling_them_once(names: list[str], data: st.DataObject) -> None:
    reports = [state(name, index + 1) for index, name in enumerate(names)]
    repeated: list[CameraReport] = []
    for index, report in enumerate(reports):
        repeated.append(report)
        repeated += [reports[data.draw(st.integers(0, index))] for _ in range(data.draw(st.integers(0, 2)))]

    def essence(events: dict[str, Event]) -> dict[str, tuple[str, int, int]]:
        return {key: (e.summary, e.started_ns, e.ended_ns) for key, e in events.items()}

    assert essence(told(repeated)) == essence(told(reports))
    assert sum(e.ended_ns == 0 for e in told(reports).values()) <= 1


def test_an_event_survives_its_document() -> None:
    event = fold_anomaly(None, anomaly(ended=True), frame(99), 5)
    assert event is not None
    assert from_document("a1", json.loads(json.dumps(to_document(event)))) == event
