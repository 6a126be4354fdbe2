"""Does what the plan of retention says: deletes, moves, tells. The only one that takes segments away.

What belongs here: the rhythm, asking holds again before anything goes, the order of a removal, alarms about space. What
does not: what is due (`retention`), rules (`retention_rules`), moving itself (`tiers`).

A removal goes, with holds held still: row in the signed log, synced → out of the table, so that readers are told
`Gap(EXPIRED)` → files unlinked. A crash in between is finished by the next start (`expired`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from media_center.archive import Archive
from media_center.catalogue import write_catalogue
from media_center.expired import stretch_of, unlink_segment, write_expired
from media_center.folder_notes import FolderNotes
from media_center.footage import CameraFootage
from media_center.hold_book import HoldBook
from media_center.holds import HeldFootage
from media_center.index import index_path
from media_center.removed import Removal, RemovedLog
from media_center.retention import AGE, DELETE, MOVE, SECOND_NS, Disk, Step, Stored, plan
from media_center.retention_rules import RuleBook
from media_center.retention_stock import hold_finder, stock_due, stock_of
from media_center.seal import Signer
from media_center.seal_files import read_seal
from media_center.stays import Stays
from media_center.system_events import SystemEvents
from media_center.tiers import Tier
from media_center.writer import free_bytes
from mesh.clocks import Clock
from mesh.errors import DataLoss, FailedPrecondition, TrueframeError
from mesh.files import sync_folder
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter
from trueframe.v1 import footage_pb2

log = get_logger("media_center.retention")

_EVERY_S = 1.0
# By rule, footage goes some seconds late; for space, and when a rule or a hold has changed, at once.
_BY_RULE_EVERY_NS = 10_000_000_000
# Steps of one look: holds wait for no longer than these take.
_STEPS_AT_ONCE = 64
_MOVES_AT_ONCE = 8
# The bus may be away; the disk does not wait for it for ever.
_WARN_TIMEOUT_NS = 10_000_000_000
_OPEN_TIER_EVERY_NS = 30_000_000_000
# A camera without a frame for so long is not in the middle of a segment.
_IDLE_NS = 600 * SECOND_NS
_MIB = 1 << 20
_BOUNDLESS = 1 << 62

_removed = counter("media_center_removed_segments", "Segments deleted by retention, by why.", ("reason",))
_removed_bytes = counter("media_center_removed_bytes", "Bytes of footage deleted by retention, by why.", ("reason",))
_moved = counter("media_center_moved_segments", "Segments moved to the second tier.")


@dataclass(frozen=True, slots=True)
class Levels:
    """Free bytes of the first disk at which something happens; each is more than the next."""

    warn: int
    """Below this an alarm is raised."""
    floor: int
    """Below this the oldest footage goes."""
    stop: int
    """Below this nothing is recorded any more."""

    @classmethod
    def of(cls, min_free_bytes: int, warn_free_bytes: int) -> Levels:
        """Out of the configuration; a warning level of 0 is twice the least free space."""
        warn = warn_free_bytes or 2 * min_free_bytes
        return cls(warn, (warn + min_free_bytes) // 2, min_free_bytes)


class RetentionKeeper:
    """Keeps every camera within its rule, and the disk above its floor."""

    def __init__(
        self, root: Path, archive: Archive, holds: HoldBook, rules: RuleBook, events: SystemEvents, signer: Signer,
        clock: Clock, levels: Levels, second: Tier | None = None,
        finish: Callable[[str], Future[None]] | None = None, notes: FolderNotes | None = None,
    ) -> None:  # fmt: skip
        """`finish`: closes the open segment of a camera (`FootageWriter.finish`); without it those always stay.

        `notes`: are told of folders in which names change.
        """
        self.rules = rules
        self.second = second
        self.stays = Stays(root)
        self.tier_turn = asyncio.Lock()
        """Held while something is moved to the second tier, brought back, or deleted."""
        self._root = root
        self._archive = archive
        self._holds = holds
        self._events = events
        self._signer = signer
        self._clock = clock
        self._levels = levels
        self._logs: dict[str, RemovedLog] = {}
        self._finish = finish
        self._notes = notes
        self._stale: set[str] = set()
        self._warned_ns = 0
        self._tier_tried_ns = 0

    async def run(self) -> None:
        """Looks until cancelled. Nothing that a disk does ends it."""
        looked_ns, seen, is_more = 0, (-1, -1), True
        while True:
            try:
                now_ns, present = self._clock.monotonic_ns(), (self.rules.version, self._holds.ended)
                free = await asyncio.to_thread(free_bytes, self._root)
                is_short = free is not None and free < self._levels.floor
                if is_more or is_short or seen != present or now_ns - looked_ns > _BY_RULE_EVERY_NS:
                    looked_ns, seen = now_ns, present
                    is_more = await self.look()
                else:
                    self._warn(free)
            except (TrueframeError, OSError) as error:
                is_more = False
                if rate_limited("retention", 10):
                    log.error("retention cannot go on now", reason=str(error))
            except Exception:  # whatever it is, recording does not end by it
                is_more = False
                if rate_limited("retention", 10):
                    log.exception("retention failed")
            if not is_more:
                await asyncio.sleep(_EVERY_S)

    def tidy(self) -> None:
        """At the end, when nothing is recorded any more: catalogues lose what was deleted, for a quick start."""
        for camera in self._stale:
            with contextlib.suppress(OSError):  # a cache
                write_catalogue(self._root / camera, self._archive.footage(camera).view)
        self._stale.clear()

    async def look(self) -> bool:
        """Does what is due now, or the first part of it; returns whether there is more."""
        await self._look_at_tier()
        free = await asyncio.to_thread(free_bytes, self._root)
        if free is not None and free < self._levels.floor and self.second is not None:
            await asyncio.to_thread(self.second.make_room)
            free = await asyncio.to_thread(free_bytes, self._root)
        self._warn(free)
        may_free = free is not None and self._may_free_space(free)
        now_ns = self._clock.utc_ns()
        footages = await asyncio.to_thread(self.footages, self._archive.cameras())
        await self._finish_idle(footages, now_ns)
        steps = await asyncio.to_thread(self._due, footages, self._holds.held.copy(), now_ns, may_free)
        self._tell_stuck(free, may_free, steps)
        deletions = [step for step in steps if step.action == DELETE]
        moves = [step for step in steps if step.action == MOVE][:_MOVES_AT_ONCE]
        done = 0
        for _, group in groupby(deletions, key=lambda step: step.segment.camera):
            done += await self._delete(list(group))
        for step in moves:
            done += await self._move(step)
        return done > 0 and len(steps) >= _STEPS_AT_ONCE

    def preview(
        self, footages: dict[str, CameraFootage], held: HeldFootage, until_ns: int, limit: int, shown: frozenset[str]
    ) -> list[Step]:
        """What will happen to footage until then, as it looks now, of the cameras to be shown. Call it in a thread."""
        now_ns = self._clock.utc_ns()
        stocks = [
            stock_of(
                camera, footage.view, self.rules.rule_of(camera), self.moved(camera), now_ns, self.stays.of(camera)
            )
            for camera, footage in footages.items()
        ]
        finder = hold_finder(footages, held)
        steps = plan(now_ns, until_ns, stocks, self._first_disk(), self._second_disk(), finder)
        return list(islice((step for step in steps if step.segment.camera in shown), limit))

    async def _finish_idle(self, footages: dict[str, CameraFootage], now_ns: int) -> None:
        """Closes what a camera that sends nothing any more has left open, once that is too old; then it goes, too."""
        for camera, footage in footages.items():
            last, age_ns = len(footage.view) - 1, self.rules.rule_of(camera).max_age_s * SECOND_NS
            if self._finish is None or not age_ns or last < 0 or not footage.view.is_open(last):
                continue
            segment = footage.view[last]
            if max(segment.last_ns, segment.epoch) + max(age_ns, _IDLE_NS) <= now_ns:
                await asyncio.wrap_future(self._finish(camera))

    def second_tier(self) -> footage_pb2.StorageTier:
        """The second tier as it is, for a report. Only where there is one."""
        assert self.second is not None
        space = self.second.space()
        total, free = space or (0, 0)
        detail = "" if self.second.is_open else "It cannot be used: nothing is moved there."
        if space is not None and not total:
            detail = "It is not there: is its disk mounted? What was moved there cannot be read."
        return footage_pb2.StorageTier(
            name="second",
            location=self.second.location,
            total_bytes=total,
            free_bytes=free,
            footage_bytes=self.second.bytes,
            detail=detail,
        )

    def footages(self, cameras: Iterable[str]) -> dict[str, CameraFootage]:
        """The footage of some cameras. May read catalogues: call it in a thread."""
        return {camera: self._archive.footage(camera) for camera in cameras}

    def moved(self, camera: str) -> frozenset[str]:
        """Names of the segments of a camera that lie in the second tier."""
        return self.second.moved.get(camera, frozenset()) if self.second is not None else frozenset()

    def names_changed(self, camera: str) -> None:
        """Names in a camera's folder were changed."""
        if self._notes is not None:
            self._notes.changed(camera)

    def _due(
        self, footages: dict[str, CameraFootage], held: HeldFootage, now_ns: int, may_free: bool
    ) -> list[Step]:  # fmt: skip
        """The first of what is due now. Call it in a thread."""
        second = self._second_disk()
        stocks = [
            stock_due(
                camera, footage.view, self.rules.rule_of(camera), self.moved(camera), held, may_move=second is not None,
                stays=self.stays.of(camera),
            )
            for camera, footage in footages.items()
        ]  # fmt: skip
        primary = self._first_disk() if may_free else None
        steps = plan(now_ns, now_ns, stocks, primary, second, hold_finder(footages, held), with_held=False)
        return list(islice(steps, _STEPS_AT_ONCE))

    def _first_disk(self) -> Disk | None:
        """The first disk. Once it is short a little more is freed, so that it is not short again at once."""
        free = free_bytes(self._root)
        if free is None:
            return None
        spare = (self._levels.warn - self._levels.floor) // 8 if free < self._levels.floor else 0
        return Disk(free, self._levels.floor + spare)

    def _second_disk(self) -> Disk | None:
        if self.second is None or not self.second.is_open:
            return None
        space = self.second.space()
        return Disk(_BOUNDLESS, 0) if space is None else Disk(space[1], self._levels.stop)

    def _warn(self, free: int | None) -> None:
        """Tells that space is low, and that it is not any more."""
        if free is None or not self._levels.warn:
            return
        is_low = free < self._levels.warn
        if not is_low and free < self._levels.warn + self._levels.warn // 20 and self._events.holds("low_space"):
            return  # on the edge it would be told again and again
        levels = self._levels
        if self._events.tell(
            "low_space",
            holds=is_low,
            summary=f"Footage disk: {free // _MIB} MiB free, less than {levels.warn // _MIB}. "
            f"Below {levels.floor // _MIB} MiB the oldest footage is deleted. Add space, or shorten retention."
            if is_low
            else f"Footage disk: {free // _MIB} MiB free.",
            facts={"free_bytes": free, "warn_bytes": levels.warn, "floor_bytes": levels.floor},
        ):
            self._warned_ns = self._clock.monotonic_ns()

    def _may_free_space(self, free: int) -> bool:
        """Whether footage may go for space: not before somebody was told, unless recording is about to stop."""
        if not self._levels.warn or free >= self._levels.floor:
            return bool(self._levels.warn)
        waited_ns = self._clock.monotonic_ns() - self._warned_ns
        is_urgent = free < (self._levels.floor + self._levels.stop) // 2
        return self._events.is_told("low_space") or waited_ns > _WARN_TIMEOUT_NS or is_urgent

    def _tell_stuck(self, free: int | None, may_free: bool, steps: Sequence[Step]) -> None:
        """Tells when nothing is left that may go."""
        is_stuck = free is not None and free < self._levels.floor and may_free and not steps
        self._events.tell(
            "only_held_footage",
            holds=is_stuck,
            summary=f"Footage disk: {(free or 0) // _MIB} MiB free, and all closed footage is held. "
            f"Below {self._levels.stop // _MIB} MiB nothing is recorded. Add space, or release holds."
            if is_stuck
            else "Footage disk: there is footage that may be deleted for space.",
            priority=2,
        )

    async def _look_at_tier(self) -> None:
        """Opens a second tier that could not be used before."""
        tier, now_ns = self.second, self._clock.monotonic_ns()
        if tier is None or tier.is_open or now_ns - self._tier_tried_ns < _OPEN_TIER_EVERY_NS:
            return
        self._tier_tried_ns = now_ns
        problem = ""
        try:
            await asyncio.to_thread(tier.open)
        except (FailedPrecondition, OSError) as error:
            problem = str(error)
        self._events.tell("second_tier", holds=bool(problem), summary=problem or "Second tier: can be used.")

    async def _delete(self, steps: list[Step]) -> int:
        """Deletes segments of one camera; returns how many. What is held by now stays."""
        camera = steps[0].segment.camera
        async with self._holds.steady() as held:
            hold_of = hold_finder(self.footages([camera]), held)
            free = [step for step in steps if await asyncio.to_thread(hold_of, step.segment) is None]
            if not free:
                return 0
            removals = await asyncio.to_thread(self._log_removals, camera, free)
            names = {step.segment.name: step.segment.size_bytes for step in free}
            self._archive.expire(camera, [stretch_of(removal) for removal in removals], names)
            async with self.tier_turn:
                await asyncio.to_thread(self._unlink, camera, names)
        self._stale.add(camera)
        for reason, group in groupby(free, key=lambda step: step.reason):
            segments = [step.segment for step in group]
            size = sum(segment.size_bytes for segment in segments)
            _removed.labels(reason).inc(len(segments))
            _removed_bytes.labels(reason).inc(size)
            log.info("footage deleted", camera=camera, reason=reason, segments=len(segments), size_bytes=size,
                     first=segments[0].name, last=segments[-1].name, from_ns=segments[0].from_ns,
                     to_ns=segments[-1].to_ns)  # fmt: skip
        return len(free)

    def _log_removals(self, camera: str, steps: Sequence[Step]) -> list[Removal]:
        """Writes the rows of what goes. Raises OSError, and then nothing goes."""
        folder = self._root / camera
        now_ns = self._clock.utc_ns()
        removals = [_removal(folder, step.segment, step.reason, now_ns) for step in steps]
        book = self._logs.setdefault(camera, RemovedLog(folder, self._signer))
        try:
            book.append(removals)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # A disk without a free block cannot take the row either. Indexes are caches: those of what goes make room.
            for step in steps:
                with contextlib.suppress(OSError):
                    index_path(folder / step.segment.name).unlink()
            book.append(removals)
        return removals

    def _unlink(self, camera: str, names: dict[str, int]) -> None:
        folder = self._root / camera
        for name in names:
            unlink_segment(folder / name)
        if self.second is not None:
            self.second.forget(camera, names)
        with contextlib.suppress(OSError):  # a cache: the next start makes it again
            write_expired(folder, self._archive.footage(camera).view.expired)
            sync_folder(folder)
        self.names_changed(camera)

    async def _move(self, step: Step) -> int:
        """Moves a segment; returns 1 if it lies in the second tier now."""
        assert self.second is not None
        segment = step.segment
        try:
            async with self.tier_turn:
                if self.stays.of(segment.camera).get(segment.name, 0) > self._clock.utc_ns() and step.reason == AGE:
                    return 0  # asked for meanwhile
                size = await asyncio.to_thread(self.second.move, segment.camera, segment.name)
        except (OSError, DataLoss) as error:
            if rate_limited("move", 10):
                log.error("segment cannot be moved", camera=segment.camera, segment=segment.name, reason=str(error))
            self.second.is_open = self.second.is_open and isinstance(error, DataLoss)
            return 0
        self.names_changed(segment.camera)
        _moved.inc()
        log.info("footage moved", camera=segment.camera, segment=segment.name, size_bytes=size, reason=step.reason)
        return 1


def _removal(folder: Path, segment: Stored, reason: str, now_ns: int) -> Removal:
    try:
        seal = read_seal(folder / segment.name)
    except OSError:
        seal = None
    return Removal.of(
        segment.camera, segment.name, seal, first_seq=segment.first_seq, last_seq=segment.last_seq,
        frames=segment.frames, from_ns=segment.from_ns, to_ns=segment.to_ns, size_bytes=segment.size_bytes,
        removed_ns=now_ns, reason=reason,
    )  # fmt: skip
