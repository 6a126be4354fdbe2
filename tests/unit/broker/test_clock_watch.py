"""When a camera's clock is wrong enough for a human, and when it is good again."""

from __future__ import annotations

from broker.clock_watch import ClockJudge
from broker.rtsp.clock import SENDER_REPORT, ClockReading
from broker.rtsp.drift import Drift

S = 1_000_000_000
NOW = 1_700_000_000 * S


def reading(
    offset_s: float | None = 0.0, drift: Drift | None = None, jumps: int = 0, jump_s: float = 0.0
) -> ClockReading:
    offset_ns = None if offset_s is None else round(offset_s * S)
    return ClockReading(SENDER_REPORT if offset_s is not None else "", offset_ns, drift, jumps, round(jump_s * S), NOW)


class Judged:
    """A judge with 5 s as the limit, asked once a second."""

    def __init__(self) -> None:
        self.judge = ClockJudge(5 * S)
        self.now_ns = NOW

    def say(self, told: ClockReading | None, is_live: bool = True, after_s: float = 1.0) -> str | None:
        self.now_ns += round(after_s * S)
        return self.judge.look(told, is_live, self.now_ns)


def test_a_camera_that_tells_no_time_is_not_judged() -> None:
    judged = Judged()
    assert judged.say(None) is None
    assert judged.say(reading(None)) is None


def test_a_good_clock_is_good() -> None:
    assert Judged().say(reading(-0.02, Drift(30.0, 20.0))) == ""


def test_a_clock_that_is_off_says_by_how_much_and_what_to_do() -> None:
    assert (
        Judged().say(reading(-7.26)) == "Its clock is 7.3 s behind this host's. Set its time server (NTP), or its time."
    )
    assert (
        Judged().say(reading(7500))
        == "Its clock is 2.1 h ahead of this host's. Set its time server (NTP), or its time."
    )
    assert "days behind" in (Judged().say(reading(-20_000_000)) or "")


def test_a_value_at_the_limit_does_not_chatter() -> None:
    judged = Judged()
    said = [judged.say(reading(offset)) for offset in (4.9, 5.1, 4.9, 5.1, 4.5, 4.1, 3.9, 4.9, 4.0)]
    assert [bool(text) for text in said] == [False, True, True, True, True, True, False, False, False]
    assert len({text for text in said if text}) == 1  # And its words do not change with every digit.


def test_a_jump_of_more_than_a_second_is_wrong_until_a_quiet_minute_has_passed() -> None:
    judged = Judged()
    judged.say(reading())
    assert judged.say(reading(jumps=1, jump_s=0.6)) == ""
    assert judged.say(reading(jumps=2, jump_s=-2.5)) == "Its clock jumped by -2.5 s."
    assert judged.say(reading(jumps=2, jump_s=-2.5), after_s=50) == "Its clock jumped by -2.5 s."
    assert judged.say(reading(jumps=3, jump_s=2.5)) == "Its clock jumped by +2.5 s."
    assert judged.say(reading(jumps=3, jump_s=2.5), after_s=50) != ""
    assert judged.say(reading(jumps=3, jump_s=2.5), after_s=11) == ""


def test_drift_counts_once_it_is_certain() -> None:
    judged = Judged()
    assert judged.say(reading(drift=Drift(-900.0, 600.0))) == ""
    assert judged.say(reading(drift=Drift(-730.4, 40.0))) == "Its timestamps run 730 ppm slow (give or take 40)."
    assert judged.say(reading(drift=Drift(-450.0, 40.0))) != ""
    assert judged.say(reading(drift=Drift(-390.0, 40.0))) == ""


def test_two_troubles_are_both_told() -> None:
    said = Judged().say(reading(60.0, Drift(2000.0, 100.0)))
    assert said is not None
    assert "60.0 s ahead" in said
    assert "2000 ppm fast" in said


def test_what_was_wrong_stays_so_while_the_camera_is_away() -> None:
    judged = Judged()
    wrong = judged.say(reading(60.0))
    assert judged.say(reading(60.0), is_live=False, after_s=3600) == wrong
    assert judged.say(reading(None), after_s=1) == wrong  # Connected anew, and it has told no time yet.


def test_a_camera_that_tells_no_time_any_more_has_no_wrong_one() -> None:
    judged = Judged()
    assert judged.say(reading(60.0)) != ""
    assert judged.say(reading(None)) != ""
    assert judged.say(reading(None), after_s=31) == ""
