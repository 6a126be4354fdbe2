"""The plan of retention: what goes, when, why, and what never does."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from media_center.retention import (
    AGE,
    DELETE,
    HELD,
    MOVE,
    SECOND_NS,
    SIZE,
    SPACE,
    CameraStock,
    Disk,
    Rule,
    Step,
    Stored,
    plan,
)

NOW = 1_000_000 * SECOND_NS


def segments(
    count: int, *, camera: str = "gate", size: int = 100, minutes_old: int | None = None, moved: int = 0
) -> list[Stored]:
    """So many segments of a minute each, the last one ending now; the first `moved` lie in the second tier."""
    begin = NOW - (count if minutes_old is None else minutes_old) * 60 * SECOND_NS
    return [
        Stored(camera, f"{number}", 1, number * 60, begin + number * 60 * SECOND_NS,
               begin + (number + 1) * 60 * SECOND_NS, size, is_moved=number < moved)
        for number in range(count)
    ]  # fmt: skip


def stock(rule: Rule, parts: Sequence[Stored], growth: float = 0.0) -> CameraStock:
    return CameraStock(parts[0].camera, rule, parts, sum(part.size_bytes for part in parts), growth)


def steps(
    *stocks: CameraStock, until_s: int = 0, primary: Disk | None = None, second: Disk | None = None,
    held: dict[str, str] | None = None,
) -> list[Step]:  # fmt: skip
    found = held or {}
    return list(plan(NOW, NOW + until_s * SECOND_NS, stocks, primary, second, lambda one: found.get(one.name)))


def short(found: Sequence[Step]) -> list[tuple[str, str, str]]:
    return [(step.action, step.segment.name, step.reason) for step in found]


def test_without_a_rule_nothing_goes() -> None:
    assert steps(stock(Rule(), segments(5), 10.0), until_s=10**9) == []


def test_what_is_too_old_goes_and_the_rest_goes_when_it_is() -> None:
    found = steps(stock(Rule(max_age_s=120), segments(4)), until_s=60)
    assert short(found) == [(DELETE, "0", AGE), (DELETE, "1", AGE), (DELETE, "2", AGE)]
    assert [step.due_ns - NOW for step in found] == [0, 0, 60 * SECOND_NS]


def test_the_oldest_goes_while_a_camera_has_too_much() -> None:
    assert short(steps(stock(Rule(max_bytes=250), segments(4)))) == [(DELETE, "0", SIZE), (DELETE, "1", SIZE)]


def test_growth_tells_when_a_bound_is_reached() -> None:
    found = steps(stock(Rule(max_bytes=500), segments(4), 10.0), until_s=15)
    assert short(found) == [(DELETE, "0", SIZE)]
    assert 10 * SECOND_NS < found[0].due_ns - NOW < 10.2 * SECOND_NS


def test_low_space_takes_the_oldest_of_all_cameras() -> None:
    gate = stock(Rule(), segments(3, minutes_old=10))
    yard = stock(Rule(), segments(3, camera="yard", minutes_old=9))
    found = steps(gate, yard, primary=Disk(free_bytes=50, floor_bytes=400))
    assert [(step.segment.camera, step.segment.name) for step in found] == [
        ("gate", "0"), ("gate", "1"), ("yard", "0"), ("gate", "2"),
    ]  # fmt: skip
    assert {step.reason for step in found} == {SPACE}


def test_held_footage_stays_and_is_told() -> None:
    found = steps(stock(Rule(max_bytes=150), segments(4)), held={"0": "h"})
    assert short(found) == [(HELD, "0", "h"), (DELETE, "1", SIZE), (DELETE, "2", SIZE), (DELETE, "3", SIZE)]
    found = steps(stock(Rule(max_age_s=60), segments(3)), held={"1": "h"})
    assert short(found) == [(DELETE, "0", AGE), (HELD, "1", "h")]


def test_held_footage_beyond_the_bound_is_told_when_nothing_else_is_left() -> None:
    found = steps(stock(Rule(max_bytes=150), segments(3)), held={"0": "h", "1": "h", "2": "h"})
    assert short(found) == [(HELD, "0", "h"), (HELD, "1", "h")]


def test_only_held_footage_ends_the_making_of_space() -> None:
    held = {"0": "h", "1": "h"}
    assert all(step.action == HELD for step in steps(stock(Rule(), segments(2)), primary=Disk(0, 99), held=held))


def test_with_a_second_tier_space_is_made_by_moving_even_what_is_held() -> None:
    found = steps(stock(Rule(), segments(3)), primary=Disk(0, 150), second=Disk(1000, 0), held={"0": "h"})
    assert short(found) == [(MOVE, "0", SPACE), (MOVE, "1", SPACE)]


def test_a_full_second_tier_gives_up_its_oldest_first() -> None:
    found = steps(stock(Rule(), segments(4, moved=2)), primary=Disk(0, 100), second=Disk(0, 0))
    assert short(found) == [(DELETE, "0", SPACE), (MOVE, "2", SPACE)]


def test_footage_of_some_age_is_moved_and_later_deleted() -> None:
    found = steps(stock(Rule(max_age_s=240, move_after_s=120), segments(4)), until_s=120, second=Disk(1000, 0))
    assert [(step.action, step.segment.name, (step.due_ns - NOW) // SECOND_NS) for step in found] == [
        (MOVE, "0", 0), (MOVE, "1", 0), (DELETE, "0", 60), (MOVE, "2", 60), (DELETE, "1", 120), (MOVE, "3", 120),
    ]  # fmt: skip


@dataclass
class Case:
    stocks: list[CameraStock]
    held: set[tuple[str, str]]
    primary: Disk | None
    second: Disk | None
    until_ns: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    stocks, held = [], set()
    for camera in ("gate", "yard", "hall")[: draw(st.integers(1, 3))]:
        count = draw(st.integers(1, 12))
        moved = draw(st.integers(0, count))
        parts = [
            Stored(camera, str(number), 1, number, NOW - (count - number) * 60 * SECOND_NS,
                   NOW - (count - number - 1) * 60 * SECOND_NS, draw(st.integers(1, 300)), is_moved=number < moved)
            for number in range(count)
        ]  # fmt: skip
        held |= {(camera, str(number)) for number in draw(st.sets(st.integers(0, count - 1), max_size=count))}
        rule = Rule(*(draw(st.sampled_from([0, 1, 60, 200, 900])) for _ in range(3)))
        stocks.append(CameraStock(camera, rule, parts, sum(one.size_bytes for one in parts) + 5, draw(st.floats(0, 9))))
    disks = st.none() | st.builds(Disk, st.integers(0, 2000), st.integers(0, 1000))
    return Case(stocks, held, draw(disks), draw(disks), NOW + draw(st.integers(0, 3600)) * SECOND_NS)


def played(case: Case) -> list[Step]:
    def hold_of(one: Stored) -> str | None:
        return "h" if (one.camera, one.name) in case.held else None

    # A plan ends: every segment is deleted, moved and told at most once.
    most = 3 * sum(len(stock.segments) for stock in case.stocks) + 1
    found = list(itertools.islice(plan(NOW, case.until_ns, case.stocks, case.primary, case.second, hold_of), most))
    assert len(found) < most
    return found


@given(cases())
def test_held_footage_is_never_in_a_step_that_deletes(case: Case) -> None:
    for step in played(case):
        is_held = (step.segment.camera, step.segment.name) in case.held
        assert not (is_held and step.action == DELETE)
        assert is_held or step.action != HELD


@given(cases())
def test_nothing_goes_twice_and_steps_come_in_order(case: Case) -> None:
    found = played(case)
    assert [step.due_ns for step in found] == sorted(step.due_ns for step in found)
    for action in (DELETE, MOVE, HELD):
        done = [(step.segment.camera, step.segment.name) for step in found if step.action == action]
        assert len(done) == len(set(done))
    gone: set[tuple[str, str]] = set()
    for step in found:
        key = step.segment.camera, step.segment.name
        assert key not in gone
        if step.action == DELETE:
            gone.add(key)


@given(cases())
def test_by_age_and_size_a_camera_loses_its_oldest_first(case: Case) -> None:
    gone = {stock.camera: set[str]() for stock in case.stocks}
    for step in played(case):
        if step.action != DELETE:
            continue
        older = [
            one.name
            for stock in case.stocks
            if stock.camera == step.segment.camera
            for one in stock.segments
            if one.to_ns < step.segment.to_ns
        ]
        free = {name for name in older if (step.segment.camera, name) not in case.held}
        # For space, what lies in the tier that has space does not help.
        assert free <= gone[step.segment.camera] or step.reason == SPACE
        gone[step.segment.camera].add(step.segment.name)


@given(cases())
def test_bounds_are_kept_where_holds_allow_it(case: Case) -> None:
    found = played(case)
    gone = {(step.segment.camera, step.segment.name) for step in found if step.action == DELETE}
    ahead_s = (case.until_ns - NOW) / SECOND_NS
    for stock in case.stocks:
        left = [one for one in stock.segments if (one.camera, one.name) not in gone]
        free = [one for one in left if (one.camera, one.name) not in case.held]
        rule = stock.rule
        if rule.max_age_s:
            assert all(one.to_ns + rule.max_age_s * SECOND_NS > case.until_ns for one in free)
        if rule.max_bytes and free:
            lost = sum(one.size_bytes for one in stock.segments) - sum(one.size_bytes for one in left)
            assert stock.size_bytes - lost + stock.growth * ahead_s <= rule.max_bytes + 1 + stock.growth
    if case.primary is None:
        return
    freed, moved = 0, set()
    for step in found:
        key = step.segment.camera, step.segment.name
        if step.action == MOVE:
            moved.add(key)
        if step.action == MOVE or (step.action == DELETE and key not in moved and not step.segment.is_moved):
            freed += step.segment.size_bytes
    growth = sum(stock.growth for stock in case.stocks)
    free_bytes = case.primary.free_bytes + freed - growth * ahead_s
    could_go = [
        one
        for stock in case.stocks
        for one in stock.segments
        if (one.camera, one.name) not in gone | moved | case.held and not one.is_moved
    ]
    assert free_bytes >= case.primary.floor_bytes - growth - 1 or not could_go


@given(cases())
def test_a_second_tier_is_never_planned_fuller_than_it_may_be(case: Case) -> None:
    if case.second is None:
        assert all(step.action != MOVE for step in played(case))
        return
    room = case.second.free_bytes - case.second.floor_bytes
    here = {(one.camera, one.name) for stock in case.stocks for one in stock.segments if one.is_moved}
    for step in played(case):
        key = step.segment.camera, step.segment.name
        if step.action == MOVE:
            assert key not in here
            room -= step.segment.size_bytes
            here.add(key)
            assert room >= 0
        elif step.action == DELETE and key in here:
            room += step.segment.size_bytes


def test_what_was_brought_back_is_moved_when_its_time_is_over_and_does_not_hold_up_the_rest() -> None:
    parts = segments(6, moved=1)
    parts[1] = replace(parts[1], stays_until_ns=NOW + 3600 * SECOND_NS)
    room = Disk(1 << 40, 0)
    rule = Rule(move_after_s=60)
    now = steps(stock(rule, parts), second=room)
    assert short(now) == [(MOVE, "2", AGE), (MOVE, "3", AGE), (MOVE, "4", AGE)]
    later = steps(stock(rule, parts), until_s=3600, second=room)
    assert {(step.segment.name, step.due_ns) for step in later if step.segment.name == "1"} == {
        ("1", NOW + 3600 * SECOND_NS)
    }


def test_a_short_disk_has_what_was_brought_back_moved_again_rather_than_anything_deleted() -> None:
    parts = [replace(part, stays_until_ns=NOW + 3600 * SECOND_NS) for part in segments(3)]
    found = steps(stock(Rule(move_after_s=60), parts), primary=Disk(50, 100), second=Disk(1 << 40, 0))
    assert short(found) == [(MOVE, "0", SPACE)]
