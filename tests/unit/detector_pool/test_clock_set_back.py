"""A clock that is set back stops nobody: frames are looked at by what the clock says then."""

from __future__ import annotations

from detector_pool.faults import IN_A_ROW, RETRY_NS, Faults
from detector_pool.rate import Rate

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
NOON = 12 * HOUR


def test_a_lowered_rate_goes_on_after_the_clock_was_set_back() -> None:
    rate = Rate(2.0)
    before = [rate.is_due(NOON + n * SECOND // 10) for n in range(100)]
    behind = [rate.is_due(NOON - HOUR + n * SECOND // 10) for n in range(100)]
    assert sum(before) == 20
    assert behind == before


def test_frames_that_arrived_out_of_order_are_not_taken_for_a_clock_set_back() -> None:
    rate = Rate(2.0)
    due = [rate.is_due(NOON + at * SECOND // 10) for at in (0, 30, 15, 29, 31, 35)]
    assert due == [True, True, False, False, False, True]


def test_a_disabled_detector_is_tried_again_when_the_clock_was_set_back() -> None:
    faults = Faults()
    for n in range(IN_A_ROW):
        faults.failed(NOON + n, "x@1", "ValueError: seven")
    assert faults.is_disabled(NOON - SECOND)
    assert faults.is_disabled(NOON + RETRY_NS - SECOND)
    assert not faults.is_disabled(NOON - HOUR)


def test_what_went_well_before_the_clock_was_set_back_outvotes_no_failures() -> None:
    faults = Faults()
    for n in range(1000):
        faults.went_well(NOON + n * SECOND // 20)
    for n in range(40):
        at = NOON - HOUR + n * SECOND // 20
        faults.failed(at, "x@1", "ValueError: seven") if n % 2 else faults.went_well(at)
    assert faults.problem
