"""How the benchmark of incidents counts: what is a find, what is a false alarm, and what becomes of the table."""

from __future__ import annotations

from benchmarks.incident_counting import belongs, is_business, outcome, summary, tells
from benchmarks.incident_desks import Alarm
from benchmarks.incident_scenes import Happened

FPS = 10.0
HERE, THERE = (0.1, 0.1, 0.3, 0.5), (0.6, 0.1, 0.8, 0.5)
FALL = Happened("fall", 550, 600, 700, dict.fromkeys(range(600, 701), HERE))


def alarm(told: int, last: int = 0, *, first: int = 0, detector: str = "rules: fall", box: object = HERE) -> Alarm:
    return Alarm(detector, first or told, last or told + 5, told, told, 1.0, "somebody fell", (box,) if box else ())  # type: ignore[arg-type]


def test_an_alarm_tells_of_an_incident_from_its_first_frame_to_ten_seconds_behind_its_last() -> None:
    assert [tells(alarm(at), FALL, FPS) for at in (599, 600, 800, 801)] == [False, True, True, False]


def test_an_alarm_elsewhere_tells_nothing_and_one_without_a_place_does() -> None:
    assert not tells(alarm(620, box=THERE), FALL, FPS)
    assert tells(alarm(620, box=None), FALL, FPS)


def test_who_comes_and_what_is_left_excuses_an_alarm_and_nothing_later_does() -> None:
    assert [belongs(alarm(at, at), FALL, FPS) for at in (549, 550, 900, 901)] == [False, True, True, False]
    assert belongs(alarm(100, 550), FALL, FPS)


def test_a_rule_finds_its_own_kind_alone() -> None:
    assert is_business("rules: fall", "fall")
    assert not is_business("rules: loitering", "fall")
    assert is_business("normality", "fall")
    assert not is_business("motion", "fall")
    assert is_business("health", "bump")
    assert not is_business("health", "freeze")


def test_a_take_becomes_finds_misses_and_false_alarms() -> None:
    run = Happened("running", 1400, 1400, 1450, {})
    alarms = {
        "rules: fall": [alarm(615), alarm(1200)],
        "rules: running": [],
        "motion": [alarm(1420, detector="motion")],
    }
    one = outcome("hall", 7, 3600, FPS, [FALL, run], alarms)
    assert [incident["delays_s"] for incident in one["incidents"]] == [{"rules: fall": 1.5}, {}]
    assert {name: len(told) for name, told in one["false"].items()} == {
        "rules: fall": 1, "rules: running": 0, "motion": 0,
    }  # fmt: skip
    quiet = outcome("hall", 8, 36_000, FPS, [], {"motion": [alarm(9, detector="motion")], "rules: fall": []})
    table = summary([one, quiet])
    assert table["kinds"]["fall"] == {
        "incidents": 1, "found": 1, "by": {"rules: fall": 1}, "missed": [], "median_delay_s": 1.5,
    }  # fmt: skip
    assert table["kinds"]["running"]["missed"] == ["hall seed 7 at 140 s"]
    assert (table["quiet_hours"], table["hours_with_incidents"]) == (1.0, 0.1)
    assert table["false_per_quiet_hour"] == {"motion": 1.0, "rules: fall": 0.0}
    assert list(table["false_beside_incidents"]) == ["rules: fall"]
