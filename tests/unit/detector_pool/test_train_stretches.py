"""Which stretches of recorded footage a model is trained on."""

from __future__ import annotations

from detector_pool.train_footage import MOST_S, SECOND_NS, stretches

HOUR = 3600 * SECOND_NS


def test_up_to_an_hour_is_taken_whole() -> None:
    assert stretches(5, 5 + HOUR) == [(5, 5 + HOUR)]


def test_of_a_day_stretches_from_beginning_to_end_make_an_hour_and_do_not_overlap() -> None:
    found = stretches(0, 24 * HOUR)
    assert sum(last - first for first, last in found) == MOST_S * SECOND_NS
    assert (found[0][0], found[-1][1]) == (0, 24 * HOUR)
    assert all(found[n][1] <= found[n + 1][0] for n in range(len(found) - 1))


def test_of_little_more_than_an_hour_no_frame_is_taken_twice() -> None:
    found = stretches(0, HOUR + SECOND_NS)
    assert all(found[n][1] <= found[n + 1][0] for n in range(len(found) - 1))
