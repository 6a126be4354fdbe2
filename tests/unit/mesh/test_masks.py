"""Privacy masks: which pixels they cover, the same everywhere, and nothing of them is seen at any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import masks
from mesh.errors import InvalidArgument
from mesh.masks import GREY, NEUTRAL, Mask, checked, cover_planes, cover_rgb, covered_pixels, decode, encode

SQUARE = Mask("door", ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)))
fractions = st.floats(0, 1)
polygons = st.lists(st.tuples(fractions, fractions), min_size=3, max_size=8).map(lambda at: Mask("m", tuple(at)))


def test_a_square_covers_itself_and_a_margin_and_no_more() -> None:
    covered = covered_pixels((SQUARE,), 400, 200)
    assert covered[50:150, 100:300].all()
    assert covered[46, 200]
    assert covered[100, 96]
    assert not covered[44, 200]
    assert not covered[100, 94]
    assert not covered[:40].any()
    assert not covered[46, 96], "margins are round at corners"


@settings(max_examples=60, deadline=None)
@given(mask=polygons, width=st.integers(1, 90), height=st.integers(1, 70))
def test_every_point_within_a_polygon_is_covered(mask: Mask, width: int, height: int) -> None:
    covered = covered_pixels((mask,), width, height)
    for x, y in mask.corners:
        assert covered[min(height - 1, int(y * height)), min(width - 1, int(x * width))]
    for (x0, y0), (x1, y1) in zip(mask.corners, mask.corners[1:], strict=False):
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        assert covered[min(height - 1, int(y * height)), min(width - 1, int(x * width))]


def test_a_mask_over_the_edge_of_odd_pictures_covers_their_last_chroma_too() -> None:
    whole = Mask("all", ((0, 0), (1, 0), (1, 1), (0, 1)))
    y, u, v = np.zeros((7, 9), np.uint8), np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)
    cover_planes((whole,), y, u, v)
    assert (y == GREY).all()
    assert (u == NEUTRAL).all()
    assert (v == NEUTRAL).all()


def test_chroma_is_covered_wherever_one_of_its_pixels_is() -> None:
    y = np.zeros((200, 400), np.uint8)
    u, v = np.zeros((100, 200), np.uint8), np.zeros((100, 200), np.uint8)
    cover_planes((SQUARE,), y, u, v)
    for row, column in np.argwhere(y == GREY):
        assert u[row // 2, column // 2] == v[row // 2, column // 2] == NEUTRAL


def test_colour_pictures_are_covered_in_place() -> None:
    picture = np.full((200, 400, 3), 7, np.uint8)
    cover_rgb((SQUARE,), picture)
    assert (picture[100, 200] == GREY).all()
    assert (picture[0, 0] == 7).all()


def test_masks_come_back_from_their_text() -> None:
    masks = (SQUARE, Mask("문 앞", ((0.0, 0.0), (0.1, 0.0), (0.1, 1.0))))
    assert decode(encode(masks)) == masks
    assert decode("") == ()
    with pytest.raises(InvalidArgument):
        decode('{"a": 1}')


@pytest.mark.parametrize(
    "masks",
    [
        [Mask("a", SQUARE.corners)] * 2,
        [Mask("", SQUARE.corners)],
        [Mask("a\n", SQUARE.corners)],
        [Mask("a", SQUARE.corners[:2])],
        [Mask("a", (*SQUARE.corners, (1.1, 0)))],
        [Mask("a", (*SQUARE.corners, (float("nan"), 0)))],
        [Mask("a", SQUARE.corners * 9)],
        [Mask(str(number), SQUARE.corners) for number in range(17)],
    ],
)
def test_masks_that_are_none_are_refused(masks: list[Mask]) -> None:
    with pytest.raises(InvalidArgument):
        checked(masks)


def test_the_masks_of_a_hundred_cameras_are_drawn_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, near = 0, masks._near

    def counted(*arguments: Any) -> Any:
        nonlocal drawn
        drawn += 1
        return near(*arguments)

    monkeypatch.setattr(masks, "_near", counted)
    for _ in range(3):
        for number in range(100):
            mask = Mask("m", ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5 + number / 1000)))
            covered_pixels((mask,), 36, 20)
    assert drawn == 100
