"""Retention over really recorded footage: what goes, what readers are told, what a crash in the middle leaves."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker.client import WireFrame
from media_center.archive import Archive
from media_center.errors import NeverRecorded
from media_center.expired import read_expired
from media_center.hold_book import HoldBook
from media_center.holds import Rolls, made_by_hand
from media_center.keys import FootageSigner
from media_center.lane import Commit
from media_center.ranges import parse_range, select
from media_center.recordings import list_recordings
from media_center.recovery import recover
from media_center.removed import read_removed
from media_center.retention import Rule
from media_center.retention_keeper import Levels, RetentionKeeper
from media_center.retention_rules import RuleBook
from media_center.stream import CameraStream
from media_center.system_events import SystemEvents
from media_center.tiers import SecondTier
from media_center.writer import FootageWriter
from mesh.clocks import ManualClock
from mesh.store import SqliteStore
from tests.footage import EPOCH, SECOND, Script, archive_of, decoded, gaps_in, record, replayed, seqs_in
from trueframe.v1 import footage_pb2, frames_pb2

EXPIRED = frames_pb2.GAP_REASON_EXPIRED
SEGMENTS = 6
FRAMES = 30


class Bus:
    """Stands for the bus: keeps what it is given."""

    connected = True

    def __init__(self) -> None:
        self.told: list[dict[str, object]] = []

    async def ensure_stream(self) -> None:
        return

    async def publish(self, subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        self.told.append(json.loads(payload))
        return len(self.told)


class Place:
    """A media center's folder, store and keeper."""

    def __init__(self, folder: Path, store: SqliteStore) -> None:
        self.root = folder / "media"
        self.folder = folder
        self.store = store
        self.clock = ManualClock()
        self.signer = FootageSigner.generate()
        self.clock.advance((EPOCH - self.clock.utc_ns()) / SECOND + SEGMENTS * 3)

    async def open(
        self, rule: Rule | None = None, levels: Levels | None = None, second: SecondTier | None = None
    ) -> RetentionKeeper:
        self.archive: Archive = archive_of(self.root)
        self.holds = await HoldBook.open(self.store, self.archive, Rolls(0, 0), self.clock)
        rules = await RuleBook.open(self.store, rule or Rule())
        events = SystemEvents(Bus(), self.clock)  # type: ignore[arg-type]
        self.events = events
        return RetentionKeeper(
            self.root, self.archive, self.holds, rules, events, self.signer, self.clock, levels or Levels(0, 0, 0),
            second,
        )  # fmt: skip

    def names(self, camera: str = "gate") -> list[str]:
        return sorted(path.name for path in (self.root / camera).glob("*.mp4"))

    def stream(self, **wanted: object) -> list[bytes]:
        bounds = footage_pb2.FootageRange(camera="gate", **wanted)  # type: ignore[arg-type]
        return replayed(self.archive.footage("gate"), bounds)

    async def hold(self, from_s: float, to_s: float, expires_ns: int = 0) -> str:
        asked = made_by_hand(
            f"hold:{from_s}", "gate", EPOCH + round(from_s * SECOND), EPOCH + round(to_s * SECOND), reason="evidence",
            owner="anna", expires_ns=expires_ns, now_ns=self.clock.utc_ns(),
        )  # fmt: skip
        return (await self.holds.put_by_hand(asked)).id


def payloads(raw: list[bytes]) -> dict[int, bytes]:
    return {item.seq: bytes(item.payload) for item in decoded(raw) if isinstance(item, WireFrame)}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Six segments of three seconds, thirty frames each, the last one open."""
    record(tmp_path / "media", Script().start().frames(SEGMENTS * FRAMES).items)
    async with SqliteStore(tmp_path / "holds.sqlite") as store:
        made = Place(tmp_path, store)
        assert len(made.names()) == SEGMENTS
        yield made


async def test_what_is_too_old_goes_and_readers_are_told(place: Place) -> None:
    keeper = await place.open(Rule(max_age_s=10))
    before = place.names()
    await keeper.look()
    assert place.names() == before[2:]
    assert not list(place.root.glob(f"gate/{before[0][:-4]}.idx"))
    stream = place.stream()
    assert seqs_in(stream) == list(range(2 * FRAMES, SEGMENTS * FRAMES))
    (gap,) = gaps_in(stream)
    assert (gap.reason, gap.count, gap.before.seq) == (EXPIRED, 2 * FRAMES, 2 * FRAMES)
    spans = list_recordings(place.archive.footage("gate"), 0, 0)
    assert [one.frames for one in spans.recordings] == [4 * FRAMES]
    assert [one.reason for one in spans.gaps] == [EXPIRED]
    rows = read_removed(place.root / "gate")
    assert [row.removal.segment for row in rows if row.removal] == before[:2]
    assert {row.removal.reason for row in rows if row.removal} == {"age"}


async def test_the_same_is_told_after_a_start(place: Place) -> None:
    keeper = await place.open(Rule(max_age_s=10))
    await keeper.look()
    told = place.stream()
    await place.open()
    assert place.stream() == told
    (place.root / "gate" / "expired").unlink()
    await place.open()
    assert place.stream() == told


async def test_footage_that_was_not_asked_for_is_not_told_as_expired(place: Place) -> None:
    keeper = await place.open(Rule(max_age_s=10))
    await keeper.look()
    assert gaps_in(place.stream(from_ns=EPOCH + 6 * SECOND)) == []
    (gap,) = gaps_in(place.stream(first=frames_pb2.FrameId(camera="gate", epoch=EPOCH, seq=40)))
    assert gap.reason == EXPIRED
    assert not gap.HasField("count")


async def test_holds_survive_and_the_oldest_of_the_rest_goes_first(place: Place) -> None:
    keeper = await place.open(Rule(max_bytes=1))
    before = place.names()
    await place.hold(4, 4.5)
    await keeper.look()
    assert place.names() == [before[1], before[-1]]
    stream = place.stream()
    held = range(FRAMES, 2 * FRAMES)
    assert seqs_in(stream) == [*held, *range(5 * FRAMES, 6 * FRAMES)]
    assert [(gap.reason, gap.count) for gap in gaps_in(stream)] == [(EXPIRED, FRAMES), (EXPIRED, 3 * FRAMES)]


async def test_a_hold_that_is_released_or_over_holds_no_more(place: Place) -> None:
    keeper = await place.open(Rule(max_bytes=1))
    before = place.names()
    released = await place.hold(4, 4.5)
    await place.hold(7, 7.5, expires_ns=place.clock.utc_ns() + SECOND)
    await keeper.look()
    assert place.names() == [before[1], before[2], before[-1]]
    await place.holds.release(released, "anna", "the case is closed")
    place.clock.advance(2)
    await place.holds.end_expired()
    await keeper.look()
    assert place.names() == [before[-1]]
    assert await place.holds.list(None) == []


async def test_segments_that_held_ones_need_for_decoding_stay(tmp_path: Path) -> None:
    # One key frame in ten seconds: the second segment begins in the middle of a GOP.
    record(tmp_path / "media", Script().start().frames(180, gop=100).items)
    async with SqliteStore(tmp_path / "holds.sqlite") as store:
        place = Place(tmp_path, store)
        keeper = await place.open(Rule(max_bytes=1))
        before = place.names()
        await place.hold(7, 7.2)
        await keeper.look()
        assert place.names() == [before[0], before[1], before[-1]][: len(place.names())]
        assert before[0] in place.names()


async def test_a_crash_after_the_row_is_finished_by_the_next_start(place: Place) -> None:
    keeper = await place.open(Rule(max_age_s=10))
    before = place.names()
    saved = {name: (place.root / "gate" / name).read_bytes() for name in before[:2]}
    await keeper.look()
    for name, data in saved.items():  # as if the row were on disk and nothing else had been done
        (place.root / "gate" / name).write_bytes(data)
    (place.root / "gate" / "expired").unlink()
    shutil.copy(place.root / "gate" / before[2], place.root / "copy")
    await place.open()
    assert place.names() == before[2:]
    assert gaps_in(place.stream())[0].count == 2 * FRAMES
    assert read_expired(place.root / "gate") is not None


async def test_a_crash_before_the_row_leaves_everything(place: Place) -> None:
    keeper = await place.open(Rule(max_age_s=10))
    before = place.names()
    (place.root / "gate" / "removed.jsonl").mkdir()  # the log cannot be written: nothing may go
    with pytest.raises(IsADirectoryError):
        await keeper.look()
    (place.root / "gate" / "removed.jsonl").rmdir()
    assert place.names() == before
    assert seqs_in(place.stream()) == list(range(SEGMENTS * FRAMES))


async def test_a_reader_in_the_middle_is_told_what_expired(place: Place) -> None:
    keeper = await place.open(Rule(max_age_s=10))
    footage = place.archive.footage("gate")
    stream = CameraStream(select(footage, parse_range(footage_pb2.FootageRange(camera="gate"))), "gate")
    items = stream.items(footage)
    begun = [next(items).data for _ in range(5)]
    await keeper.look()
    raw = [*begun, *(item.data for item in items)]
    assert {gap.reason for gap in gaps_in(raw)} == {EXPIRED}
    # The file it reads from is read to the end of what it has begun.
    missing = sum(gap.count for gap in gaps_in(raw))
    assert len(seqs_in(raw)) + missing == SEGMENTS * FRAMES
    assert missing >= FRAMES


async def test_a_reader_that_follows_goes_on_where_it_was(place: Place) -> None:
    keeper = await place.open(Rule(max_age_s=10))
    footage = place.archive.footage("gate")
    stream = CameraStream(select(footage, parse_range(footage_pb2.FootageRange(camera="gate"))), "gate")
    first = [item.data for item in stream.items(footage)]
    await keeper.look()
    assert [item.data for item in stream.items(place.archive.footage("gate"))] == []
    assert seqs_in(first) == list(range(SEGMENTS * FRAMES))


async def test_low_space_is_told_before_anything_goes_for_it(place: Place) -> None:
    free = shutil.disk_usage(place.root).free
    keeper = await place.open(levels=Levels(warn=free * 2, floor=free + free // 5, stop=free // 2))
    before = place.names()
    await keeper.look()
    assert place.names() == before
    bus = place.events._bus
    assert place.events.holds("low_space")
    place.clock.advance(11)  # the bus has not taken it: the disk does not wait for ever
    await keeper.look()
    assert place.names() == before[-1:]
    await keeper.look()
    assert place.events.holds("only_held_footage")
    assert bus.told == []  # type: ignore[attr-defined]


async def test_moved_segments_are_read_as_before_and_deleted_with_their_link(place: Place, tmp_path: Path) -> None:
    second = SecondTier(place.root, tmp_path / "second")
    second.open()
    keeper = await place.open(Rule(move_after_s=10), second=second)
    before, told = place.names(), place.stream()
    await keeper.look()
    moved = sorted(path.name for path in (tmp_path / "second" / "gate").glob("*.mp4"))
    assert moved == before[:2]
    assert (place.root / "gate" / before[0]).is_symlink()
    assert place.stream() == told
    await keeper.rules.put("gate", replace(Rule(), max_age_s=13), "anna")
    await keeper.look()
    assert sorted(path.name for path in (tmp_path / "second" / "gate").glob("*.mp4")) == before[1:2]
    assert place.names() == before[1:]


async def test_a_crash_while_moving_leaves_one_whole_segment(place: Place, tmp_path: Path) -> None:
    told = (await place.open()) and place.stream()
    name = place.names()[0]
    folder = tmp_path / "second" / "gate"
    folder.mkdir(parents=True)
    (folder / f"{name}.part").write_bytes(b"half")
    shutil.copy(place.root / "gate" / place.names()[1], folder / place.names()[1])
    second = SecondTier(place.root, tmp_path / "second")
    second.open()
    assert list(folder.iterdir()) == []
    second.move("gate", name)
    (place.root / "gate" / name).unlink()  # as if the first tier had lost it
    again = SecondTier(place.root, tmp_path / "second")
    again.open()
    assert again.moved["gate"] == {name}
    await place.open()
    assert place.stream() == told


async def test_a_second_tier_that_is_not_mounted_is_not_written_to(place: Place, tmp_path: Path) -> None:
    second = SecondTier(place.root, tmp_path / "second")
    second.open()
    second.move("gate", place.names()[0])
    (tmp_path / "second").rename(tmp_path / "elsewhere")
    (tmp_path / "second").mkdir()
    again = SecondTier(place.root, tmp_path / "second")
    again.open_if_possible()
    assert not again.is_open
    keeper = await place.open(Rule(move_after_s=10), second=again)
    place.clock.advance(31)
    await keeper.look()
    assert place.events.holds("second_tier")
    assert list((tmp_path / "second").iterdir()) == []


async def test_a_camera_without_any_footage_left_is_not_one_that_was_never_recorded(place: Place) -> None:
    record(place.root, Script("yard").start().frames(30).end().items)
    await place.open()
    with pytest.raises(NeverRecorded):
        place.archive.footage("hall")


async def test_the_last_segment_of_a_camera_that_sends_nothing_any_more_goes_as_well(place: Place) -> None:
    recovered = recover(place.root, place.signer)
    place.clock.advance(3600)
    keeper = await place.open(Rule(max_age_s=3600))
    archive = place.archive
    loop = asyncio.get_running_loop()

    def on_commit(commits: list[Commit]) -> None:
        loop.call_soon_threadsafe(archive.apply, commits)

    lanes = {camera: one.lane for camera, one in recovered.items()}
    writer = FootageWriter(place.root, lanes, on_commit, place.clock, signer=place.signer)
    keeper._finish = writer.finish
    writer.start()
    try:
        await keeper.look()
        assert len(place.names()) == 1
        await keeper.look()
        assert place.names() == []
    finally:
        assert await asyncio.to_thread(writer.stop)
    assert seqs_in(place.stream()) == []
    assert [gap.count for gap in gaps_in(place.stream())] == [SEGMENTS * FRAMES]
    # A start finds a camera that has been recorded, and its chain goes on.
    await place.open()
    assert [gap.count for gap in gaps_in(place.stream())] == [SEGMENTS * FRAMES]
    record(place.root, Script(now_ns=100 * SECOND).start(EPOCH + 99 * SECOND).frames(10).items)
    await place.open()
    assert [(gap.reason, gap.count) for gap in gaps_in(place.stream())] == [(EXPIRED, SEGMENTS * FRAMES)]


async def test_rules_are_stored_and_outrank_the_configuration(place: Place) -> None:
    keeper = await place.open(Rule(max_age_s=100))
    await keeper.rules.put("gate", Rule(max_bytes=7), "anna")
    await keeper.rules.put("", Rule(max_age_s=50), "anna")
    again = await RuleBook.open(place.store, Rule(max_age_s=100))
    assert (again.rule_of("gate"), again.rule_of("yard")) == (Rule(max_bytes=7), Rule(max_age_s=50))
    await again.reset("gate", "anna")
    await again.reset("", "anna")
    assert (again.rule_of("gate"), again.common) == (Rule(max_age_s=100), Rule(max_age_s=100))


async def test_nothing_is_decoded_differently_after_neighbours_went(place: Place) -> None:
    keeper = await place.open()
    whole = payloads(place.stream())
    await keeper.rules.put("gate", Rule(max_age_s=10), "anna")
    await keeper.look()
    left = payloads(place.stream())
    assert left == {seq: whole[seq] for seq in left}
    assert left
