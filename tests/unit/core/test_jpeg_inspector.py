"""What JPEG files say of themselves."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.bitstream import JOIN_EXACT, JOIN_NONE, JpegInspector
from tests.unit.core.jpeg_stream import film


def test_every_picture_is_an_exact_join_point() -> None:
    inspector = JpegInspector()
    assert not inspector.complete
    for file in film(160, 96, slices=3):
        info = inspector.inspect(file)
        assert (info.join_point, info.recovers_after, info.malformed) == (JOIN_EXACT, 0, False)
        assert (info.width, info.height, info.starts_picture, info.decodable, info.has_sps) == (
            160,
            96,
            True,
            True,
            True,
        )
        assert info.nals >= 6
    assert inspector.complete
    assert (inspector.width, inspector.height) == (160, 96)


def test_there_are_no_parameter_sets() -> None:
    inspector = JpegInspector(b"whatever")
    [file, *_] = film()
    inspector.inspect(file)
    assert inspector.parameter_sets == b""
    assert not inspector.add_parameter_sets(file)
    assert inspector.with_parameter_sets(file) is file


def test_what_is_no_jpeg_is_no_unit() -> None:
    for data in (b"", b"\xff\xd8", b"\x00\x00\x00\x01\x65\x88", b"GIF89a", b"\xff\xd9\xff\xd8\xff"):
        info = JpegInspector().inspect(data)
        assert (info.nals, info.malformed, info.join_point) == (0, True, JOIN_NONE)


def test_a_file_whose_end_is_missing_is_malformed_and_still_a_picture() -> None:
    [file, *_] = film()
    info = JpegInspector().inspect(file[:-30])
    assert info.malformed
    assert info.join_point == JOIN_EXACT
    assert (info.width, info.height) == (64, 48)


@pytest.mark.parametrize("cut", [4, 21, 100, 200])
def test_a_file_without_a_scan_is_no_picture(cut: int) -> None:
    info = JpegInspector().inspect(film()[0][:cut])
    assert info.malformed
    assert info.join_point == JOIN_NONE


def test_comments_thumbnails_fill_bytes_and_what_follows_the_end_are_stepped_over() -> None:
    [file, *_] = film()
    thumbnail = film(16, 16)[0]
    exif = b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
    decorated = file[:2] + exif + b"\xff\xff\xff\xfe\x00\x05abc" + file[2:] + b"\r\n\0\0"
    info = JpegInspector().inspect(decorated)
    assert (info.width, info.height, info.malformed) == (64, 48, False)


def test_a_broken_file_does_not_change_the_size() -> None:
    inspector = JpegInspector()
    inspector.inspect(film()[0])
    larger = film(160, 96)[0]
    assert inspector.inspect(larger[:-10]).width == 64
    assert inspector.inspect(larger).width == 160


def test_a_size_of_nothing_is_no_picture() -> None:
    file = bytearray(film()[0])
    at = file.index(b"\xff\xc0")
    file[at + 5 : at + 9] = bytes(4)
    info = JpegInspector().inspect(bytes(file))
    assert (info.join_point, info.malformed, info.width) == (JOIN_NONE, True, 0)


@given(seed=st.integers(0, 2**32), changes=st.integers(1, 20))
def test_a_mutated_file_is_no_more_than_malformed(seed: int, changes: int) -> None:
    rng = random.Random(seed)
    file = bytearray(film(slices=3)[0])
    for _ in range(changes):
        file[rng.randrange(len(file))] = rng.choice([0, 0xFF, 0xD8, 0xD9, 0xC0, 0xDA, rng.randrange(256)])
    info = JpegInspector().inspect(bytes(file[: rng.randrange(len(file))]))
    assert 0 <= info.width <= 65535
    assert 0 <= info.height <= 65535
