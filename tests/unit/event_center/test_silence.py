from event_center.silence import Silence

S = 1_000_000_000


def silence(**changed: int) -> Silence:
    return Silence(**{"after_ns": 10 * S, "first_after_ns": 60 * S, "longest_step_ns": 5 * S, "asked_ns": 0} | changed)


def test_a_part_that_misses_for_the_time_is_silent_and_one_answer_ends_that() -> None:
    part = silence()
    part.answered(1 * S)
    part.missed(5 * S)
    part.missed(10 * S)
    assert not part.is_silent
    part.missed(12 * S)
    assert part.is_silent
    part.answered(13 * S)
    assert not part.is_silent
    part.missed(18 * S)
    assert not part.is_silent


def test_a_part_that_has_not_answered_yet_is_given_time_to_start() -> None:
    part = silence()
    for second in range(5, 60, 5):
        part.missed(second * S)
        assert not part.is_silent
    part.missed(60 * S)
    assert part.is_silent


def test_time_in_which_the_asker_stood_still_is_not_held_against_anybody() -> None:
    part = silence()
    part.answered(1 * S)
    part.missed(3600 * S)
    assert not part.is_silent
    part.missed(3605 * S)
    assert part.is_silent
