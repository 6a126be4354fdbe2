"""The little H.264 and H.265 the simulator needs: NAL units apart and together again.

What belongs here: pure functions over bytes, and what differs between the two codecs (`Syntax`). It is deliberately not
the broker's bitstream code: the judge must not share a mistake with the judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from simulator import sei

_START_CODE = re.compile(rb"\x00{2,}\x01")


@dataclass(frozen=True, slots=True)
class Syntax:
    """Where one codec's NAL units say what they are."""

    codec: str
    head_bytes: int
    sets: tuple[int, ...]
    """Types of its parameter sets, in the order they are sent in."""
    delimiter: int
    messages: int
    """Type of SEI that stands before the picture."""
    pictures: range
    random_access: range
    """Types of pictures that a decoder may begin with and of which nothing is lost."""
    filler: bytes
    """A filler NAL unit's head."""
    stamp: bytes
    """The stamp's NAL unit, not filled in."""

    def kind(self, nal: bytes) -> int:
        """The NAL unit's type."""
        return nal[0] & 0x1F if self.head_bytes == 1 else nal[0] >> 1 & 0x3F

    def is_picture(self, nal: bytes) -> bool:
        """Whether the NAL unit carries a slice (or a data partition) of a picture."""
        return self.kind(nal) in self.pictures

    def joins(self, nals: Sequence[bytes]) -> bool:
        """Whether the unit is a picture that a new connection may begin with (IDR; BLA)."""
        return any(self.kind(nal) in self.random_access for nal in nals)

    def sets_in(self, nals: Sequence[bytes]) -> tuple[bytes, ...]:
        """The unit's parameter sets if it has one of every kind, else nothing."""
        found = tuple(nal for nal in nals if self.kind(nal) in self.sets)
        return found if {self.kind(nal) for nal in found} == set(self.sets) else ()

    def without_sets(self, nals: Sequence[bytes]) -> list[bytes]:
        """The unit less its parameter sets."""
        return [nal for nal in nals if self.kind(nal) not in self.sets]

    def has_recovery_point(self, nals: Sequence[bytes]) -> bool:
        """Whether one of the SEI messages is a recovery point."""
        return any(self.kind(nal) == self.messages and 6 in _sei_types(nal[self.head_bytes :]) for nal in nals)

    def with_stamp(self, nals: Sequence[bytes]) -> list[bytes]:
        """The unit with an unfilled stamp right before its first slice: behind delimiter, sets and other SEI."""
        first = next((i for i, nal in enumerate(nals) if self.is_picture(nal)), len(nals))
        return [*nals[:first], self.stamp, *nals[first:]]

    def with_parameter_sets(self, nals: Sequence[bytes], sets: Sequence[bytes]) -> list[bytes]:
        """The unit with those parameter sets of which it has none, after a delimiter if it has one."""
        present = {self.kind(nal) for nal in nals}
        missing = [nal for nal in sets if self.kind(nal) not in present]
        at = 1 if nals and self.kind(nals[0]) == self.delimiter else 0
        return [*nals[:at], *missing, *nals[at:]]

    def padded(self, nals: Sequence[bytes], size_bytes: int) -> list[bytes]:
        """The unit made about `size_bytes` long by filler data, which decoders skip; longer ones stay as they are."""
        lacking = size_bytes - sum(len(nal) + 4 for nal in nals) - 5 - self.head_bytes
        return [*nals, self.filler + b"\xff" * lacking + b"\x80"] if lacking > 0 else list(nals)


H264 = Syntax(
    codec="h264",
    head_bytes=1,
    sets=(7, 8),
    delimiter=9,
    messages=6,
    pictures=range(1, 6),
    random_access=range(5, 6),
    filler=b"\x0c",
    stamp=sei.NAL,
)
H265 = Syntax(
    codec="h265",
    head_bytes=2,
    sets=(32, 33, 34),
    delimiter=35,
    messages=39,
    pictures=range(32),
    random_access=range(16, 21),
    filler=b"\x4c\x01",
    stamp=sei.NAL_H265,
)


def of(codec: str) -> Syntax:
    """The syntax of `h264` or `h265`."""
    return {"h264": H264, "h265": H265}[codec]


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


def _sei_types(body: bytes) -> list[int]:
    data, at, types = body.replace(b"\x00\x00\x03", b"\x00\x00"), 0, []
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
