"""Bodies as vectors, and who of the people has which row of the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector_pool.detector import FoundBox, KeyPoint
from detector_pool.posture.body import MIRRORED, PARTS, PLACES, WAY, body_of, odd_part
from detector_pool.posture.pace import STEPS
from detector_pool.posture.people import ROWS, PeopleState, step
from tests.bodies import STANDING


def somebody(track: int = 1, x: float = 0.5, y: float = 0.5, size: float = 1.0) -> FoundBox:
    points = tuple(KeyPoint(x + (px - 0.5) * size, y + (py - 0.5) * size, 0.9) for px, py in STANDING)
    return FoundBox(x - 0.1 * size, y - 0.3 * size, 0.2 * size, 0.6 * size, "person", 0.9, track, key_points=points)


def test_a_body_is_the_same_vector_wherever_it_stands_and_however_near() -> None:
    one, other = body_of(somebody(), 16 / 9), body_of(somebody(x=0.3, y=0.7, size=0.4), 16 / 9)
    assert one is not None
    assert other is not None
    assert other.places == pytest.approx(one.places, abs=1e-6)
    assert one.places[0] == pytest.approx((0.0, (0.25 - 0.5) / 0.6), abs=1e-6)
    assert one.places[5, 0] == pytest.approx(0.04 * 16 / 9 / 0.6, abs=1e-6)


def test_what_is_not_seen_is_masked_and_who_is_hardly_seen_or_cut_off_is_nobody() -> None:
    box = somebody()
    points = tuple(
        replace(point, score=0.1) if index in (9, 15) else point for index, point in enumerate(box.key_points)
    )
    body = body_of(replace(box, key_points=points), 1.0)
    assert body is not None
    assert [index for index in range(PLACES) if not body.seen[index]] == [9, 15, WAY]
    assert not body.places[[9, 15]].any()
    few = tuple(replace(point, score=0.1) for point in box.key_points[:12]) + box.key_points[12:]
    assert body_of(replace(box, key_points=few), 1.0) is None
    assert body_of(replace(box, y=0.0), 1.0) is None
    assert body_of(replace(box, key_points=box.key_points[:5]), 1.0) is None


def test_a_mirror_turns_left_into_right_and_back() -> None:
    assert MIRRORED[MIRRORED].tolist() == list(range(PLACES))
    assert (np.arange(PLACES) != MIRRORED).sum() == 16


def test_the_part_that_departs_most_from_its_own_usual_is_named() -> None:
    usual = np.full(PLACES, 0.5)
    usual[[7, 8, 9, 10]] = 2.0
    deviation = usual.copy()
    assert odd_part(deviation + 0.1 * (np.arange(PLACES) == WAY), usual).name == "way"
    deviation[[7, 8, 9, 10]] = 3.0
    deviation[[13, 14, 15, 16]] = 1.5
    assert odd_part(deviation, usual).name == "legs"
    assert sorted(place for part in PARTS for place in part.places) == list(range(PLACES))


def test_the_way_of_a_body_is_in_its_own_heights_a_second() -> None:
    state = PeopleState()
    step([somebody(x=0.50)], 1, 2.0, state)
    second = step([somebody(x=0.53)], 1, 2.0, state)
    assert second.seen[0, WAY] == 1.0
    assert second.places[0, WAY] == pytest.approx((0.03 * 2.0 / 0.6 / 0.1, 0.0), abs=1e-5)
    slower = step([somebody(x=0.56)], 2, 2.0, state)
    assert slower.places[0, WAY] == pytest.approx((0.03 * 2.0 / 0.6 / 0.2, 0.0), abs=1e-5)
    later = step([somebody(x=0.56)], 4, 2.0, state)
    assert later.seen[0, WAY] == 0.0


def test_rows_are_kept_while_somebody_is_hidden_and_given_away_after_that() -> None:
    state = PeopleState()
    assert step([somebody(7)], 1, 1.0, state).begun == (0,)
    hidden = step([somebody(8, x=0.2)], 5, 1.0, state)
    assert (hidden.begun, sorted(hidden.boxes), hidden.missed) == ((1,), [1], 4)
    back = step([somebody(7)], STEPS - 5, 1.0, state)
    assert (back.begun, sorted(back.boxes)) == ((), [0])
    gone = step([somebody(9)], STEPS + 1, 1.0, state)
    assert (gone.begun, gone.missed) == ((0,), STEPS)


def test_more_people_than_rows_wait_until_somebody_is_gone() -> None:
    state = PeopleState()
    crowd = [somebody(track + 1, x=0.2 + 0.03 * track, size=0.2) for track in range(ROWS + 3)]
    assert step(crowd, 1, 1.0, state).waiting == 3
    assert step(crowd[-3:], STEPS, 1.0, state).waiting == 3
    freed = step(crowd[-3:], 1, 1.0, state)
    assert (freed.waiting, freed.begun) == (0, (0, 1, 2))


def test_people_are_packed_and_garbage_is_refused() -> None:
    state = PeopleState()
    step([somebody(7)], 1, 1.0, state)
    numbers, arrays = state.packable()
    again = PeopleState.unpacked(dict(numbers), dict(arrays))
    assert step([somebody(7)], 1, 1.0, again).begun == ()
    with pytest.raises(ValueError, match="sizes differ"):
        PeopleState.unpacked(dict(numbers), {**arrays, "tracks": np.zeros(3, np.int64)})
    with pytest.raises(ValueError, match="KeyError"):
        PeopleState.unpacked({}, dict(arrays))
