"""Where an import is written before it is footage, and how it becomes footage: all of it or nothing, at any cable pull.

What belongs here: the folders and the order of renames. What does not: what is written (`import_run`).

    <footage>/.import/<camera>.part/     an import under way: its file, its segments; removed at the next start
    <footage>/.import/<camera>.ready/    a whole import whose segments are being moved: the next start goes on with that

The one rename from `.part` to `.ready` is the moment at which an import has happened. Nobody reads either folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from media_center.catalogue import CATALOGUE_NAME, append_catalogue, parse_name, read_catalogue
from media_center.chain import HEAD_NAME
from media_center.index import index_path
from mesh.errors import Cancelled, FailedPrecondition
from mesh.ids import is_camera_id
from mesh.logs import get_logger

log = get_logger("media_center.import")

STAGING_NAME = ".import"
_PART, _READY = ".part", ".ready"


class Staging:
    """The private folder of one import. A context manager: what did not become footage is removed at its end."""

    def __init__(self, root: Path, camera: str) -> None:
        self.camera = camera
        self.root = root
        self.folder = root / STAGING_NAME / (camera + _PART)
        self._lock = threading.Lock()
        self._is_removed = False
        self._ready = root / STAGING_NAME / (camera + _READY)

    def __enter__(self) -> Staging:
        """Makes the folder. Raises FailedPrecondition if there is an import of that camera already, OSError."""
        self.folder.parent.mkdir(mode=0o750, exist_ok=True)
        if self._ready.exists():
            raise FailedPrecondition(
                f"camera {self.camera!r}",
                "has an import that the disk kept from its place",
                "Restart the media center.",
            )
        try:
            self.folder.mkdir(mode=0o700)
        except FileExistsError:
            raise FailedPrecondition(
                f"camera {self.camera!r}", "is being imported by somebody else", "Wait until that is done."
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Removes what did not become footage. Large files take a while: call it in a thread."""
        with self._lock:
            self._is_removed = True
            shutil.rmtree(self.folder, ignore_errors=True)

    def source(self, name: str) -> Path:
        """Where the file to import is kept meanwhile; its name tells a demuxer what it may be."""
        kept = "".join(c if c.isalnum() or c in "._-" else "_" for c in Path(name).name)[-100:]
        folder = self.folder / "source"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / (kept if kept.strip(".") else "file")

    def remove_source(self) -> None:
        """Removes the file that was imported; its pictures are in the segments."""
        shutil.rmtree(self.folder / "source", ignore_errors=True)

    def put_in_place(self) -> None:
        """Makes footage of it. Raises OSError; nothing has happened before the rename, and all behind it."""
        self.remove_source()
        with self._lock:
            if self._is_removed:
                raise Cancelled(f"import into {self.camera!r}", "was given up")
            _sync(self.folder)
            self.folder.rename(self._ready)
        _sync(self._ready.parent)
        _move(self._ready, self.root / self.camera)


def finish_imports(root: Path) -> None:
    """At a start: goes on with imports that had happened, removes those that had not. Raises OSError."""
    folder = root / STAGING_NAME
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        camera = entry.name.removesuffix(_READY)
        if entry.name.endswith(_READY) and entry.is_dir() and is_camera_id(camera):
            _move(entry, root / camera)
            log.info("import put in place", camera=camera)
        else:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
            log.warning("import that had not come to its end removed", camera=entry.name.removesuffix(_PART))
    with contextlib.suppress(OSError):
        folder.rmdir()


def _move(ready: Path, target: Path) -> None:
    """Moves the segments of a whole import to the camera's folder; done again, it goes on where it stopped."""
    target.mkdir(parents=True, exist_ok=True)
    records = read_catalogue(ready)
    for name in sorted(entry.name for entry in os.scandir(ready) if parse_name(entry.name) is not None):
        with contextlib.suppress(FileNotFoundError):  # a cache
            index_path(ready / name).replace(index_path(target / name))
        (ready / name).replace(target / name)
    with contextlib.suppress(FileNotFoundError):
        (ready / HEAD_NAME).replace(target / HEAD_NAME)
    _sync(target)
    with contextlib.suppress(OSError):  # a cache; told twice, the second record is the same
        for record in records.values():
            append_catalogue(target, record)
    with contextlib.suppress(FileNotFoundError):
        (ready / CATALOGUE_NAME).unlink()
    shutil.rmtree(ready, ignore_errors=True)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
