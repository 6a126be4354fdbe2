"""Writes what the core reads: H.264 syntax bit by bit, and RTP packets; from the standards, not the core."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

START = b"\x00\x00\x00\x01"


class BitWriter:
    """Most significant bit first."""

    def __init__(self) -> None:
        self.bits: list[int] = []

    def u(self, value: int, count: int) -> BitWriter:
        self.bits += [(value >> (count - 1 - i)) & 1 for i in range(count)]
        return self

    def ue(self, value: int) -> BitWriter:
        length = (value + 1).bit_length()
        return self.u(0, length - 1).u(value + 1, length)

    def se(self, value: int) -> BitWriter:
        return self.ue(2 * value - 1 if value > 0 else -2 * value)

    def rbsp(self) -> bytes:
        bits = [*self.bits, 1]
        bits += [0] * (-len(bits) % 8)
        return bytes(int("".join(map(str, bits[i : i + 8])), 2) for i in range(0, len(bits), 8))


def escape(rbsp: bytes) -> bytes:
    """Inserts emulation prevention bytes."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


@dataclass
class SpsFields:
    number: int = 0
    profile: int = 100
    chroma: int = 1
    scaling: bool = False
    poc_type: int = 0
    mbs_wide: int = 40
    map_units: int = 23
    frame_mbs_only: bool = True
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    vui: bool = False
    hrd: bool = False
    reorder: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        unit_x = 1 if self.chroma in (0, 3) else 2
        unit_y = (2 if self.chroma == 1 else 1) * (1 if self.frame_mbs_only else 2)
        left, right, top, bottom = self.crop
        height = self.map_units * 16 * (1 if self.frame_mbs_only else 2)
        return self.mbs_wide * 16 - unit_x * (left + right), height - unit_y * (top + bottom)


def _hrd(bits: BitWriter) -> None:
    bits.ue(1).u(4, 4).u(4, 4)
    for _ in range(2):
        bits.ue(70000).ue(80000).u(1, 1)
    bits.u(23, 5).u(23, 5).u(23, 5).u(24, 5)


def sps(fields: SpsFields) -> bytes:
    """An SPS NAL."""
    bits = BitWriter().u(fields.profile, 8).u(0, 8).u(31, 8).ue(fields.number)
    if fields.profile in (100, 110, 122, 244):
        bits.ue(fields.chroma)
        if fields.chroma == 3:
            bits.u(0, 1)
        bits.ue(0).ue(0).u(0, 1).u(fields.scaling, 1)
        if fields.scaling:
            for i in range(12 if fields.chroma == 3 else 8):
                bits.u(i % 2, 1)
                if i % 2:
                    for step in [3, -2] * (8 if i < 6 else 32):
                        bits.se(step)
    bits.ue(4).ue(fields.poc_type)
    if fields.poc_type == 0:
        bits.ue(2)
    elif fields.poc_type == 1:
        bits.u(0, 1).se(-1).se(1).ue(3).se(2).se(-2).se(0)
    bits.ue(4).u(0, 1).ue(fields.mbs_wide - 1).ue(fields.map_units - 1).u(fields.frame_mbs_only, 1)
    if not fields.frame_mbs_only:
        bits.u(1, 1)
    bits.u(1, 1).u(any(fields.crop), 1)
    if any(fields.crop):
        for value in fields.crop:
            bits.ue(value)
    bits.u(fields.vui, 1)
    if fields.vui:
        bits.u(1, 1).u(255, 8).u(4, 16).u(3, 16).u(1, 1).u(1, 1).u(1, 1).u(5, 3).u(1, 1).u(1, 1).u(1, 24)
        bits.u(1, 1).ue(0).ue(0).u(1, 1).u(1, 32).u(50, 32).u(1, 1)
        bits.u(fields.hrd, 1)
        if fields.hrd:
            _hrd(bits)
        bits.u(fields.hrd, 1)
        if fields.hrd:
            _hrd(bits)
            bits.u(0, 1)
        bits.u(0, 1).u(fields.reorder is not None, 1)
        if fields.reorder is not None:
            bits.u(1, 1).ue(0).ue(0).ue(10).ue(10).ue(fields.reorder).ue(4)
    return b"\x67" + escape(bits.rbsp())


def pps(number: int = 0, sps_number: int = 0) -> bytes:
    """A PPS NAL."""
    bits = BitWriter().ue(number).ue(sps_number).u(1, 1).u(0, 1).ue(0).ue(0).ue(0).u(0, 1).u(0, 2).se(0).se(0).se(0)
    return b"\x68" + escape(bits.u(0, 3).rbsp())


def slice_nal(
    *,
    idr: bool = False,
    first_mb: int = 0,
    intra: bool = False,
    pps_number: int = 0,
    reference: bool = True,
    size: int = 40,
) -> bytes:
    """A slice NAL whose header can be read; the rest is filler."""
    bits = BitWriter().ue(first_mb).ue(7 if intra or idr else 5).ue(pps_number).u(0x155, 10)
    header = (5 if idr else 1) | (0x60 if reference else 0)
    return bytes([header]) + escape(bits.rbsp()) + b"\xab" * size


def recovery_point(count: int, exact: bool = True, broken: bool = False) -> bytes:
    """An SEI NAL with user data first and then a recovery point."""
    message = BitWriter().ue(count).u(exact, 1).u(broken, 1).u(0, 2)
    while len(message.bits) % 8:
        message.u(1 if len(message.bits) % 8 == 0 else 0, 1)
    payload = bytes(int("".join(map(str, message.bits[i : i + 8])), 2) for i in range(0, len(message.bits), 8))
    user = b"u" * 300
    rbsp = b"\x05\xff" + bytes([300 - 255]) + user + b"\x06" + bytes([len(payload)]) + payload + b"\x80"
    return b"\x06" + escape(rbsp)


AUD = b"\x09\xf0"


def annexb(nals: Iterable[bytes]) -> bytes:
    return b"".join(START + nal for nal in nals)


def rtp(payload: bytes, sequence: int, timestamp: int, *, marker: bool = False, ssrc: int = 7, kind: int = 96) -> bytes:
    """One RTP packet."""
    return (
        struct.pack(
            "!BBHII", 0x80, kind | (0x80 if marker else 0), sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc & 0xFFFFFFFF
        )
        + payload
    )


def payloads(nals: Sequence[bytes], mtu: int, *, aggregate: bool = False) -> list[bytes]:
    """RFC 6184 payloads: single NAL, FU-A above `mtu`, and STAP-A for small neighbours if asked."""
    out: list[bytes] = []
    waiting: list[bytes] = []

    def put_aggregate() -> None:
        if len(waiting) == 1:
            out.append(waiting[0])
        elif waiting:
            out.append(b"\x78" + b"".join(len(nal).to_bytes(2, "big") + nal for nal in waiting))
        waiting.clear()

    for nal in nals:
        if aggregate and 1 + sum(2 + len(n) for n in [*waiting, nal]) <= mtu:
            waiting.append(nal)
            continue
        put_aggregate()
        if len(nal) <= mtu:
            out.append(nal)
            continue
        body, step = nal[1:], mtu - 2
        for at in range(0, len(body), step):
            header = nal[0] & 0x1F | (0x80 if at == 0 else 0) | (0x40 if at + step >= len(body) else 0)
            out.append(bytes([nal[0] & 0xE0 | 28, header]) + body[at : at + step])
    put_aggregate()
    return out


def packets(
    parts: Sequence[bytes], sequence: int, timestamp: int, *, marker: bool = True, ssrc: int = 7, kind: int = 96
) -> list[bytes]:
    """Payloads of one access unit in packets."""
    return [
        rtp(part, sequence + i, timestamp, marker=marker and i == len(parts) - 1, ssrc=ssrc, kind=kind)
        for i, part in enumerate(parts)
    ]


def packetise(
    nals: Sequence[bytes],
    sequence: int,
    timestamp: int,
    *,
    mtu: int = 1400,
    aggregate: bool = False,
    marker: bool = True,
    ssrc: int = 7,
) -> list[bytes]:
    """All packets of one access unit."""
    parts = payloads(nals, mtu, aggregate=aggregate)
    return packets(parts, sequence, timestamp, marker=marker, ssrc=ssrc)
