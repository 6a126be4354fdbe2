"""PNG files, written with zlib: the same bytes for the same picture, and no decoder's library in the way."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 3  # a 1080p picture in about 0.1 s; higher levels gain a few per cent on camera noise


def encode_png(rgb: bytes, width: int, height: int) -> bytes:
    """A PNG file of rows of R, G, B bytes. Raises ValueError when the bytes are not width x height pixels."""
    if width < 1 or height < 1 or len(rgb) != 3 * width * height:
        raise ValueError(f"{len(rgb)} bytes are no picture of {width}x{height} pixels")
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(_LEVEL)
    view, row_bytes = memoryview(rgb), 3 * width
    # Filter 0 (none) in front of every row.
    packed = [packer.compress(b"\0" + view[at : at + row_bytes]) for at in range(0, len(rgb), row_bytes)]
    packed.append(packer.flush())
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"".join(packed)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
