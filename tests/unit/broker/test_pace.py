"""When a subscriber's next message may begin."""

from __future__ import annotations

import pytest

from broker.pace import LONG_INTERVAL_S, MESSAGE_INTERVAL_S, Pace


def hurried() -> Pace:
    pace = Pace()
    for number in range(5):
        pace.begin(number * 0.0005)
    return pace


def test_messages_far_apart_never_rest() -> None:
    pace = Pace()
    for number in range(50):
        pace.begin(number * 0.0011)
        pace.found_nothing()
        assert pace.rest_s(number * 0.0011) == 0.0


def test_five_messages_in_a_hurry_begin_the_rests() -> None:
    pace = Pace()
    rests = []
    for number in range(5):
        pace.begin(number * 0.0005)
        rests.append(pace.rest_s(number * 0.0005))
    assert rests == [0.0, 0.0, 0.0, 0.0, MESSAGE_INTERVAL_S]


def test_a_rest_is_counted_from_where_the_message_began() -> None:
    pace = hurried()
    assert abs(pace.rest_s(0.002 + 0.0015) - 0.0005) < 1e-12
    assert pace.rest_s(1.0) == 0.0


def test_rests_end_when_nothing_waited_behind_two_in_a_row() -> None:
    pace = hurried()
    pace.found_nothing()
    pace.begin(0.01)
    assert pace.is_hurried
    pace.found_nothing()
    assert not pace.is_hurried
    pace.begin(0.02)
    assert pace.rest_s(0.02) == 0.0


def test_a_message_that_waited_behind_a_rest_shows_that_rests_are_of_use() -> None:
    pace = hurried()
    for number in range(20):
        pace.found_nothing()
        pace.begin(0.01 * number)
        pace.begin(0.01 * number + 0.002)
        assert pace.is_hurried


def test_where_many_wait_after_a_short_rest_the_next_one_is_long_until_few_wait() -> None:
    pace = hurried()
    pace.begin(1.0, items=5)
    assert pace.rest_s(1.0) == pytest.approx(LONG_INTERVAL_S)
    pace.begin(2.0, items=8)
    assert pace.rest_s(2.0) == pytest.approx(LONG_INTERVAL_S)
    pace.begin(3.0, items=7)
    assert pace.rest_s(3.0) == pytest.approx(MESSAGE_INTERVAL_S)
    pace.begin(4.0, items=4)
    assert pace.rest_s(4.0) == pytest.approx(MESSAGE_INTERVAL_S)
