"""The burnt-in counter: readable through coding, never misread."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import counter


@given(value=st.integers(0, counter.LIMIT - 1), size=st.sampled_from([(72, 128), (180, 320), (360, 640), (1080, 1920)]))
@settings(max_examples=60, deadline=None)
def test_what_was_drawn_is_read(value: int, size: tuple[int, int]) -> None:
    plane = np.full(size, 90, np.uint8)
    counter.draw(plane, value)
    assert counter.read(plane) == value


@pytest.mark.parametrize("size", [(72, 128), (180, 320), (360, 640)])
def test_the_counter_survives_heavy_compression(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = size
    encoder.pix_fmt, encoder.framerate = "yuv420p", 10
    encoder.options = {"crf": "40", "preset": "ultrafast", "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    values = [int(v) for v in rng.integers(0, counter.LIMIT, 20)]
    seen = []
    packets = []
    for value in values:
        picture = rng.integers(60, 120, (size[0] * 3 // 2, size[1]), np.uint8)
        counter.draw(picture[: size[0]], value)
        packets += encoder.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p"))
    for packet in [*packets, *encoder.encode(None)]:
        seen += [counter.read(frame.to_ndarray()[: frame.height]) for frame in decoder.decode(packet)]
    seen += [counter.read(frame.to_ndarray()[: frame.height]) for frame in decoder.decode(None)]
    assert seen == values


@given(value=st.integers(0, counter.LIMIT - 1), hit=st.integers(0, 31))
@settings(max_examples=60, deadline=None)
def test_one_wrong_cell_is_noticed(value: int, hit: int) -> None:
    plane = np.full((360, 640), 90, np.uint8)
    counter.draw(plane, value)
    row, column = divmod(hit, counter.COLUMNS)
    cell = plane[4 + row * 8 : 12 + row * 8, 4 + column * 8 : 12 + column * 8]
    cell[:] = counter.DARK + counter.LIGHT - cell
    with pytest.raises(counter.CounterError):
        counter.read(plane)


@pytest.mark.parametrize("level", [0, 16, 128, 235, 255])
def test_a_picture_without_a_counter_is_told(level: int) -> None:
    with pytest.raises(counter.CounterError):
        counter.read(np.full((360, 640), level, np.uint8))


def test_noise_is_no_counter() -> None:
    rng = np.random.default_rng(3)
    misread = 0
    for _ in range(200):
        try:
            counter.read(rng.integers(0, 256, (360, 640), np.uint8))
        except counter.CounterError:
            continue
        misread += 1
    assert misread == 0


def test_a_counter_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        counter.draw(np.zeros((360, 640), np.uint8), counter.LIMIT)
