"""The avcC record."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sources.avcc import AvcConfiguration, parse_avcc

RECORD = bytes.fromhex("0164001fff") + b"\xe1\x00\x05\x67\x64\x00\x1f\xac" + b"\x01\x00\x04\x68\xee\x3c\xb0"


def test_parameter_sets_and_the_length_size_are_read() -> None:
    expected = AvcConfiguration(4, (bytes.fromhex("6764001fac"), bytes.fromhex("68ee3cb0")))
    assert parse_avcc(RECORD) == expected


def test_annex_b_extradata_is_none() -> None:
    assert parse_avcc(b"\0\0\0\1\x67\x64\x00\x1f\xac") is None
    assert parse_avcc(b"") is None


def test_a_cut_record_is_refused() -> None:
    with pytest.raises(ValueError, match="cut short"):
        parse_avcc(RECORD[:-2])


@given(st.binary(max_size=200))
def test_any_bytes_give_a_configuration_none_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_avcc(b"\x01" + data)
