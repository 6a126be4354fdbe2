"""Footage made fast for the seek benchmark: one segment by the shipped writer, then the same with its times shifted.

What belongs here: coded clips, a day of footage, a catalogue of many cameras. What does not: measuring (`seek`).

A segment of a minute is recorded by the shipped cutter, encoder and writer. The others of the day hold the same media;
their row boxes are encoded anew with ids and times of their own, so that every byte is what the recorder would have
written of a camera that sends the same minute again and again. They carry no seal.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from broker.client import BatchReader, encode_frame, encode_item
from broker.core.bitstream import canonical
from media_center.catalogue import CATALOGUE_NAME, Segment, read_catalogue
from media_center.cutter import Cutter, Limits
from media_center.index import index_path
from media_center.rows import FRAME, RowBox, encode_row_box
from media_center.scan import scan
from media_center.writer import FootageWriter
from mesh.clocks import SystemClock
from trueframe.v1 import frames_pb2

FPS = 15
GOP = 30
SEGMENT_S = 60
SECOND = 1_000_000_000
DAY_SEGMENTS = 24 * 60
_EXACT, _NONE = frames_pb2.JOIN_POINT_EXACT, frames_pb2.JOIN_POINT_NONE


@dataclass(frozen=True, slots=True)
class Clip:
    """Coded pictures, a whole number of GOPs."""

    width: int
    height: int
    units: list[tuple[bytes, bool]]
    """Canonical payload, and whether it is a key frame."""

    @property
    def parameter_sets(self) -> bytes:
        """Of the first unit, in canonical form."""
        nals = [nal for nal in self.units[0][0].split(b"\0\0\0\1")[1:] if nal and nal[0] & 31 in (7, 8)]
        return b"".join(b"\0\0\0\1" + nal for nal in nals)


def clip(width: int, height: int, frames: int = 3 * GOP, crf: int = 30) -> Clip:
    """Things that move over a textured ground, with a little noise, as H.264."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    params = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0:threads=2"
    encoder.options = {"preset": "veryfast", "crf": str(crf), "x264-params": params}
    random = np.random.default_rng(1)
    ground = np.kron(random.integers(60, 190, (height // 8, width // 8)), np.ones((8, 8)))
    packets = []
    for number in range(frames):
        picture = np.full((height * 3 // 2, width), 128, np.uint8)
        luma = ground + random.normal(0, 1.5, ground.shape)
        for thing in range(4):
            x = (number * (3 + thing) + thing * width // 4) % (width - 48)
            y = height * (thing + 1) // 6
            luma[y : y + 40, x : x + 40] = 40 + 50 * thing
        picture[:height] = np.clip(luma, 0, 255)
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return Clip(width, height, [(canonical(bytes(packet)), packet.is_keyframe) for packet in packets])


def record_minute(root: Path, camera: str, source: Clip, begin_ns: int) -> Segment:
    """Records a minute with the shipped writer; returns the record of its segment."""
    started = frames_pb2.EpochStarted(
        camera=camera, epoch=begin_ns, origin=frames_pb2.EPOCH_ORIGIN_LIVE, codec=frames_pb2.CODEC_H264,
        width=source.width, height=source.height, parameter_sets=source.parameter_sets, started_ns=begin_ns,
        monotonic_ns=1, time_base=frames_pb2.Rational(num=1, den=90_000),
    )  # fmt: skip
    raw = [encode_item(started)]
    # One frame more than the minute has closes its segment.
    for seq in range(SEGMENT_S * FPS + 1):
        payload, is_key = source.units[seq % len(source.units)]
        at_ns = seq * SECOND // FPS
        raw.append(
            encode_frame(
                camera, begin_ns, seq, begin_ns + at_ns, at_ns + 1, None, None, seq * 90_000 // FPS,
                _EXACT if is_key else _NONE, 0, False, False, hashlib.sha256(payload).digest(), payload,
            )
        )  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    clock = SystemClock()
    writer = FootageWriter(root, {}, lambda _: None, clock, sync_s=0.1)
    cutter = Cutter(camera, Limits(segment_ns=SEGMENT_S * SECOND))
    writer.start()
    for item in BatchReader(b"".join(raw)):
        for fragment in cutter.take(item, clock.monotonic_ns()):
            writer.submit(fragment)
    for fragment in cutter.flush():
        writer.submit(fragment)
    if not writer.stop():
        raise SystemExit("the writer did not write")
    (name,) = [name for name in read_catalogue(root / camera) if name.endswith(f"{0:012d}.mp4")]
    return read_catalogue(root / camera)[name]


def repeat(folder: Path, first: Segment, segments: int) -> None:
    """Makes the other segments of a camera, so that there are so many, and its catalogue anew."""
    path = folder / first.name
    media = path.read_bytes()[: first.size]
    boxes = scan(path).boxes
    for other in folder.iterdir():
        if other.suffix in (".mp4", ".idx") and other.stem != path.stem:
            other.unlink()
    records = [shifted_record(first, number) for number in range(segments)]
    for number, record in enumerate(records[1:], 1):
        made = bytearray(media)
        index = []
        for box in boxes:
            data = shifted_box(media, box, number)
            made[box.box_offset : box.end] = data
            index.append(data)
        target = folder / record.name
        target.write_bytes(made)
        index_path(target).write_bytes(b"".join(index))
    write_records(folder, records)


def shifted_record(first: Segment, number: int) -> Segment:
    """The record of the segment so many minutes later."""
    frames, ns = number * SEGMENT_S * FPS, number * SEGMENT_S * SECOND
    return replace(
        first, opened_seq=first.opened_seq + frames, first_seq=first.first_seq + frames,
        last_seq=first.last_seq + frames, first_ns=first.first_ns + ns, last_ns=first.last_ns + ns,
    )  # fmt: skip


def earlier_record(last: Segment, minutes: int) -> Segment:
    """The record of a segment of an epoch of its own so many minutes before."""
    ns = minutes * SEGMENT_S * SECOND
    return replace(last, epoch=last.epoch - ns, first_ns=last.first_ns - ns, last_ns=last.last_ns - ns)


def shifted_box(media: bytes, box: RowBox, number: int) -> bytes:
    """A row box with ids and times of so many minutes later."""
    rows = box.rows.copy()
    is_frame = rows["kind"] == FRAME
    for name, shift in (
        ("seq", number * SEGMENT_S * FPS),
        ("received_ns", number * SEGMENT_S * SECOND),
        ("monotonic_ns", number * SEGMENT_S * SECOND),
        ("pts", number * SEGMENT_S * 90_000),
    ):
        rows[name][is_frame] += shift
    moof_size = int.from_bytes(media[box.block_offset : box.block_offset + 4], "big") if box.media_size else 0
    moof = media[box.block_offset : box.block_offset + moof_size]
    return encode_row_box(
        box.camera, box.epoch, box.number, box.block_offset, box.media_size, moof, rows.tobytes(), box.notes
    )


def write_records(folder: Path, records: Sequence[Segment]) -> None:
    """Replaces the catalogue's file. The last segment of a camera is always open: it has no record."""
    (folder / CATALOGUE_NAME).write_bytes(b"".join(record.pack() for record in records[:-1]))


def make_long(root: Path, camera: str, source: Clip, begin_ns: int, segments: int) -> tuple[str, int]:
    """A camera with so many segments in its catalogue; returns what a stop notes.

    All of them have their names, and so have their indexes: the last one's files under other names.
    """
    record = record_minute(root, camera, source, begin_ns)
    folder = root / camera
    for other in folder.iterdir():
        if other.suffix in (".mp4", ".idx") and other.stem != record.name.removesuffix(".mp4"):
            other.unlink()
    records = [earlier_record(record, segments - 1 - number) for number in range(segments)]
    write_records(folder, records)
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        last = record.name.removesuffix(".mp4")
        for earlier in records[:-1]:
            stem = earlier.name.removesuffix(".mp4")
            for suffix in (".mp4", ".idx"):
                os.link(last + suffix, stem + suffix, src_dir_fd=at, dst_dir_fd=at)
    finally:
        os.close(at)
    return record.name, segments - 1
