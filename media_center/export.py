"""An exact range as one MP4 file, without re-encoding.

What belongs here: planning the file from rows alone, so that its size is known and the same range gives the same bytes,
and writing it piece by piece. What does not: gRPC and paths.

The file begins at the join point that the first asked frame needs; an edit list hides what comes before that frame.
Container time is arrival time, across epochs too, so that gaps are seen as the pauses they were. Behind the pictures
stand the row boxes of `rows`, which name every frame, its times and its digest.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from media_center.boxes import (
    Edit,
    Picture,
    file_type,
    full_box,
    media_data_header,
    movie,
    runs,
    sample_descriptions,
)
from media_center.catalogue import epoch_started
from media_center.cutter import Note, note_of
from media_center.errors import CodecChanges, ExportTooLong, FootageDamaged, NotDecodable, NotRecorded
from media_center.export_parts import codec_name
from media_center.footage import CameraFootage
from media_center.fragment import note_row, picture_of
from media_center.payloads import read_frames
from media_center.ranges import Bounds, select
from media_center.rows import HAS_PTS, LEAD_IN, ROW, Rows, encode_row_box, notes_offset_of
from media_center.sample_entries import brand_of, sample_entry
from media_center.samples import stored_form
from media_center.timeline import REORDER_DELAY, Placed, Timeline, has_reordering, ticks
from media_center.walk import Run, Told, Walker
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2

MAX_FRAMES = 400_000
_CHUNK_BYTES = 1 << 20
_CHUNK_SAMPLES = 32
_ROWS_PER_BOX = 400_000


@dataclass(frozen=True, slots=True)
class _Timed:
    monotonic_ns: int
    pts: int | None
    join_point: int


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """A file, planned to the byte."""

    camera: str
    file_name: str
    first: FrameId
    last: FrameId
    shown: int
    hidden: int
    """Frames carried and not shown."""
    gaps: list[frames_pb2.Gap]
    pieces: list[Run]
    head: bytes
    """Everything before the samples."""
    tail: bytes
    """Everything behind the samples."""
    media_size: int

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return len(self.head) + self.media_size + len(self.tail)


def plan_export(footage: CameraFootage, bounds: Bounds) -> ExportPlan:
    """Plans the file of a range. Raises NotRecorded, NotDecodable, CodecChanges, ExportTooLong."""
    selection = select(footage, bounds)
    if selection.first is None or selection.last is None:
        raise NotRecorded.range(footage.camera)
    first = footage.id_at(selection.first)
    join_point = footage.join_point_for(selection.first)
    if join_point is None:
        raise NotDecodable.frame(first)
    pieces: list[Run | Told] = []
    lead_in = Walker(footage.camera)
    walker = Walker(footage.camera, selection.after)
    frames = 0
    for segment in range(join_point.segment, selection.last.segment + 1):
        found = footage.rows(segment)
        stop = selection.last.row + 1 if segment == selection.last.segment else len(found.rows)
        start = join_point.row if segment == join_point.segment else 0
        split = min(max(start, _split_row(selection.first.segment, selection.first.row, segment)), stop)
        pieces += [piece for piece in lead_in.feed(segment, found, start, split) if isinstance(piece, Run)]
        pieces += walker.feed(segment, found, split, stop)
        frames = sum(len(piece.rows) for piece in pieces if isinstance(piece, Run))
        if frames > MAX_FRAMES:
            raise ExportTooLong.frames(frames, MAX_FRAMES)
    _refuse_two_codecs(footage, [piece for piece in pieces if isinstance(piece, Run)])
    return _Planner(footage, first, footage.id_at(selection.last), pieces).plan()


def _refuse_two_codecs(footage: CameraFootage, runs: list[Run]) -> None:
    for before, run in itertools.pairwise(runs):
        codecs = [footage.view[one.segment].codec for one in (before, run)]
        if codecs[0] != codecs[1]:
            last = FrameId(footage.camera, before.epoch, int(before.rows["seq"][-1]))
            first = FrameId(footage.camera, run.epoch, int(run.rows["seq"][0]))
            raise CodecChanges.between(last, first, " to ".join(map(codec_name, codecs)))


def _split_row(first_segment: int, first_row: int, segment: int) -> int:
    """The row of a segment at which the asked range begins."""
    if segment < first_segment:
        return 1 << 40
    return first_row if segment == first_segment else 0


class _Planner:
    def __init__(self, footage: CameraFootage, first: FrameId, last: FrameId, pieces: list[Run | Told]) -> None:
        self._footage = footage
        self._first = first
        self._last = last
        self._pieces = pieces
        self._runs = [piece for piece in pieces if isinstance(piece, Run)]

    def plan(self) -> ExportPlan:
        rows = np.concatenate([run.rows for run in self._runs])
        epochs = np.concatenate([np.full(len(run.rows), run.epoch, np.int64) for run in self._runs])
        first = int(np.flatnonzero((epochs == self._first.epoch) & (rows["seq"] == self._first.seq))[0])
        placed = _retimed(self._place(rows, epochs), first)
        presented = np.array([place.decode + place.composition for place in placed], np.int64)
        is_hidden = presented < presented[first]
        shown_from = int(presented[first])
        duration = placed[-1].decode + placed[-1].duration - shown_from
        sizes = rows["size"].astype(np.int64)
        media_size = int(sizes.sum())
        entries, entry_of = self._sample_entries(epochs)
        offsets = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        head = self._head(rows, placed, sizes, offsets, entries, entry_of, Edit(duration, shown_from), media_size)
        media_start = len(head) - len(media_data_header(media_size))
        gaps = [piece for piece in self._pieces if isinstance(piece, frames_pb2.Gap)]
        tail = self._tail(media_start, len(head), media_size, placed, is_hidden)
        return ExportPlan(
            self._footage.camera, self._file_name(), self._first, self._last, int((~is_hidden).sum()),
            int(is_hidden.sum()), gaps, self._runs, head, tail, media_size,
        )  # fmt: skip

    def _place(self, rows: Rows, epochs: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Placed]:
        """Container times: arrival times, each epoch behind the one before it."""
        bounds = [0, *(np.flatnonzero(np.diff(epochs)) + 1).tolist(), len(rows)]
        timed = [
            _Timed(int(row["received_ns"]), int(row["pts"]) if row["flags"] & HAS_PTS else None, int(row["join_point"]))
            for row in rows
        ]
        parts = [timed[start:stop] for start, stop in itertools.pairwise(bounds)]
        delay = REORDER_DELAY if any(has_reordering(part) for part in parts) else 0
        placed: list[Placed] = []
        for start, part in zip(bounds, parts, strict=False):
            timeline = Timeline(self._time_base(int(epochs[start])), delay)
            offset = 0
            if placed:
                latest = max(p.decode + p.composition for p in placed)
                end = max(placed[-1].decode + placed[-1].duration, latest - delay + 1)
                offset = max(ticks(part[0].monotonic_ns - timed[0].monotonic_ns), end)
                last = placed[-1]
                placed[-1] = Placed(last.decode, max(1, offset - last.decode), last.composition)
            placed += [Placed(p.decode + offset, p.duration, p.composition) for p in timeline.place(part, None)]
        return placed

    def _started(self, epoch: int) -> frames_pb2.EpochStarted:
        run = next(run for run in self._runs if run.epoch == epoch)
        found = epoch_started(self._footage.rows(run.segment))
        return found if found is not None else frames_pb2.EpochStarted(camera=self._footage.camera, epoch=epoch)

    def _time_base(self, epoch: int) -> tuple[int, int]:
        base = self._started(epoch).time_base
        return base.num, base.den

    def _picture(self, epoch: int) -> Picture:
        return picture_of(self._started(epoch))

    def _sample_entries(
        self, epochs: np.ndarray[tuple[int], np.dtype[np.int64]]
    ) -> tuple[list[bytes], np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """The distinct sample entries, and which of them (from 1) each sample has."""
        entries: list[bytes] = []
        entry_of = np.zeros(len(epochs), np.int64)
        for epoch in dict.fromkeys(epochs.tolist()):
            entry = sample_entry(self._picture(epoch))
            if entry not in entries:
                entries.append(entry)
            entry_of[epochs == epoch] = entries.index(entry) + 1
        return entries, entry_of

    def _head(
        self,
        rows: Rows,
        placed: list[Placed],
        sizes: np.ndarray[tuple[int], np.dtype[np.int64]],
        offsets: np.ndarray[tuple[int], np.dtype[np.int64]],
        entries: list[bytes],
        entry_of: np.ndarray[tuple[int], np.dtype[np.int64]],
        edit: Edit,
        media_size: int,
    ) -> bytes:
        """`ftyp`, `moov` and the head of `mdat`."""
        times = runs(place.duration for place in placed)
        compositions = runs(place.composition for place in placed)
        sync = (np.flatnonzero(rows["join_point"] == frames_pb2.JOIN_POINT_EXACT) + 1).tolist()
        if not sync or sync[0] != 1:
            sync.insert(0, 1)  # the join point of a recovering GOP: where a player has to begin
        chunks = _chunks(entry_of)
        tables = [
            sample_descriptions(entries),
            full_box(b"stts", 0, 0, struct.pack(">I", len(times)), *(struct.pack(">II", *run) for run in times)),
            full_box(b"stss", 0, 0, struct.pack(f">I{len(sync)}I", len(sync), *sync)),
            full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(sizes)), sizes.astype(">u4").tobytes()),
            _samples_to_chunks(chunks, entry_of),
        ]
        if any(value for _, value in compositions):
            runs_bytes = (struct.pack(">Ii", *run) for run in compositions)
            tables.append(full_box(b"ctts", 1, 0, struct.pack(">I", len(compositions)), *runs_bytes))
        picture = self._picture(self._first.epoch)
        opening = file_type(b"isom", b"isom", b"iso2", brand_of(picture.codec), b"mp42")
        total = placed[-1].decode + placed[-1].duration
        starts = offsets[chunks]
        data_header = media_data_header(media_size)
        created_ns = int(rows["received_ns"][0])

        def moov(shift: int) -> bytes:
            chunk_offsets = (starts + shift).astype(">u8").tobytes()
            offset_box = full_box(b"co64", 0, 0, struct.pack(">I", len(chunks)), chunk_offsets)
            return movie(
                picture, created_ns, duration=edit.duration, media_duration=total, tables=[*tables, offset_box],
                edit=edit, fragmented=False,
            )  # fmt: skip

        return opening + moov(len(opening) + len(moov(0)) + len(data_header)) + data_header

    def _tail(
        self, media_start: int, samples_start: int, media_size: int, placed: list[Placed],
        is_hidden: np.ndarray[tuple[int], np.dtype[np.bool_]],
    ) -> bytes:  # fmt: skip
        """Row boxes that name every sample and tell every gap, one or more for each epoch."""
        boxes: list[bytes] = []
        end = samples_start + media_size
        sample = 0
        sample_offset = samples_start
        group: list[Note | Rows] = []
        epoch = self._runs[0].epoch

        def close() -> None:
            count = sum(1 if isinstance(part, Note) else len(part) for part in group)
            if not count:
                return
            packed: list[bytes] = []
            notes: list[bytes] = []
            note_offset = notes_offset_of(media_start, end - media_start, count)
            for part in group:
                if isinstance(part, Note):
                    packed.append(note_row(part, note_offset))
                    notes.append(part.data)
                    note_offset += len(part.data)
                else:
                    packed.append(part.tobytes())
            boxes.append(
                encode_row_box(
                    self._footage.camera,
                    epoch,
                    len(boxes) + 1,
                    media_start,
                    end - media_start,
                    b"",
                    b"".join(packed),
                    b"".join(notes),
                )
            )
            group.clear()

        for piece in self._pieces:
            if not isinstance(piece, Run):
                group.append(note_of(piece))
                continue
            if piece.epoch != epoch:
                close()
                end = samples_start + media_size + sum(map(len, boxes))
                epoch = piece.epoch
            for start in range(0, len(piece.rows), _ROWS_PER_BOX):
                rows = np.array(piece.rows[start : start + _ROWS_PER_BOX], ROW)
                places = placed[sample : sample + len(rows)]
                sizes = rows["size"].astype(np.int64)
                rows["offset"] = sample_offset + np.concatenate(([0], np.cumsum(sizes)[:-1]))
                rows["decode_time"] = [place.decode for place in places]
                rows["composition"] = [place.composition for place in places]
                rows["flags"] |= np.where(is_hidden[sample : sample + len(rows)], LEAD_IN, 0).astype(np.uint8)
                sample += len(rows)
                sample_offset += int(sizes.sum())
                group.append(rows)
                if len(rows) == _ROWS_PER_BOX:
                    close()
                    end = samples_start + media_size + sum(map(len, boxes))
        close()
        return b"".join(boxes)

    def _file_name(self) -> str:
        run = next(run for run in self._runs if run.epoch == self._first.epoch)
        index = int(np.searchsorted(run.rows["seq"], self._first.seq)) if self._first.seq <= run.rows["seq"][-1] else 0
        seconds, fraction = divmod(int(run.rows["received_ns"][index]), 1_000_000_000)
        moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%S")
        return f"{self._footage.camera}_{moment}.{fraction // 1_000_000:03d}Z_{self._first.seq}-{self._last.seq}.mp4"


def _retimed(placed: list[Placed], first: int) -> list[Placed]:
    """The same pictures at the same distances, with decode times that players without real edit lists get along with.

    VLC 3 takes an edit list for an offset of decode times and begins at the key frame before. So each sample is decoded
    as late as the order of pictures allows, and all before the first shown one stand a tick apart: what the edit list
    hides takes some microseconds there, and is not seen anywhere else.
    """
    presented = [place.decode + place.composition for place in placed]
    decodes = [0] * len(placed)
    following = max(presented) + 1
    for number in range(len(placed) - 1, -1, -1):
        following = decodes[number] = min(presented[number], following - 1)
    start = presented[first]
    before = sorted(time for time in {*decodes, *presented} if time < start)
    moved = {time: number for number, time in enumerate(before)}

    def new(time: int) -> int:
        return moved[time] if time < start else time - start + len(before)

    end = max(time + place.duration for time, place in zip(presented, placed, strict=True))
    stamps = [*(new(decode) for decode in decodes), new(end)]
    return [
        Placed(decode, after - decode, new(time) - decode)
        for (decode, after), time in zip(itertools.pairwise(stamps), presented, strict=True)
    ]


def _chunks(entry_of: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    """Index of the first sample of each chunk; a chunk has one sample entry."""
    chunks: list[int] = []
    bounds = [0, *(np.flatnonzero(np.diff(entry_of)) + 1).tolist(), len(entry_of)]
    for start, stop in itertools.pairwise(bounds):
        chunks += range(start, stop, _CHUNK_SAMPLES)
    return chunks


def _samples_to_chunks(chunks: list[int], entry_of: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bytes:
    rows: list[tuple[int, int, int]] = []
    for number, (start, stop) in enumerate(zip(chunks, [*chunks[1:], len(entry_of)], strict=True), 1):
        count, entry = stop - start, int(entry_of[start])
        if not rows or rows[-1][1:] != (count, entry):
            rows.append((number, count, entry))
    return full_box(b"stsc", 0, 0, struct.pack(">I", len(rows)), *(struct.pack(">III", *row) for row in rows))


def write_export(footage: CameraFootage, plan: ExportPlan) -> Iterator[bytes]:
    """The bytes of a planned file, in pieces of about 1 MiB. Raises FootageDamaged where a payload fails its digest."""
    pending = [plan.head]
    size = len(plan.head)
    for piece in plan.pieces:
        for frame in read_frames(footage.view.path(piece.segment), piece.epoch, piece.rows):
            if frame.payload is None:
                raise FootageDamaged.frame(FrameId(plan.camera, frame.epoch, frame.seq))
            pending.append(stored_form(frame.payload))
            size += frame.size
            if size >= _CHUNK_BYTES:
                yield b"".join(pending)
                pending, size = [], 0
    pending.append(plan.tail)
    data = b"".join(pending)
    for start in range(0, len(data), _CHUNK_BYTES * 4):
        yield data[start : start + _CHUNK_BYTES * 4]
