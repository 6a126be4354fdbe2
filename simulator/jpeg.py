"""Baseline JPEG as cameras send it: pictures into scans, scans into files.

What belongs here: the standard's tables (ITU-T T.81, Annex K), transform and quantisation, and a file's headers in the
form that RFC 2435 gives them. What does not: the loop over coefficients (`jpeg_scan`), RTP (`jpeg_packets`).

The last 48 entries of the second table belong to coefficients that are always zero here: whatever stands there, the
picture is the same. The stamp lies there (`sei`) and survives RTP, which carries tables and scan but no comments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator import jpeg_scan, sei

CHROMA_KEPT = 16
"""Coefficients of chroma, in zigzag order, that are coded."""
EOI = b"\xff\xd9"
TABLES_EVERY = 10
"""Pictures from one that carries its tables to the next, with Q from 128 to 254."""
_TABLE_QUALITY = 75


@dataclass(frozen=True, slots=True)
class JpegForm:
    """How a camera codes its JPEGs."""

    q: int = 255
    """RTP's Q: 1 to 99 scale the standard's tables, from 128 on tables are sent; with 255 in every picture."""
    type: int = 1
    """RTP's type without restart markers: 0 is 4:2:2, 1 is 4:2:0."""
    restart: int = 0
    """Restart interval in MCUs; 0: none."""

    @property
    def is_stamped(self) -> bool:
        """Whether its tables are its own and may differ from picture to picture."""
        return self.q == 255

    def has_tables(self, index: int) -> bool:
        """Whether a receiver can begin with this picture of the loop: its tables are known, or sent with it."""
        return not 128 <= self.q < 255 or index % TABLES_EVERY == 0

    def tables(self) -> tuple[bytes, bytes]:
        """Luma and chroma table, 64 entries each in zigzag order; with room for the stamp, not filled in."""
        luma, chroma = quality_tables(self.q if self.q < 128 else _TABLE_QUALITY)
        if self.is_stamped:
            chroma = chroma[:CHROMA_KEPT] + sei.UUID + sei.PLACEHOLDER
        return luma, chroma


ORDINARY = JpegForm()

_LUMA = (
    *(16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51),
    *(61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77),
    *(113, 121, 112, 100, 120, 92, 101, 103, 99),
)
_CHROMA = (17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, *[99] * 50)


def quality_tables(q: int) -> tuple[bytes, bytes]:
    """Luma and chroma table of a quality from 1 to 99 (RFC 2435, Appendix A), in zigzag order."""
    factor = 5000 // q if q < 50 else 200 - 2 * q
    luma, chroma = (bytes(min(max((one * factor + 50) // 100, 1), 255) for one in base) for base in (_LUMA, _CHROMA))
    return luma, chroma


def _tails(*ranges: int) -> bytes:
    """Symbols of the long codes: every range from its first to the end of its row of sizes (x0 to xA)."""
    return bytes(symbol for first in ranges for symbol in range(first, (first & 0xF0) + 11))


_COUNTS = (
    bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)),
    bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125)),
    bytes((0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0)),
    bytes((0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119)),
)
_SYMBOLS = (
    bytes(range(12)),
    bytes.fromhex("0102030004110512213141061351610722711432 8191a1082342b1c11552d1f02433627282090a")
    + _tails(0x16, 0x25, 0x34, 0x43, 0x53, 0x63, 0x73, 0x83, 0x92, 0xA2, 0xB2, 0xC2, 0xD2, 0xE1, 0xF1),
    bytes(range(12)),
    bytes.fromhex("0001020311040521310612415107617113223281081442 91a1b1c109233352f0156272d10a162434e125f1")
    + _tails(0x17, 0x26, 0x35, 0x43, 0x53, 0x63, 0x73, 0x82, 0x92, 0xA2, 0xB2, 0xC2, 0xD2, 0xE2, 0xF2),
)
"""Luma DC, luma AC, chroma DC, chroma AC: how many codes there are of every length, and their symbols in order."""


def _codes() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    codes, lengths = np.zeros((4, 256), np.uint16), np.zeros((4, 256), np.uint8)
    for table, (counts, symbols) in enumerate(zip(_COUNTS, _SYMBOLS, strict=True)):
        code, at = 0, 0
        for length, count in enumerate(counts, 1):
            for symbol in symbols[at : at + count]:
                codes[table, symbol], lengths[table, symbol] = code, length
                code += 1
            at += count
            code <<= 1
    return codes, lengths


def _zigzag() -> list[int]:
    """Positions in a block, row by row, in the order of the diagonals."""
    return sorted(range(64), key=lambda p: (p // 8 + p % 8, p // 8 if (p // 8 + p % 8) % 2 else p % 8))


def _cosines() -> npt.NDArray[np.float32]:
    k, n = np.arange(8)[:, None], np.arange(8)[None, :]
    basis = np.cos((2 * n + 1) * k * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


_CODES, _LENGTHS = _codes()
_ZIGZAG = np.array(_zigzag())
_BASIS = _cosines()


def encode(planes: Sequence[npt.NDArray[np.uint8]], form: JpegForm) -> bytes:
    """The scan of a picture: luma, and Cb and Cr of half its width and height (4:2:0), each height x width."""
    tall = 2 if form.type == 1 else 1
    luma, *chroma = planes
    if tall == 1:
        chroma = [plane.repeat(2, 0) for plane in chroma]
    rows, columns = -(-luma.shape[0] // (8 * tall)), -(-luma.shape[1] // 16)
    tables = form.tables()
    parts = [_blocks(luma, rows, columns, tall, 2, tables[0])]
    for plane in chroma:
        blocks = _blocks(plane, rows, columns, 1, 1, tables[1])
        blocks[..., CHROMA_KEPT:] = 0
        parts.append(blocks)
    pattern = bytes([0] * 2 * tall + [1, 2])
    ordered = np.ascontiguousarray(np.concatenate(parts, axis=1).reshape(-1, 64))
    return jpeg_scan.scan(ordered, pattern, _CODES, _LENGTHS, form.restart)


def _blocks(
    plane: npt.NDArray[np.uint8], rows: int, columns: int, tall: int, wide: int, table: bytes
) -> npt.NDArray[np.int16]:
    """Quantised blocks of a plane: MCU x block in it x 64 in zigzag order. Edges are repeated outwards."""
    height, width = rows * tall * 8, columns * wide * 8
    filled = np.pad(plane, ((0, height - plane.shape[0]), (0, width - plane.shape[1])), "edge").astype(np.float32)
    blocks = (filled - 128).reshape(rows, tall, 8, columns, wide, 8).transpose(0, 3, 1, 4, 2, 5)
    coefficients = (_BASIS @ blocks @ _BASIS.T).reshape(rows * columns, tall * wide, 64)[..., _ZIGZAG]
    quantised = np.rint(coefficients / np.frombuffer(table, np.uint8).astype(np.float32))
    return np.clip(quantised, -1023, 1023).astype(np.int16)


def file(scan: bytes, tables: Sequence[bytes], form: JpegForm, width: int, height: int) -> bytes:
    """A whole JPEG: headers as RFC 2435's Appendix B makes them of what RTP carries, scan, EOI."""
    parts = [b"\xff\xd8"]
    parts += [_segment(0xDB, bytes([number]) + table) for number, table in enumerate(tables)]
    if form.restart:
        parts.append(_segment(0xDD, form.restart.to_bytes(2, "big")))
    first = 0x22 if form.type == 1 else 0x21
    frame = bytes([8, *height.to_bytes(2, "big"), *width.to_bytes(2, "big"), 3])
    parts.append(_segment(0xC0, frame + bytes([0, first, 0, 1, 0x11, 1, 2, 0x11, 1])))
    for number, (counts, symbols) in enumerate(zip(_COUNTS, _SYMBOLS, strict=True)):
        parts.append(_segment(0xC4, bytes([(number & 1) << 4 | number >> 1]) + counts + symbols))
    parts.append(_segment(0xDA, bytes([3, 0, 0x00, 1, 0x11, 2, 0x11, 0, 63, 0])))
    return b"".join([*parts, scan, EOI])


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
