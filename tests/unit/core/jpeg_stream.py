"""Cuts JPEG files into RTP payloads (RFC 2435), and makes files for it; from the standards, not the core."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np

from tests.unit.core.h264_stream import rtp


@dataclass
class Jpeg:
    """A baseline JPEG taken apart."""

    width: int = 0
    height: int = 0
    factors: tuple[int, ...] = ()
    tables: dict[int, bytes] = field(default_factory=dict)
    table_of: tuple[int, ...] = ()
    interval: int = 0
    scan: bytes = b""
    """What stands between SOS and EOI."""

    @classmethod
    def parse(cls, data: bytes) -> Jpeg:
        self = cls()
        assert data.startswith(b"\xff\xd8")
        assert data.endswith(b"\xff\xd9")
        at = 2
        while True:
            assert data[at] == 0xFF
            marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
            body = data[at + 4 : at + 2 + length]
            at += 2 + length
            if marker == 0xDB:
                while body:
                    assert body[0] < 16, "8 bits"
                    self.tables[body[0]], body = body[1:65], body[65:]
            elif marker == 0xC0:
                _, self.height, self.width, components = struct.unpack_from("!BHHB", body)
                self.factors = tuple(body[6 + 3 * i + 1] for i in range(components))
                self.table_of = tuple(body[6 + 3 * i + 2] for i in range(components))
            elif marker == 0xDD:
                self.interval = int.from_bytes(body, "big")
            elif marker == 0xDA:
                self.scan = data[at:-2]
                return self

    @property
    def kind(self) -> int:
        """The type in the payload header."""
        kind = {(0x21, 0x11, 0x11): 0, (0x22, 0x11, 0x11): 1}[self.factors]
        return kind | (64 if self.interval else 0)

    @property
    def two_tables(self) -> bytes:
        """Luminance and chrominance tables, as they are sent."""
        return self.tables[self.table_of[0]] + self.tables[self.table_of[1]]


@functools.cache
def film(width: int = 64, height: int = 48, slices: int = 1, count: int = 4) -> tuple[bytes, ...]:
    """4:2:0 files of a moving picture with the standard's Huffman tables; several slices give restart markers."""
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 10)
    encoder.thread_count = slices
    encoder.options = {"huffman": "default"}
    ramp = np.add.outer(np.arange(height * 3 // 2) * 2, np.arange(width) * 3).astype(np.uint8)
    files = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(np.roll(ramp, 5 * number, axis=1), format="yuvj420p")
        frame.pts = number
        files += [bytes(packet) for packet in encoder.encode(frame)]
    return (*files, *[bytes(packet) for packet in encoder.encode(None)])


def pictures(files: Sequence[bytes]) -> list[bytes]:
    """What a decoder makes of each file: all planes, without padding."""
    decoder = av.CodecContext.create("mjpeg", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    out = []
    for file in [*files, None]:
        for frame in decoder.decode(None if file is None else av.Packet(file)):
            lines = []
            for plane in frame.planes:
                data = bytes(plane)
                lines += [data[i * plane.line_size :][: plane.width] for i in range(plane.height)]
            out.append(b"".join(lines))
    return out


def flat_blocks(kind: int, width: int, height: int, step: int, seed: int) -> tuple[Jpeg, list[np.ndarray]]:
    """A picture of 8x8 blocks of one grey each, and its planes. No encoder made it: only Huffman codes of K.3 to K.6.

    `kind`: 0 or 1; width and height are whole MCUs; `step`: the first entry of both tables.
    """
    rng = np.random.default_rng(seed)
    across, down = 2, 2 if kind else 1
    planes = [(height // 8, width // 8), *[(height // 8 // down, width // 8 // across)] * 2]
    values = [rng.integers(-400, 400, shape) // step for shape in planes]
    bits, last = "", [0, 0, 0]
    for row in range(height // (8 * down)):
        for column in range(width // 16):
            for component in range(3):
                cells = (
                    [(row * down + y, column * across + x) for y in range(down) for x in range(across)]
                    if component == 0
                    else [(row, column)]
                )
                for cell in cells:
                    value = int(values[component][cell])
                    bits += _difference(value - last[component], component > 0)
                    last[component] = value
                    # The rest of the block is zero.
                    bits += "00" if component else "1010"
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    table = bytes([step] + [1] * 63)
    jpeg = Jpeg(width, height, (0x22 if kind else 0x21, 0x11, 0x11), {0: table, 1: table}, (0, 1, 1), scan=scan)
    grey = [np.clip(np.round(128 + value * step / 8), 0, 255).astype(np.uint8) for value in values]
    return jpeg, [np.kron(one, np.ones((8, 8), np.uint8)) for one in grey]


# T.81, tables K.3 and K.4: codes of the categories of DC differences.
_LUMINANCE_CODES = ["00", "010", "011", "100", "101", "110", *["1" * n + "0" for n in range(3, 9)]]
_CHROMINANCE_CODES = ["00", "01", *["1" * n + "0" for n in range(1, 11)]]


def _difference(value: int, is_chrominance: bool) -> str:
    category = abs(value).bit_length()
    code = (_CHROMINANCE_CODES if is_chrominance else _LUMINANCE_CODES)[category]
    return code + (format(value if value > 0 else value + (1 << category) - 1, f"0{category}b") if category else "")


def payloads(
    jpeg: Jpeg,
    *,
    mtu: int = 1400,
    quality: int = 255,
    tables: bytes | None = None,
    precision: int = 0,
    type_specific: int = 0,
    with_end: bool = False,
) -> list[bytes]:
    """RFC 2435 payloads of one picture. `tables`: in place of the file's own; b"" sends a length of 0."""
    width, height = (jpeg.width + 7) // 8, (jpeg.height + 7) // 8
    if max(width, height) > 255:
        width = height = 0
    restart = struct.pack("!HH", jpeg.interval, 0xFFFF) if jpeg.interval else b""
    own = jpeg.two_tables if tables is None else tables
    scan = jpeg.scan + (b"\xff\xd9" if with_end else b"")
    out, at = [], 0
    while at < len(scan):
        head = struct.pack("!I", type_specific << 24 | at) + bytes([jpeg.kind, quality, width, height]) + restart
        if at == 0 and quality >= 128:
            head += struct.pack("!BBH", 0, precision, len(own)) + own
        room = max(mtu - len(head), 1)
        out.append(head + scan[at : at + room])
        at += room
    return out


def packetise(jpeg: Jpeg, sequence: int, timestamp: int, *, marker: bool = True, **how: object) -> list[bytes]:
    """All packets of one picture; keywords as of `payloads`."""
    parts = payloads(jpeg, **how)  # type: ignore[arg-type]
    return [
        rtp(part, sequence + i, timestamp, marker=marker and i == len(parts) - 1, kind=26)
        for i, part in enumerate(parts)
    ]
