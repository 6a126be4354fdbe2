"""What the start of a media center finds on disk, put in order.

What belongs here: matching folders with catalogues, scanning segments that no catalogue vouches for, trimming torn
tails and naming them, and the state from which each camera's recording goes on. What does not: recording itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from media_center.away import place_of
from media_center.catalogue import (
    Segment,
    SegmentTable,
    epoch_started,
    parse_name,
    read_catalogue,
    summarise,
    write_catalogue,
)
from media_center.chain import Chain
from media_center.cutter import Resumption
from media_center.expired import Stretch, finish_removals, without_restored, write_expired
from media_center.folder_notes import FolderNote, FolderNotes
from media_center.fragment import FragmentEncoder
from media_center.import_staging import finish_imports
from media_center.index import SegmentRows, index_path, join_boxes, mend_index, read_index, split_boxes
from media_center.lane import Lane
from media_center.newest import Newest, newest_segments
from media_center.rows import FRAME, HAS_PTS, RowBox
from media_center.scan import scan
from media_center.seal import ContentHash, Signer
from media_center.seal_files import read_seal
from media_center.seal_recovery import SEARCHED, find_chain, seal_found, take_off_seal
from media_center.segment import SegmentFile
from media_center.stop_mark import StopMark, closed_segments, take_marks
from media_center.timeline import DEFAULT_DURATION
from mesh.clocks import SystemClock
from mesh.files import sync_folder
from mesh.ids import FrameId, is_camera_id
from mesh.logs import get_logger
from trueframe.v1 import frames_pb2

log = get_logger("media_center.recovery")

_CAMERAS_AT_ONCE = 8


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


def recover(
    root: Path, signer: Signer | None = None, notes: FolderNotes | None = None
) -> dict[str, RecoveredCamera]:  # fmt: skip
    """Puts the footage folder in order. `signer`: seals what a crash left open, and what will be recorded.

    `notes`: what the media center before noted of names; they then say how it is. Raises OSError if the folder itself
    cannot be read.
    """
    finish_imports(root)
    folders = {path.name: path for path in sorted(root.iterdir()) if is_camera_id(path.name) and path.is_dir()}
    marks = take_marks(root)
    # Most of it is waiting for the disk.
    with ThreadPoolExecutor(_CAMERAS_AT_ONCE, thread_name_prefix="footage-recovery") as pool:
        started = {
            camera: pool.submit(
                recover_camera, camera, folder, signer, marks.get(camera), notes.found.get(camera) if notes else None
            )
            for camera, folder in folders.items()
        }
        found = {camera: recovered.result() for camera, recovered in started.items()}
    if notes is not None:
        for camera, one in found.items():
            notes.names(camera, one.lane.closed_names if one.lane.is_catalogued else None, one.lane.open_name)
        notes.flush()
    return found


def recover_camera(
    camera: str, folder: Path, signer: Signer | None = None, mark: StopMark | None = None,
    note: FolderNote | None = None,
) -> RecoveredCamera:  # fmt: skip
    """Puts one camera's folder in order. `mark`: how a stop in order left it; `note`: how it was while it ran."""
    is_as_noted = note is not None and note.vouches_for(folder)  # before anything is removed
    expired = finish_removals(folder)
    if mark is not None and mark.vouches_for(folder):
        as_left = _as_left(camera, folder, mark, expired, signer)
        if as_left is not None:
            return as_left
    newest: Newest | None = None
    if note is not None and is_as_noted and (note.open or signer is not None):
        newest = newest_segments(folder, note, expired)
    known = newest.known if newest is not None else read_catalogue(folder)
    names = newest.names if newest is not None else _names_in(folder)
    chain = find_chain(camera, folder, names, known, signer) if signer is not None else None
    # First of all: its seal is the newest of the chain now, and not any more when those before it have got theirs.
    last = _mend_last(camera, folder, names[-1]) if names else None
    resumable = _resume(camera, folder, *last) if last is not None else None
    content = _reopen(folder, *last, chain) if last is not None and resumable is not None else None
    segments: list[Segment] = []
    changed = bool(names) or bool(known)
    for name in names[:-1]:
        if name in known:
            segments.append(known[name])
            continue
        boxes = _mend_segment(camera, folder / name)
        if boxes is None:
            continue
        record = summarise(name, join_boxes(boxes))
        segments.append(record)
        if chain is not None:
            seal_found(chain, folder / name, record, boxes, SystemClock().utc_ns())
    if last is not None:
        segments.append(last[0])
    closed = segments[:-1] if content is not None else segments
    recorded = [segment for segment in segments if segment.frames]
    watermark = FrameId(camera, recorded[-1].epoch, recorded[-1].last_seq) if recorded else None
    lane = Lane(camera, folder, watermark, chain)
    lane.closed_names.extend(segment.name for segment in closed)
    if newest is not None:
        lane.is_catalogued = newest.enter(closed)
        table = SegmentTable(folder, partial(newest.load, names[-1] if content is not None else ""), expired)
    else:
        table = SegmentTable(folder)
        for segment in closed:
            table.append(segment)
        if changed:
            try:
                write_catalogue(folder, table.view())
            except OSError:  # a cache
                lane.is_catalogued = False
        if expired:
            table.expire(without_restored(folder, expired, [(one.epoch, one.opened_seq) for one in segments]))
            with contextlib.suppress(OSError):  # a cache
                write_expired(folder, table.view().expired)
    if resumable is None:
        return RecoveredCamera(camera, table, lane, _resume_behind(camera, folder, segments, watermark))
    encoder, resumption = resumable[0], replace(resumable[1], behind=watermark)
    if content is not None:
        _go_on(table, lane, segments[-1], encoder, content)
    return RecoveredCamera(camera, table, lane, resumption)


def _names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if parse_name(entry.name) is not None)


def _as_left(
    camera: str, folder: Path, mark: StopMark, expired: Sequence[Stretch], signer: Signer | None
) -> RecoveredCamera | None:
    """A folder that is as a stop in order left it: only its last segment is looked at. None if that is not as it was.

    Its other segments are read from the catalogue when somebody asks for them.
    """
    path = folder / mark.segment
    try:
        boxes = read_index(path)
        seal = read_seal(path)
        tail = mark.last_closed(folder, SEARCHED) if mark.catalogue_size else []
    except OSError:
        return None
    if not boxes or boxes[0].camera != camera:
        return None
    if boxes[-1].end != (mark.segment_size if seal is None else seal.size):
        return None
    record = summarise(mark.segment, join_boxes(boxes))
    resumable = _resume(camera, folder, record, boxes)
    if not record.frames or resumable is None:
        return None
    chain = find_chain(camera, folder, [*tail, mark.segment], tail, signer) if signer is not None else None
    content = _reopen(folder, record, boxes, chain)
    if content is None:
        return None
    table = SegmentTable(folder, partial(closed_segments, folder, mark.segment), expired)
    lane = Lane(camera, folder, FrameId(camera, record.epoch, record.last_seq), chain)
    lane.closed_names.extend(tail)
    _go_on(table, lane, record, resumable[0], content)
    return RecoveredCamera(camera, table, lane, resumable[1])


def _go_on(
    table: SegmentTable,
    lane: Lane,
    record: Segment,
    encoder: FragmentEncoder,
    content: tuple[SegmentFile, ContentHash, int],
) -> None:
    file, covered, flags = content
    table.go_on_with(record)
    lane.resume(file, encoder, covered, flags=flags)


def _mend_last(camera: str, folder: Path, name: str) -> tuple[Segment, list[RowBox]] | None:
    """The newest segment, mended; None if nothing of it can be used."""
    boxes = _mend_segment(camera, folder / name)
    return (summarise(name, join_boxes(boxes)), boxes) if boxes is not None else None


def _mend_segment(camera: str, path: Path) -> list[RowBox] | None:
    """Trims a segment to its whole fragments, syncs it, mends its index; None if nothing of it can be used.

    A sealed one keeps every byte: whatever is wrong with it is evidence.
    """
    if place_of(path) is not None:  # a start fetches nothing, and what was moved is whole
        moved = read_index(path)
        if not moved:
            log.error("segment cannot be read", camera=camera, segment=path.name,
                      reason="it lies in a bucket, and its index is gone")  # fmt: skip
        return moved
    try:
        indexed, is_sound = split_boxes(index_path(path).read_bytes())
    except OSError:
        indexed, is_sound = [], False
    try:
        found = scan(path, verify_from=indexed[-1].end if indexed else 0)
        boxes = [box for box in found.boxes if box.camera == camera]
        is_sealed = read_seal(path) is not None
        if not boxes and not is_sealed:
            log.warning("segment without a whole fragment removed", camera=camera, segment=path.name,
                        size_bytes=found.file_size)  # fmt: skip
            path.unlink()
            index_path(path).unlink(missing_ok=True)
            return None
        if not is_sealed and found.file_size > found.good_size:
            log.warning("torn tail trimmed", camera=camera, segment=path.name, kept_bytes=found.good_size,
                        trimmed_bytes=found.file_size - found.good_size)  # fmt: skip
        _trim(path, found.file_size if is_sealed else found.good_size)
    except OSError as error:
        log.error("segment cannot be read", camera=camera, segment=path.name, reason=error.strerror)
        return None
    for start, end in found.damaged:
        log.error("segment is damaged inside", camera=camera, segment=path.name, from_byte=start, to_byte=end)
    if not is_sound or [box.end for box in indexed] != [box.end for box in boxes]:
        mend_index(path, boxes)
    return boxes or None


def _trim(path: Path, size: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_size > size:
            os.ftruncate(fd, size)
        os.fsync(fd)  # what a killed process had written is now confirmed
    finally:
        os.close(fd)
    sync_folder(path.parent)


def _reopen(
    folder: Path, record: Segment, boxes: list[RowBox], chain: Chain | None
) -> tuple[SegmentFile, ContentHash, int] | None:
    """The last segment's file to go on with, the hash of its content, and the flags its next seal needs.

    None if a new segment has to be begun: this one is sealed for good, or not as its seal says.
    """
    if place_of(folder / record.name) is not None:
        return None
    try:
        content = take_off_seal(folder / record.name, boxes, chain)
        if content is None:
            return None
        return SegmentFile.reopen(folder, record), *content
    except OSError as error:
        log.warning("segment cannot be gone on with", segment=record.name, reason=error.strerror)
        return None


def _resume(
    camera: str, folder: Path, record: Segment, boxes: list[RowBox]
) -> tuple[FragmentEncoder, Resumption] | None:
    """How recording goes on behind the last segment."""
    found = join_boxes(boxes)
    started = epoch_started(found)
    if started is None or started.epoch != record.epoch:
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
    return encoder, resumption


def _resume_behind(camera: str, folder: Path, segments: list[Segment], watermark: FrameId | None) -> Resumption | None:
    """How recording goes on in a new segment, where the last one is gone or does not tell its epoch.

    Without it the broker would be asked for its oldest frames, and they would be recorded a second time. `watermark`:
    None where segments hold notes alone, which would be told a second time.
    """
    for record in reversed(segments):
        if watermark is not None and record.epoch < watermark.epoch:
            break
        boxes = read_index(folder / record.name)
        resumable = _resume(camera, folder, record, boxes) if boxes else None
        if resumable is None:
            continue
        resumption = replace(resumable[1], segment_first_monotonic_ns=None, behind=watermark)
        if record is not segments[-1]:
            resumption = replace(resumption, tail_notes=(), is_ended=False)
        is_newer = watermark is None or record.epoch > watermark.epoch
        return resumption if is_newer else replace(resumption, last=watermark)
    return Resumption(None, watermark, None, (), False, watermark) if watermark is not None else None


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
