"""The `avcC` record (ISO/IEC 14496-15 5.3.3.1): how H.264 lies in MP4, MOV and Matroska files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AvcConfiguration:
    """Size of the length fields in bytes, and the parameter sets (H.264: SPS first; H.265: VPS, SPS, PPS)."""

    nal_length_size: int
    parameter_sets: tuple[bytes, ...]


def parse_avcc(record: bytes) -> AvcConfiguration | None:
    """Reads an avcC record; None if it is none (Annex B streams have start codes there, or nothing).

    Raises ValueError if it is cut short.
    """
    if len(record) < 7 or record[0] != 1:
        return None
    nal_length_size = (record[4] & 3) + 1
    found: list[bytes] = []
    position = 5
    for mask in (0x1F, 0xFF):
        if position >= len(record):
            raise ValueError("avcC record is cut short")
        count = record[position] & mask
        position += 1
        for _ in range(count):
            size = int.from_bytes(record[position : position + 2], "big")
            nal = record[position + 2 : position + 2 + size]
            if len(nal) != size or size == 0:
                raise ValueError("avcC record is cut short")
            found.append(nal)
            position += 2 + size
    return AvcConfiguration(nal_length_size, tuple(found))
