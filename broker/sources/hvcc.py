"""The `hvcC` record (ISO/IEC 14496-15 8.3.3.1): how H.265 lies in MP4, MOV and Matroska files."""

from __future__ import annotations

from broker.sources.avcc import AvcConfiguration

_FIXED_BYTES = 23
# VPS, SPS, PPS (H.265 table 7-1): other arrays hold SEI messages, which are no parameter sets.
_PARAMETER_SETS = frozenset({32, 33, 34})


def parse_hvcc(record: bytes) -> AvcConfiguration | None:
    """Reads an hvcC record: length size and VPS, SPS, PPS in that order; None if it is none (Annex B, or nothing).

    Raises ValueError if it is cut short.
    """
    # FFmpeg takes every record that does not begin with a start code for hvcC: old files have version 0.
    if len(record) < _FIXED_BYTES or record[:3] == b"\0\0\1" or record[:4] == b"\0\0\0\1":
        return None
    found: list[tuple[int, bytes]] = []
    position = _FIXED_BYTES
    for _ in range(record[22]):
        kind = record[position] & 0x3F if position < len(record) else 0
        count = int.from_bytes(record[position + 1 : position + 3], "big")
        if position + 3 > len(record):
            raise ValueError("hvcC record is cut short")
        position += 3
        for _ in range(count):
            size = int.from_bytes(record[position : position + 2], "big")
            nal = record[position + 2 : position + 2 + size]
            if len(nal) != size or size == 0:
                raise ValueError("hvcC record is cut short")
            if kind in _PARAMETER_SETS:
                found.append((kind, nal))
            position += 2 + size
    return AvcConfiguration((record[21] & 3) + 1, tuple(nal for _, nal in sorted(found, key=lambda one: one[0])))
