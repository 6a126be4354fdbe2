"""The judge of the random faults can find every kind of difference."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.accounts import Account, Disturbance, Seen, Subscriber, verdict
from broker.client import Gap, WireFrame, encode_frame
from broker.core import BatchReader
from simulator.log import SentUnit
from trueframe.v1.broker_pb2 import NotDelivered, Subscription, SubscriptionCounters
from trueframe.v1.frames_pb2 import GAP_REASON_NETWORK_LOSS, GAP_REASON_OVERRUN, GapReason


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def sent(count: int) -> list[SentUnit]:
    return [SentUnit(n, n, n * 100, digest(n), n, 3, 0, 1) for n in range(count)]


def seen(*numbers: int) -> list[Seen]:
    return [Seen(1, n, digest(n), True) for n in numbers]


def test_everything_that_came_as_it_was_sent_has_no_difference() -> None:
    found = verdict(sent(10), seen(*range(10)), [])
    assert (found.judged, found.sent, found.has_differences) == (10, 10, False)


def test_what_was_sent_before_the_first_frame_is_not_judged() -> None:
    found = verdict(sent(10), seen(*range(4, 10)), [])
    assert (found.judged, found.has_differences) == (6, False)


def test_a_lost_unit_a_second_copy_and_an_invented_frame_are_found() -> None:
    assert verdict(sent(10), seen(0, 1, 2, 4, 5, 6, 7, 8, 9), []).lost == [3]
    assert verdict(sent(10), seen(*range(8)), []).lost == [8, 9]
    assert verdict(sent(10), seen(*range(10), 5), []).twice == 1
    assert verdict(sent(10), seen(0, 1, 3, 2, *range(4, 10)), []).disordered == 1
    assert verdict(sent(10), seen(*range(12)), []).invented == ["1/10", "1/11"]
    assert verdict(sent(10), seen(*range(12)), [], corrupted=2).invented == []


def test_a_damaged_unit_counts_as_lost() -> None:
    frames = [*seen(*range(9)), Seen(1, 9, digest(9), False)]
    assert verdict(sent(10), frames, []).lost == [9]


def test_a_camera_is_ill_from_the_fault_until_a_margin_behind_the_first_whole_frame_after_it() -> None:
    ill = [Disturbance(300, 500)]
    found = verdict(sent(20), seen(0, 1, 2, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19), ill, margin_ns=150)
    assert (found.judged, found.lost, found.is_recovered) == (13, [], True)
    assert verdict(sent(20), seen(0, 1, 8, *range(10, 20)), ill, margin_ns=150).lost == [2]
    assert verdict(sent(20), seen(0, 1, 2, 8, *range(11, 20)), ill, margin_ns=150).lost == [10]


def test_a_camera_that_never_comes_back_is_found() -> None:
    found = verdict(sent(20), seen(0, 1, 2), [Disturbance(300, 500)])
    assert found.has_differences
    assert not found.is_recovered


def frame(epoch: int, seq: int) -> WireFrame:
    item = encode_frame("a", epoch, seq, 1, 1, None, None, None, 2, 0, False, False, digest(seq), b"x")
    (read,) = BatchReader(item)
    assert isinstance(read, WireFrame)
    return read


def gap(reason: GapReason, count: int | None) -> Gap:
    return Gap(camera="a", reason=reason, **({} if count is None else {"count": count}))


class Unread(Subscriber):
    """Told by the test what it would have read."""

    def __init__(self, *items: Any) -> None:
        super().__init__(_NoClient(), "test")  # type: ignore[arg-type]
        for item in items:
            self.accounts["a"].take(item, keep=True)


class _NoClient:
    def stream(self, **_: object) -> tuple[()]:
        return ()


def row(captured: int, delivered: int, pending: int = 0, overrun: int = 0, unknown: int = 0) -> Subscription:
    missed = []
    if overrun:
        missed.append(NotDelivered(reason=GAP_REASON_OVERRUN, count=overrun))
    if unknown:
        missed.append(NotDelivered(reason=GAP_REASON_NETWORK_LOSS, unknown_gaps=unknown))
    counters = SubscriptionCounters(
        camera="a", captured=captured, delivered=delivered, pending=pending, not_delivered=missed
    )
    return Subscription(subscriber="test", counters=[counters])


def test_accounts_that_agree_have_nothing_to_tell() -> None:
    items = (frame(5, 0), frame(5, 1), gap(GAP_REASON_OVERRUN, 3), frame(5, 5), gap(GAP_REASON_NETWORK_LOSS, None))
    assert Unread(*items).disagreements(row(6, 3, overrun=3, unknown=1)) == []


@pytest.mark.parametrize(
    ("counters", "told"),
    [
        (row(7, 3, overrun=3, unknown=1), "captured 7"),
        (row(6, 2, overrun=4, unknown=1), "delivered 2, received 3"),
        (row(7, 3, overrun=4, unknown=1), "not delivered"),
        (row(6, 3, overrun=3), "unknown count"),
        (row(7, 3, pending=1, overrun=3, unknown=1), "still wait"),
    ],
)
def test_counters_that_differ_from_what_was_told_are_found(counters: Subscription, told: str) -> None:
    items = (frame(5, 0), frame(5, 1), gap(GAP_REASON_OVERRUN, 3), frame(5, 5), gap(GAP_REASON_NETWORK_LOSS, None))
    assert any(told in one for one in Unread(*items).disagreements(counters))


def test_ids_that_are_missing_untold_or_go_back_are_found() -> None:
    def faults(*items: Any) -> tuple[int, int]:
        account = Account()
        for item in items:
            account.take(item, keep=False)
        return account.unexplained, account.out_of_order

    assert faults(frame(5, 0), frame(5, 1), frame(6, 0)) == (0, 0)
    assert faults(frame(5, 0), frame(5, 3)) == (2, 0)
    assert faults(frame(5, 0), gap(GAP_REASON_OVERRUN, 1), frame(5, 3)) == (1, 0)
    assert faults(frame(5, 3), frame(5, 2)) == (0, 1)
    assert faults(frame(6, 0), frame(5, 9)) == (0, 1)
