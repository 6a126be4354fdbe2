"""The camera's own clock, out of sender reports."""

from __future__ import annotations

from broker.rtsp.clock import CameraClock

S = 1_000_000_000
T0 = 1_700_000_000 * S


def test_nothing_is_claimed_before_the_first_report() -> None:
    assert CameraClock(90_000).at(0) is None


def test_a_timestamp_is_placed_by_its_distance_from_the_report() -> None:
    clock = CameraClock(90_000)
    clock.report(T0, 900_000)
    assert clock.at(900_000) == (T0, 11_112)
    assert clock.at(990_000) == (T0 + S, 11_112 + 100_000)
    before = clock.at(810_000)
    assert before is not None
    assert before[0] == T0 - S


def test_a_step_of_the_cameras_clock_widens_the_uncertainty_until_the_next_report() -> None:
    clock = CameraClock(90_000)
    clock.report(T0, 0)
    clock.report(T0 + 5 * S + 2 * S, 450_000)
    stepped = clock.at(450_000)
    assert stepped == (T0 + 7 * S, 2 * S + 11_112)
    clock.report(T0 + 12 * S, 900_000)
    assert clock.at(900_000) == (T0 + 12 * S, 11_112)


def test_a_camera_without_a_clock_gives_no_time() -> None:
    clock = CameraClock(90_000)
    clock.report(0, 0)
    assert clock.at(0) is None
