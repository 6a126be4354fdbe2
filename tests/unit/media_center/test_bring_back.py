"""Footage brought back from the second tier: it comes whole, stays for its time, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from media_center import tiers
from media_center.archive import Archive
from media_center.bring_back import BringBack, BroughtBack
from media_center.errors import DiskFull, NotRecorded
from media_center.hold_book import HoldBook
from media_center.holds import Rolls
from media_center.keys import FootageSigner
from media_center.ranges import Bounds
from media_center.retention import SECOND_NS, Rule
from media_center.retention_keeper import Levels, RetentionKeeper
from media_center.retention_rules import RuleBook
from media_center.stays import NAME, Stays
from media_center.system_events import SystemEvents
from media_center.tiers import SecondTier
from mesh.bus import Bus
from mesh.clocks import ManualClock
from mesh.errors import DataLoss, FailedPrecondition, Unavailable
from mesh.store import SqliteStore
from tests.footage import EPOCH, SECOND, Script, archive_of, record, replayed

HOUR_NS = 3600 * SECOND_NS
WHOLE = Bounds("gate", None, None, None, None)


class Place:
    """Six segments of three seconds, the last one open; all others were moved to a second folder."""

    def __init__(self, folder: Path, store: SqliteStore) -> None:
        self.root, self.second, self.store = folder / "media", folder / "second", store
        record(self.root, Script().start().frames(180).items)
        self.clock = ManualClock()
        self.clock.advance((EPOCH - self.clock.utc_ns()) / SECOND + 18)
        self.names = sorted(path.name for path in (self.root / "gate").glob("*.mp4"))
        self.archive: Archive = archive_of(self.root)
        self.told = self.read()

    async def open(self, *, with_tier: bool = True) -> RetentionKeeper:
        holds = await HoldBook.open(self.store, self.archive, Rolls(0, 0), self.clock)
        rules = await RuleBook.open(self.store, Rule(move_after_s=1))
        tier = SecondTier(self.root, self.second) if with_tier else None
        if tier is not None:
            tier.open()
        self.keeper = RetentionKeeper(
            self.root, self.archive, holds, rules, SystemEvents(cast(Bus, None), self.clock), FootageSigner.generate(),
            self.clock, Levels(0, 0, 0), tier,
        )  # fmt: skip
        return self.keeper

    def read(self) -> list[bytes]:
        return replayed(self.archive.footage("gate"))

    def moved(self) -> list[str]:
        return sorted(path.name for path in (self.root / "gate").glob("*.mp4") if path.is_symlink())

    async def bring_back(self, bounds: Bounds = WHOLE, keep_ns: int = HOUR_NS, keep_free: int = 0) -> BroughtBack:
        bringer = BringBack(self.root, self.keeper, self.clock, keep_free)
        return [done async for done in bringer.run(self.archive.footage("gate"), bounds, keep_ns)][-1]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with SqliteStore(tmp_path / "store.sqlite") as store:
        made = Place(tmp_path, store)
        await made.open()
        await made.keeper.look()
        assert made.moved() == made.names[:-1]
        yield made


async def test_a_range_comes_back_in_whole_segments_and_stays_for_its_time(place: Place) -> None:
    from_ns, to_ns = EPOCH + 4 * SECOND, EPOCH + 8 * SECOND
    done = await place.bring_back(Bounds("gate", None, from_ns, None, to_ns))
    assert (done.segments, done.segments_done, done.present, done.problems) == (2, 2, 0, [])
    assert done.bytes_done == done.size_bytes > 0
    assert place.moved() == [place.names[0], *place.names[3:5]]
    assert [path.name for path in sorted((place.second / "gate").iterdir())] == place.moved()
    assert place.read() == place.told

    await place.keeper.look()
    assert place.moved() == [place.names[0], *place.names[3:5]]
    await place.open()  # a restart forgets nothing
    await place.keeper.look()
    assert place.moved() == [place.names[0], *place.names[3:5]]
    place.clock.advance(3601)
    await place.keeper.look()
    assert place.moved() == place.names[:-1]
    assert place.read() == place.told


async def test_what_is_here_already_stays_as_well_and_is_counted(place: Place) -> None:
    await place.bring_back(Bounds("gate", None, None, None, EPOCH + 2 * SECOND), keep_ns=60 * SECOND_NS)
    done = await place.bring_back()
    assert (done.segments, done.present) == (len(place.names) - 2, 1)
    place.clock.advance(61)
    await place.keeper.look()
    assert place.moved() == []


async def test_a_segment_that_the_second_disk_lost_is_named_and_the_others_come(place: Place) -> None:
    (place.second / "gate" / place.names[1]).unlink()
    done = await place.bring_back()
    assert done.segments_done == len(place.names) - 1
    (problem,) = done.problems
    assert problem.startswith(place.names[1])
    assert place.moved() == [place.names[1]]


async def test_a_copy_that_is_not_what_was_moved_does_not_take_its_place(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "_digest", lambda path: b"other")
    done = await place.bring_back()
    assert len(done.problems) == done.segments
    assert place.moved() == place.names[:-1]
    assert not list((place.root / "gate").glob("*.returning"))
    assert place.read() == place.told


async def test_a_caller_who_goes_leaves_whole_segments_on_either_side(place: Place) -> None:
    bringer = BringBack(place.root, place.keeper, place.clock, 0)
    async with aclosing(bringer.run(place.archive.footage("gate"), WHOLE, HOUR_NS)) as work:
        async for done in work:
            if done.segments_done == 2:
                break
    assert place.moved() == place.names[2:-1]
    assert place.read() == place.told
    assert not place.keeper.tier_turn.locked()


async def test_what_does_not_fit_is_refused_before_anything_moves(place: Place) -> None:
    with pytest.raises(DiskFull, match="does not fit"):
        await place.bring_back(keep_free=shutil.disk_usage(place.root).free)
    assert place.moved() == place.names[:-1]


async def test_a_tier_that_cannot_be_reached_is_told_as_that(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(camera: str, name: str) -> int:
        raise OSError(errno.EREMOTEIO, "no answer")

    monkeypatch.setattr(place.keeper.second, "bring_back", away)
    with pytest.raises(Unavailable, match="no answer"):
        await place.bring_back()


async def test_without_a_second_tier_or_footage_in_the_range_it_is_said(place: Place) -> None:
    with pytest.raises(NotRecorded):
        await place.bring_back(Bounds("gate", None, EPOCH + 10**6 * SECOND, None, None))
    await place.open(with_tier=False)
    with pytest.raises(FailedPrecondition, match="no second tier"):
        await place.bring_back()


async def test_a_crash_on_the_way_back_leaves_nothing_that_is_not_whole(place: Place) -> None:
    first = place.root / "gate" / place.names[0]
    partial = first.with_name(first.name + ".returning")
    partial.write_bytes(b"half")
    # Or right behind the last step: the segment is back, and its copy is still there.
    shutil.copy(place.second / "gate" / place.names[1], partial.with_name("whole"))
    partial.with_name("whole").replace(place.root / "gate" / place.names[1])
    await place.open()
    assert not partial.exists()
    assert place.moved() == [place.names[0], *place.names[2:-1]]
    assert not (place.second / "gate" / place.names[1]).exists()
    assert place.read() == place.told


async def test_a_move_under_way_and_one_back_do_not_meet(place: Place) -> None:
    """The keeper's moves and those back have turns: each segment is in one place at any time."""
    looks = asyncio.create_task(place.keeper.look())
    done, _ = await asyncio.gather(place.bring_back(), looks)
    assert done.problems == []
    assert place.read() == place.told


def test_what_stays_is_remembered_and_forgotten_when_it_is_over(tmp_path: Path) -> None:
    Stays(tmp_path).put("gate", ["a", "b"], 100, 0)
    stays = Stays(tmp_path)
    assert stays.of("gate") == {"a": 100, "b": 100}
    stays.put("yard", ["c"], 300, 200)
    assert (Stays(tmp_path).of("gate"), Stays(tmp_path).of("yard")) == ({}, {"c": 300})


@pytest.mark.parametrize("harm", [b"", b"[]", b'{"gate": 7}', b"\xff"])
def test_a_damaged_file_of_what_stays_is_as_if_nothing_stayed(tmp_path: Path, harm: bytes) -> None:
    (tmp_path / NAME).write_bytes(harm)
    assert Stays(tmp_path).of("gate") == {}


def test_a_failed_copy_names_the_segment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "_digest", lambda path: b"other")
    second = place.keeper.second
    assert second is not None
    with pytest.raises(DataLoss, match=place.names[0]):
        second.bring_back("gate", place.names[0])


async def test_a_second_disk_that_is_not_mounted_is_told_before_anything_is_moved(place: Place) -> None:
    assert place.keeper.second_tier().detail == ""
    place.second.rename(place.second.with_name("unmounted"))
    assert "is its disk mounted?" in place.keeper.second_tier().detail
