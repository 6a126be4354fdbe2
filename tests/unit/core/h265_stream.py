"""Writes H.265 as the core reads it: syntax bit by bit, and RFC 7798 payloads; from the standards, not the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.unit.core.h264_stream import BitWriter, escape, packets

TRAIL_N, TRAIL_R, RADL_N, RASL_N, RASL_R = 0, 1, 6, 8, 9
BLA_W_LP, BLA_N_LP, IDR_W_RADL, IDR_N_LP, CRA = 16, 18, 19, 20, 21
VPS, SPS, PPS, AUD, EOS, PREFIX_SEI, SUFFIX_SEI = 32, 33, 34, 35, 36, 39, 40


def nal(kind: int, rbsp: bytes, *, layer: int = 0, temporal: int = 1) -> bytes:
    """A NAL: two bytes of header, emulation prevention over the rest."""
    return bytes([(kind << 1) | (layer >> 5), ((layer & 31) << 3) | temporal]) + escape(rbsp)


def vps(number: int = 0, filler: bytes = b"") -> bytes:
    bits = BitWriter().u(number, 4).u(3, 2).u(0, 6).u(0, 3).u(1, 1).u(0xFFFF, 16)
    return nal(VPS, bits.rbsp() + filler)


@dataclass
class SpsFields:
    number: int = 0
    vps: int = 0
    sub_layers: int = 0
    sub_layers_have: int = 0
    """Bits: which sub-layers tell a profile (even) and a level (odd)."""
    chroma: int = 1
    width: int = 640
    height: int = 368
    crop: tuple[int, int, int, int] = (0, 0, 0, 4)
    ordering_of_each: bool = True
    reorder: int = 2
    latency_plus1: int = 0

    @property
    def size(self) -> tuple[int, int]:
        unit_x = 1 if self.chroma in (0, 3) else 2
        unit_y = 2 if self.chroma == 1 else 1
        left, right, top, bottom = self.crop
        return self.width - unit_x * (left + right), self.height - unit_y * (top + bottom)


def sps(fields: SpsFields | None = None) -> bytes:
    """An SPS NAL as far as anybody here reads it, and some filler."""
    fields = fields or SpsFields()
    bits = BitWriter().u(fields.vps, 4).u(fields.sub_layers, 3).u(1, 1)
    bits.u(0, 2).u(0, 1).u(1, 5).u(0x60000000, 32).u(0, 32).u(0, 16).u(93, 8)
    if fields.sub_layers:
        have = [fields.sub_layers_have >> (2 * i) & 3 for i in range(fields.sub_layers)]
        for bit in have:
            bits.u(bit & 1, 1).u(bit >> 1, 1)
        bits.u(0, 2 * (8 - fields.sub_layers))
        for bit in have:
            if bit & 1:
                bits.u(0x1_55555555, 33).u(0x2AAAAAAA, 32).u(0x7FFFFF, 23)
            if bit & 2:
                bits.u(90, 8)
    bits.ue(fields.number).ue(fields.chroma)
    if fields.chroma == 3:
        bits.u(0, 1)
    bits.ue(fields.width).ue(fields.height).u(any(fields.crop), 1)
    if any(fields.crop):
        for value in fields.crop:
            bits.ue(value)
    bits.ue(0).ue(0).ue(4).u(fields.ordering_of_each, 1)
    for i in range(fields.sub_layers + 1 if fields.ordering_of_each else 1):
        last = i == fields.sub_layers or not fields.ordering_of_each
        bits.ue(4).ue(fields.reorder if last else 0).ue(fields.latency_plus1 if last else 0)
    return nal(SPS, bits.ue(0).ue(3).u(0x5A5A, 16).rbsp())


def pps(number: int = 0, sps_number: int = 0, filler: bytes = b"") -> bytes:
    return nal(PPS, BitWriter().ue(number).ue(sps_number).u(0x15, 7).rbsp() + filler)


def slice_nal(
    kind: int = TRAIL_R, *, first: bool = True, pps_number: int = 0, size: int = 40, layer: int = 0, temporal: int = 1
) -> bytes:
    """A slice segment whose header can be read as far as its PPS; the rest is filler."""
    bits = BitWriter().u(first, 1)
    if 16 <= kind <= 23:
        bits.u(0, 1)
    return nal(kind, bits.ue(pps_number).u(0x155, 10).rbsp(), layer=layer, temporal=temporal) + b"\xab" * size


def recovery_point(count: int, exact: bool = True, broken: bool = False) -> bytes:
    """A prefix SEI with user data first and then a recovery point."""
    message = BitWriter().se(count).u(exact, 1).u(broken, 1)
    while len(message.bits) % 8:
        message.u(0, 1)
    payload = bytes(int("".join(map(str, message.bits[i : i + 8])), 2) for i in range(0, len(message.bits), 8))
    return nal(
        PREFIX_SEI, b"\x05\xff" + bytes([300 - 255]) + b"u" * 300 + b"\x06" + bytes([len(payload)]) + payload + b"\x80"
    )


DELIMITER = nal(AUD, b"\x50")


def payloads(nals: Sequence[bytes], mtu: int, *, aggregate: bool = False) -> list[bytes]:
    """RFC 7798 payloads: single NAL, FU above `mtu`, and AP for small neighbours if asked."""
    out: list[bytes] = []
    waiting: list[bytes] = []

    def put_aggregate() -> None:
        if len(waiting) == 1:
            out.append(waiting[0])
        elif waiting:
            layer = min((n[0] & 1) << 5 | n[1] >> 3 for n in waiting)
            temporal = min(n[1] & 7 for n in waiting)
            head = bytes([48 << 1 | layer >> 5, (layer & 31) << 3 | temporal])
            out.append(head + b"".join(len(n).to_bytes(2, "big") + n for n in waiting))
        waiting.clear()

    for one in nals:
        if aggregate and 2 + sum(2 + len(n) for n in [*waiting, one]) <= mtu:
            waiting.append(one)
            continue
        put_aggregate()
        if len(one) <= mtu:
            out.append(one)
            continue
        body, step, kind = one[2:], mtu - 3, one[0] >> 1 & 0x3F
        for at in range(0, len(body), step):
            header = kind | (0x80 if at == 0 else 0) | (0x40 if at + step >= len(body) else 0)
            out.append(bytes([one[0] & 0x81 | 49 << 1, one[1], header]) + body[at : at + step])
    put_aggregate()
    return out


def packetise(
    nals: Sequence[bytes],
    sequence: int,
    timestamp: int,
    *,
    mtu: int = 1400,
    aggregate: bool = False,
    marker: bool = True,
) -> list[bytes]:
    """All packets of one access unit."""
    return packets(payloads(nals, mtu, aggregate=aggregate), sequence, timestamp, marker=marker, kind=97)
