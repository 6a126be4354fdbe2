"""How the disks are, put together for whoever asks: the writer's, and what other parts of the media center know.

What belongs here: the primary tier's figures and places for those of others. What does not: judging the disk
(`storage_health`), the second tier (`tiers`), scrubbing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from media_center.archive import Archive
from media_center.storage_watch import StorageWatch
from media_center.writer import FootageWriter, disk_bytes
from trueframe.v1 import footage_pb2


class StorageReport:
    """Answers how the disks are. Other parts fill in what they know by setting the attributes below."""

    def __init__(self, root: Path, archive: Archive, writer: FootageWriter, watch: StorageWatch) -> None:
        self._root = root
        self._archive = archive
        self._writer = writer
        self._watch = watch
        self.second_tier: Callable[[], footage_pb2.StorageTier] | None = None
        """The second tier as it is, if there is one."""
        self.scrubbed: Callable[[], tuple[int, int]] | None = None
        """UTC nanoseconds of the last whole scrub (0: never), and segments with findings."""
        self.key_id: Callable[[], bytes] | None = None
        """Identity of the key that seals segments."""

    def report(self) -> footage_pb2.GetStorageResponse:
        """How the disks are now. Blocks for as long as the system needs to tell the free space."""
        reading = self._writer.reading()
        total, free = disk_bytes(self._root) or (0, 0)
        second = self.second_tier() if self.second_tier is not None else None
        primary = footage_pb2.StorageTier(
            name="primary",
            location=str(self._root),
            total_bytes=total,
            free_bytes=free,
            footage_bytes=self._archive.size_bytes() - (second.footage_bytes if second is not None else 0),
            write_p99_ns=self._writer.times.p99_ns(reading.now_ns),
            detail=self._watch.detail,
        )
        scrubbed_ns, damaged = self.scrubbed() if self.scrubbed is not None else (0, 0)
        return footage_pb2.GetStorageResponse(
            tiers=[primary] if second is None else [primary, second],
            queued_bytes=reading.queued_bytes,
            queue_limit_bytes=reading.queue_limit_bytes,
            scrubbed_ns=scrubbed_ns,
            damaged_segments=damaged,
            key_id=self.key_id().hex() if self.key_id is not None else "",
        )
