"""The hvcC record."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sources.avcc import AvcConfiguration
from broker.sources.hvcc import parse_hvcc

HEAD = b"\x01" + bytes(20) + b"\xff"
VPS, SPS, PPS, SEI = b"\x40\x01\x0c", b"\x42\x01\x01", b"\x44\x01\xc1", b"\x4e\x01\x05"


def array(kind: int, *nals: bytes) -> bytes:
    return bytes([0x80 | kind]) + len(nals).to_bytes(2, "big") + b"".join(len(n).to_bytes(2, "big") + n for n in nals)


RECORD = HEAD + b"\x04" + array(34, PPS) + array(39, SEI) + array(33, SPS) + array(32, VPS)


def test_parameter_sets_come_in_the_order_that_decoders_want_and_nothing_else() -> None:
    assert parse_hvcc(RECORD) == AvcConfiguration(4, (VPS, SPS, PPS))


def test_annex_b_extradata_is_none() -> None:
    assert parse_hvcc(b"\0\0\0\1" + VPS + bytes(40)) is None
    assert parse_hvcc(b"\0\0\1" + VPS + bytes(40)) is None
    assert parse_hvcc(b"") is None


@pytest.mark.parametrize("left_out", [1, 4, 9])
def test_a_cut_record_is_refused(left_out: int) -> None:
    with pytest.raises(ValueError, match="cut short"):
        parse_hvcc(RECORD[:-left_out])


@given(st.binary(max_size=200))
def test_any_bytes_give_a_configuration_none_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_hvcc(HEAD + data)
