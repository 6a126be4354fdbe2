"""A closed fragment as the bytes that go into a segment.

What belongs here: putting header, samples and rows of one fragment together. What does not: when it closes (`cutter`)
and how it reaches the disk (`segment`, `writer`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from broker.client import WireFrame
from media_center.boxes import Picture, Sample, media_data_header, movie_fragment, segment_header
from media_center.catalogue import Growth
from media_center.cutter import Fragment, Note, note_of
from media_center.rows import (
    DAMAGED,
    EPOCH_STARTED,
    FOLLOWS_DAMAGE,
    FRAME,
    HAS_CAMERA_TIME,
    HAS_PTS,
    HAS_UNCERTAINTY,
    ROW_STRUCT,
    encode_row_box,
    notes_offset_of,
)
from media_center.sample_entries import brand_of, sample_entry
from media_center.samples import stored_form
from media_center.timeline import REORDER_DELAY, Placed, Timeline, has_reordering
from trueframe.v1 import frames_pb2

_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What to write, in order: `media` (header of a new segment, moof, mdat), then `row_box`."""

    media: list[bytes]
    container: list[bytes]
    """The parts of `media` that are no samples."""
    row_box: bytes
    growth: Growth
    """What it adds to the segment's record."""


class FragmentEncoder:
    """Encodes the fragments of one segment one after the other."""

    def __init__(self, started: frames_pb2.EpochStarted, *, reorders: bool, number: int = 0) -> None:
        """`reorders`: the stream has B-frames. `number`: of the last fragment already in the segment."""
        self.started = started
        base = (started.time_base.num, started.time_base.den)
        self.timeline = Timeline(base, REORDER_DELAY if reorders else 0)
        self.number = number

    def header(self, created_ns: int) -> bytes:
        """The header of a new segment."""
        picture = picture_of(self.started)
        delay = self.timeline.presentation_delay
        return segment_header(picture, sample_entry(picture), brand_of(picture.codec), created_ns, delay)

    def encode(self, fragment: Fragment, lost: Sequence[Note], position: int, *, is_first: bool) -> Encoded:
        """Encodes a fragment that goes to file offset `position`, with notes of what was lost right before it.

        The first fragment of a segment tells the epoch again and is preceded by the header.
        """
        self.number += 1
        frames = fragment.frames
        media: list[bytes] = []
        notes: list[Note] = list(lost)
        size = 0
        if is_first:
            header = self.header(frames[0].received_ns if frames else self.started.started_ns)
            media.append(header)
            size = len(header)
            notes += [*fragment.leading, note_of(self.started)]
        start = position + size
        placed = self.timeline.place(frames, fragment.next_monotonic_ns)
        moof = b""
        sample_offset = start
        if frames:
            payloads = [stored_form(frame.payload) for frame in frames]
            samples = [
                Sample(place.duration, len(payload), frame.join_point == frames_pb2.JOIN_POINT_EXACT, place.composition)
                for frame, place, payload in zip(frames, placed, payloads, strict=True)
            ]
            moof = movie_fragment(self.number, placed[0].decode, samples)
            data_header = media_data_header(fragment.payload_bytes)
            sample_offset = start + len(moof) + len(data_header)
            media += [moof, data_header, *payloads]
            size += len(moof) + len(data_header) + fragment.payload_bytes
        row_count = len(notes) + len(fragment.items)
        media_size = position + size - start
        note_offset = notes_offset_of(start, media_size, row_count)
        rows, note_bytes = _rows([*notes, *fragment.items], placed, sample_offset, note_offset)
        row_box = encode_row_box(
            fragment.camera, self.started.epoch, self.number, start, media_size, moof, rows, note_bytes
        )
        container = media[: len(media) - len(frames)]
        end = position + size + len(row_box)
        return Encoded(media, container, row_box, _growth(frames, [*notes, *fragment.items], end))


def _growth(frames: Sequence[WireFrame], items: Sequence[WireFrame | Note], end: int) -> Growth:
    """As `Growth.of`, from what the rows are made of."""
    breaks = sum(isinstance(item, Note) and item.kind != EPOCH_STARTED for item in items)
    if not frames:
        return Growth(end, breaks)
    first, last = frames[0], frames[-1]
    if last.seq - first.seq != len(frames) - 1:
        breaks += sum(behind.seq - before.seq != 1 for before, behind in itertools.pairwise(frames))
    size = sum(len(frame.payload) for frame in frames)
    return Growth(end, breaks, len(frames), first.seq, last.seq, first.received_ns, last.received_ns, size)


def picture_of(started: frames_pb2.EpochStarted) -> Picture:
    """What an epoch says of its pictures. An epoch that tells no codec is of the time when there was one."""
    codec = started.codec or frames_pb2.CODEC_H264
    return Picture(codec, started.width, started.height, started.parameter_sets)


def _rows(
    items: Sequence[WireFrame | Note], placed: Sequence[Placed], sample_offset: int, note_offset: int
) -> tuple[bytes, bytes]:
    """The packed rows, and the notes that some of them point at."""
    rows: list[bytes] = []
    notes: list[bytes] = []
    places = iter(placed)
    for item in items:
        if isinstance(item, Note):
            rows.append(note_row(item, note_offset))
            notes.append(item.data)
            note_offset += len(item.data)
            continue
        place = next(places)
        rows.append(frame_row(item, place.decode, place.composition, sample_offset))
        sample_offset += len(item.payload)
    return b"".join(rows), b"".join(notes)


def note_row(note: Note, offset: int) -> bytes:
    """The packed row of a note whose message lies at a file offset."""
    return ROW_STRUCT.pack(
        note.kind, 0, 0, 0, 0, -1, note.at_ns, 0, 0, 0, 0, offset, 0, len(note.data), 0, _NO_DIGEST
    )  # fmt: skip


def frame_row(frame: WireFrame, decode_time: int, composition: int, offset: int) -> bytes:
    """The packed row of a frame whose sample lies at a file offset."""
    flags = DAMAGED if frame.damaged else 0
    if frame.follows_damage:
        flags |= FOLLOWS_DAMAGE
    camera_time_ns, uncertainty_ns, pts = frame.camera_time_ns, frame.camera_time_uncertainty_ns, frame.pts
    if camera_time_ns is None:
        camera_time_ns = 0
    else:
        flags |= HAS_CAMERA_TIME
    if uncertainty_ns is None:
        uncertainty_ns = 0
    else:
        flags |= HAS_UNCERTAINTY
    if pts is None:
        pts = 0
    else:
        flags |= HAS_PTS
    return ROW_STRUCT.pack(
        FRAME, flags, frame.join_point, 0, frame.recovers_after, frame.seq, frame.received_ns, frame.monotonic_ns,
        camera_time_ns, uncertainty_ns, pts, offset, decode_time, len(frame.payload), composition, frame.digest,
    )  # fmt: skip


def reorders(fragment: Fragment) -> bool:
    """Whether the fragment shows that its stream has B-frames."""
    return has_reordering(fragment.frames)
