"""What decoders give becomes 8-bit 4:2:0, by the same arithmetic everywhere; ranges are not mixed up."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.pixel import convert
from broker.pixel.convert import reduced
from broker.pixel.planes import UnknownFormat, planes_of
from broker.pixel.ring_layout import BT709, FULL_RANGE, I420, NV12


def block_means(plane: np.ndarray, step_x: int, step_y: int, shift: int) -> np.ndarray:
    """The definition: the rounded mean of each block, of the samples there are."""

    def sums(of: np.ndarray) -> np.ndarray:
        by_rows = np.add.reduceat(of.astype(np.int64), np.arange(0, of.shape[0], step_y), axis=0)
        return np.asarray(np.add.reduceat(by_rows, np.arange(0, of.shape[1], step_x), axis=1))

    sizes = sums(np.ones(plane.shape)) << shift
    return np.asarray(np.minimum(255, (2 * sums(plane) + sizes) // (2 * sizes)).astype(np.uint8))


@given(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2]), st.sampled_from([1, 2]),
    st.sampled_from([0, 2, 4, 8]), st.randoms(use_true_random=False),
)  # fmt: skip
def test_a_reduced_plane_is_the_rounded_mean_of_each_block(
    width: int, height: int, step_x: int, step_y: int, shift: int, random: Any
) -> None:
    kind: Any = np.uint16 if shift else np.uint8
    values = [random.randrange(256 << shift) for _ in range(width * height)]
    plane = np.array(values, kind).reshape(height, width)
    expected = block_means(plane, step_x, step_y, shift)
    found = reduced(plane, expected.shape[1], expected.shape[0], step_x=step_x, step_y=step_y, shift=shift)
    assert np.array_equal(found, expected)


def test_a_plane_that_is_too_small_or_a_step_that_is_none_is_refused() -> None:
    plane = np.zeros((4, 4), np.uint8)
    for options in (
        {"width": 5},
        {"height": 5},
        {"step_x": 3},
        {"step_y": 0},
        {"shift": 9},
        {"repeat_x": 3},
        {"width": 0},
    ):
        with pytest.raises(ValueError, match=r"too small|steps|pixels"):
            reduced(plane, **{"width": 4, "height": 4, **options})
    with pytest.raises(ValueError, match="too small"):
        reduced(plane, 4, 4, step_x=2)
    assert reduced(plane, 8, 4, repeat_x=2).shape == (4, 8)
    assert convert.MAX_SIDE == 16384


def filled(name: str, width: int, height: int, seed: int = 1) -> tuple[av.VideoFrame, list[np.ndarray]]:
    """A frame of noise in a format, and its planes as samples."""
    frame = av.VideoFrame(width, height, name)
    rng = np.random.default_rng(seed)
    bits = next((int(part) for part in ("10", "12") if f"p{part}le" in name or name == f"gray{part}le"), 8)
    planes = []
    for plane in frame.planes:
        kind: Any = np.dtype("<u2") if bits > 8 else np.dtype(np.uint8)
        whole = rng.integers(0, 1 << bits, plane.buffer_size // kind.itemsize, kind)
        memoryview(plane).cast("B")[:] = whole.tobytes()
        planes.append(whole.reshape(-1, plane.line_size // kind.itemsize)[: plane.height, : plane.width])
    return frame, planes


@pytest.mark.parametrize("size", [(641, 361), (1366, 768), (16, 16), (1, 1)])
@pytest.mark.parametrize(
    ("name", "step_x", "step_y", "shift"),
    [
        ("yuvj422p", 1, 2, 0),
        ("yuv422p", 1, 2, 0),
        ("yuvj444p", 2, 2, 0),
        ("yuvj440p", 2, 1, 0),
        ("yuv420p10le", 1, 1, 2),
        ("yuv420p12le", 1, 1, 4),
        ("yuv422p10le", 1, 2, 2),
        ("yuv444p10le", 2, 2, 2),
    ],
)
def test_other_formats_become_420_by_the_definition(
    name: str, step_x: int, step_y: int, shift: int, size: tuple[int, int]
) -> None:
    frame, source = filled(name, *size)
    planes = planes_of(frame)
    y, u, v = planes.views()
    assert planes.layout == I420
    assert y.shape == (size[1], size[0])
    assert u.shape == v.shape == ((size[1] + 1) // 2, (size[0] + 1) // 2)
    assert bool(planes.flags & FULL_RANGE) == name.startswith("yuvj")
    assert np.array_equal(y, block_means(source[0], 1, 1, shift))
    assert np.array_equal(u, block_means(source[1], step_x, step_y, shift))
    assert np.array_equal(v, block_means(source[2], step_x, step_y, shift))


def test_grey_has_no_colour_and_four_to_one_shares_its_samples() -> None:
    frame, source = filled("gray", 33, 17)
    y, u, v = planes_of(frame).views()
    assert np.array_equal(y, source[0])
    assert (u == 128).all()
    assert (v == 128).all()
    frame, source = filled("yuv411p", 32, 16)
    _, u, _ = planes_of(frame).views()
    assert np.array_equal(u, block_means(source[1], 1, 2, 0).repeat(2, axis=1))


def test_what_a_gpu_gives_equals_what_software_gives() -> None:
    software, planes = filled("yuv420p10le", 37, 23)
    hardware = av.VideoFrame(37, 23, "p010le")
    lines = [plane.line_size // 2 for plane in hardware.planes]
    luma = np.zeros((23, lines[0]), "<u2")
    luma[:, :37] = planes[0] << 6
    chroma = np.zeros((12, lines[1]), "<u2")
    chroma[:, 0:38:2], chroma[:, 1:38:2] = planes[1] << 6, planes[2] << 6
    for plane, samples in zip(hardware.planes, (luma, chroma), strict=True):
        view = memoryview(plane).cast("B")
        view[: samples.nbytes] = samples.tobytes()[: len(view)]
    for mine, its in zip(planes_of(hardware).views(), planes_of(software).views(), strict=True):
        assert np.array_equal(mine, its)
    eight, planes = filled("yuv420p", 37, 23)
    nv12 = av.VideoFrame(37, 23, "nv12")
    pairs = np.zeros((12, nv12.planes[1].line_size), np.uint8)
    pairs[:, 0:38:2], pairs[:, 1:38:2] = planes[1], planes[2]
    memoryview(nv12.planes[1]).cast("B")[: pairs.size] = pairs.tobytes()
    assert planes_of(nv12).layout == NV12
    assert planes_of(nv12).packed(b"", 37, 23)[37 * 23 :] == planes_of(eight).packed(b"", 37, 23)[37 * 23 :]


def test_a_format_that_is_not_converted_is_refused_with_its_name_and_what_to_do() -> None:
    for name in ("gbrp", "rgb24", "yuva420p", "pal8"):
        with pytest.raises(UnknownFormat, match=f"{name} .*4:2:0"):
            planes_of(av.VideoFrame(64, 48, name))


def test_a_side_that_no_ring_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="16400x16"):
        planes_of(av.VideoFrame(16400, 16, "yuv420p"))


@pytest.mark.parametrize(
    ("name", "black", "white"),
    [("yuvj420p", 0, 255), ("yuvj422p", 0, 255), ("yuv420p", 16, 235), ("yuv420p10le", 64, 940)],
)
def test_black_and_white_are_black_and_white_in_rgb_whatever_the_range(name: str, black: int, white: int) -> None:
    for luma, grey in ((black, 0), (white, 255)):
        frame = av.VideoFrame(64, 48, name)
        for index, plane in enumerate(frame.planes):
            value = luma if index == 0 else 512 if "10le" in name else 128
            width = 2 if "10le" in name else 1
            memoryview(plane).cast("B")[:] = value.to_bytes(width, "little") * (plane.buffer_size // width)
        rgb = np.frombuffer(planes_of(frame).rgb24(8, 6), np.uint8)
        assert (rgb == grey).all(), (name, luma, rgb[:3])


def decoded(encoder_name: str, decoder_name: str, pix_fmt: str, size: tuple[int, int], **options: str) -> av.VideoFrame:
    encoder = av.CodecContext.create(encoder_name, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *size, pix_fmt, Fraction(1, 25)
    encoder.options = options
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(small[: size[1], : size[0]]), format="rgb24")
    packets = encoder.encode(frame.reformat(format=pix_fmt)) + encoder.encode(None)
    decoder = av.CodecContext.create(decoder_name, "r")
    decoder.thread_count = 1
    frames = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    return frames[0]


@pytest.mark.parametrize(
    ("encoder", "decoder", "pix_fmt", "size", "options"),
    [
        ("mjpeg", "mjpeg", "yuvj422p", (641, 361), {}),
        ("mjpeg", "mjpeg", "yuvj420p", (1366, 768), {}),
        ("mjpeg", "mjpeg", "yuvj444p", (641, 361), {}),
        ("libx264", "h264", "yuv420p", (1366, 768), {"preset": "ultrafast"}),
        ("libx264", "h264", "yuv420p10le", (640, 362), {"preset": "ultrafast"}),
        ("libx265", "hevc", "yuv420p10le", (642, 362), {"preset": "ultrafast", "x265-params": "log-level=none"}),
        ("libx265", "hevc", "yuv422p10le", (642, 362), {"preset": "ultrafast", "x265-params": "log-level=none"}),
    ],
)
def test_what_encoders_make_arrives_as_420(
    encoder: str, decoder: str, pix_fmt: str, size: tuple[int, int], options: dict[str, str]
) -> None:
    frame = decoded(encoder, decoder, pix_fmt, size, **options)
    assert frame.format.name == pix_fmt
    planes = planes_of(frame)
    assert (planes.width, planes.height) == size
    assert bool(planes.flags & FULL_RANGE) == (encoder == "mjpeg")
    assert not (encoder == "mjpeg" and planes.flags & BT709)
    y, u, v = planes.views()
    luma = frame.planes[0]
    samples = np.frombuffer(luma, "<u2" if "10le" in pix_fmt else np.uint8).astype(np.uint32)
    rows = samples.reshape(-1, luma.line_size // (2 if "10le" in pix_fmt else 1))[: size[1], : size[0]]
    assert np.array_equal(y, np.minimum(255, (rows + 2) >> 2) if "10le" in pix_fmt else rows)
    assert u.shape == v.shape == ((size[1] + 1) // 2, (size[0] + 1) // 2)
    assert len(planes.rgb24(160, 90)) == 160 * 90 * 3
