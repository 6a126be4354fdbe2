"""A segment being written: one file, appended to fragment by fragment, and its index.

What belongs here: writes that either happen whole or leave the file as it was, data sync, index commit. What does not:
when these happen (`writer`) and what is written (`fragment`).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from media_center.catalogue import Growth, Segment
from media_center.index import index_path

_MAX_BUFFERS = 512


class SegmentFile:
    """An open segment. Not thread-safe: the writer thread owns it."""

    def __init__(self, path: Path, record: Segment, fd: int) -> None:
        self.path = path
        self.record = record
        """What is confirmed on disk and in the index."""
        self.position = record.size
        """File offset behind the last fragment written."""
        self._fd = fd
        self._index_fd = -1
        self._index_is_lost = False
        self._unsynced: list[tuple[bytes, Growth]] = []
        self._seal_size = 0
        self._is_longer = False  # than `position`: what was to be taken back is still there
        self._is_new = record.size == 0

    @classmethod
    def create(cls, folder: Path, record: Segment) -> SegmentFile:
        """Creates the file of a new segment. Raises OSError, FileExistsError among them."""
        path = folder / record.name
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        made = cls(path, record, fd)
        with contextlib.suppress(OSError):  # now, so that its name is synced with the segment's
            made._open_index()
        return made

    @classmethod
    def reopen(cls, folder: Path, record: Segment) -> SegmentFile:
        """Opens a segment to go on behind what its record says. Raises OSError."""
        path = folder / record.name
        return cls(path, record, os.open(path, os.O_RDWR | os.O_CLOEXEC))

    @property
    def is_dirty(self) -> bool:
        """Whether fragments wait for a sync."""
        return bool(self._unsynced or self._seal_size)

    def append(self, media: list[bytes], row_box: bytes, growth: Growth) -> None:
        """Writes a fragment at the end. On OSError nothing of it remains."""
        self._shorten()
        try:
            self.position = _write_all(self._fd, [*media, row_box], self.position)
        except OSError:
            self._take_back()
            raise
        self._unsynced.append((row_box, growth))

    def append_seal(self, seal: bytes) -> None:
        """Writes the seal behind the last fragment; nothing may follow it. On OSError nothing of it remains."""
        self._shorten()
        try:
            _write_all(self._fd, [seal], self.position)
        except OSError:
            self._take_back()
            raise
        self._seal_size = len(seal)

    def sync(self) -> None:
        """Brings the fragments written since the last sync to the disk. On OSError they are taken back.

        After a failed sync the kernel may have dropped the pages and forgotten the error: what was not confirmed is
        not trusted any more.
        """
        if not self.is_dirty:
            return
        try:
            os.fdatasync(self._fd)
            if self._is_new:
                _sync_folder(self.path.parent)
                self._is_new = False
            self._seal_size = 0
        except OSError:
            self._unsynced.clear()
            self._seal_size = 0
            self.position = self.record.size
            self._take_back()
            raise

    def _take_back(self) -> None:
        """Removes what lies behind `position`; a disk that refuses that, too, is asked again before the next write."""
        self._is_longer = True
        with contextlib.suppress(OSError):
            self._shorten()

    def _shorten(self) -> None:
        """Raises OSError: what follows would stand before something that was told as lost."""
        if self._is_longer:
            os.ftruncate(self._fd, self.position)
            self._is_longer = False

    def commit(self) -> Segment:
        """Enters the synced fragments into index and record, so that readers see them. Returns the record.

        An index that cannot be written is removed: it is a cache, and readers make it again.
        """
        fragments, self._unsynced = self._unsynced, []
        if not fragments:
            return self.record
        for _, growth in fragments:
            self.record = self.record.grown(growth)
        if self._index_is_lost:
            return self.record
        try:
            self._open_index()
            end = os.lseek(self._index_fd, 0, os.SEEK_END)
            _write_all(self._index_fd, [row_box for row_box, _ in fragments], end)
        except OSError:
            self._index_is_lost = True  # a later one would lack what this one should have held
            self._close_index()
            with contextlib.suppress(OSError):
                index_path(self.path).unlink()
        return self.record

    def close(self) -> None:
        """Closes the files. Fragments not committed stay in the segment and are found at the next start."""
        self._close_index()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Closes and removes a segment in which nothing was ever confirmed."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
            index_path(self.path).unlink(missing_ok=True)

    def _open_index(self) -> None:
        if self._index_fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._index_fd = os.open(index_path(self.path), flags, 0o640)

    def _close_index(self) -> None:
        if self._index_fd >= 0:
            os.close(self._index_fd)
            self._index_fd = -1


def _write_all(fd: int, buffers: list[bytes], position: int) -> int:
    """Writes all buffers from a file offset on; returns the offset behind them. Raises OSError."""
    for start in range(0, len(buffers), _MAX_BUFFERS):
        group = buffers[start : start + _MAX_BUFFERS]
        total = sum(map(len, group))
        written = os.pwritev(fd, group, position)
        if written < total:
            rest = memoryview(b"".join(group))[written:]
            while rest:
                count = os.pwrite(fd, rest, position + written)
                rest = rest[count:]
                written += count
        position += total
    return position


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
