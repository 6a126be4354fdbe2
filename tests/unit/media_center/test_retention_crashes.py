"""A process that dies at any step of a removal or a move: what the next start finds is whole, proved and told."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.client import WireFrame
from media_center.archive import Archive
from media_center.hold_book import HoldBook
from media_center.holds import Rolls
from media_center.keys import FootageSigner, TrustedKeys
from media_center.removed import read_removed
from media_center.retention import Rule
from media_center.retention_keeper import Levels, RetentionKeeper
from media_center.retention_rules import RuleBook
from media_center.system_events import SystemEvents
from media_center.tiers import SecondTier
from media_center.verify_camera import verify_camera
from media_center.verify_report import Outcome
from mesh.bus import Bus
from mesh.clocks import ManualClock
from mesh.store import SqliteStore
from tests.footage import Script, archive_of, decoded, gaps_in, record, replayed
from trueframe.v1 import frames_pb2

FRAMES = 30


class Dies(BaseException):
    """The process ends here: no handler of ours may go on."""


@pytest.fixture(scope="module")
def signer() -> FootageSigner:
    return FootageSigner.generate()


class Disk:
    """Counts what changes the disk below a folder, and dies at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.count = 0
        self.dies_at = -1
        for name in ("fsync", "pwrite", "ftruncate"):
            monkeypatch.setattr(os, name, self._watched(getattr(os, name)))
        for name in ("unlink", "replace", "symlink_to", "write_text"):
            monkeypatch.setattr(Path, name, self._watched(getattr(Path, name), root))

    def _watched(self, call: Callable[..., Any], root: Path | None = None) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            if root is None or root in Path(arguments[0]).parents:
                self.count += 1
                if self.count == self.dies_at:
                    raise Dies
            return call(*arguments, **options)

        return watched


async def keeper_of(root: Path, store: SqliteStore, signer: FootageSigner, rule: Rule, second: SecondTier | None,
                    archive: Archive) -> RetentionKeeper:  # fmt: skip
    clock = ManualClock()
    clock.advance(10**9)
    holds = await HoldBook.open(store, archive, Rolls(0, 0), clock)
    rules = await RuleBook.open(store, rule)
    bus = Bus("nats://127.0.0.1:9", name="test")
    return RetentionKeeper(
        root, archive, holds, rules, SystemEvents(bus, clock), signer, clock, Levels(0, 0, 0), second
    )


def digests(raw: list[bytes]) -> dict[int, bytes]:
    return {item.seq: bytes(item.digest) for item in decoded(raw) if isinstance(item, WireFrame)}


@pytest.fixture
def whole(tmp_path: Path, signer: FootageSigner) -> dict[int, bytes]:
    """Six sealed segments; what all of them hold."""
    root = tmp_path / "data" / "media"
    root.mkdir(parents=True)
    record(root, Script().start().frames(6 * FRAMES).items, signer=signer)
    return digests(replayed(archive_of(root).footage("gate")))


def judge(root: Path, signer: FootageSigner, whole: dict[int, bytes]) -> tuple[int, int]:
    """Whatever happened: frames that are left are right, those that are not were told. Returns both numbers."""
    archive = archive_of(root)
    raw = replayed(archive.footage("gate"))
    left = digests(raw)
    assert left.items() <= whole.items()
    gaps = gaps_in(raw)
    assert {gap.reason for gap in gaps} <= {frames_pb2.GAP_REASON_EXPIRED}
    expired = sum(gap.count for gap in gaps)
    assert len(left) + expired == len(whole)
    report = verify_camera([root / "gate"], TrustedKeys([signer.public_key]))
    assert report.outcome is Outcome.GOOD, report.findings
    names = {path.stem for path in (root / "gate").glob("*.mp4")}
    assert {path.stem for path in (root / "gate").glob("*.idx")} <= names
    return len(left), expired


async def test_a_removal_may_be_cut_short_at_any_step(
    tmp_path: Path, whole: dict[int, bytes], signer: FootageSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _cut_everywhere(tmp_path, whole, signer, monkeypatch, Rule(max_bytes=8_000), tiers=False)


async def test_a_move_may_be_cut_short_at_any_step(
    tmp_path: Path, whole: dict[int, bytes], signer: FootageSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _cut_everywhere(tmp_path, whole, signer, monkeypatch, Rule(move_after_s=1), tiers=True)


async def _cut_everywhere(
    tmp_path: Path, whole: dict[int, bytes], signer: FootageSigner, monkeypatch: pytest.MonkeyPatch, rule: Rule,
    *, tiers: bool,
) -> None:  # fmt: skip
    outcomes = set()
    for step in range(1, 200):
        data = tmp_path / f"cut-{step}"
        shutil.copytree(tmp_path / "data", data)
        root = data / "media"
        second = SecondTier(root, data / "second") if tiers else None
        if second is not None:
            second.open()
        archive = archive_of(root)
        async with SqliteStore(tmp_path / f"{step}.sqlite") as store:
            keeper = await keeper_of(root, store, signer, rule, second, archive)
            with monkeypatch.context() as patched:
                patched.setattr("media_center.retention_keeper._MOVES_AT_ONCE", 1)
                disk = Disk(patched, data)
                disk.dies_at = step
                try:
                    await keeper.look()
                    is_done = True
                except Dies:
                    is_done = False
        if tiers:
            SecondTier(root, data / "second").open()
        outcomes.add(judge(root, signer, whole))
        if tiers:
            assert outcomes == {(6 * FRAMES, 0)}
        leftovers = [path.name for path in data.rglob("*") if path.name.endswith((".part",))]
        assert leftovers == []
        shutil.rmtree(data)
        if is_done:
            break
    assert is_done
    assert step > 6, "it was cut short at many steps"
    if not tiers:
        assert (6 * FRAMES, 0) in outcomes
        assert any(expired > 0 for _, expired in outcomes)


async def test_a_disk_without_a_free_block_still_gets_its_rows(
    tmp_path: Path, whole: dict[int, bytes], signer: FootageSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data" / "media"
    gate = root / "gate"
    indexes = len(list(gate.glob("*.idx")))
    write = os.pwrite

    def full(fd: int, data: Any, position: int) -> int:
        if len(list(gate.glob("*.idx"))) == indexes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data, position)

    async with SqliteStore(tmp_path / "store") as store:
        keeper = await keeper_of(root, store, signer, Rule(max_bytes=8_000), None, archive_of(root))
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", full)
            await keeper.look()
    assert len(read_removed(gate)) > 0
    assert judge(root, signer, whole)[1] > 0


async def test_segments_that_were_restored_are_read_and_not_deleted_again(
    tmp_path: Path, whole: dict[int, bytes], signer: FootageSigner
) -> None:
    root = tmp_path / "data" / "media"
    gate = root / "gate"
    saved = {path: path.read_bytes() for path in sorted(gate.glob("*.mp4"))}
    async with SqliteStore(tmp_path / "store") as store:
        keeper = await keeper_of(root, store, signer, Rule(max_bytes=1), None, archive_of(root))
        await keeper.look()
    gone = [path for path in saved if not path.exists()]
    assert len(gone) >= 4
    restored = random.Random(7).sample(gone, 2)
    for path in restored:
        path.write_bytes(saved[path])
    left, _ = judge(root, signer, whole)
    assert all(path.exists() for path in restored)
    assert left == len(restored) * FRAMES + (6 - len(gone)) * FRAMES
