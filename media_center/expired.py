"""Stretches of footage that were deleted on purpose, as readers are told of them: merged, few, and kept in a file.

What belongs here: merging what was removed into stretches, their file, and finishing at a start what a crash left
undone. What does not: the signed record of each segment (`removed`, which outranks this file: it is made again from
there) and deciding what is deleted (`retention`).

A removal goes: row in the log, synced → out of the table → files unlinked → this file. What stands in the log behind
the place that this file names may still have files; they go at the next start, before anything looks at them.
"""

from __future__ import annotations

import contextlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from media_center.index import index_path
from media_center.removed import REMOVED_NAME, Removal, RemovedRow, read_removed, rows_of
from mesh.files import sync_folder
from mesh.logs import get_logger

log = get_logger("media_center.expired")

EXPIRED_NAME = "expired"
_FORM = 1
Key = tuple[int, int]
"""Epoch and seq."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Footage that is gone, with nothing left inside. Times in UTC nanoseconds."""

    first: Key
    last: Key
    frames: int
    from_ns: int
    to_ns: int


def stretch_of(removal: Removal) -> Stretch:
    """The stretch of one segment."""
    epoch, opened = (int(part) for part in removal.segment.removesuffix(".mp4").split("-"))
    last = max(removal.last_seq, opened)
    return Stretch((epoch, opened), (epoch, last), removal.frames, removal.from_ns, removal.to_ns)


def merged(stretches: Iterable[Stretch], kept: Sequence[Key]) -> tuple[Stretch, ...]:
    """The same with those joined between which nothing is kept. `kept`: keys of the segments that are left, sorted.

    A stretch in which something lies after all (it was restored) is left out.
    """
    found: list[Stretch] = []
    position = 0
    for one in sorted(stretches, key=lambda stretch: stretch.first):
        while position < len(kept) and kept[position] < one.first:
            position += 1
        if position < len(kept) and kept[position] <= one.last:
            continue
        is_next = bool(found) and (position == 0 or kept[position - 1] < found[-1].first)
        if is_next:
            before = found.pop()
            begin = min((ns for ns in (before.from_ns, one.from_ns) if ns), default=0)
            frames = before.frames + (one.frames if one.first > before.last else 0)
            last, end_ns = max(before.last, one.last), max(before.to_ns, one.to_ns)
            one = Stretch(before.first, last, frames, begin, end_ns)
        found.append(one)
    return tuple(found)


def without_restored(folder: Path, stretches: Sequence[Stretch], kept: Sequence[Key]) -> list[Stretch]:
    """The same, unless something lies inside: what was restored since is cut out, by the log. `kept`: sorted."""
    found = list(stretches)
    if not any(_is_inside(one, kept) for one in found):
        return found
    names = {f"{epoch:019d}-{opened:012d}.mp4" for epoch, opened in kept}
    rows = {row.removal.segment: row.removal for row in read_removed(folder) if row.removal is not None}
    return [stretch_of(removal) for name, removal in rows.items() if name not in names]


def _is_inside(stretch: Stretch, kept: Sequence[Key]) -> bool:
    position = bisect_left(kept, stretch.first)
    return position < len(kept) and kept[position] <= stretch.last


def write_expired(folder: Path, stretches: Sequence[Stretch]) -> None:
    """Notes that everything in the log so far is done. Raises OSError; then the next start does it again."""
    log_size = _log_size(folder)
    fields = [[*one.first, *one.last, one.frames, one.from_ns, one.to_ns] for one in stretches]
    temporary = folder / (EXPIRED_NAME + ".new")
    temporary.write_text(json.dumps({"form": _FORM, "log_bytes": log_size, "stretches": fields}))
    temporary.replace(folder / EXPIRED_NAME)


def read_expired(folder: Path) -> tuple[int, list[Stretch]] | None:
    """How much of the log is done, and the stretches until there; None if the file is not there or not sound."""
    try:
        body = json.loads((folder / EXPIRED_NAME).read_bytes())
        stretches = [
            Stretch((a, b), (c, d), frames, begin, end) for a, b, c, d, frames, begin, end in body["stretches"]
        ]
        return (int(body["log_bytes"]), stretches) if body["form"] == _FORM else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def finish_removals(folder: Path) -> list[Stretch]:
    """At a start: removes the files of what the log says is gone and was under way; returns all stretches."""
    size = _log_size(folder)
    if not size:
        return []
    known = read_expired(folder)
    if known is not None and known[0] == size:
        return known[1]
    rows = _rows_behind(folder, known[0]) if known is not None and known[0] < size else read_removed(folder)
    removals = [row.removal for row in rows if row.removal is not None]
    if known is None or known[0] > size:
        stretches: list[Stretch] = []
        # All else was finished before the last ones began; a segment of that name was restored since.
        last_ns = removals[-1].removed_ns if removals else 0
        unfinished = [one for one in removals if one.removed_ns == last_ns]
    else:
        stretches, unfinished = known[1], removals
    for removal in unfinished:
        if unlink_segment(folder / removal.segment):
            log.info("removal finished", camera=removal.camera, segment=removal.segment, reason=removal.reason)
    with contextlib.suppress(OSError):
        sync_folder(folder)
    return [*stretches, *(stretch_of(removal) for removal in removals)]


def unlink_segment(segment: Path) -> bool:
    """Removes the files of a segment, wherever it lies; returns whether there was one. What the disk refuses is logged.

    The file comes first and its index last: an index without a segment is nothing, the other way round it is a segment.
    """
    was_there = False
    try:
        if segment.is_symlink():  # it was moved: see `tiers`, and for what lies in a bucket `bucket_tier`
            with contextlib.suppress(FileNotFoundError):
                (segment.parent / segment.readlink()).unlink()
        segment.unlink()
        was_there = True
    except FileNotFoundError:
        pass
    except OSError as error:
        log.error("segment cannot be removed", segment=str(segment), reason=error.strerror)
        return False
    with contextlib.suppress(OSError):
        index_path(segment).unlink(missing_ok=True)
    return was_there


def _rows_behind(folder: Path, offset: int) -> list[RemovedRow]:
    with (folder / REMOVED_NAME).open("rb") as file:
        file.seek(offset)
        return rows_of(file.read())


def _log_size(folder: Path) -> int:
    try:
        return (folder / REMOVED_NAME).stat().st_size
    except OSError:
        return 0
