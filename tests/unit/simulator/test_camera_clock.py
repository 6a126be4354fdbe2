"""A camera's clock: wrong, drifting and jumping as told, and one crystal for both of its hands."""

from __future__ import annotations

import pytest

from simulator.clock import Clock

HOUR_NS = 3_600_000_000_000
START_NS = 1_700_000_000_000_000_000


def test_a_right_clock_is_right() -> None:
    clock = Clock(1000)
    clock.start(START_NS)
    assert clock.utc_ns(HOUR_NS) == START_NS + HOUR_NS
    assert clock.rtp(90_000 * 3600) == (1000 + 90_000 * 3600) % 2**32


def test_a_drifting_clock_runs_fast_in_reports_and_timestamps_alike() -> None:
    clock = Clock(0, offset_s=2.0, drift_ppm=100.0)
    clock.start(START_NS)
    assert clock.utc_ns(HOUR_NS) - START_NS - HOUR_NS == pytest.approx(2.36e9, abs=1)
    assert clock.rtp(90_000 * 3600) == 90_000 * 3600 + 32_400
    assert clock.utc_of_ticks_ns(90_000 * 3600) == clock.utc_ns(HOUR_NS)


def test_the_two_hands_jump_by_themselves() -> None:
    clock = Clock(0)
    clock.start(START_NS)
    clock.jump_wall(-5.0)
    assert clock.utc_ns(0) == START_NS - 5_000_000_000
    assert clock.rtp(0) == 0
    clock.jump_rtp(-1.0)
    assert clock.rtp(0) == 2**32 - 90_000
    assert clock.utc_ns(0) == START_NS - 5_000_000_000
