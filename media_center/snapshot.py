"""The picture of exactly one frame.

What belongs here: decoding from the join point with pinned settings, and the PNG. What does not: finding frames
(`footage`). Runs in a thread; recorded bytes are hostile, so whatever the decoder says is an answer, not a crash.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error

from media_center.errors import FootageDamaged, NotDecodable, NotRecorded
from media_center.footage import CameraFootage, Position
from media_center.payloads import RecordedFrame, index_row, read_frames
from media_center.rows import FRAME
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, frames_pb2

# Pinned (FACTS 4): damaged units decode differently at every other setting.
DECODER_SETTINGS = {"thread_type": "NONE", "thread_count": 1}
_DECODERS: dict[int, str] = {
    frames_pb2.CODEC_H264: "h264",
    frames_pb2.CODEC_H265: "hevc",
    frames_pb2.CODEC_MJPEG: "mjpeg",
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A picture and the frame that it shows."""

    png: bytes
    frame: footage_pb2.IndexRow
    inexact: bool
    """The frame or one that it may refer to is damaged."""


def take_snapshot(footage: CameraFootage, frame: FrameId, max_width: int) -> Snapshot:
    """Decodes one frame. Raises NotRecorded, NotDecodable, FootageDamaged."""
    position = footage.find(frame)
    if position is None:
        raise NotRecorded.frame(frame)
    join_point = footage.join_point_for(position)
    if join_point is None:
        raise NotDecodable.frame(frame)
    codec = footage.record(position).codec
    units = list(frames_between(footage, join_point, position))
    for unit in units:
        if unit.payload is None:
            raise FootageDamaged.frame(FrameId(frame.camera, unit.epoch, unit.seq))
    picture = decode_exactly(codec, units)
    if picture is None:
        raise NotDecodable(f"frame {frame}", "gives no picture: the camera's bytes are not decodable")
    return Snapshot(
        encode_png(picture, max_width),
        index_row(frame.camera, frame.epoch, footage.row(position)),
        any(unit.damaged or unit.follows_damage for unit in units),
    )


def frames_between(footage: CameraFootage, first: Position, last: Position) -> Iterable[RecordedFrame]:
    """The frames from one position to another, both included."""
    for segment in range(first.segment, last.segment + 1):
        rows = footage.rows(segment).rows
        start = first.row if segment == first.segment else 0
        stop = last.row + 1 if segment == last.segment else len(rows)
        part = rows[start:stop]
        part = part[part["kind"] == FRAME]
        if len(part):
            yield from read_frames(footage.view.path(segment), footage.view[segment].epoch, part)


def decode_exactly(codec: int, units: list[RecordedFrame]) -> av.VideoFrame | None:
    """The picture of the last of the units, which begin at a join point; None if the decoder gives none."""
    decoder: Any = av.CodecContext.create(_DECODERS[codec], "r")  # PyAV's types know codecs by literal name only
    decoder.thread_type = DECODER_SETTINGS["thread_type"]
    decoder.thread_count = DECODER_SETTINGS["thread_count"]
    wanted = units[-1].seq
    try:
        for unit in units:
            packet = av.Packet(unit.payload or b"")
            packet.pts = packet.dts = unit.seq
            packet.time_base = Fraction(1, 1)
            for picture in _tolerantly(decoder, packet):
                if picture.pts == wanted:
                    return picture
        for picture in _tolerantly(decoder, None):
            if picture.pts == wanted:
                return picture
    finally:
        del decoder
    return None


def _tolerantly(decoder: Any, packet: Any) -> list[av.VideoFrame]:
    try:
        return list(decoder.decode(packet))
    except av.error.FFmpegError:
        return []


def encode_png(picture: av.VideoFrame, max_width: int) -> bytes:
    """A picture as PNG, at most `max_width` wide (0: as it is)."""
    width, height = picture.width, picture.height
    if 0 < max_width < width:
        width, height = max_width, max(1, round(height * max_width / width))
    rgb = picture.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = "rgb24"
    encoder.time_base = Fraction(1, 1)
    rgb.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(rgb), *encoder.encode(None)])
