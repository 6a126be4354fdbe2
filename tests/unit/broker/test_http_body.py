"""The body of an HTTP camera's answer: pictures come out whole, early and exactly, however sloppy the server is."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.rtsp.messages import Headers
from broker.sources.http_body import ChunkedBody, Head, JpegParts, MalformedHttp, find_eoi, parse_head


@cache
def jpegs(count: int = 4) -> tuple[bytes, ...]:
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 255, (72, 64), dtype=np.uint8) for _ in range(count)]
    frames = [av.VideoFrame.from_ndarray(picture, format="yuvj420p") for picture in pictures]
    return tuple(bytes(packet) for frame in frames for packet in encoder.encode(frame))


def with_thumbnail(jpeg: bytes) -> bytes:
    """The same with a JPEG inside of an APP1 segment."""
    inner = b"Exif\0\0" + jpegs(1)[0]
    return jpeg[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + jpeg[2:]


def part(jpeg: bytes, *, boundary: bytes = b"--shot", length: int | None = -1, end: bytes = b"\r\n") -> bytes:
    head = boundary + end + b"Content-Type: image/jpeg" + end
    if length is not None:
        head += b"Content-Length: " + str(len(jpeg) if length < 0 else length).encode() + end
    return head + end + jpeg + end


def fed(parts: JpegParts, data: bytes, pieces: Iterable[int]) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    for size in pieces:
        found += parts.feed(data[at : at + size])
        at += size
    return found + parts.feed(data[at:])


VARIANTS = {
    "plain": {},
    "no length": {"length": None},
    "line feeds": {"end": b"\n"},
    "line feeds, no length": {"end": b"\n", "length": None},
    "no dashes": {"boundary": b"shot"},
    "no dashes, no length": {"boundary": b"shot", "length": None},
    "extra dashes": {"boundary": b"----shot"},
}


@pytest.mark.parametrize("variant", list(VARIANTS))
@given(pieces=st.lists(st.integers(1, 700), max_size=30))
def test_pictures_come_out_exactly_however_the_body_is_cut(variant: str, pieces: list[int]) -> None:
    wanted = [*jpegs(3), with_thumbnail(jpegs(4)[3])]
    body = b"".join(part(jpeg, **VARIANTS[variant]) for jpeg in wanted)  # type: ignore[arg-type]
    parts = JpegParts(b"shot")
    assert fed(parts, body, pieces) == wanted
    assert parts.refused == 0


@pytest.mark.parametrize("length", [-1, None])
def test_a_picture_is_out_with_its_last_byte_and_not_with_the_next_boundary(length: int | None) -> None:
    parts = JpegParts(b"shot")
    jpeg = jpegs()[0]
    body = part(jpeg, length=length)[: -len(b"\r\n")]
    assert parts.feed(body[:-1]) == []
    assert parts.feed(body[-1:]) == [jpeg]


def test_a_length_that_counts_padding_does_not_reach_the_payload() -> None:
    jpeg = jpegs()[0]
    body = b"".join(part(jpeg + b"\0\0\r\n") for _ in range(3))
    assert JpegParts(b"shot").feed(body) == [jpeg] * 3


@pytest.mark.parametrize("lie", [-200, 300, 100_000])
def test_a_length_that_lies_costs_at_most_one_picture(lie: int) -> None:
    wanted = list(jpegs(4)) * 40
    body = b"".join(part(jpeg, length=len(jpeg) + lie) for jpeg in wanted)
    parts = JpegParts(b"shot")
    found = fed(parts, body, [1400] * (len(body) // 1400))
    assert found[-20:] == wanted[-20:]
    assert len(wanted) - len(found) <= 1
    assert sum(a != b for a, b in zip(found[::-1], wanted[::-1], strict=False)) <= 3


def test_a_picture_cut_off_by_the_next_boundary_comes_out_as_it_is() -> None:
    first, second = jpegs(2)
    parts = JpegParts(b"shot")
    body = part(first[:-400], length=None) + part(second, length=None)
    assert parts.feed(body) == [first[:-400], second]
    honest = JpegParts(b"shot")
    assert honest.feed(part(first[:-400]) + part(second)) == [first[:-400], second]


def test_without_any_boundary_pictures_are_found_by_their_markers() -> None:
    wanted = list(jpegs(3))
    assert JpegParts(b"").feed(b"".join(wanted)) == wanted
    assert JpegParts(b"").feed(b"".join(part(jpeg, boundary=b"--what") for jpeg in wanted)) == wanted


def test_another_boundary_than_the_one_announced_is_taken() -> None:
    wanted = list(jpegs(3))
    assert JpegParts(b"announced").feed(b"".join(part(jpeg) for jpeg in wanted)) == wanted


def test_parts_of_other_kinds_are_left_out_and_counted() -> None:
    sound = b"--shot\r\nContent-Type: audio/basic\r\nContent-Length: 300\r\n\r\n" + b"\xff\xd8\xff\n" * 75 + b"\r\n"
    parts = JpegParts(b"shot")
    assert parts.feed(sound + part(jpegs()[0]) + sound + part(jpegs()[1])) == list(jpegs()[:2])
    assert (parts.other_parts, parts.refused) == (2, 0)


def test_a_part_that_is_too_long_or_no_picture_is_refused_and_counted() -> None:
    parts = JpegParts(b"shot", max_bytes=10_000)
    huge = jpegs()[0][:-2] + b"\x11" * 20_000
    assert fed(parts, part(huge) + part(b"not a picture") + part(jpegs()[1]), [3000] * 5) == [jpegs()[1]]
    assert parts.refused == 2
    endless = JpegParts(b"shot", max_bytes=10_000)
    assert fed(endless, part(huge, length=None) + part(jpegs()[1], length=None), [3000] * 5) == [jpegs()[1]]
    assert endless.refused == 1


@given(data=st.binary(max_size=3000), pieces=st.lists(st.integers(1, 300), max_size=20))
def test_anything_at_all_is_survived_in_bounded_memory(data: bytes, pieces: list[int]) -> None:
    for boundary in (b"shot", b""):
        parts = JpegParts(boundary, max_bytes=500)
        for jpeg in fed(parts, data, pieces):
            assert jpeg.startswith(b"\xff\xd8")
        assert len(parts._data) <= 8 * 1024 + 3000


def test_memory_stays_bounded_whatever_never_ends() -> None:
    for filler in (
        b"\xff" * 4096,
        b"\0" * 4096,
        b"--shot\r\n" * 512,
        b"\xff\xd8" * 2048,
        b"\xff\xd8\xff\xe0\xff\xff" * 600,
    ):
        parts = JpegParts(b"shot", max_bytes=50_000)
        for _ in range(60):
            parts.feed(filler)
        assert len(parts._data) < 60_000


def test_the_end_of_a_picture_is_found_by_walking_its_markers() -> None:
    jpeg = with_thumbnail(jpegs()[0])
    assert find_eoi(jpeg + b"rest")[0] == len(jpeg)
    end, at, in_scan = find_eoi(jpeg[:-1])
    assert end == -1
    assert find_eoi(jpeg, at, in_scan=in_scan)[0] == len(jpeg)


def test_heads_are_read_whole_and_leave_what_follows() -> None:
    data = b'HTTP/1.0 200 OK\r\nContent-Type: Multipart/X-Mixed-Replace; charset=x;boundary="--shot"\r\n\r\nrest'
    assert parse_head(data[:-8]) is None
    parsed = parse_head(data)
    assert parsed is not None
    head, rest = parsed
    assert (head.status, head.content_type, head.boundary, rest) == (200, "multipart/x-mixed-replace", b"shot", b"rest")
    assert not head.is_chunked
    assert parse_head(b"HTTP/1.1 401 No\n\nx") is not None


@pytest.mark.parametrize(
    "data",
    [b"RTSP/1.0 200 OK\r\n\r\n", b"\x16\x03\x01", b"HTTP/1.1 huh\r\n\r\n", b"HTTP/1.1 200\r\n" + b"a: b\r\n" * 20_000],
)
def test_what_is_no_head_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedHttp):
        parse_head(data)


@pytest.mark.parametrize(
    ("value", "boundary"),
    [("multipart/x-mixed-replace; boundary=a-b", b"a-b"), ("multipart/x-mixed-replace;boundary=--a", b"a"),
     ('multipart/x; boundary="a b"', b"a b"), ("multipart/x", b""), ("multipart/x; boundary=", b"")],
)  # fmt: skip
def test_boundaries_are_known_without_quotes_and_dashes(value: str, boundary: bytes) -> None:
    assert Head(200, "OK", Headers((("content-type", value),))).boundary == boundary


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.lists(st.integers(1, 60), max_size=30))
def test_chunks_are_put_together_however_they_are_cut(chunks: list[bytes], pieces: list[int]) -> None:
    data = b"".join(b"%x;name=value\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    body = ChunkedBody()
    found, at = b"", 0
    for size in pieces:
        found += body.feed(data[at : at + size])
        at += size
    found += body.feed(data[at:])
    assert found == b"".join(chunks)
    assert body.has_ended


@pytest.mark.parametrize("data", [b"zz\r\n", b"-5\r\n", b"1" * 9000])
def test_what_is_no_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedHttp):
        ChunkedBody().feed(data)


def test_segments_between_scans_are_walked_over() -> None:
    def segment(kind: int, body: bytes) -> bytes:
        return bytes([0xFF, kind]) + (len(body) + 2).to_bytes(2, "big") + body

    progressive = (
        b"\xff\xd8" + segment(0xC2, b"\x08" * 15) + segment(0xDA, b"\1\2\3") + b"\x11\xff\x00\x12\xff\xd0\x13"
        + segment(0xC4, b"tables with \xff\xd9 inside") + segment(0xDA, b"\1\2\3") + b"\x14\xff\x00\x15\xff\xd9"
    )  # fmt: skip
    assert find_eoi(progressive + b"more")[0] == len(progressive)
    for cut in range(2, len(progressive)):
        end, at, in_scan = find_eoi(progressive[:cut])
        # Only a scan whose successor is not here yet can be taken for the last one.
        assert end == -1
        assert find_eoi(progressive, at, in_scan=in_scan)[0] == len(progressive), cut
