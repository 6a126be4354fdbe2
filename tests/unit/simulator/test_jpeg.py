"""JPEGs: what FFmpeg's decoder makes of them, and what RFC 2435 carries of them."""

from __future__ import annotations

import hashlib

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import jpeg, jpeg_packets, jpeg_scan, sei
from simulator.jpeg import JpegForm

Planes = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def picture(width: int, height: int, seed: int = 1) -> Planes:
    """Something like a scene: slopes, edges and noise."""
    dice = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(height), np.arange(width)) * 200 / (width + height)
    slope[height // 3 : height // 2, width // 4 : width // 2] = 230
    luma = np.clip(slope + dice.normal(0, 6, slope.shape), 0, 255).astype(np.uint8)
    half = (height // 2, width // 2)
    return luma, np.full(half, 90, np.uint8), np.full(half, 160, np.uint8)


def decoded(data: bytes) -> list[npt.NDArray[np.uint8]]:
    (frame,) = av.CodecContext.create("mjpeg", "r").decode(av.Packet(data))
    found = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        found.append(rows[: plane.height, : plane.width])
    return found


FORMS = [
    JpegForm(),
    JpegForm(75),
    JpegForm(30),
    JpegForm(95, 0),
    JpegForm(200),
    JpegForm(255, 0, 5),
    JpegForm(60, 1, 1),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(160, 96), (320, 184), (72, 40), (16, 16)])
def test_a_picture_survives_coding(form: JpegForm, size: tuple[int, int]) -> None:
    planes = picture(*size)
    back = decoded(jpeg.file(jpeg.encode(planes, form), form.tables(), form, *size))
    assert back[0].shape == planes[0].shape
    error = np.abs(back[0].astype(int) - planes[0]).mean()
    assert error < (10 if form.q < 50 else 7)
    assert np.abs(back[1].astype(int) - 90).max() <= 4
    assert np.abs(back[2].astype(int) - 160).max() <= 4


def test_whatever_the_stamp_is_the_picture_is_the_same() -> None:
    form = JpegForm()
    file = jpeg.file(jpeg.encode(picture(160, 96), form), form.tables(), form, 160, 96)
    shown = {hashlib.sha256(decoded(file)[plane].tobytes()).digest() for plane in (0, 1, 2)}
    stamped = file.replace(sei.PLACEHOLDER, b"%016x%016x" % (77, 2**60))
    assert sei.read(stamped) == (77, 2**60)
    assert {hashlib.sha256(decoded(stamped)[plane].tobytes()).digest() for plane in (0, 1, 2)} == shown


def test_restart_markers_count_to_seven_and_begin_again() -> None:
    scan = jpeg.encode(picture(320, 160), JpegForm(50, 1, 10))
    found = [scan[at + 1] for at in range(len(scan) - 1) if scan[at] == 0xFF and scan[at + 1]]
    assert found == [0xD0 + number % 8 for number in range(19)]


def test_the_tables_of_a_quality_are_those_of_the_standard_scaled() -> None:
    luma, chroma = jpeg.quality_tables(50)
    assert (luma[0], luma[63], chroma[0], chroma[63]) == (16, 99, 17, 99)
    assert jpeg.quality_tables(99)[0][0] == 1
    assert max(jpeg.quality_tables(1)[0]) == 255


@given(
    scan=st.binary(min_size=1, max_size=20_000),
    mtu=st.integers(256, 3000),
    form=st.sampled_from(FORMS),
    width=st.integers(1, 2040),
    height=st.integers(1, 2040),
)
@settings(max_examples=100, deadline=None)
def test_packets_tell_size_tables_and_where_each_piece_belongs(
    scan: bytes, mtu: int, form: JpegForm, width: int, height: int
) -> None:
    tables = b"".join(form.tables())
    payloads = jpeg_packets.payloads(scan, tables, form, width, height, mtu)
    back = b""
    for payload in payloads:
        assert len(payload) <= mtu
        assert payload[0] == 0
        assert int.from_bytes(payload[1:4], "big") == len(back)
        assert payload[4] == form.type + 64 * (form.restart > 0)
        assert payload[5] == form.q
        assert 0 <= payload[6] * 8 - width < 8
        assert 0 <= payload[7] * 8 - height < 8
        at = 8
        if form.restart:
            assert payload[8:12] == form.restart.to_bytes(2, "big") + b"\xff\xff"
            at = 12
        if form.q >= 128 and not back:
            assert payload[at : at + 4] == b"\x00\x00\x00\x80"
            assert payload[at + 4 : at + 132] == tables
            at += 132
        back += payload[at:]
    assert back == scan


def test_tables_that_stay_are_not_repeated() -> None:
    form = JpegForm(200)
    (payload,) = jpeg_packets.payloads(b"scan", None, form, 64, 64)
    assert payload[8:] == b"\x00\x00\x00\x00scan"
    assert [index for index in range(25) if form.has_tables(index)] == [0, 10, 20]
    assert all(JpegForm().has_tables(index) and JpegForm(40).has_tables(index) for index in range(25))


@pytest.mark.parametrize("wrong", [{"width": 2048}, {"height": 3000}, {"mtu": 100}])
def test_what_rtp_cannot_carry_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"RTP carries|can be sent"):
        jpeg_packets.payloads(b"scan", None, JpegForm(50), **{"width": 64, "height": 64, **wrong})


def test_a_scan_of_blocks_that_do_not_fit_is_refused() -> None:
    codes, lengths = np.zeros((4, 256), np.uint16), np.zeros((4, 256), np.uint8)
    with pytest.raises(ValueError, match="multiple"):
        jpeg_scan.scan(np.zeros((5, 64), np.int16), bytes(4), codes, lengths)
    with pytest.raises(ValueError, match=r"are 4 x 256"):
        jpeg_scan.scan(np.zeros((4, 64), np.int16), bytes(4), codes[:2].copy(), lengths)
    with pytest.raises(ValueError, match=r"coefficients|names"):
        jpeg_scan.scan(np.full((4, 64), 5000, np.int16), bytes(4), codes, lengths)
    with pytest.raises(ValueError, match=r"coefficients|names"):
        jpeg_scan.scan(np.zeros((1, 64), np.int16), b"\x07", codes, lengths)
