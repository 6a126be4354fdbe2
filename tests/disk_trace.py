"""What a process did to a folder, as `disk_shim.c` told it, and what a crash at any moment may leave of it. Pure.

The model of a disk is stricter than any file system is: of everything that was not synced, any part may be there or
not, page by page; names appear and vanish in order, but only for sure once their folder was synced; a file whose bytes
were synced and whose name was not is lost.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

OPEN, WRITE, TRUNCATE, SYNC, CLOSE, RENAME, UNLINK, MKDIR = range(1, 9)
_HEAD = struct.Struct("<IiIIQQQ")
_PAGE = 4096

Way = Literal["kill", "power", "garbage"]
WAYS: tuple[Way, ...] = ("kill", "power", "garbage")
"""kill: what was written stays, the last write at any length. power: pages that were not synced, or not. garbage: as
power, and what was never synced of the end of a file may be anything."""


@dataclass(frozen=True, slots=True)
class Op:
    """One change."""

    kind: int
    fd: int
    offset: int
    flags: int
    name: str
    other: str
    data: bytes


def parse(trace: bytes) -> Iterator[Op]:
    """The changes in order. A record torn by a kill ends them."""
    position = 0
    while position + _HEAD.size <= len(trace):
        kind, fd, name_size, other_size, offset, flags, size = _HEAD.unpack_from(trace, position)
        position += _HEAD.size
        parts = []
        for length in (name_size, other_size, size):
            parts.append(trace[position : position + length])
            position += length
        if position > len(trace):
            return
        yield Op(kind, fd, offset, flags, os.fsdecode(parts[0]), os.fsdecode(parts[1]), parts[2])


@dataclass(slots=True)
class File:
    """Contents: `now` is what a reader sees, `synced` what is on the disk for sure."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    is_folder: bool = False


@dataclass(slots=True)
class Disk:
    """Files by absolute path, and what was synced of names and contents."""

    names: dict[str, File] = field(default_factory=dict)
    synced_names: dict[str, File] = field(default_factory=dict)
    unsynced_names: list[tuple[str, File | None]] = field(default_factory=list)
    """Changes of names since their folder was synced: (path, file or None)."""
    open_files: dict[int, tuple[str, File]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    """How often names in each folder have changed: what stands for the time of its change."""
    synced_versions: dict[str, int] = field(default_factory=dict)
    left_versions: dict[str, int] = field(default_factory=dict)
    """Of what the last `crash` left."""
    last_write: tuple[File, int, int, bytes] | None = None
    """The newest change if it was a write: file, offset, size, and what stood there before."""

    def apply(self, op: Op) -> None:
        """Does what the process did."""
        self.last_write = None
        if op.kind == OPEN:
            file = self.names.get(op.name)
            if file is None:
                file = File(is_folder=bool(op.flags & os.O_DIRECTORY))
                self._name(op.name, file)
            if op.flags & os.O_TRUNC:
                file.now.clear()
            self.open_files[op.fd] = (op.name, file)
        elif op.kind == WRITE:
            file = self.open_files[op.fd][1]
            end = op.offset + len(op.data)
            before = bytes(file.now[op.offset : end])
            self.last_write = (file, op.offset, len(file.now), before)
            if len(file.now) < end:
                file.now.extend(bytes(end - len(file.now)))
            file.now[op.offset : end] = op.data
        elif op.kind == TRUNCATE:
            file = self.open_files[op.fd][1]
            del file.now[op.offset :]
            file.now.extend(bytes(op.offset - len(file.now)))
        elif op.kind == SYNC:
            path, file = self.open_files[op.fd]
            if file.is_folder:
                self._sync_names(path)
            else:
                file.synced = bytes(file.now)
        elif op.kind == CLOSE:
            self.open_files.pop(op.fd, None)
        elif op.kind == RENAME:
            self._name(op.other, self.names[op.name])
            self._name(op.name, None)
        elif op.kind == UNLINK:
            self._name(op.name, None)
        elif op.kind == MKDIR:
            self._name(op.name, File(is_folder=True))

    def end_process(self) -> None:
        """The process is gone, the machine goes on."""
        self.open_files.clear()

    def _name(self, path: str, file: File | None) -> None:
        if file is None:
            self.names.pop(path, None)
        else:
            self.names[path] = file
        self.unsynced_names.append((path, file))
        self.versions[_folder(path)] = self.versions.get(_folder(path), 0) + 1

    def _sync_names(self, folder: str) -> None:
        rest = []
        for path, file in self.unsynced_names:
            if _folder(path) != folder:
                rest.append((path, file))
            elif file is None:
                self.synced_names.pop(path, None)
            else:
                self.synced_names[path] = file
        self.unsynced_names = rest
        self.synced_versions[folder] = self.versions.get(folder, 0)

    def crash(self, way: Way, dice: random.Random) -> dict[str, bytes | None]:
        """Files by path as the next start may find them; None is a folder."""
        if way == "kill":
            self.left_versions = dict(self.versions)
            return {path: self._killed(file, dice) for path, file in self.names.items()}
        names = dict(self.synced_names)
        self.left_versions = dict(self.synced_versions)
        # Names are journalled in order: any number of the first of them has reached the disk.
        for path, file in self.unsynced_names[: dice.choice((0, dice.randint(0, len(self.unsynced_names)), 1 << 30))]:
            self.left_versions[_folder(path)] = self.left_versions.get(_folder(path), 0) + 1
            if file is None:
                names.pop(path, None)
            else:
                names[path] = file
        kept: dict[str, bytes | None] = {}
        for path, file in names.items():
            folder = _folder(path)
            # What hangs below a folder that is not there is not there.
            if folder in self.names and folder not in names:
                continue
            kept[path] = None if file.is_folder else _powerless(file, way, dice)
        return kept

    def _killed(self, file: File, dice: random.Random) -> bytes | None:
        if file.is_folder:
            return None
        now = bytes(file.now)
        if self.last_write is None or self.last_write[0] is not file or dice.random() < 0.3:
            return now
        # In the middle of the last write: any first part of it was done.
        _, offset, size_before, before = self.last_write
        end = dice.randint(offset, max(offset, len(now)))
        return now[:end] + (before[end - offset :] if end - offset < len(before) else b"")[: max(0, size_before - end)]


def _powerless(file: File, way: Way, dice: random.Random) -> bytes:
    """Contents after a power cut: the synced ones, with any pages of the unsynced ones, at any size between."""
    now, synced = bytes(file.now), file.synced
    if now == synced or dice.random() < 0.1:
        return synced
    if dice.random() < 0.15:
        return now
    longest = max(len(now), len(synced))
    keep_new = dice.choice((0.1, 0.5, 0.9))
    pages = []
    for start in range(0, longest, _PAGE):
        end = min(start + _PAGE, longest)
        new, old = now[start:end].ljust(end - start, b"\0"), synced[start:end].ljust(end - start, b"\0")
        if new == old or dice.random() < keep_new:
            pages.append(new)
        elif way == "garbage" and start >= len(synced):
            pages.append(dice.choice((dice.randbytes(end - start), _flipped(new, dice), new[:512] + old[512:])))
        else:
            pages.append(old)
    low, high = sorted((len(now), len(synced)))
    size = dice.choice((high, high, low, dice.randint(low, high), dice.randint(low, high)))
    return b"".join(pages)[:size]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _flipped(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def lay(files: dict[str, bytes | None], was: Path, to: Path) -> None:
    """Writes files as a crash left them below another folder."""
    for path, data in sorted(files.items()):
        target = to / Path(path).relative_to(was)
        if data is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
