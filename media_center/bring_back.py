"""Footage brought back from the second tier to the first: segment by segment, with progress, and it stays for a while.

What belongs here: which segments a range needs, space, what becomes of one that cannot be had. What does not: the
moving itself (`tiers`, `bucket_tier`), the call (`service_retention`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from media_center.errors import DiskFull, NotRecorded
from media_center.footage import CameraFootage
from media_center.ranges import Bounds
from media_center.retention_keeper import RetentionKeeper
from media_center.retention_stock import closed_count
from media_center.writer import free_bytes
from mesh.clocks import Clock
from mesh.errors import DataLoss, FailedPrecondition, Unavailable
from mesh.logs import get_logger

log = get_logger("media_center.bring_back")

_MAX_PROBLEMS = 100


@dataclass(slots=True)
class BroughtBack:
    """How far it is."""

    segments: int
    """To bring back, in all."""
    size_bytes: int
    until_ns: int
    """They stay until then, UTC nanoseconds."""
    segments_done: int = 0
    bytes_done: int = 0
    present: int = 0
    """Segments of the range that were here already."""
    problems: list[str] = field(default_factory=list)
    """Segments that could not be had, and why; at most 100."""


class BringBack:
    """Brings footage back for callers."""

    def __init__(self, root: Path, keeper: RetentionKeeper, clock: Clock, keep_free_bytes: int) -> None:
        """`keep_free_bytes`: what the first disk has to have free afterwards."""
        self._root = root
        self._keeper = keeper
        self._clock = clock
        self._keep_free = keep_free_bytes

    async def run(self, footage: CameraFootage, bounds: Bounds, keep_ns: int) -> AsyncGenerator[BroughtBack, None]:
        """Brings back all closed segments of a range that lie in the second tier; tells progress after each.

        Ends early with its caller; what is back by then stays. Raises FailedPrecondition (there is no second tier),
        NotRecorded, DiskFull, Unavailable (the tier cannot be reached).
        """
        keeper, camera = self._keeper, footage.camera
        tier = keeper.second
        if tier is None:
            raise FailedPrecondition("footage", "lies on one disk: there is no second tier to bring it back from")
        wanted = await asyncio.to_thread(_segments, footage, bounds)
        if not wanted:
            raise NotRecorded.range(camera)
        away = {name: size for name, size in wanted.items() if name in keeper.moved(camera)}
        now_ns = self._clock.utc_ns()
        done = BroughtBack(len(away), sum(away.values()), now_ns + keep_ns, present=len(wanted) - len(away))
        await asyncio.to_thread(self._check_space, camera, done.size_bytes)
        # Those that are here stay as well. First of all, so that none is moved away again while the others come.
        await asyncio.to_thread(keeper.stays.put, camera, wanted, done.until_ns, now_ns)
        yield done
        for name, size in away.items():
            await asyncio.to_thread(self._check_space, camera, size)
            async with keeper.tier_turn:
                if name in keeper.moved(camera):  # retention may have deleted it
                    await self._one(camera, name, size, done)
            done.segments_done += 1
            yield done
        log.info("footage brought back", camera=camera, segments=done.segments_done - len(done.problems),
                 size_bytes=done.bytes_done, until_ns=done.until_ns)  # fmt: skip

    async def _one(self, camera: str, name: str, size: int, done: BroughtBack) -> None:
        tier = self._keeper.second
        assert tier is not None
        work = asyncio.create_task(asyncio.to_thread(tier.bring_back, camera, name))
        try:
            await asyncio.shield(work)
            done.bytes_done += size
            self._keeper.names_changed(camera)
        except DataLoss as error:
            self._note(name, str(error), done)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull.for_bringing_back(camera, 0, 0) from None
            if not tier.is_open or error.errno == errno.EREMOTEIO:
                raise Unavailable(
                    f"second tier {tier.location}", f"cannot be reached ({error.strerror})", "Try again when it can."
                ) from None
            self._note(name, error.strerror or type(error).__name__, done)
        finally:
            # A caller that went away: the next one has its turn only once nobody writes any more.
            with contextlib.suppress(Exception):
                await work

    def _note(self, name: str, reason: str, done: BroughtBack) -> None:
        log.error("segment cannot be brought back", segment=name, reason=reason)
        if len(done.problems) < _MAX_PROBLEMS:
            done.problems.append(f"{name}: {reason}")

    def _check_space(self, camera: str, size: int) -> None:
        free = free_bytes(self._root)
        if free is not None and free - size < self._keep_free:
            raise DiskFull.for_bringing_back(camera, free, self._keep_free + size)


def _segments(footage: CameraFootage, bounds: Bounds) -> dict[str, int]:
    """Names and sizes of the closed segments with frames in a range, in recorded order."""
    view = footage.view
    found = {}
    for position in range(closed_count(view)):
        segment = view[position]
        if not segment.frames:
            continue
        first, last = (segment.epoch, segment.first_seq), (segment.epoch, segment.last_seq)
        is_behind = bounds.first is not None and last < (bounds.first.epoch, bounds.first.seq)
        is_behind = is_behind or (bounds.from_ns is not None and segment.last_ns < bounds.from_ns)
        is_before = bounds.last is not None and first > (bounds.last.epoch, bounds.last.seq)
        is_before = is_before or (bounds.to_ns is not None and segment.first_ns > bounds.to_ns)
        if not (is_behind or is_before):
            found[segment.name] = segment.size
    return found
