"""The newest segments of a camera, out of a note of its names and the end of its catalogue: what a start needs to see.

What belongs here: which segments those are, and all others read from the catalogue when they are first asked for. What
does not: the note (`folder_notes`), mending segments (`recovery`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from media_center.catalogue import (
    CATALOGUE_NAME,
    RECORD_SIZE,
    Records,
    Segment,
    append_catalogue,
    parse_name,
    unpack_records,
)
from media_center.expired import Stretch
from media_center.folder_notes import FolderNote
from media_center.seal_recovery import SEARCHED
from media_center.stop_mark import closed_segments
from mesh.logs import get_logger

log = get_logger("media_center.newest")


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest segments of a camera, of which the catalogue knows the older ones."""

    folder: Path
    names: list[str]
    """In recorded order; the open one is the last, if there is one."""
    known: dict[str, Segment]
    """Records of those that the catalogue has."""
    expired: Sequence[Stretch]

    def enter(self, closed: Sequence[Segment]) -> bool:
        """Enters closed segments into the catalogue that it does not have; returns whether it has all of them then."""
        try:
            for segment in closed:
                if segment.name not in self.known:
                    append_catalogue(self.folder, segment)
        except OSError:
            return False
        return True

    def load(self, open_name: str) -> Records:
        """The records of all closed segments that are left. `open_name`: the one that is not. Raises OSError."""
        records = closed_segments(self.folder, open_name)
        if not self.expired or not len(records):
            return records
        # Without those deleted since the catalogue was last written anew.
        epochs, seqs = records["epoch"].astype(np.int64), records["opened_seq"].astype(np.int64)
        is_left = np.ones(len(records), bool)
        for one in self.expired:
            (begin, first), (end, last) = one.first, one.last
            is_behind = (epochs > begin) | ((epochs == begin) & (seqs >= first))
            is_before = (epochs < end) | ((epochs == end) & (seqs <= last))
            is_left &= ~(is_behind & is_before)
        return records[is_left]


def newest_segments(folder: Path, note: FolderNote, expired: Sequence[Stretch]) -> Newest | None:
    """What a note that vouches for a folder and the end of its catalogue tell; None if they do not fit together."""
    try:
        path = folder / CATALOGUE_NAME
        size = path.stat().st_size if note.catalogue_size else 0
        missing = (note.catalogue_size - size) // RECORD_SIZE
        if size % RECORD_SIZE or not 0 <= missing <= len(note.closed):
            return None
        tail: list[Segment] = []
        if size:
            wanted = min(SEARCHED, size // RECORD_SIZE)
            with path.open("rb") as file:
                file.seek(size - wanted * RECORD_SIZE)
                tail = unpack_records(file.read())
            if len(tail) < wanted:
                return None
    except OSError:
        return None
    known = {segment.name: segment for segment in tail if not _is_gone((segment.epoch, segment.opened_seq), expired)}
    last = tail[-1].name if tail else ""
    noted = [name for name in note.closed if name > last and not _is_gone(_key(name), expired)]
    if len([name for name in note.closed if name > last]) < missing:
        return None
    names = [*known, *noted, *([note.open] if note.open else [])]
    if names != sorted(set(names)):
        return None
    if size > len(tail) * RECORD_SIZE and not any(segment.frames for segment in known.values()):
        return None  # where recording goes on stands in an older one
    return Newest(folder, names, known, expired)


def _key(name: str) -> tuple[int, int]:
    return parse_name(name) or (0, 0)


def _is_gone(key: tuple[int, int], expired: Sequence[Stretch]) -> bool:
    """Whether a segment is inside a stretch that was deleted. They are few: neighbours are one."""
    return any(one.first <= key <= one.last for one in expired)
