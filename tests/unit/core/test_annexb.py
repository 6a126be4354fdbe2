"""NAL forms."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.bitstream import (
    annexb_from_length_prefixed,
    canonical,
    canonical_from_nals,
    from_length_prefixed,
    split_nals,
    to_length_prefixed,
)
from tests.unit.core.h264_stream import START, annexb

# Bytes that are likely to look like start codes.
tricky = st.lists(st.sampled_from([0, 0, 0, 1, 1, 2, 3, 255]), max_size=60).map(bytes)
noise = st.one_of(tricky, st.binary(max_size=200))


def is_nal(data: bytes) -> bool:
    return bool(data) and data[-1] != 0 and b"\x00\x00\x00" not in data and b"\x00\x00\x01" not in data


nals = st.lists(noise.filter(is_nal), min_size=1, max_size=6)


def lengths_by_hand(data: bytes) -> bytes:
    parts = data.split(START)
    assert parts[0] == b""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts[1:])


@given(units=nals, data=st.data())
def test_any_annexb_becomes_the_same_nals_behind_four_byte_start_codes(units: list[bytes], data: st.DataObject) -> None:
    stream = b""
    for nal in units:
        stream += b"\x00" * data.draw(st.integers(0, 4)) + b"\x00\x00\x01" + nal
    stream += b"\x00" * data.draw(st.integers(0, 4))
    assert canonical(stream) == annexb(units) == canonical_from_nals(units)


@given(units=nals)
def test_canonical_bytes_stay_as_they_are(units: list[bytes]) -> None:
    assert canonical(annexb(units)) == annexb(units)


@given(noise)
def test_length_prefixes_are_a_bijection_on_everything_that_begins_with_a_start_code(data: bytes) -> None:
    payload = START + data
    prefixed = to_length_prefixed(payload)
    assert prefixed == lengths_by_hand(payload)
    assert len(prefixed) == len(payload)
    assert from_length_prefixed(prefixed) == payload


@given(units=nals, width=st.integers(1, 4))
def test_lengths_of_every_width_are_read(units: list[bytes], width: int) -> None:
    data = b"".join(len(nal).to_bytes(width, "big") + nal for nal in units)
    assert annexb_from_length_prefixed(data, width) == annexb(units)


@given(units=nals)
def test_splitting_gives_the_nals_without_copying(units: list[bytes]) -> None:
    parts = split_nals(annexb(units))
    assert [bytes(part) for part in parts] == units


@given(noise)
def test_no_input_is_more_than_refused(data: bytes) -> None:
    for convert in (canonical, from_length_prefixed, to_length_prefixed, annexb_from_length_prefixed, split_nals):
        try:
            convert(data)
        except ValueError:
            continue


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x00\x00\x00", b"abc", b"\x09\x00\x00\x01\x09", b"\x00\x00\x02", b"\x00\x00\x01\x00"]
)
def test_what_does_not_begin_with_a_start_code_is_not_annexb(data: bytes) -> None:
    with pytest.raises(ValueError, match="start code"):
        canonical(data)


@pytest.mark.parametrize("data", [b"\x00\x00\x01\x65", b"x", b"\x00", b"\x01\x00\x00\x00\x01"])
def test_what_is_not_canonical_has_no_length_prefixed_form(data: bytes) -> None:
    with pytest.raises(ValueError, match="canonical"):
        to_length_prefixed(data)
    with pytest.raises(ValueError, match="canonical"):
        split_nals(data)


@pytest.mark.parametrize(
    "data", [b"\x00", b"\x00\x00\x00", b"\x00\x00\x00\x02\x65", b"\xff\xff\xff\xff\x65", b"\x00\x00\x00\x01\x65\x00"]
)
def test_lengths_that_do_not_add_up_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="add up"):
        from_length_prefixed(data)
    with pytest.raises(ValueError, match="add up"):
        annexb_from_length_prefixed(data)


@pytest.mark.parametrize("width", [0, 5, -1])
def test_only_widths_that_avcc_can_name_are_taken(width: int) -> None:
    with pytest.raises(ValueError, match="1 to 4"):
        annexb_from_length_prefixed(b"", width)


def test_empty_payloads_stay_empty() -> None:
    assert to_length_prefixed(b"") == from_length_prefixed(b"") == annexb_from_length_prefixed(b"") == b""
    assert split_nals(b"") == []


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_inputs_of_every_buffer_type_are_left_untouched(kind: type) -> None:
    original = annexb([b"\x65abc", b"\x41def"])
    given_bytes = kind(original)
    assert from_length_prefixed(to_length_prefixed(given_bytes)) == original
    assert canonical(given_bytes) == original
    assert bytes(given_bytes) == original


def test_a_strided_view_is_refused() -> None:
    strided = memoryview(annexb([b"\x65abc"]) * 2)[::2]
    for convert in (canonical, to_length_prefixed, from_length_prefixed, annexb_from_length_prefixed, split_nals):
        with pytest.raises(BufferError):
            convert(strided)


def test_split_nals_keep_their_payload_alive() -> None:
    parts = split_nals(bytes(bytearray(annexb([b"\x65" + b"z" * 5000]))))
    gc.collect()
    assert bytes(parts[0]) == b"\x65" + b"z" * 5000


def test_a_bytearray_cannot_shrink_under_a_split_nal() -> None:
    data = bytearray(annexb([b"\x65abc"]))
    parts = split_nals(data)
    with pytest.raises(BufferError):
        data.clear()
    assert bytes(parts[0]) == b"\x65abc"
