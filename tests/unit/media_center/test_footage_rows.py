"""The row box: what goes in comes out; anything else is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_center.rows import HEAD_SIZE, ROW_SIZE, ROW_STRUCT, MalformedRows, decode_row_box, encode_row_box

_INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def rows_of(count: int, offset: int = 100) -> bytes:
    return b"".join(
        ROW_STRUCT.pack(1, 0, 1, 0, 0, seq, 5, 6, 0, 0, 0, offset + seq, 0, 1, 0, bytes(32)) for seq in range(count)
    )


def test_a_row_box_gives_back_what_went_in() -> None:
    note = ROW_STRUCT.pack(2, 0, 0, 0, 0, -1, 5, 0, 0, 0, 0, 300 + HEAD_SIZE + 3 * ROW_SIZE, 0, 4, 0, bytes(32))
    data = encode_row_box("gate", 77, 3, 100, 200, b"moof", rows_of(2) + note, b"told")

    box = decode_row_box(data + b"what follows", 300)

    assert (box.camera, box.epoch, box.number, box.block_offset, box.media_size) == ("gate", 77, 3, 100, 200)
    assert (box.box_offset, box.end, len(data)) == (300, 300 + len(data), box.box_size)
    assert box.rows["seq"].tolist() == [0, 1, -1]
    assert box.note(int(box.rows["offset"][2]), 4) == b"told"


@given(
    values=st.tuples(
        st.integers(0, 63),
        st.integers(0, 3),
        st.integers(0, (1 << 32) - 1),
        st.integers(0, (1 << 63) - 1),
        _INT64,
        _INT64,
        _INT64,
        _INT64,
        _INT64,
        st.integers(-(1 << 31), (1 << 31) - 1),
        st.binary(min_size=32, max_size=32),
    )
)
def test_every_value_of_a_row_survives(values: tuple[int, int, int, int, int, int, int, int, int, int, bytes]) -> None:
    flags, join, recovers, seq, received, monotonic, camera, uncertainty, pts, composition, digest = values
    row = (
        1,
        flags,
        join,
        0,
        recovers,
        seq,
        received,
        monotonic,
        camera,
        uncertainty,
        pts,
        0,
        9,
        5,
        composition,
        digest,
    )

    box = decode_row_box(encode_row_box("a", 1, 1, 0, 10, b"", ROW_STRUCT.pack(*row), b""))

    assert ROW_STRUCT.unpack(box.rows.tobytes()) == row


def test_a_flipped_bit_anywhere_is_noticed() -> None:
    data = encode_row_box("gate", 77, 3, 100, 200, b"moof", rows_of(2), b"")
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 0x10
        with pytest.raises(MalformedRows):
            decode_row_box(bytes(broken), 300)


def test_a_box_cut_short_anywhere_is_refused() -> None:
    data = encode_row_box("gate", 77, 3, 100, 200, b"moof", rows_of(2), b"")
    for size in range(len(data)):
        with pytest.raises(MalformedRows):
            decode_row_box(data[:size], 300)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (rows_of(1, offset=99), "before its fragment"),
        (rows_of(1, offset=300), "behind its fragment"),
        (rows_of(1, offset=(1 << 64) - 1), "past the end of numbers"),
        (rows_of(2)[ROW_SIZE:] + rows_of(1), "out of order"),
        (b"\x09" + rows_of(1)[1:], "unknown kind"),
        (b"\x02" + rows_of(1)[1:], "a note outside the notes"),
    ],
)
def test_rows_that_point_astray_are_refused_even_with_a_right_checksum(rows: bytes, reason: str) -> None:
    data = encode_row_box("gate", 77, 3, 100, 200, b"moof", rows, b"")
    with pytest.raises(MalformedRows):
        decode_row_box(data, 300)
    assert reason


@given(st.binary(max_size=400))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(MalformedRows):
        decode_row_box(struct.pack(">I4s", len(noise) + 24, b"uuid") + b"trueframe-rows-1" + noise)
