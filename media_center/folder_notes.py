"""What a running media center notes of the names in its folders, so that a start after a crash lists none of them.

What belongs here: the notes, their file, whether one still vouches for a folder. What does not: the mark of a stop in
order (`stop_mark`), which says more, and putting a folder in order (`recovery`).

A month of 100 cameras is four million segments: listing their names takes seconds. A note names the newest segments
of a camera and the time of change of its folder. As long as that is the folder's, its names are those that were noted:
all other segments are in its catalogue. A folder that changed since, by whomever, is listed.

The notes are written after each round of the writer in which names changed, by turns into two files: a power cut tears
at most the newer one, and then only the cameras of one round are listed.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from media_center.catalogue import CATALOGUE_NAME, RECORD_SIZE, parse_name
from mesh.logs import get_logger, rate_limited

log = get_logger("media_center.folder_notes")

NAMES = (".names-0", ".names-1")
KEPT = 4
"""Closed segments that a note names: so many records of a catalogue may be lost in a power cut."""
_FORM = 1
_PAGE = 4096
_TICK_NS = 12_000_000


@dataclass(frozen=True, slots=True)
class FolderNote:
    """The names in one camera's folder."""

    changed_ns: int
    """Time of change of the folder: of names in it, not of what is in files. 0: it vouches for nothing."""
    catalogue_size: int
    closed: tuple[str, ...]
    """The newest closed segments in recorded order, at most four; all older ones are in the catalogue."""
    open: str
    """The segment that is being written; empty if none is."""

    def vouches_for(self, folder: Path) -> bool:
        """Whether the folder has the names that were noted."""
        try:
            return folder.stat().st_mtime_ns == self.changed_ns > 0
        except OSError:
            return False

    def encode(self, camera: str) -> str:
        """As a line of the file."""
        return json.dumps([camera, self.changed_ns, self.catalogue_size, self.closed, self.open])


class FolderNotes:
    """The notes of all cameras. `changed` may be called from any thread, all else from one at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._number, self.found = _newest(root)
        """`found`: what the media center before left, by camera."""
        self._names: dict[str, tuple[tuple[str, ...], str] | None] = {}
        self._lines: dict[str, str] = {}
        self._lock = threading.Lock()
        self._dirty: set[str] = set()

    def names(self, camera: str, closed: Sequence[str] | None, open_name: str) -> None:
        """The newest closed segments of a camera, and the open one. `closed`: None if the catalogue lacks some."""
        self._names[camera] = None if closed is None else (tuple(closed)[-KEPT:], open_name)
        self.changed(camera)

    def changed(self, camera: str) -> None:
        """Names in a camera's folder have changed, by our own doing."""
        with self._lock:
            self._dirty.add(camera)

    def flush(self) -> None:
        """Writes what has changed and syncs it. A disk that refuses leaves notes that vouch for less."""
        with self._lock:
            dirty, self._dirty = self._dirty, set()
        if not dirty:
            return
        for camera in dirty:
            self._lines[camera] = self._measure(camera).encode(camera)
        self._number += 1
        body = "\n".join([json.dumps([_FORM, self._number]), *self._lines.values()]).encode()
        data = f"{zlib.crc32(body):08x} {len(body)}\n".encode() + body
        data += b"\n" * (-len(data) % _PAGE)  # a file that keeps its size is synced without its folder's journal
        try:
            _overwrite(self._root / NAMES[self._number % 2], data)
        except OSError as error:
            if rate_limited("folder notes", 60):
                log.warning("names of segments cannot be noted: a start after a crash will list them",
                            reason=error.strerror)  # fmt: skip

    def _measure(self, camera: str) -> FolderNote:
        known = self._names.get(camera)
        folder = self._root / camera
        if known is None:
            return FolderNote(0, 0, (), "")
        try:
            # A later change gets a later time only if the clock of the file system has gone on by then.
            changed_ns = folder.stat().st_mtime_ns
            while (young_ns := changed_ns + _TICK_NS - time.time_ns()) > 0:
                time.sleep(min(young_ns, _TICK_NS) / 1e9)
                changed_ns = folder.stat().st_mtime_ns
            size = 0
            with contextlib.suppress(FileNotFoundError):
                size = (folder / CATALOGUE_NAME).stat().st_size
        except OSError:
            return FolderNote(0, 0, (), "")
        return FolderNote(changed_ns, size, *known)


def _overwrite(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.pwrite(fd, data, 0)
        if os.fstat(fd).st_size > len(data):
            os.ftruncate(fd, len(data))
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _newest(root: Path) -> tuple[int, Mapping[str, FolderNote]]:
    found: tuple[int, Mapping[str, FolderNote]] = (0, {})
    for name in NAMES:
        with contextlib.suppress(OSError):
            found = max(found, parse_notes((root / name).read_bytes()), key=lambda one: one[0])
    return found


def parse_notes(data: bytes) -> tuple[int, dict[str, FolderNote]]:
    """Number and notes of a file; 0 and none if it is torn."""
    try:
        head, _, rest = data.partition(b"\n")
        crc, size = head.split()
        body = rest[: int(size)]
        if zlib.crc32(body) != int(crc, 16) or len(body) != int(size):
            return 0, {}
        first, *lines = map(json.loads, body.decode().splitlines())
        form, number = first
        if form != _FORM:
            return 0, {}
        return int(number), {camera: _note(*fields) for camera, *fields in lines}
    except (ValueError, TypeError):
        return 0, {}


def _note(changed_ns: int, catalogue_size: int, closed: Sequence[str], open_name: str) -> FolderNote:
    """Raises ValueError, TypeError for what is none."""
    names = [*closed, *([open_name] if open_name else [])]
    if catalogue_size % RECORD_SIZE or any(parse_name(name) is None for name in names) or names != sorted(set(names)):
        raise ValueError("no note of names")
    return FolderNote(int(changed_ns), int(catalogue_size), tuple(closed), str(open_name))
