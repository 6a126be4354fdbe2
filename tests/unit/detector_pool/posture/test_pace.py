"""Which pictures are steps, whatever the rate and the order in which they arrived."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from detector_pool.posture.pace import EMPTIES, SECOND, STEP_NS, Pace

T0 = 1_800_000_000 * SECOND


def steps(times_s: Iterable[float], pace: Pace | None = None) -> list[int]:
    pace = pace or Pace()
    return [pace.due(T0 + round(at * SECOND)) for at in times_s]


def test_a_camera_of_ten_frames_a_second_is_looked_at_frame_by_frame() -> None:
    assert steps(index / 10 for index in range(200)) == [1] * 200


@pytest.mark.parametrize("fps", [5, 12.5, 15, 25, 60])
def test_of_other_rates_as_many_steps_pass_as_tenths_of_a_second(fps: float) -> None:
    pace = Pace()
    steps((index / fps for index in range(200)), pace)
    told = steps((index / fps for index in range(200, 300)), pace)
    assert sum(told) == pytest.approx(1000 / fps, abs=1)
    assert sum(one > 0 for one in told) == pytest.approx(min(1000 / fps, 100), abs=1)
    # Evenly: no two steps beside each other are further apart than they must.
    gaps = [index for index, one in enumerate(told) if one]
    assert max(b - a for a, b in pairwise(gaps)) <= max(1, round(fps / 10 + 0.5))


def test_b_frames_arrive_out_of_the_order_in_which_they_are_shown_and_are_steps_like_others() -> None:
    # As pictures of an imported film came: shown evenly, arrived in the order of decoding.
    arrived = [group + at for group in range(0, 200, 4) for at in (2, 3, 4, 1)]
    told = steps(one / 10 for one in arrived)
    assert sum(told) == pytest.approx(len(arrived), abs=3)
    assert told[40:].count(1) >= 0.95 * len(told[40:])


def test_a_pause_is_as_many_steps_and_a_long_one_or_another_day_empties_the_window() -> None:
    pace = Pace()
    steps((index / 10 for index in range(50)), pace)
    assert pace.due(T0 + round(6.2 * SECOND)) == 13
    assert pace.due(T0 + round(60.0 * SECOND)) == EMPTIES
    assert pace.due(T0 + round(60.1 * SECOND)) == 1
    assert pace.due(T0) == EMPTIES
    assert pace.due(T0 + STEP_NS) == 1


def test_a_pace_is_packed_and_garbage_is_refused() -> None:
    pace = Pace()
    steps((index / 25 for index in range(33)), pace)
    again = Pace.unpacked(pace.packable())
    assert [again.due(T0 + round(at / 25 * SECOND)) for at in range(33, 80)] == steps(
        (at / 25 for at in range(33, 80)), pace
    )
    with pytest.raises(ValueError, match="KeyError"):
        Pace.unpacked({"latest_ns": 1})
