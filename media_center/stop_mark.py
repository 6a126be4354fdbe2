"""What a stop in order leaves, so that the next start need not look at every name in every folder.

What belongs here: the mark, whether it still vouches for a folder, and the closed segments of a camera read when they
are first asked for. What does not: mending what a crash left (`recovery`), which goes by the names on disk.

A month of 100 cameras is four million segments: listing their names takes seconds. After a stop in order the catalogue
holds them all, unless somebody has changed the folder since: its time of change tells. A mark is good for one start;
without one, as after a crash, or for a folder that is not as it was left, every name is looked at.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from media_center.catalogue import (
    CATALOGUE_NAME,
    RECORD_SIZE,
    SEGMENT,
    Records,
    Segment,
    parse_name,
    read_catalogue,
    summarise,
    unpack_records,
)
from media_center.index import load_rows
from mesh.files import sync_folder
from mesh.logs import get_logger

log = get_logger("media_center.stop_mark")

MARK_NAME = ".stopped"
_FORM = 1


@dataclass(frozen=True, slots=True)
class StopMark:
    """How one camera's folder was left. Sizes in bytes."""

    changed_ns: int
    """Time of change of the folder: of names in it, not of what is in files."""
    catalogue_size: int
    segment: str
    """The last one, which is not in the catalogue: recording goes on in it."""
    segment_size: int

    @classmethod
    def of(cls, folder: Path, segment: str) -> StopMark:
        """Of a folder as it is. Raises OSError."""
        return cls(
            folder.stat().st_mtime_ns,
            (folder / CATALOGUE_NAME).stat().st_size if (folder / CATALOGUE_NAME).exists() else 0,
            segment,
            (folder / segment).stat().st_size,
        )

    def vouches_for(self, folder: Path) -> bool:
        """Whether the folder is as it was left."""
        try:
            return StopMark.of(folder, self.segment) == self
        except OSError:
            return False

    def last_closed(self, folder: Path, count: int) -> list[str]:
        """Names of the newest segments in the catalogue, at most so many. Raises OSError."""
        with (folder / CATALOGUE_NAME).open("rb") as file:
            file.seek(max(0, self.catalogue_size - count * RECORD_SIZE))
            return [segment.name for segment in unpack_records(file.read())]


def leave_marks(root: Path, last: Mapping[str, tuple[str, int | None]]) -> None:
    """Notes at the very end how everything was left.

    `last`: by camera the segment that is gone on with, and how many are closed (None: as the mark before said).
    A camera whose catalogue does not hold all of its closed segments gets no mark; on a disk that refuses none does.
    """
    marks = {}
    with contextlib.suppress(OSError):
        for camera, (segment, closed) in last.items():
            mark = StopMark.of(root / camera, segment)
            if closed is None or mark.catalogue_size == closed * RECORD_SIZE:
                marks[camera] = asdict(mark)
        temporary = root / (MARK_NAME + ".new")
        temporary.write_text(json.dumps({"form": _FORM, "cameras": marks}))
        temporary.replace(root / MARK_NAME)


def take_marks(root: Path) -> dict[str, StopMark]:
    """The marks that were left, by camera; they are gone then. Raises OSError if they cannot be removed."""
    path = root / MARK_NAME
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    path.unlink()
    sync_folder(root)  # before anything is recorded that they do not know of
    try:
        body = json.loads(data)
        return {camera: StopMark(**mark) for camera, mark in body["cameras"].items()} if body["form"] == _FORM else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def closed_segments(folder: Path, open_name: str) -> Records:
    """The records of all segments of a folder but the last, out of its catalogue; damaged ones are made again."""
    try:
        data = (folder / CATALOGUE_NAME).read_bytes()
    except OSError:
        data = b"?"  # not sound
    records = np.frombuffer(data, SEGMENT, len(data) // RECORD_SIZE)
    if _is_sound(memoryview(data), records):
        return records
    log.warning("catalogue is damaged: made again from the segments", folder=str(folder))
    known = read_catalogue(folder)
    found = _found(folder, known, open_name)
    return np.frombuffer(b"".join(segment.pack() for segment in found), SEGMENT)


def _is_sound(data: memoryview, records: Records) -> bool:
    size = RECORD_SIZE
    if len(data) % size:
        return False
    computed = np.fromiter(
        (zlib.crc32(data[at : at + size - 4]) for at in range(0, len(data), size)), np.uint32, len(records)
    )
    if not np.array_equal(computed, records["crc"]):
        return False
    epochs, seqs = records["epoch"].astype(np.int64), records["opened_seq"].astype(np.int64)
    later = (epochs[1:] > epochs[:-1]) | ((epochs[1:] == epochs[:-1]) & (seqs[1:] > seqs[:-1]))
    return bool(later.all())


def _found(folder: Path, known: Mapping[str, Segment], open_name: str) -> Iterable[Segment]:
    names = sorted(entry.name for entry in folder.iterdir() if parse_name(entry.name) is not None)
    for name in names:
        if name == open_name:
            continue
        if name in known:
            yield known[name]
            continue
        try:
            yield summarise(name, load_rows(folder / name))
        except (OSError, ValueError) as error:
            log.error("segment cannot be read", folder=str(folder), segment=name, reason=str(error))
