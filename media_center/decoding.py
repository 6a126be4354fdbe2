"""The process that decodes recorded bytes: `python -m media_center.decoding`. Requests on stdin, pictures on stdout.

What belongs here: decoding with pinned settings, scaling, PNG, and the pipe's two ends of framing. What does not:
anything that knows footage, and any connection: recorded bytes come from cameras and are hostile, and whatever they do
to a decoder, they do it here (law 5). Imports neither gRPC nor the rest of the media center.

A request is `HEAD` (codec, max_width, bytes of masks, number of units), privacy masks as JSON, and for each unit `UNIT`
(seq, size) and its payload; the answer is `ANSWER` (size) and a PNG, of size 0 if the units give none of the last one.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, BinaryIO, Final

import av
import av.error
import av.logging
import numpy as np

from mesh.masks import Masks, cover_rgb, decode, encode

HEAD: Final = struct.Struct(">IIII")
UNIT: Final = struct.Struct(">qI")
ANSWER: Final = struct.Struct(">I")

# Pinned (FACTS 4): damaged units decode differently at every other setting.
THREAD_TYPE: Final = "NONE"
THREAD_COUNT: Final = 1
# Codec numbers of trueframe.v1.Codec.
DECODERS: Final[dict[int, str]] = {1: "h264", 2: "hevc", 3: "mjpeg"}

CodedUnit = tuple[int, bytes]
"""Seq and canonical payload."""


def encode_request(codec: int, max_width: int, units: Sequence[CodedUnit], masks: Masks = ()) -> list[bytes]:
    """A request, in pieces to be written one after the other."""
    covered = encode(masks).encode() if masks else b""
    parts = [HEAD.pack(codec, max_width, len(covered), len(units)), covered]
    for seq, payload in units:
        parts += [UNIT.pack(seq, len(payload)), payload]
    return parts


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests until their end."""
    while head := requests.read(HEAD.size):
        codec, max_width, masks_size, count = HEAD.unpack(head)
        masks = decode(requests.read(masks_size).decode())
        units = []
        for _ in range(count):
            seq, size = UNIT.unpack(requests.read(UNIT.size))
            units.append((seq, requests.read(size)))
        png = render(codec, units, max_width, masks)
        answers.write(ANSWER.pack(len(png)) + png)
        answers.flush()


def render(codec: int, units: Sequence[CodedUnit], max_width: int, masks: Masks = ()) -> bytes:
    """The picture of the last unit as PNG, at most so wide (0: as it is); empty if the units do not give it.

    `masks` are covered before it is scaled.
    """
    picture = decode_exactly(codec, units)
    if picture is not None and masks:
        pixels: Any = np.ascontiguousarray(picture.to_ndarray(format="rgb24"))
        cover_rgb(masks, pixels)
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return encode_png(picture, max_width) if picture is not None else b""


def decode_exactly(codec: int, units: Sequence[CodedUnit]) -> av.VideoFrame | None:
    """The picture of the last of the units, which begin at a join point; None if the decoder gives none."""
    decoder: Any = av.CodecContext.create(DECODERS[codec], "r")  # PyAV's types know codecs by literal name only
    decoder.thread_type = THREAD_TYPE
    decoder.thread_count = THREAD_COUNT
    wanted = units[-1][0]
    for picture in _pictures(decoder, units):
        if picture.pts == wanted:
            return picture
    return None


def _pictures(decoder: Any, units: Sequence[CodedUnit]) -> Iterable[av.VideoFrame]:
    for seq, payload in units:
        # Not made of the payload itself: decoders read on behind a unit that is cut off, and there must be zeros.
        packet: Any = av.Packet(len(payload))
        packet.update(payload)
        packet.pts = packet.dts = seq
        packet.time_base = Fraction(1, 1)
        yield from _tolerantly(decoder, packet)
    yield from _tolerantly(decoder, None)


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
    # Without loss at every setting: this one takes a quarter of the default's time, for a quarter more bytes.
    encoder.options = {"compression_level": "1", "pred": "paeth"}
    rgb.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(rgb), *encoder.encode(None)])


if __name__ == "__main__":
    from mesh.process import die_with_parent

    die_with_parent()
    av.logging.set_level(None)
    serve(sys.stdin.buffer, sys.stdout.buffer)
