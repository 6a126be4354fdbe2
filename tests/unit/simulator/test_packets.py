"""Stamps and packets: what a receiver puts together again is what was logged."""

from __future__ import annotations

import hashlib
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import bitstream, packetise, sei
from simulator.packets import UnitPackets

NALS = st.lists(
    st.builds(
        lambda kind, body: bytes([kind]) + body + b"\x80",
        st.sampled_from([0x41, 0x65, 0x67, 0x68, 0x06, 0x09]),
        st.binary(min_size=1, max_size=4000),
    ),
    min_size=1,
    max_size=6,
)


def received(wire: bytes) -> tuple[list[bytes], list[tuple[int, int, int, int, bool]]]:
    """NAL units and (channel, sequence, timestamp, ssrc, marker) of an interleaved byte stream (RFC 6184)."""
    nals: list[bytes] = []
    heads = []
    at = 0
    while at < len(wire):
        magic, channel, size = struct.unpack_from(">BBH", wire, at)
        assert magic == 0x24
        packet = wire[at + 4 : at + 4 + size]
        at += 4 + size
        first, kind, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", packet)
        assert first == 0x80
        assert kind & 0x7F == 96
        heads.append((channel, sequence, timestamp, ssrc, bool(kind & 0x80)))
        body = packet[12:]
        if body[0] & 31 == 24:
            inner = 1
            while inner < len(body):
                length = int.from_bytes(body[inner : inner + 2], "big")
                nals.append(body[inner + 2 : inner + 2 + length])
                inner += 2 + length
        elif body[0] & 31 == 28:
            if body[1] & 0x80:
                nals.append(bytes([body[0] & 0xE0 | body[1] & 31]))
            nals[-1] += body[2:]
        else:
            nals.append(body)
    return nals, heads


def unit_of(
    nals: list[bytes], mtu: int = 1400, aggregate: bool = False, *, codec: str = "h264", extension: bool = False
) -> UnitPackets:
    stamped = bitstream.of(codec).with_stamp(nals)
    payloads = packetise.payloads(codec, stamped, mtu, aggregate)
    return UnitPackets(payloads, bitstream.canonical(stamped), sei.PLACEHOLDER, extension=extension)


@given(nals=NALS, mtu=st.integers(64, 2000), aggregate=st.booleans(), sequence=st.integers(0, 65535))
@settings(max_examples=100, deadline=None)
def test_packets_put_together_give_the_logged_payload(
    nals: list[bytes], mtu: int, aggregate: bool, sequence: int
) -> None:
    unit = unit_of(nals, mtu, aggregate)
    wire = unit.stamped(77, 123456789, sequence, 0xFFFFFFF0, 0xDEADBEEF, 2)
    back, heads = received(wire)
    assert bitstream.canonical(back) == unit.canonical(77, 123456789)
    assert hashlib.sha256(bitstream.canonical(back)).digest() == unit.digest(77, 123456789)
    assert sei.read(bitstream.canonical(back)) == (77, 123456789)
    assert [head[1] for head in heads] == [(sequence + i) % 65536 for i in range(unit.count)]
    assert {head[:1] + head[2:4] for head in heads} == {(2, 0xFFFFFFF0, 0xDEADBEEF)}
    assert [head[4] for head in heads] == [False] * (unit.count - 1) + [True]
    assert [wire[at] for at in unit.offsets[:-1]] == [0x24] * unit.count
    assert unit.offsets[-1] == len(wire)
    assert max(b - a for a, b in zip(unit.offsets, unit.offsets[1:], strict=False)) <= mtu + 16


def test_small_nal_units_travel_together_when_asked() -> None:
    nals = [b"\x09\xf0", b"\x67" + b"s" * 20, b"\x68" + b"p" * 5, b"\x65" + b"x" * 3000]
    assert unit_of(nals, 1400, True).count == unit_of(nals).count - 3


def h265_nals(payloads: list[bytes]) -> list[bytes]:
    """NAL units out of RFC 7798 payloads."""
    nals: list[bytes] = []
    for body in payloads:
        kind = body[0] >> 1 & 63
        if kind == 48:
            at = 2
            while at < len(body):
                size = int.from_bytes(body[at : at + 2], "big")
                nals.append(body[at + 2 : at + 2 + size])
                at += 2 + size
        elif kind == 49:
            if body[2] & 0x80:
                nals.append(bytes([body[0] & 0x81 | (body[2] & 63) << 1, body[1]]))
            nals[-1] += body[3:]
        else:
            nals.append(body)
    return nals


@given(
    nals=st.lists(
        st.builds(
            lambda kind, layer, temporal, body: bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | temporal]) + body,
            st.sampled_from([1, 19, 32, 33, 34, 35, 39]),
            st.sampled_from([0, 1, 40]),
            st.integers(1, 7),
            st.binary(min_size=1, max_size=4000),
        ),
        min_size=1,
        max_size=6,
    ),
    mtu=st.integers(64, 2000),
    aggregate=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_h265_packets_put_together_give_their_nal_units(nals: list[bytes], mtu: int, aggregate: bool) -> None:
    payloads = packetise.payloads("h265", nals, mtu, aggregate)
    assert h265_nals(payloads) == nals
    assert max(map(len, payloads)) <= mtu
    together = [body for body in payloads if body[0] >> 1 & 63 == 48]
    for body in together:
        inside = h265_nals([body])
        assert len(inside) > 1
        assert body[1] & 7 == min(nal[1] & 7 for nal in inside)
        assert (body[0] & 1) << 5 | body[1] >> 3 == min((nal[0] & 1) << 5 | nal[1] >> 3 for nal in inside)


def test_the_header_extension_tells_the_time_on_the_first_packet_only() -> None:
    unit = unit_of([b"\x65" + b"x" * 3000], extension=True)
    assert unit.count == 4
    wire = unit.stamped(1, 2, 0x1234, 4, 5, 0, 0x0102030405060708)
    packets = [wire[a + 4 : b] for a, b in pairwise(unit.offsets)]
    assert [packet[0] for packet in packets] == [0x90, 0x80, 0x80, 0x80]
    assert packets[0][12:28] == bytes.fromhex("abac0003 0102030405060708 00 34 0000")
    assert packets[0][28] == 6


def test_without_a_marker_no_packet_ends_the_unit() -> None:
    nals = bitstream.H264.with_stamp([b"\x65" + b"x" * 3000])
    unit = UnitPackets(packetise.payloads("h264", nals), b"x" + sei.PLACEHOLDER, sei.PLACEHOLDER, marker=False)
    wire = unit.stamped(1, 2, 3, 4, 5, 0)
    assert [wire[at + 5] for at in unit.offsets[:-1]] == [96] * 4


def test_the_stamp_stands_right_before_the_first_slice() -> None:
    nals = [b"\x09\xf0", b"\x67s", b"\x68p", b"\x06\x05\x01x\x80", b"\x65a", b"\x65b"]
    stamped = bitstream.H264.with_stamp(nals)
    assert [bitstream.H264.kind(nal) for nal in stamped] == [9, 7, 8, 6, 6, 5, 5]
    assert stamped[4] == sei.NAL
    h265 = bitstream.H265.with_stamp([b"\x46\x01a", b"\x40\x01v", b"\x26\x01x"])
    assert [bitstream.H265.kind(nal) for nal in h265] == [35, 32, 39, 19]


@given(number=st.integers(0, 2**64 - 1), sent_ns=st.integers(0, 2**63))
@settings(deadline=None)
def test_a_stamp_never_needs_emulation_prevention(number: int, sent_ns: int) -> None:
    payload = unit_of([b"\x65a"]).canonical(number, sent_ns)
    assert payload.count(b"\x00\x00\x01") == 2
    assert sei.read(payload) == (number, sent_ns)


def test_a_unit_without_a_stamp_is_told() -> None:
    with pytest.raises(ValueError, match="no simulator stamp"):
        sei.read(b"\x00\x00\x00\x01\x65abc")
    with pytest.raises(ValueError, match="cut short"):
        sei.read(sei.NAL[:30])


@pytest.mark.parametrize(
    ("payloads", "stamp"),
    [
        ([], sei.PLACEHOLDER),
        ([b""], sei.PLACEHOLDER),
        ([b"\x65"], sei.PLACEHOLDER),
        ([sei.NAL], b"short"),
        ([sei.NAL] * 2, sei.PLACEHOLDER),
    ],
)
def test_units_that_cannot_be_sent_are_refused(payloads: list[bytes], stamp: bytes) -> None:
    with pytest.raises(ValueError, match=r"stamp|payloads"):
        UnitPackets(payloads, b"".join(payloads), stamp)


@pytest.mark.parametrize(("nals", "mtu"), [([], 1400), ([b""], 1400), ([b"\x65"], 10), ([b"\x65"], 65_001)])
def test_nal_units_that_cannot_be_cut_are_refused(nals: list[bytes], mtu: int) -> None:
    with pytest.raises(ValueError, match=r"mtu|NAL"):
        packetise.payloads("h264", nals, mtu)


@pytest.mark.parametrize("size", [100, 1000, 30_000])
def test_padding_makes_units_about_that_large_and_never_smaller(size: int) -> None:
    nals = [b"\x67s", b"\x68p", b"\x65" + b"x" * 500]
    padded = bitstream.H264.padded(bitstream.H264.with_stamp(nals), size)
    assert len(bitstream.canonical(padded)) == max(size, len(bitstream.canonical(bitstream.H264.with_stamp(nals))))
    assert padded[: len(nals) + 1] == bitstream.H264.with_stamp(nals)


@given(nals=NALS)
@settings(deadline=None)
def test_annex_b_comes_apart_as_it_was_put_together(nals: list[bytes]) -> None:
    clean = [nal.replace(b"\x00\x00", b"\x00\x55") for nal in nals]
    assert bitstream.split(bitstream.canonical(clean)) == clean
    prefixed = b"".join(len(nal).to_bytes(4, "big") + nal for nal in clean)
    assert bitstream.split_length_prefixed(prefixed, 4) == clean


def test_a_length_that_points_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        bitstream.split_length_prefixed(b"\x00\x00\x00\x09ab", 4)


def test_missing_parameter_sets_are_put_in_once_after_the_delimiter() -> None:
    sets = [b"\x67s", b"\x68p"]
    assert bitstream.H264.with_parameter_sets([b"\x09\xf0", b"\x65x"], sets) == [b"\x09\xf0", *sets, b"\x65x"]
    whole = [b"\x09\xf0", *sets, b"\x65x"]
    assert bitstream.H264.with_parameter_sets(whole, sets) == whole


def test_a_recovery_point_is_found_behind_other_messages() -> None:
    assert bitstream.H264.has_recovery_point([b"\x06\x05\x02ab\x06\x01\x80\x80"])
    assert not bitstream.H264.has_recovery_point([sei.NAL, b"\x65x"])
