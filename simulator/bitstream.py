"""The little H.264 the simulator needs: NAL units apart and together again.

What belongs here: pure functions over bytes. It is deliberately not the broker's bitstream code: the judge must not
share a mistake with the judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from simulator import sei

SLICE, IDR, SEI, SPS, PPS, AUD, FILLER = 1, 5, 6, 7, 8, 9, 12
_START_CODE = re.compile(rb"\x00{2,}\x01")


def kind(nal: bytes) -> int:
    """The NAL unit's type."""
    return nal[0] & 0x1F


def split(annexb: bytes) -> list[bytes]:
    """NAL units of an Annex B byte stream, without start codes and trailing zeros."""
    pieces = _START_CODE.split(annexb)[1:]
    return [piece.rstrip(b"\x00") for piece in pieces if piece.rstrip(b"\x00")]


def split_length_prefixed(data: bytes, length_bytes: int) -> list[bytes]:
    """NAL units of MP4 sample data. Raises ValueError when a length points outside it."""
    nals, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        if size == 0 or at + size > len(data):
            raise ValueError(f"a NAL unit of {size} bytes does not fit into its sample")
        nals.append(data[at : at + size])
        at += size
    return nals


def canonical(nals: Sequence[bytes]) -> bytes:
    """A four-byte start code before every NAL unit."""
    return b"".join(b"\x00\x00\x00\x01" + nal for nal in nals)


def is_picture(nal: bytes) -> bool:
    """Whether the NAL unit carries a slice (or a data partition) of a picture."""
    return 1 <= kind(nal) <= IDR


def has_recovery_point(nals: Sequence[bytes]) -> bool:
    """Whether one of the SEI messages is a recovery point."""
    return any(kind(nal) == SEI and 6 in _sei_types(nal) for nal in nals)


def _sei_types(nal: bytes) -> list[int]:
    data, at, types = nal[1:].replace(b"\x00\x00\x03", b"\x00\x00"), 0, []
    while at + 1 < len(data):
        message = size = 0
        while at < len(data) and data[at] == 0xFF:
            message, at = message + 255, at + 1
        message, at = message + (data[at] if at < len(data) else 0), at + 1
        while at < len(data) and data[at] == 0xFF:
            size, at = size + 255, at + 1
        size, at = size + (data[at] if at < len(data) else 0), at + 1
        types.append(message)
        at += size
    return types


def with_stamp(nals: Sequence[bytes]) -> list[bytes]:
    """The unit with an unfilled stamp right before its first slice, behind delimiter, parameter sets and other SEI."""
    first = next((i for i, nal in enumerate(nals) if is_picture(nal)), len(nals))
    return [*nals[:first], sei.NAL, *nals[first:]]


def with_parameter_sets(nals: Sequence[bytes], sets: Sequence[bytes]) -> list[bytes]:
    """The unit with those parameter sets of which it has none, after a delimiter if it has one."""
    present = {kind(nal) for nal in nals}
    missing = [nal for nal in sets if kind(nal) not in present]
    at = 1 if nals and kind(nals[0]) == AUD else 0
    return [*nals[:at], *missing, *nals[at:]]


def padded(nals: Sequence[bytes], size_bytes: int) -> list[bytes]:
    """The unit made about `size_bytes` long by filler data, which decoders skip; longer units stay as they are."""
    lacking = size_bytes - sum(len(nal) + 4 for nal in nals) - 6
    return [*nals, bytes([FILLER]) + b"\xff" * lacking + b"\x80"] if lacking > 0 else list(nals)
