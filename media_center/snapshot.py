"""The picture of exactly one frame: which units it takes, and what may be said of it.

What does not belong here: decoding, which happens in a process of its own (`decoder`, `decoding`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from media_center.decoder import Decoder, DecoderDied
from media_center.decoding import CodedUnit
from media_center.errors import FootageDamaged, NotDecodable, NotRecorded
from media_center.footage import CameraFootage, Position
from media_center.payloads import RecordedFrame, index_row, read_frames
from media_center.rows import FRAME
from mesh.ids import FrameId
from mesh.masks import Masks
from trueframe.v1 import footage_pb2

_MAX_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Coded:
    """Everything that decoding a frame needs, read and checked."""

    frame: FrameId
    codec: int
    units: list[CodedUnit]
    """From the join point to the frame itself."""
    row: footage_pb2.IndexRow
    inexact: bool
    """The frame or one that it may refer to is damaged."""


def read_coded(footage: CameraFootage, frame: FrameId) -> Coded:
    """Reads what a frame's picture takes. Call it in a thread. Raises NotRecorded, NotDecodable, FootageDamaged."""
    position = footage.find(frame)
    if position is None:
        raise NotRecorded.frame(frame)
    join_point = footage.join_point_for(position)
    if join_point is None:
        raise NotDecodable.frame(frame)
    units: list[CodedUnit] = []
    inexact = False
    size = 0
    for unit in frames_between(footage, join_point, position):
        if unit.payload is None:
            raise FootageDamaged.frame(FrameId(frame.camera, unit.epoch, unit.seq))
        size += unit.size
        if size > _MAX_BYTES:
            raise NotDecodable(f"frame {frame}", f"is more than {_MAX_BYTES >> 20} MiB behind its join point")
        units.append((unit.seq, unit.payload))
        inexact = inexact or unit.damaged or unit.follows_damage
    row = index_row(frame.camera, frame.epoch, footage.row(position))
    return Coded(frame, footage.record(position).codec, units, row, inexact)


def frames_between(footage: CameraFootage, first: Position, last: Position) -> Iterator[RecordedFrame]:
    """The frames from one position to another, both included."""
    for segment in range(first.segment, last.segment + 1):
        rows = footage.rows(segment).rows
        start = first.row if segment == first.segment else 0
        stop = last.row + 1 if segment == last.segment else len(rows)
        part = rows[start:stop]
        part = part[part["kind"] == FRAME]
        if len(part):
            yield from read_frames(footage.view.path(segment), footage.view[segment].epoch, part)


async def decode(coded: Coded, decoder: Decoder, max_width: int, masks: Masks = ()) -> bytes:
    """The frame's picture as PNG, at most so wide (0: as it is), `masks` covered.

    Raises NotDecodable, DeadlineExceeded.
    """
    try:
        png = await decoder.picture(coded.codec, coded.units, max_width, masks)
    except DecoderDied:
        raise NotDecodable(f"frame {coded.frame}", "gives no picture: the decoder crashed on its bytes") from None
    if not png:
        raise NotDecodable(f"frame {coded.frame}", "gives no picture: the camera's bytes are not decodable")
    return png
