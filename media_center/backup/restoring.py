"""Putting the segments of a backup back into the footage folder of an instance that does not run.

What does not belong here: making sure that it does not run (the caller holds its lock).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from media_center.backup.book import Copy, file_of, read_book, whole
from media_center.backup.copying import Progress, digest_of
from media_center.catalogue import SegmentTable, parse_name, read_catalogue, summarise, write_catalogue
from media_center.chain import read_head, write_head
from media_center.index import index_path, load_rows
from media_center.keys import RING_NAME
from media_center.removed import REMOVED_NAME
from media_center.seal_files import read_seal
from mesh.files import private_folder, sync_folder, write_atomic

_CHUNK = 1 << 20


@dataclass(slots=True)
class RestoreReport:
    """What was put back."""

    restored: int = 0
    restored_bytes: int = 0
    present: int = 0
    """Segments that were there already, byte for byte."""
    cameras: set[str] = field(default_factory=set)
    findings: list[str] = field(default_factory=list)
    """Segments that were not put back: one sentence each."""
    brought_keys: bool = False
    """The instance had no ring of keys and has that of the backup now."""


def restore(
    folder: Path,
    data: Path,
    footage_dir: Path,
    cameras: Iterable[str] = (),
    *,
    replaces: bool = False,
    progress: Progress | None = None,
) -> RestoreReport:
    """Puts segments back, each compared with its digest on the way; the catalogue is made anew.

    A segment that is there and differs stays as it is and is told, unless `replaces`. May be broken off and run again.
    Raises NotFound, FailedPrecondition, OSError.
    """
    only = set(cameras)
    report = RestoreReport()
    copies = [copy for copy in whole(read_book(folder).values()) if not only or copy.camera in only]
    total = sum(copy.size_bytes for copy in copies)
    done = 0
    changed: dict[str, set[str]] = {}
    for copy in copies:
        if progress is not None:
            progress(done, total, copy.name)
        target = footage_dir / copy.camera / copy.name
        report.cameras.add(copy.camera)
        problem = _put_back(folder, copy, target, report, replaces=replaces)
        if problem:
            report.findings.append(f"{copy.camera}/{copy.name}: {problem}")
        elif problem is not None:
            changed.setdefault(copy.camera, set()).add(copy.name)
        done += copy.size_bytes
    for camera in sorted(report.cameras):
        place = footage_dir / camera
        if place.is_dir():
            _put_back_record(folder / "media" / camera / REMOVED_NAME, place / REMOVED_NAME)
            rebuild_catalogue(place, changed.get(camera, set()))
    report.brought_keys = _put_back_ring(folder, data)
    return report


def rebuild_catalogue(place: Path, changed: Iterable[str] = ()) -> None:
    """Makes the catalogue of a camera's folder anew from its segments, and what stands beside it.

    Records of segments that are not among the `changed` are kept. Raises OSError.
    """
    renewed = set(changed)
    known = read_catalogue(place)
    table = SegmentTable(place)
    newest = None
    for name in sorted(entry.name for entry in place.iterdir() if parse_name(entry.name) is not None):
        if name in renewed:
            index_path(place / name).unlink(missing_ok=True)
        record = known.get(name) if name not in renewed else None
        if record is None:
            with contextlib.suppress(OSError, ValueError):  # the next start looks at it again, and says so
                record = summarise(name, load_rows(place / name))
        if record is not None:
            table.append(record)
        with contextlib.suppress(OSError):
            seal = read_seal(place / name)
            newest = seal if newest is None or (seal is not None and seal.number > newest.number) else newest
    write_catalogue(place, table.view())
    head = read_head(place)
    if newest is not None and (head is None or head.number < newest.number):
        write_head(place, newest)
    sync_folder(place)


def _put_back(folder: Path, copy: Copy, target: Path, report: RestoreReport, *, replaces: bool) -> str | None:
    """Puts one segment back. Empty if it was, None if it lay there already, else why it was not."""
    if target.exists() and not replaces:
        try:
            is_same = target.stat().st_size == copy.size_bytes and digest_of(target) == copy.sha256
        except OSError as error:
            return f"lies there and cannot be read ({error.strerror})"
        if is_same:
            report.present += 1
            return None
        return "lies there and differs from the backup; --replace puts that of the backup in its place"
    private_folder(target.parent)
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    try:
        try:
            source = file_of(folder, copy).open("rb")
        except OSError as error:
            return f"cannot be read in the backup ({error.strerror})"
        with source, part.open("wb") as file:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != copy.sha256:
            return "is not what was copied: the backup is damaged there"
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    report.restored += 1
    report.restored_bytes += copy.size_bytes
    return ""


def _put_back_record(source: Path, target: Path) -> None:
    """The record of deleted segments, where there is none. One that is there knows more."""
    if source.is_file() and not target.exists():
        write_atomic(target, source.read_bytes())


def _put_back_ring(folder: Path, data: Path) -> bool:
    """The ring of public keys, where there is none: what is sealed from now on is signed by a new key beside them."""
    source, target = folder / "keys" / RING_NAME, data / "keys" / RING_NAME
    if not source.is_file() or target.exists():
        return False
    private_folder(target.parent)
    write_atomic(target, source.read_bytes())
    return True
