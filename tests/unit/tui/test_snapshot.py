import io
from fractions import Fraction

import av
import numpy as np
import pytest

from trueframe.alarms import BoxSight
from tui.palette import ALARM_RGB
from tui.snapshot import decode_png, draw_boxes, fit_picture


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="image2pipe") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], "rgb24"
        stream.codec_context.time_base = Fraction(1, 1)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def test_a_png_comes_back_pixel_for_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (18, 32, 3), dtype=np.uint8)
    assert (decode_png(png(pixels)) == pixels).all()


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_png_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="PNG"):
        decode_png(data)


def test_a_box_is_drawn_at_its_place_at_any_scale() -> None:
    for size in ((36, 64), (90, 160)):
        pixels = np.zeros((*size, 3), np.uint8)
        drawn = draw_boxes(pixels, [BoxSight(0.25, 0.5, 0.5, 0.25)])
        rows, columns = np.nonzero((drawn == ALARM_RGB).all(axis=2))
        assert (rows.min() / size[0], columns.min() / size[1]) == (0.5, 0.25)
        assert abs((rows.max() + 1) / size[0] - 0.75) < 0.02
        assert abs((columns.max() + 1) / size[1] - 0.75) < 0.02
        assert not pixels.any()


def test_a_box_beyond_the_edge_is_cut_at_it() -> None:
    drawn = draw_boxes(np.zeros((10, 10, 3), np.uint8), [BoxSight(-0.5, -0.5, 3, 3), BoxSight(2, 2, 1, 1)])
    assert (drawn[0, 0] == ALARM_RGB).all()
    assert (drawn[9, 9] == ALARM_RGB).all()


def test_a_small_box_stands_around_what_it_marks() -> None:
    drawn = draw_boxes(np.zeros((40, 40, 3), np.uint8), [BoxSight(0.5, 0.5, 0.025, 0.025)])
    assert not drawn[20, 20].any()
    assert (drawn == ALARM_RGB).all(axis=2).sum() >= 12


def test_a_picture_keeps_its_shape_and_is_at_most_doubled() -> None:
    pixels = np.zeros((90, 160, 3), np.uint8)
    assert fit_picture(pixels, 80, 80).shape == (45, 80, 3)
    assert fit_picture(pixels, 1000, 1000).shape == (180, 320, 3)
