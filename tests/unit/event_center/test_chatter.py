"""Chatter: one alarm with a count, every occurrence an event of its own, none counted twice, none unseen."""

from __future__ import annotations

from dataclasses import replace

from event_center.alarm import Alarm, Deed, State, follow, replay
from event_center.chatter import MAX_OCCURRENCES, folded, inherited, takes, with_occurrence
from event_center.deeds import acknowledge
from event_center.event import Event, Kind
from event_center.shelving import shelve

SECOND = 1_000_000_000
WINDOW = 30 * SECOND


def event(name: str, started_s: int, ended_s: int = 0, *, camera: str = "yard", inspection: str = "") -> Event:
    bare = Event(name, Kind.ANOMALY, camera, "motion@1", "Motion", 2, started_s * SECOND, ended_s * SECOND,
                 changed_ns=started_s * SECOND, inspection=inspection)  # fmt: skip
    return replace(bare, alarm=follow(Alarm(), holds=not ended_s, actor="aggregate", at_ns=bare.changed_ns))


def with_one(leader: Event, member: Event) -> Event:
    return with_occurrence(leader, member, "aggregate", leader.changed_ns + 1) or leader


def test_what_comes_soon_after_is_one_more_occurrence_and_what_comes_late_is_not() -> None:
    leader = event("a", 100, 110)
    assert takes(leader, event("b", 140), WINDOW)
    assert not takes(leader, event("b", 141), WINDOW)
    assert takes(leader, event("b", 70), WINDOW), "told late, it began before"
    assert not takes(leader, event("b", 69), WINDOW)
    assert not takes(leader, event("b", 120), 0)


def test_only_the_same_inspection_of_the_same_camera_chatters() -> None:
    leader = event("a", 100, inspection="yard.motion")
    assert takes(leader, event("b", 105, inspection="yard.motion"), WINDOW)
    assert not takes(leader, event("b", 105, inspection="yard.gate"), WINDOW)
    assert not takes(leader, event("b", 105, camera="hall", inspection="yard.motion"), WINDOW)
    assert not takes(leader, leader, WINDOW)
    assert not takes(folded(event("c", 100), leader), event("b", 105), WINDOW), "what is folded leads nobody"


def test_an_occurrence_takes_the_acknowledgement_back_and_is_counted() -> None:
    leader = acknowledge(event("a", 100, 110), "anna", "", 111 * SECOND)
    assert leader is not None
    assert leader.alarm.state is State.NORMAL
    leader = with_one(leader, event("b", 120))
    assert leader.alarm.state is State.UNACKNOWLEDGED
    assert leader.alarm.marks.occurrences == 2
    leader = with_one(leader, event("b", 120, 125))
    assert leader.alarm.state is State.RETURNED
    assert takes(leader, event("c", 155), WINDOW), "the window counts from the last occurrence"


def test_an_alarm_holds_as_long_as_anything_of_it_does() -> None:
    leader = with_one(with_one(event("a", 100, 110), event("b", 105)), event("c", 106))
    leader = with_one(leader, event("b", 105, 120))
    assert leader.holds
    assert leader.alarm.state is State.UNACKNOWLEDGED
    leader = with_one(leader, event("c", 106, 121))
    assert leader.alarm.state is State.RETURNED


def test_an_occurrence_told_again_counts_once() -> None:
    leader = with_one(event("a", 100, 110), event("b", 120))
    assert with_occurrence(leader, event("b", 120), "aggregate", 1) is None
    leader = with_one(leader, event("b", 120, 125))
    assert with_occurrence(leader, event("b", 120, 125), "aggregate", 1) is None
    assert [r.stimulus.deed for r in leader.alarm.records] == [
        Deed.RAISED, Deed.RETURNED, Deed.RAISED_AGAIN, Deed.RETURNED,
    ]  # fmt: skip
    assert replay(leader.alarm.records) == leader.alarm


def test_while_an_alarm_is_shelved_all_that_its_source_raises_is_on_the_shelf() -> None:
    leader = shelve(event("a", 100, 110), "anna", "painters", 3600 * SECOND, 7200 * SECOND, 111 * SECOND)
    assert leader is not None
    assert takes(leader, event("b", 3000), WINDOW)
    leader = with_one(leader, event("b", 3000, 3010))
    assert leader.alarm.state is State.RETURNED
    assert not leader.alarm.is_in_queue


def test_a_full_alarm_takes_no_more_and_hands_its_shelf_on() -> None:
    leader = shelve(event("a", 100), "anna", "painters", 3600 * SECOND, 7200 * SECOND, 111 * SECOND)
    assert leader is not None
    for number in range(MAX_OCCURRENCES - 1):
        leader = with_one(leader, event(f"b{number}", 120, 121))
    assert leader.alarm.marks.occurrences == MAX_OCCURRENCES
    following = event("c", 130)
    assert not takes(leader, following, WINDOW)
    following = inherited(following, leader)
    assert following.alarm.marks.shelf is not None
    assert following.alarm.marks.shelf.until_ns == 3711 * SECOND
    assert following.alarm.marks.shelf.by == "anna"
