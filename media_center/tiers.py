"""The second tier: a folder on another disk that older segments are moved to, readable from either place.

    <second tier>/<camera>/<segment>.mp4    the segment
    media/<camera>/<segment>.mp4            a symbolic link to it; index, catalogue and logs stay here

A move: copy, sync, read back and compare digests, rename, sync the folder; then the link replaces the file in one
rename. The link is the record: before it the first tier has the segment, after it the second, and whoever reads by name
reads the same bytes; an open file is read to its end. What a crash leaves is a copy that nothing links to, which the
next start removes, or links to if its segment is gone from the first tier.

What does not belong here: when something is moved (`retention`), and buckets (`bucket_tier`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from media_center.away import SECOND_TIER_MARK
from media_center.catalogue import parse_name
from media_center.removed import read_removed
from media_center.writer import disk_bytes
from mesh.errors import DataLoss, FailedPrecondition
from mesh.files import sync_folder
from mesh.ids import is_camera_id
from mesh.logs import get_logger

log = get_logger("media_center.tiers")

_CHUNK = 1 << 20
_PART = ".part"
_RETURNING = ".returning"


class Tier(Protocol):
    """What the keeper asks of a second tier: a folder here, or a bucket (`bucket_tier`)."""

    moved: dict[str, frozenset[str]]
    bytes: int
    is_open: bool
    location: str

    def open(self) -> None:
        """Looks at what is there, clears up what a crash left. Raises FailedPrecondition, OSError."""

    def make_room(self) -> None:
        """The first disk is short: frees what is there for convenience alone."""

    def move(self, camera: str, name: str) -> int:
        """Moves a closed segment; returns its bytes. Raises OSError, DataLoss."""
        ...

    def bring_back(self, camera: str, name: str) -> int:
        """Moves a segment back to the first tier; returns its bytes. Raises OSError, DataLoss."""
        ...

    def forget(self, camera: str, names: dict[str, int]) -> None:
        """Segments were deleted, here or not: names and sizes."""

    def space(self) -> tuple[int, int] | None:
        """Bytes in all and free; None if there is no bound that could be asked."""
        ...


class SecondTier:
    """Moves segments and knows which were moved. Blocking: call it in a thread, one call at a time."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.location = str(folder)
        self.moved: dict[str, frozenset[str]] = {}
        """By camera, the segments that lie here. Replaced, never changed: any thread may read it."""
        self.bytes: int = 0
        """Of footage here."""
        self.is_open = False
        """It can be used."""

    def open_if_possible(self) -> None:
        """As `open`, before recording begins; whoever looks later tells why it cannot be used."""
        try:
            self.open()
        except (FailedPrecondition, OSError) as error:
            log.error("second tier cannot be used", folder=str(self.folder), reason=str(error))

    def space(self) -> tuple[int, int] | None:
        """Bytes of its disk in all, and free; 0 of both if it is not there."""
        return disk_bytes(self.folder) or (0, 0)

    def make_room(self) -> None:
        """Has nothing on the first disk."""

    def open(self) -> None:
        """Looks at what is there and clears up what a crash left. Raises FailedPrecondition if it cannot be used."""
        for folder in sorted(self.root.iterdir()):
            if folder.is_dir() and is_camera_id(folder.name):
                clear_returning(folder)
                self.moved[folder.name] = frozenset(
                    entry.name for entry in os.scandir(folder) if entry.is_symlink() and parse_name(entry.name)
                )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.moved.values()) and not (self.folder / SECOND_TIER_MARK).exists():
                raise FailedPrecondition(
                    f"second tier {self.folder}",
                    "does not have the footage that was moved there",
                    "Mount the disk that has it, or restore it there.",
                )
            (self.folder / SECOND_TIER_MARK).write_bytes(
                b"Footage of trueframe that was moved here. Do not remove this file.\n"
            )
        except OSError as error:
            raise FailedPrecondition(
                f"second tier {self.folder}",
                f"cannot be written ({error.strerror})",
                "Mount it, mend its permissions, or change media_center.second_tier.",
            ) from None
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir() and is_camera_id(folder.name):
                self._clear_up(folder.name, folder)
        self.bytes = 0
        for camera, names in self.moved.items():
            for name in names:
                with contextlib.suppress(OSError):
                    self.bytes += (self.folder / camera / name).stat().st_size
        self.is_open = True

    def _clear_up(self, camera: str, folder: Path) -> None:
        """Removes copies that are none, and links to what only lies here."""
        home = self.root / camera
        removed: set[str] | None = None
        for entry in sorted(folder.iterdir()):
            if entry.name.endswith(_PART):
                entry.unlink(missing_ok=True)
                continue
            link = home / entry.name
            if parse_name(entry.name) is None or link.is_symlink():
                continue
            if removed is None:
                removed = {row.removal.segment for row in read_removed(home) if row.removal is not None}
            if link.exists() or entry.name in removed:
                log.info("copy without use removed from the second tier", camera=camera, segment=entry.name)
                entry.unlink(missing_ok=True)
            else:
                log.warning("segment found in the second tier alone: it is readable again", camera=camera,
                            segment=entry.name)  # fmt: skip
                home.mkdir(parents=True, exist_ok=True)
                put_link(link, entry.absolute())
                self.moved[camera] = self.moved.get(camera, frozenset()) | {entry.name}

    def move(self, camera: str, name: str) -> int:
        """Moves a closed segment here; returns its bytes. Raises OSError, DataLoss; then it is where it was."""
        source = self.root / camera / name
        folder = self.folder / camera
        folder.mkdir(parents=True, exist_ok=True)
        target, partial = folder / name, folder / (name + _PART)
        try:
            size, digest = _copy(source, partial)
            if _digest(partial) != digest:
                raise DataLoss(f"segment {camera}/{name}", "was not copied as it is", "Look at the disk under it.")
            partial.replace(target)
            sync_folder(folder)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        put_link(source, target.absolute())
        self.moved[camera] = self.moved.get(camera, frozenset()) | {name}
        self.bytes += size
        return size

    def bring_back(self, camera: str, name: str) -> int:
        """Moves a segment back to the first tier; returns its bytes. Raises OSError, DataLoss; then it is where it was.

        A crash leaves a copy here that nothing links to, which the next start removes.
        """
        copy = self.folder / camera / name
        with returning(self.root / camera / name) as partial:
            size, digest = _copy(copy, partial)
            if _digest(partial) != digest:
                raise DataLoss(f"segment {camera}/{name}", "was not copied as it is", "Look at the disk under it.")
        self.moved[camera] = self.moved.get(camera, frozenset()) - {name}
        self.bytes -= size
        with contextlib.suppress(OSError):
            copy.unlink()
        return size

    def forget(self, camera: str, names: dict[str, int]) -> None:
        """Segments were deleted: names and sizes of those that lay here or not."""
        here = self.moved.get(camera, frozenset())
        self.moved[camera] = here - names.keys()
        self.bytes -= sum(size for name, size in names.items() if name in here)


@contextlib.contextmanager
def returning(place: Path) -> Iterator[Path]:
    """A file to be filled and synced, which then takes the place of a link in one step; nothing of it is left else."""
    partial = place.with_name(place.name + _RETURNING)
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o640)
        yield partial
        partial.replace(place)
        sync_folder(place.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def clear_returning(folder: Path) -> None:
    """Removes what a crash left of segments that were on their way back to a camera's folder."""
    for path in folder.glob(f"*{_RETURNING}"):
        path.unlink(missing_ok=True)


def put_link(place: Path, target: Path) -> None:
    """Puts a link in the place of a file, in one step."""
    temporary = place.with_name(place.name + ".moving")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(place)
    sync_folder(place.parent)


def _copy(source: Path, target: Path) -> tuple[int, bytes]:
    """Copies a file and syncs it; returns its size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
            size += len(chunk)
        writer.flush()
        os.fsync(writer.fileno())
        # What is compared next is to come from the disk and not from memory.
        os.posix_fadvise(writer.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(reader.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return size, digest.digest()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
