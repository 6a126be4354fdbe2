"""Incidents as they were sent, and who found them."""

from __future__ import annotations

from typing import Any

import pytest

from detector_pool.health.faults import FAULTS
from detector_pool.signal_health import SignalSettings
from simulator.log import SentUnit
from simulator.truth import SEEN_BY, Found, Occurrence, iou, is_due, occurrences

LOOP = 100


def sent(numbers: range, phase: int = 0, dropped: frozenset[int] = frozenset()) -> list[SentUnit]:
    return [SentUnit(n, 0, 0, b"", (n + phase) % LOOP, 3, 3 if n in dropped else 0, 1) for n in numbers]


def told(kind: str = "intrusion", start: int = 20, end: int = 30) -> dict[str, Any]:
    boxes = (
        [[0.1 * (n % 5), 0.2, 0.1 * (n % 5) + 0.1, 0.6] for n in range(end - start)] if kind == "intrusion" else None
    )
    incident = {"kind": kind, "start": start, "end": end, "region": None, "boxes": boxes}
    return {"loop_frames": LOOP, "incidents": [incident]}


def test_an_incident_happens_once_a_loop_and_what_the_end_cuts_is_not_whole() -> None:
    found = occurrences("gate", told(), sent(range(225)))
    assert [(o.first, o.last, o.is_whole) for o in found] == [(20, 29, True), (120, 129, True), (220, 224, False)]


def test_an_incident_follows_the_place_of_the_loop_at_which_the_camera_began() -> None:
    (found,) = occurrences("gate", told(), sent(range(60), phase=90))
    assert (found.first, found.last) == (30, 39)
    assert found.boxes[31] == pytest.approx((0.1, 0.2, 0.2, 0.6))


def test_an_incident_of_which_a_unit_was_lost_is_one_incident_but_not_whole() -> None:
    (found,) = occurrences("gate", told(), sent(range(60), dropped=frozenset({24, 25})))
    assert (found.first, found.last, found.is_whole) == (20, 29, False)
    assert 24 not in found.boxes


@pytest.mark.parametrize(
    ("claim", "is_it"),
    [
        (Found("motion@1", 15, 21, 40, ((0.1, 0.2, 0.2, 0.6),)), True),
        (Found("motion@1", 15, 21, 40, ((0.8, 0.2, 0.9, 0.6),)), False),
        (Found("motion@1", 15, 35, 40, ((0.1, 0.2, 0.2, 0.6),)), False),
        (Found("motion@1", 30, 31, 40, ((0.1, 0.2, 0.2, 0.6),)), False),
        (Found("normality@1:abc", 15, 21, 40, ((0.1, 0.2, 0.2, 0.6),)), True),
        (Found("signal@1", 15, 21, 40, ((0.1, 0.2, 0.2, 0.6),)), False),
    ],
    ids=[
        "same time and place",
        "elsewhere",
        "its peak is afterwards",
        "later",
        "two detectors' business",
        "another detector's business",
    ],
)
def test_a_finding_tells_an_incident_only_at_its_time_and_place(claim: Found, is_it: bool) -> None:
    (intrusion,) = occurrences("gate", told(), sent(range(60)))
    assert (intrusion.overlap(claim) > 0) == is_it


def test_what_concerns_the_whole_picture_has_no_place_and_a_runner_is_not_motions_business() -> None:
    (freeze,) = occurrences("gate", told("freeze"), sent(range(60)))
    assert freeze.overlap(Found("signal@1", 25, 28, 33, ((0.0, 0.0, 1.0, 1.0),))) == 1.0
    runner = Occurrence("gate", "running", 20, 29, True, None, {})
    assert runner.overlap(Found("motion@1", 20, 25, 29)) == 0.0
    assert runner.is_during(Found("motion@1", 20, 25, 29))


def test_an_incident_shorter_than_a_detector_waits_is_not_due_from_it() -> None:
    assert is_due("freeze", "signal@1", 7.0)
    assert not is_due("freeze", "signal@1", 4.0)
    assert not is_due("freeze", "health@2", 60.0), "it is left to signal"
    assert not is_due("crowd", "normality", 60.0)


def test_no_detector_has_to_find_what_ends_before_it_has_waited() -> None:
    waits_s = {fault.name: fault.persistence_s for fault in FAULTS}
    names = {
        "blur": "blur", "cover": "covered", "dark": "exposure", "glare": "exposure", "noise": "noise",
        "bump": "moved", "turn-away": "moved",
    }  # fmt: skip
    for kind, by in SEEN_BY.items():
        if "health" in by:
            assert by["health"] >= waits_s[names[kind]] + 2.0, kind
    assert SEEN_BY["freeze"]["signal"] >= SignalSettings().freeze_after_s + 1.0


def test_intersection_over_union_of_equal_half_and_distant_boxes() -> None:
    assert iou((0, 0, 1, 1), (0, 0, 1, 1)) == 1.0
    assert iou((0, 0, 1, 1), (0.5, 0, 1.5, 1)) == pytest.approx(1 / 3)
    assert iou((0, 0, 1, 1), (2, 2, 3, 3)) == 0.0
