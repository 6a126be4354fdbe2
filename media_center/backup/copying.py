"""Copying segments into a backup: incremental, resumable, each compared with its digests and its seal once it is there.

What does not belong here: the book (`book`) and putting footage back (`restoring`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from media_center.backup.book import BackupBook, Copy, file_of, read_book, whole
from media_center.client_sync import SyncFootageClient
from media_center.keys import RING_NAME
from media_center.removed import REMOVED_NAME
from media_center.verify_segment import examine
from mesh.errors import NotFound
from mesh.files import sync_folder, write_atomic
from trueframe.v1 import footage_pb2

_PART = ".part"
_CHUNK = 1 << 20
Progress = Callable[[int, int, str], None]
"""Called with the bytes done, those to do in all, and the segment at work."""


@dataclass(slots=True)
class BackupReport:
    """What a backup did."""

    copied: int = 0
    copied_bytes: int = 0
    present: int = 0
    """Segments that lay there already."""
    gone: int = 0
    """Segments that retention deleted before they could be copied."""
    findings: list[str] = field(default_factory=list)
    """Segments that were copied and are not sound: one sentence each."""


def back_up(
    footage: SyncFootageClient,
    folder: Path,
    cameras: Iterable[str] = (),
    since_ns: int = 0,
    progress: Progress | None = None,
) -> BackupReport:
    """Copies every closed segment that the folder does not hold yet. May be broken off at any moment and run again.

    `since_ns`: only segments with footage at or after that UTC time in nanoseconds. Raises the errors of the client,
    FailedPrecondition (the folder holds something else), OSError.
    """
    report = BackupReport()
    with BackupBook(folder) as book:
        wanted: list[footage_pb2.FootageSegment] = []
        for segment in footage.segments(cameras, since_ns):
            if _is_present(book, segment):
                report.present += 1
            else:
                wanted.append(segment)
        total = sum(segment.size_bytes for segment in wanted)
        done = 0
        for segment in wanted:

            def tell(written: int, name: str = segment.name, before: int = done) -> None:
                if progress is not None:
                    progress(before + written, total, name)

            tell(0)
            try:
                copy = _fetch(footage, folder, segment, tell)
            except NotFound:
                report.gone += 1
            else:
                book.add(copy)
                report.copied += 1
                report.copied_bytes += copy.size_bytes
                report.findings += [f"{copy.camera}/{copy.name}: {text}" for text in copy.findings]
            done += segment.size_bytes
    return report


def copy_records(data: Path, footage_dir: Path, folder: Path, cameras: Iterable[str]) -> None:
    """Copies what proves segments beside the segments: the ring of public keys, and why others are not there.

    Only on the machine of the instance; what is not there is left out. `data`: the data folder. Raises OSError.
    """
    ring = data / "keys" / RING_NAME
    if ring.is_file():
        (folder / "keys").mkdir(exist_ok=True)
        write_atomic(folder / "keys" / RING_NAME, ring.read_bytes())
    for camera in cameras:
        removed = footage_dir / camera / REMOVED_NAME
        target = folder / "media" / camera
        if removed.is_file() and target.is_dir():
            write_atomic(target / REMOVED_NAME, removed.read_bytes())


def check_backup(folder: Path, cameras: Iterable[str] = (), progress: Progress | None = None) -> tuple[int, list[str]]:
    """Compares every segment of a backup with the digest in its book: how many there are, and what is wrong.

    Raises NotFound, FailedPrecondition.
    """
    only = set(cameras)
    copies = [copy for copy in whole(read_book(folder).values()) if not only or copy.camera in only]
    total = sum(copy.size_bytes for copy in copies)
    findings: list[str] = []
    done = 0
    for copy in copies:
        if progress is not None:
            progress(done, total, copy.name)
        try:
            digest = digest_of(file_of(folder, copy))
        except OSError as error:
            findings.append(f"{copy.camera}/{copy.name}: cannot be read ({error.strerror})")
        else:
            if digest != copy.sha256:
                findings.append(f"{copy.camera}/{copy.name}: is not what was copied")
            findings += [f"{copy.camera}/{copy.name}: {text}, already when it was copied" for text in copy.findings]
        done += copy.size_bytes
    return len(copies), findings


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_present(book: BackupBook, segment: footage_pb2.FootageSegment) -> bool:
    copy = book.copies.get((segment.camera, segment.name))
    if copy is None or copy.findings or copy.size_bytes != segment.size_bytes:
        return False
    try:
        return file_of(book.folder, copy).stat().st_size == copy.size_bytes
    except OSError:
        return False


def _fetch(
    footage: SyncFootageClient, folder: Path, segment: footage_pb2.FootageSegment, tell: Callable[[int], None]
) -> Copy:
    """One segment into its place: the file there is whole, or is not there."""
    target = folder / "media" / segment.camera / segment.name
    # Under its own name, since its seal says the name.
    part = target.parent / _PART / target.name
    part.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    try:
        with part.open("wb") as file:
            for chunk in footage.read_segment(segment.camera, segment.name):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                tell(size)
            file.flush()
            os.fsync(file.fileno())
        found = examine(part)
        findings = [finding.text() for finding in found.findings]
        if digest_of(part) != digest.hexdigest():
            findings.append("is not what was sent: the disk of the backup does not keep what is written to it")
        part.replace(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)
    return Copy(
        segment.camera, segment.name, size, digest.hexdigest(), segment.from_ns, segment.to_ns, found.frames,
        time.time_ns(), tuple(findings),
    )  # fmt: skip
