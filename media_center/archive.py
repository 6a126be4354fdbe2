"""All footage of one media center as its readers see it: what is confirmed on disk, and word of each commit.

What belongs here: the tables of all cameras, watermarks, waking those who follow. What does not: writing (`writer`)
and files (`footage`). Lives in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable
from pathlib import Path

from media_center.catalogue import SegmentTable
from media_center.errors import NeverRecorded
from media_center.expired import Stretch
from media_center.footage import CameraFootage, RowCache
from media_center.lane import Commit
from mesh.ids import FrameId


class Archive:
    """What is recorded, camera by camera."""

    def __init__(self, root: Path, tables: dict[str, SegmentTable], watermarks: dict[str, FrameId]) -> None:
        self._root = root
        self._tables = tables
        self._watermarks = watermarks
        self._cache = RowCache()
        self._version = 0
        self._changed = asyncio.Event()

    @property
    def version(self) -> int:
        """Grows with every commit."""
        return self._version

    @property
    def watermarks(self) -> dict[str, FrameId]:
        """The last frame of each camera that is confirmed on disk."""
        return self._watermarks

    def cameras(self) -> list[str]:
        """Cameras of which something is recorded, sorted."""
        return sorted(camera for camera, table in self._tables.items() if _has_any(table))

    def load(self) -> None:
        """Reads what the catalogues hold and nobody has asked for yet. Call it in a thread."""
        for table in list(self._tables.values()):
            with contextlib.suppress(OSError):  # whoever asks for that camera is told
                table.view()

    def size_bytes(self) -> int:
        """Bytes of all segments, as far as they are confirmed. May be called in any thread."""
        return sum(int(table.view().column("size").sum()) for table in list(self._tables.values()))

    def footage(self, camera: str) -> CameraFootage:
        """A camera's footage at this moment; may be read in any thread. Raises NeverRecorded."""
        table = self._tables.get(camera)
        if table is None or not _has_any(table):
            raise NeverRecorded.of(camera)
        return CameraFootage(camera, table.view(), self._cache)

    def apply(self, commits: Iterable[Commit]) -> list[FrameId]:
        """Enters what was confirmed on disk; returns the watermarks that moved."""
        moved = []
        for commit in commits:
            table = self._tables.get(commit.camera)
            if table is None:
                table = self._tables[commit.camera] = SegmentTable(self._root / commit.camera)
            for segment in commit.closed:
                table.append(segment)
            table.go_on_with(commit.open)
            if commit.watermark is not None and self._watermarks.get(commit.camera) != commit.watermark:
                self._watermarks[commit.camera] = commit.watermark
                moved.append(commit.watermark)
        self._version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return moved

    def left(self) -> dict[str, tuple[str, int | None]]:
        """The segment that each camera's recording can go on in, and how many are closed (None: as at the start)."""
        found = {}
        for camera, table in self._tables.items():
            if table.open_name is not None:
                found[camera] = (table.open_name, table.closed_count)
        return found

    def expire(self, camera: str, stretches: Iterable[Stretch], names: Collection[str]) -> None:
        """Takes closed segments out, which retention deletes. Whoever reads them now is told so."""
        self._tables[camera].expire(stretches, names)

    async def wait_for_commit(self, version: int) -> int:
        """Waits until something was confirmed since `version`; returns the present version."""
        while self._version == version:
            await self._changed.wait()
        return self._version


def _has_any(table: SegmentTable) -> bool:
    """Whether there is footage, or was some that retention has deleted."""
    return not table.is_empty or len(table.view().expired) > 0
