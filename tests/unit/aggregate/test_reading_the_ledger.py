"""History, checkpoints, coverage and explanations of frames."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregate.archive import Archive
from aggregate.bench import Bench
from aggregate.checkpoints import KEEP_EACH_HOUR, KEEP_EACH_MINUTE, Checkpoint, kept_minutes
from aggregate.coverage import CoverageSum
from aggregate.errors import NeverInspected
from aggregate.history import Change, change_of
from aggregate.inspections import Inspections
from aggregate.judge import Verdict
from aggregate.orders import Order
from aggregate.pages import MINUTE_NS, Page, PageKey
from aggregate.reading import LedgerReader
from aggregate.scheduler import Scheduler
from mesh.clocks import ManualClock
from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from mesh.store import SqliteStore
from trueframe.v1 import inspection_pb2

SECOND = 1_000_000_000
ORDER = Order("gate.motion", "gate", "motion")
EPOCH = 100 * MINUTE_NS


def frame(seq: int, epoch: int = EPOCH) -> FrameId:
    return FrameId("gate", epoch, seq)


def verdict(seq: int, score: float = 0.125, reason: int = 0, count: int = 1, epoch: int = EPOCH) -> Verdict:
    at_ns = epoch + seq * SECOND // 10
    return Verdict(frame(seq, epoch), at_ns, 0.0 if reason else score, reason=reason, count=count)


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    async with SqliteStore(tmp_path / "aggregate.sqlite") as store:
        yield await Archive.open(store)


async def test_history_tells_what_held_at_any_time(archive: Archive) -> None:
    stopped = replace(ORDER, is_disabled=True)
    changed = replace(stopped, threshold=0.5)
    old: Order | None = None
    for at_ns, by, order in ((10, "trueframe", ORDER), (20, "ann", stopped), (30, "bo", changed), (40, "ann", ORDER)):
        what = change_of(old, order)
        assert what is not None
        await archive.history.add(Change(at_ns, by, what, order))
        old = order
    assert await archive.history.at(ORDER.id, 9) is None
    told = [await archive.history.at(ORDER.id, at_ns) for at_ns in (10, 25, 39, 10**19 - 1)]
    assert [(c.by, c.what, c.order, c.since_ns) for c in told if c] == [
        ("trueframe", "created", ORDER, 10), ("ann", "stopped", stopped, 20), ("bo", "changed", changed, 20),
        ("ann", "started", ORDER, 40),
    ]  # fmt: skip
    following = await archive.history.after(ORDER.id, 20)
    assert following is not None
    assert following.at_ns == 30
    assert await archive.history.at("gate.motio", 50) is None


async def test_changes_come_one_after_the_other_even_if_the_clock_was_set_back(archive: Archive) -> None:
    first = await archive.history.add(Change(50, "ann", "created", ORDER))
    second = await archive.history.add(Change(40, "bo", "stopped", replace(ORDER, is_disabled=True)))
    assert second.at_ns == first.at_ns + 1
    assert await archive.history.newest(ORDER.id) == second


def test_an_order_that_changes_nothing_is_no_change() -> None:
    assert change_of(ORDER, replace(ORDER)) is None


def state(seq: int, at_ns: int, text: bytes) -> Checkpoint:
    return Checkpoint(frame(seq), at_ns, "motion@1", text, hashlib.sha256(text).digest())


async def test_the_newest_checkpoint_up_to_a_frame_is_found_and_old_ones_are_thinned(archive: Archive) -> None:
    for minute in range(KEEP_EACH_MINUTE * 3):
        for half in (0, 30):
            at_ns = minute * MINUTE_NS + half * SECOND
            await archive.checkpoints.put(ORDER.id, state(minute * 60 + half, at_ns, b"%d+%d" % (minute, half)))
    newest = await archive.checkpoints.newest(ORDER.id, frame(10**6))
    assert newest is not None
    assert newest.state == b"179+30"
    assert await archive.checkpoints.newest(ORDER.id, newest.after) == newest
    earlier = await archive.checkpoints.newest(ORDER.id, frame(newest.after.seq - 1))
    assert earlier is not None
    assert earlier.state == b"178+30"
    of_an_hour_ago = await archive.checkpoints.newest(ORDER.id, frame(100 * 60))
    assert of_an_hour_ago is not None
    assert of_an_hour_ago.state == b"59+30"
    assert await archive.checkpoints.newest("gate.motion2", frame(10**6)) is None


async def test_a_state_too_large_for_a_document_is_left_out(archive: Archive) -> None:
    await archive.checkpoints.put(ORDER.id, state(1, SECOND, b"small"))
    await archive.checkpoints.put(ORDER.id, state(2, 2 * SECOND, bytes(3_000_000)))
    newest = await archive.checkpoints.newest(ORDER.id, frame(9))
    assert newest is not None
    assert newest.state == b"small"


@given(st.sets(st.integers(0, 60 * 24 * 30)))
def test_kept_minutes_are_bounded_and_hold_the_newest(minutes: set[int]) -> None:
    kept = kept_minutes(minutes)
    assert len(kept) <= KEEP_EACH_MINUTE + KEEP_EACH_HOUR
    assert set(sorted(minutes)[-KEEP_EACH_MINUTE:]) <= set(kept) <= minutes
    assert kept_minutes(kept) == kept


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), max_size=60),
    st.integers(0, 400), st.integers(0, 400), st.sampled_from([0, 60, 120]),
)  # fmt: skip
def test_coverage_counts_every_frame_once_whatever_the_rows(
    said: list[tuple[int, int]], from_s: int, to_s: int, bucket_s: int
) -> None:
    from_ns, to_ns = EPOCH + min(from_s, to_s) * SECOND, EPOCH + max(from_s, to_s) * SECOND
    sums = CoverageSum(from_ns, to_ns, bucket_s * SECOND)
    expected: Counter[int] = Counter()
    page = None
    pages = []
    for seq, (reason, count) in enumerate(said):
        one = verdict(seq * 50, reason=reason, count=count if reason else 1)
        minute = one.received_ns // MINUTE_NS
        if page is None or page.key.minute != minute:
            page = Page(PageKey(ORDER.id, "gate", 1, "motion@1", 0.6, minute), len(pages))
            pages.append(page)
        page.add(one)
        if from_ns <= one.received_ns <= to_ns:
            expected[reason] += one.count
    for page in pages:
        sums.add(page.document())
    counted: Counter[int] = Counter()
    for row in sums.rows():
        counted.update({0: row.scored, **row.skipped})
        assert from_ns <= row.from_ns <= row.to_ns <= to_ns
    assert +counted == +expected
    assert not bucket_s or all(row.to_ns - row.from_ns < bucket_s * SECOND for row in sums.rows())


class Desk:
    """An aggregate without a network."""

    def __init__(self, archive: Archive) -> None:
        self.clock = ManualClock(EPOCH)
        self.bench = Bench(archive, self.clock)
        self.inspections = Inspections(archive, self.bench, self.clock, Scheduler())
        self.reader = LedgerReader(archive, self.bench, self.inspections, self.clock)

    async def explain(self, seq: int, epoch: int = EPOCH) -> inspection_pb2.FrameExplanation:
        found = await self.reader.explain(frame(seq, epoch))
        return next(one for one in found if one.inspection == ORDER.id)

    def say(self, *verdicts: Verdict) -> None:
        docket = self.bench.docket(ORDER.id)
        assert docket is not None
        self.bench.hear(docket, "motion@1", list(verdicts), lambda: None)


@pytest.fixture
async def desk(archive: Archive) -> Desk:
    desk = Desk(archive)
    await desk.inspections.load([ORDER])
    await desk.inspections.camera_came("gate", "")
    return desk


async def test_frames_that_fired_did_not_or_had_no_picture_are_told_apart(desk: Desk) -> None:
    desk.say(
        *(verdict(seq) for seq in range(20)),
        *(verdict(seq, 0.9) for seq in range(20, 30)),
        verdict(30, reason=inspection_pb2.NO_VERDICT_REASON_NO_PIXELS, count=10),
        *(verdict(seq) for seq in range(40, 80)),
        verdict(80, 0.7),
        verdict(81, 0.1),
    )
    fired = await desk.explain(25)
    assert fired.standing == inspection_pb2.FRAME_STANDING_FIRED
    assert fired.anomaly
    assert fired.anomaly in fired.sentence
    assert (fired.detector, round(fired.threshold, 3), fired.verdict.id.seq) == ("motion@1", 0.6, 25)
    normal = await desk.explain(5)
    assert (normal.standing, normal.anomaly) == (inspection_pb2.FRAME_STANDING_NORMAL, "")
    missing = await desk.explain(35)
    assert missing.standing == inspection_pb2.FRAME_STANDING_NOT_SCORED
    assert (missing.verdict.id.seq, missing.verdict.count) == (35, 1)
    assert "not in the footage" in missing.sentence
    short = await desk.explain(80)
    assert (short.standing, short.anomaly) == (inspection_pb2.FRAME_STANDING_FIRED, "")
    assert "not for long enough" in short.sentence
    assert (await desk.explain(82)).standing == inspection_pb2.FRAME_STANDING_PENDING


async def test_a_frame_of_a_stopped_inspection_tells_who_stopped_it_and_when(desk: Desk) -> None:
    desk.say(*(verdict(seq) for seq in range(20)))
    desk.clock.advance(2)
    await desk.inspections.put(replace(ORDER, is_disabled=True), "ann")
    stopped_ns = desk.clock.utc_ns()
    assert (await desk.explain(25)).changed_by == "ann"
    desk.clock.advance(8)
    await desk.inspections.put(ORDER, "bo")
    desk.clock.advance(1)
    desk.say(*(verdict(seq) for seq in range(103, 120)))

    stopped = await desk.explain(60)
    assert (stopped.standing, stopped.changed_by) == (inspection_pb2.FRAME_STANDING_NOT_INSPECTED, "ann")
    assert stopped.changed_ns == stopped_ns
    assert "stopped by ann at" in stopped.sentence
    begun = await desk.explain(101)
    assert (begun.standing, begun.changed_by) == (inspection_pb2.FRAME_STANDING_NOT_INSPECTED, "bo")
    assert str(frame(103)) in begun.sentence
    assert (await desk.explain(10)).standing == inspection_pb2.FRAME_STANDING_NORMAL
    assert (await desk.explain(110)).standing == inspection_pb2.FRAME_STANDING_NORMAL


async def test_a_frame_from_before_the_inspection_existed_is_told_as_such(desk: Desk) -> None:
    desk.say(verdict(0))
    early = await desk.explain(5, epoch=EPOCH - MINUTE_NS)
    assert early.standing == inspection_pb2.FRAME_STANDING_NOT_INSPECTED
    assert "no such inspection yet" in early.sentence


async def test_a_change_is_there_after_a_crash_between_its_history_and_its_order(archive: Archive, desk: Desk) -> None:
    stopped = replace(ORDER, is_disabled=True)
    await archive.history.add(Change(desk.clock.utc_ns() + 1, "ann", "stopped", stopped))
    again = Desk(archive)
    await again.inspections.load([ORDER])
    assert stopped in again.inspections.orders_of("gate")


async def test_what_was_never_inspected_and_what_cannot_be_asked_is_refused(desk: Desk) -> None:
    with pytest.raises(NeverInspected):
        await desk.reader.explain(FrameId("nowhere", 1, 0))
    with pytest.raises(NeverInspected):
        await desk.reader.coverage("nowhere", 0, 0, 0)
    with pytest.raises(InvalidArgument):
        await desk.reader.coverage("gate", 5, 4, 0)
    with pytest.raises(InvalidArgument):
        await desk.reader.coverage("gate", 0, 0, 61)


async def test_coverage_tells_when_an_inspection_was_not_carried_out_and_why(desk: Desk) -> None:
    desk.say(*(verdict(seq) for seq in range(20)))
    desk.clock.advance(60)
    await desk.inspections.put(replace(ORDER, is_disabled=True), "ann")
    stopped_ns = desk.clock.utc_ns()
    desk.clock.advance(120)
    await desk.inspections.put(ORDER, "bo")
    begun_ns = desk.clock.utc_ns()
    desk.clock.advance(30)
    to_ns = desk.clock.utc_ns()
    rows = [
        row for row in await desk.reader.coverage("gate", EPOCH - 60 * SECOND, to_ns, 60) if row.inspection == ORDER.id
    ]
    told = [(rest.from_ns, rest.to_ns, rest.why) for row in rows for rest in row.rests]
    assert told == [
        (EPOCH - 60 * SECOND, EPOCH, "there was no such inspection yet"),
        (stopped_ns, EPOCH + 2 * MINUTE_NS, "stopped by ann"),
        (EPOCH + 2 * MINUTE_NS, begun_ns, "stopped by ann"),
    ]
    assert sum(row.scored for row in rows) == 20
    (whole,) = [row for row in await desk.reader.coverage("gate", EPOCH, to_ns, 0) if row.inspection == ORDER.id]
    assert [(rest.from_ns, rest.to_ns) for rest in whole.rests] == [(stopped_ns, begun_ns)]
