"""What the start of a media center finds on disk, put in order.

What belongs here: matching folders with catalogues, scanning segments that no catalogue vouches for, trimming torn
tails and naming them, and the state from which each camera's recording goes on. What does not: recording itself.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from media_center.catalogue import (
    Segment,
    SegmentTable,
    epoch_started,
    parse_name,
    read_catalogue,
    summarise,
    write_catalogue,
)
from media_center.cutter import Resumption
from media_center.fragment import FragmentEncoder
from media_center.index import SegmentRows, index_path, join_boxes, mend_index, split_boxes
from media_center.lane import Lane
from media_center.rows import FRAME, HAS_PTS
from media_center.scan import scan
from media_center.segment import SegmentFile
from media_center.timeline import DEFAULT_DURATION
from mesh.ids import FrameId, validate_camera_id
from mesh.logs import get_logger
from trueframe.v1 import frames_pb2

log = get_logger("media_center.recovery")


@dataclass(frozen=True, slots=True)
class RecoveredCamera:
    """One camera's footage, ready to be read and gone on with."""

    camera: str
    table: SegmentTable
    lane: Lane
    resumption: Resumption | None
    """None if nothing is recorded, or nothing that could be gone on with."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A frame's row as the timeline wants it."""

    monotonic_ns: int
    pts: int | None
    join_point: int


def recover(root: Path) -> dict[str, RecoveredCamera]:
    """Puts the footage folder in order. Raises OSError if the folder itself cannot be read."""
    found: dict[str, RecoveredCamera] = {}
    for folder in sorted(root.iterdir()):
        if not folder.is_dir():
            continue
        try:
            camera = validate_camera_id(folder.name)
        except ValueError:
            continue
        found[camera] = recover_camera(camera, folder)
    return found


def recover_camera(camera: str, folder: Path) -> RecoveredCamera:
    """Puts one camera's folder in order."""
    known = read_catalogue(folder)
    names = sorted(entry.name for entry in os.scandir(folder) if parse_name(entry.name) is not None)
    segments: list[Segment] = []
    changed = len(known) > len(names)
    last: tuple[Segment, SegmentRows] | None = None
    for name in names:
        is_last = name == names[-1]
        if name in known and not is_last:
            segments.append(known[name])
            continue
        changed = True
        rows = _mend_segment(camera, folder / name)
        if rows is None:
            continue
        record = summarise(name, rows)
        segments.append(record)
        last = (record, rows) if is_last else None
    table = SegmentTable(folder)
    resumable = _resume(camera, folder, last) if last is not None else None
    for segment in segments[:-1] if resumable is not None else segments:
        table.append(segment)
    if changed:
        with contextlib.suppress(OSError):  # a cache
            write_catalogue(folder, table.view())
    recorded = [segment for segment in segments if segment.frames]
    watermark = FrameId(camera, recorded[-1].epoch, recorded[-1].last_seq) if recorded else None
    lane = Lane(camera, folder, watermark)
    if resumable is None:
        return RecoveredCamera(camera, table, lane, None)
    file, encoder, resumption = resumable
    table.go_on_with(segments[-1])
    lane.resume(file, encoder)
    return RecoveredCamera(camera, table, lane, resumption)


def _mend_segment(camera: str, path: Path) -> SegmentRows | None:
    """Trims a segment to its whole fragments, syncs it, mends its index; None if nothing of it can be used."""
    try:
        indexed, is_sound = split_boxes(index_path(path).read_bytes())
    except OSError:
        indexed, is_sound = [], False
    try:
        found = scan(path, verify_from=indexed[-1].end if indexed else 0)
        boxes = [box for box in found.boxes if box.camera == camera]
        if not boxes:
            log.warning("segment without a whole fragment removed", camera=camera, segment=path.name,
                        size_bytes=found.file_size)  # fmt: skip
            path.unlink()
            index_path(path).unlink(missing_ok=True)
            return None
        if found.file_size > found.good_size:
            log.warning("torn tail trimmed", camera=camera, segment=path.name, kept_bytes=found.good_size,
                        trimmed_bytes=found.file_size - found.good_size)  # fmt: skip
        _trim(path, found.good_size)
    except OSError as error:
        log.error("segment cannot be read", camera=camera, segment=path.name, reason=error.strerror)
        return None
    for start, end in found.damaged:
        log.error("segment is damaged inside", camera=camera, segment=path.name, from_byte=start, to_byte=end)
    if not is_sound or [box.end for box in indexed] != [box.end for box in boxes]:
        mend_index(path, boxes)
    return join_boxes(boxes)


def _trim(path: Path, size: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_size > size:
            os.ftruncate(fd, size)
        os.fsync(fd)  # what a killed process had written is now confirmed
    finally:
        os.close(fd)


def _resume(
    camera: str, folder: Path, last: tuple[Segment, SegmentRows]
) -> tuple[SegmentFile, FragmentEncoder, Resumption] | None:
    """The last segment, opened to go on with."""
    record, found = last
    started = epoch_started(found)
    if started is None or started.epoch != record.epoch:
        return None
    try:
        file = SegmentFile.reopen(folder, record)
    except OSError as error:
        log.warning("segment cannot be gone on with", camera=camera, segment=record.name, reason=error.strerror)
        return None
    frames = found.frames
    presented = frames["decode_time"].astype("i8") + frames["composition"]
    encoder = FragmentEncoder(started, reorders=bool((frames["composition"] != 0).any()), number=found.number)
    if len(frames):
        row = frames[-1]
        decodes = frames["decode_time"].astype("i8")
        duration = int(decodes[-1] - decodes[-2]) if len(decodes) > 1 else DEFAULT_DURATION
        pts = int(row["pts"]) if int(row["flags"]) & HAS_PTS else None
        encoder.timeline.resume(
            _Row(int(row["monotonic_ns"]), pts, int(row["join_point"])),
            int(row["decode_time"]), int(row["composition"]), duration, int(presented.max()),
        )  # fmt: skip
    resumption = Resumption(
        started,
        FrameId(camera, record.epoch, record.last_seq) if record.frames else None,
        int(frames["monotonic_ns"][0]) if len(frames) else None,
        _tail_notes(found),
        _is_ended(found),
    )
    return file, encoder, resumption


def _tail_notes(found: SegmentRows) -> list[bytes]:
    """Notes behind the last frame."""
    tail: list[bytes] = []
    for row in found.rows[::-1]:
        if int(row["kind"]) == FRAME:
            break
        tail.append(found.notes[int(row["offset"])])
    return tail[::-1]


def _is_ended(found: SegmentRows) -> bool:
    return any(
        frames_pb2.Item.FromString(note).HasField("epoch_ended")
        and frames_pb2.Item.FromString(note).epoch_ended.epoch == found.epoch
        for note in _tail_notes(found)
    )
