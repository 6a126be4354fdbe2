from trueframe.restarts import DELAYS_S, STABLE_AFTER_S, Restarts


def test_a_child_that_keeps_dying_is_started_ever_more_slowly() -> None:
    restarts = Restarts()
    assert [restarts.delay_after(0.1) for _ in range(8)] == [*DELAYS_S, DELAYS_S[-1], DELAYS_S[-1]]
    assert restarts.count == 8


def test_a_child_that_ran_stably_is_started_at_once_again() -> None:
    restarts = Restarts()
    for _ in range(6):
        restarts.delay_after(0.1)
    assert restarts.delay_after(STABLE_AFTER_S) == DELAYS_S[0]
