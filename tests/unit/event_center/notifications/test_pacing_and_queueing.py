"""How much a rule says at once, and what waits for a channel: nothing is lost without a word."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_center.notifications import pacing
from event_center.notifications.delivery import Content, Delivery, Progress, from_document, to_document
from event_center.notifications.pacing import Held, Pace
from event_center.notifications.posting import is_public
from event_center.notifications.queueing import Queue, pause_s
from event_center.notifications.rules import Rule
from mesh.schedule import parse_window

S = 1_000_000_000
UTC = ZoneInfo("UTC")
NOON = 1_767_614_400 * S  # 2026-01-05 12:00 UTC


def said(pace: Pace, rule: Rule, number: int, at_s: float) -> tuple[Pace, bool]:
    return pacing.admit(pace, rule, Held(f"t{number}", f"line {number}"), NOON + round(at_s * S), UTC)


def test_so_many_are_told_one_by_one_and_the_others_together_once_there_is_room() -> None:
    rule, pace = Rule("r", ("mail",), at_most=2, within_ns=60 * S), Pace()
    admitted = []
    for number in range(14):
        pace, is_admitted = said(pace, rule, number, number)
        admitted.append(is_admitted)
    assert admitted == [True, True] + [False] * 12
    assert pacing.digest(pace, rule, NOON + 59 * S, UTC) is None
    digest = pacing.digest(pace, rule, NOON + 60 * S, UTC)
    assert digest is not None
    assert (digest.id, digest.count, digest.lines[0]) == ("t2 of 12", 12, "line 2")
    pace = pacing.told(pace, rule, digest, NOON + 60 * S)
    assert pace.held == ()
    # The digest is one of the two.
    assert said(pace, rule, 20, 60.5)[1] is False
    assert said(pace, rule, 21, 130)[1] is True


def test_a_digest_that_more_joined_before_it_was_noted_is_another() -> None:
    rule, pace = Rule("r", ("mail",), at_most=1, within_ns=60 * S), Pace()
    for number in range(3):
        pace, _ = said(pace, rule, number, number)
    sent = pacing.digest(pace, rule, NOON + 60 * S, UTC)
    assert sent == pacing.digest(pace, rule, NOON + 61 * S, UTC)
    # Killed before `told` was written: after the restart another alarm comes, and is held back with the others.
    pace, _ = said(pace, rule, 3, 62)
    more = pacing.digest(pace, rule, NOON + 62 * S, UTC)
    assert sent is not None
    assert more is not None
    assert more.lines == (*sent.lines, "line 3")
    assert more.id != sent.id


def test_in_quiet_hours_everything_waits_for_their_end() -> None:
    rule = Rule("r", ("mail",), quiet=(parse_window("12:00-13:00"),))
    pace, is_admitted = said(Pace(), rule, 1, 0)
    assert not is_admitted
    assert pacing.digest(pace, rule, NOON + 3599 * S, UTC) is None
    assert pacing.digest(pace, rule, NOON + 3600 * S, UTC) is not None


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    rule = Rule("r", ("mail",), at_most=1, within_ns=60 * S)
    pace, _ = said(Pace(), rule, 1, 100_000)
    assert said(pace, rule, 2, 0)[1] is True


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=60), st.integers(0, 4))
def test_each_telling_is_told_or_held_and_twice_is_once(stream: list[tuple[int, int]], at_most: int) -> None:
    rule, pace, at_s = Rule("r", ("mail",), at_most=at_most, within_ns=60 * S), Pace(), 0
    told: set[str] = set()
    digested = 0
    given_ids: set[str] = set()
    for number, gap in enumerate(one for one, _ in stream):
        at_s += gap
        again = said(said(pace, rule, number, at_s)[0], rule, number, at_s)
        pace, is_admitted = said(pace, rule, number, at_s)
        assert again == (pace, is_admitted)
        given_ids.add(f"t{number}")
        if is_admitted:
            told.add(f"t{number}")
        if digest := pacing.digest(pace, rule, NOON + at_s * S, UTC):
            digested += digest.count
            pace = pacing.told(pace, rule, digest, NOON + at_s * S)
        if at_most:
            assert sum(1 for _, at_ns in pace.said if at_ns > NOON + at_s * S - rule.within_ns) <= at_most
    assert len(told) + digested + len(pace.held) + pace.more == len(given_ids)


def delivery(number: int, event: str = "", version: int = 1, priority: int = 2, attempts: int = 0) -> Delivery:
    content = Content("raise", "summary", event=event or f"e{number}", version=version, priority=priority)
    return Delivery(f"d{number}", "mail", "r", content, made_ns=number, attempts=attempts)


def test_what_was_tried_least_and_waits_longest_goes_first() -> None:
    queue = Queue(10)
    for one in (delivery(1, attempts=2), delivery(3), delivery(2)):
        queue.add(one, is_failing=False)
    assert [_taken(queue) for _ in range(3)] == ["d2", "d3", "d1"]
    assert queue.next() is None


def _taken(queue: Queue) -> str:
    one = queue.next()
    assert one is not None
    queue.remove(one.id)
    return one.id


def test_only_while_a_channel_fails_the_newest_of_an_alarm_takes_the_place_of_older_ones() -> None:
    queue = Queue(10)
    queue.add(delivery(1, "alarm", 1), is_failing=False)
    assert queue.add(delivery(2, "alarm", 2), is_failing=False) == []
    shed = queue.add(delivery(3, "alarm", 3), is_failing=True)
    assert [(one.delivery.id, one.progress) for one in shed] == [
        ("d1", Progress.SUPERSEDED), ("d2", Progress.SUPERSEDED),
    ]  # fmt: skip
    assert len(queue) == 1


def test_of_too_many_the_oldest_of_the_least_priority_is_dropped() -> None:
    queue = Queue(2)
    queue.add(delivery(1, priority=1), is_failing=False)
    queue.add(delivery(2, priority=4), is_failing=False)
    [shed] = queue.add(delivery(3, priority=2), is_failing=False)
    assert (shed.delivery.id, shed.progress) == ("d2", Progress.DROPPED)
    [shed] = queue.add(delivery(4, priority=3), is_failing=False)
    assert shed.delivery.id == "d4"


def test_pauses_grow_to_a_bound_and_are_spread() -> None:
    assert [pause_s(one, 60, 1.0) for one in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert pause_s(1000, 60, 1.0) == 60
    assert pause_s(1000, 60, 0.0) == 30


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.9", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1",
        "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "224.0.0.1", "::",
    ],
)  # fmt: skip
def test_addresses_of_the_own_network_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_addresses_of_the_internet_are(address: str) -> None:
    assert is_public(address)


def test_a_delivery_is_read_back_from_its_document_as_it_was() -> None:
    content = replace(
        delivery(1).content, regions=("door",), lines=("a", "b"), boxes=((0.1, 0.2, 0.3, 0.4, "person", 0.9),)
    )
    one = replace(delivery(1), content=content, progress=Progress.SENT, attempts=3, reason="why", done_ns=5)
    assert from_document(one.id, to_document(one)) == one
