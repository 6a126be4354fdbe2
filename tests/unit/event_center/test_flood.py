"""Floods and first-out: begun by one alarm too many, one for one incident, over when it is calm."""

from __future__ import annotations

from event_center.flood import Begun, Flood, FloodWatch, Raised, describe
from event_center.policy import SITE, Group, Policy

MINUTE = 60 * 1_000_000_000
POLICY = Policy(site_flood=10, group_flood=5, flood_ends=3, groups=(Group("north", ("north-*", "gate")),))


def storm(watch: FloodWatch, count: int, group: str = "", step_ns: int = MINUTE // 10) -> list[Begun | Flood | None]:
    return [
        watch.raised(Raised(n * step_ns, f"{group}{n}", group or f"camera-{n}", group or f"camera-{n}"))
        for n in range(count)
    ]


def test_ten_alarms_in_ten_minutes_are_many_and_eleven_are_a_flood_with_all_of_them() -> None:
    told = storm(FloodWatch(POLICY), 12)
    assert told[:10] == [None] * 10
    begun = told[10]
    assert isinstance(begun, Begun)
    assert begun.flood.scope == SITE
    assert begun.members == tuple(str(n) for n in range(11))
    assert begun.flood.first_out == "0"
    assert isinstance(told[11], Flood)
    assert told[11].members == 12


def test_alarms_that_come_slowly_are_no_flood() -> None:
    assert storm(FloodWatch(POLICY), 40, step_ns=MINUTE) == [None] * 40


def test_a_flooded_group_is_its_own_flood_and_does_not_flood_the_site() -> None:
    watch = FloodWatch(POLICY)
    begun = [one for one in storm(watch, 30, "gate") if isinstance(one, Begun)]
    assert [one.flood.scope for one in begun] == ["gate"]
    assert set(watch.floods) == {"gate"}
    assert watch.raised(Raised(3 * MINUTE, "x", "yard", "yard")) is None


def test_a_flood_is_over_when_there_are_few_and_not_before() -> None:
    watch = FloodWatch(POLICY)
    storm(watch, 11)
    last_ns = 10 * MINUTE // 10
    assert watch.tick(last_ns + 9 * MINUTE) == []
    (over,) = watch.tick(last_ns + 10 * MINUTE - 1)
    assert (over.scope, over.members) == (SITE, 11)
    assert not watch.floods
    assert "11 alarms" in describe(over, POLICY, last_ns + 10 * MINUTE)


def test_an_alarm_told_again_counts_once() -> None:
    watch = FloodWatch(POLICY)
    for _ in range(20):
        assert watch.raised(Raised(1, "a", "yard", "yard")) is None
    storm(watch, 11)
    members = watch.floods[SITE].members
    assert isinstance(watch.raised(Raised(MINUTE, "5", "camera-5", "camera-5")), Flood)
    assert watch.floods[SITE].members == members


def test_no_threshold_means_no_flood() -> None:
    assert storm(FloodWatch(Policy(site_flood=0, group_flood=0)), 100, "gate") == [None] * 100


def test_the_rate_is_of_the_cameras_asked_for() -> None:
    watch = FloodWatch(POLICY)
    storm(watch, 8)
    assert watch.rate(MINUTE) == 8
    assert watch.rate(MINUTE, frozenset({"camera-3"})) == 1
    assert watch.rate(60 * MINUTE) == 0


def test_the_first_alarm_of_a_group_is_first_out_until_it_was_quiet() -> None:
    watch = FloodWatch(POLICY)
    assert watch.first_out("north", "a", 0) == "a"
    assert watch.first_out("north", "b", MINUTE) == "a"
    assert watch.first_out("north", "c", 2 * MINUTE) == "a", "it was never quiet for a minute"
    assert watch.first_out("gate", "d", 2 * MINUTE) == "d"
    assert watch.first_out("north", "e", 3 * MINUTE + 1) == "e"


def test_a_camera_is_in_the_first_group_that_has_it_or_in_one_of_its_own() -> None:
    assert POLICY.group_of("north-7", "motion@1") == "north"
    assert POLICY.group_of("gate", "motion@1") == "north"
    assert POLICY.group_of("yard", "motion@1") == "yard"
    assert POLICY.group_of("", "broker.ring_memory") == "broker"


def test_a_camera_may_belong_to_a_group_by_a_label() -> None:
    policy = Policy(groups=(Group("upstairs", (), ("floor=2", "floor=3")), Group("north", ("north-*",))))
    assert policy.group_of("north-1", "motion@1", {"floor": "3"}) == "upstairs"
    assert policy.group_of("north-1", "motion@1", {"floor": "1"}) == "north"
    assert policy.group_of("yard", "motion@1", {"level": "2"}) == "yard"
