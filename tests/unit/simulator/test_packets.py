"""Stamps and packets: what a receiver puts together again is what was logged."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import bitstream, sei
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


@given(nals=NALS, mtu=st.integers(64, 2000), aggregate=st.booleans(), sequence=st.integers(0, 65535))
@settings(max_examples=100, deadline=None)
def test_packets_put_together_give_the_logged_payload(
    nals: list[bytes], mtu: int, aggregate: bool, sequence: int
) -> None:
    unit = UnitPackets(bitstream.with_stamp(nals), sei.PLACEHOLDER, mtu, aggregate)
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
    alone = UnitPackets(bitstream.with_stamp(nals), sei.PLACEHOLDER, 1400, False)
    together = UnitPackets(bitstream.with_stamp(nals), sei.PLACEHOLDER, 1400, True)
    assert together.count == alone.count - 3


def test_the_stamp_stands_right_before_the_first_slice() -> None:
    nals = [b"\x09\xf0", b"\x67s", b"\x68p", b"\x06\x05\x01x\x80", b"\x65a", b"\x65b"]
    assert [bitstream.kind(nal) for nal in bitstream.with_stamp(nals)] == [9, 7, 8, 6, 6, 5, 5]
    assert bitstream.with_stamp(nals)[4] == sei.NAL


@given(number=st.integers(0, 2**64 - 1), sent_ns=st.integers(0, 2**63))
def test_a_stamp_never_needs_emulation_prevention(number: int, sent_ns: int) -> None:
    payload = UnitPackets(bitstream.with_stamp([b"\x65a"]), sei.PLACEHOLDER).canonical(number, sent_ns)
    assert payload.count(b"\x00\x00\x01") == 2
    assert sei.read(payload) == (number, sent_ns)


def test_a_unit_without_a_stamp_is_told() -> None:
    with pytest.raises(ValueError, match="no simulator stamp"):
        sei.read(b"\x00\x00\x00\x01\x65abc")
    with pytest.raises(ValueError, match="cut short"):
        sei.read(sei.NAL[:30])


@pytest.mark.parametrize(
    ("nals", "stamp", "mtu"),
    [
        ([], sei.PLACEHOLDER, 1400),
        ([b""], sei.PLACEHOLDER, 1400),
        ([b"\x65"], sei.PLACEHOLDER, 1400),
        ([sei.NAL], b"short", 1400),
        ([sei.NAL], sei.PLACEHOLDER, 10),
        ([sei.NAL] * 2, sei.PLACEHOLDER, 99),
    ],
)
def test_units_that_cannot_be_sent_are_refused(nals: list[bytes], stamp: bytes, mtu: int) -> None:
    with pytest.raises(ValueError, match=r"stamp|mtu|NAL"):
        UnitPackets(nals, stamp, mtu)


@pytest.mark.parametrize("size", [100, 1000, 30_000])
def test_padding_makes_units_about_that_large_and_never_smaller(size: int) -> None:
    nals = [b"\x67s", b"\x68p", b"\x65" + b"x" * 500]
    padded = bitstream.padded(bitstream.with_stamp(nals), size)
    assert len(bitstream.canonical(padded)) == max(size, len(bitstream.canonical(bitstream.with_stamp(nals))))
    assert padded[: len(nals) + 1] == bitstream.with_stamp(nals)


@given(nals=NALS)
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
    assert bitstream.with_parameter_sets([b"\x09\xf0", b"\x65x"], sets) == [b"\x09\xf0", *sets, b"\x65x"]
    whole = [b"\x09\xf0", *sets, b"\x65x"]
    assert bitstream.with_parameter_sets(whole, sets) == whole


def test_a_recovery_point_is_found_behind_other_messages() -> None:
    assert bitstream.has_recovery_point([b"\x06\x05\x02ab\x06\x01\x80\x80"])
    assert not bitstream.has_recovery_point([sei.NAL, b"\x65x"])
