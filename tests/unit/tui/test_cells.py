import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.cells import PictureCells

colours = st.tuples(*[st.integers(0, 255)] * 3)


@st.composite
def pictures(draw: st.DrawFn, width: int = 7, height: int = 6) -> bytes:
    # Few colours, so that runs and equal halves occur.
    palette = draw(st.lists(colours, min_size=1, max_size=4))
    return b"".join(bytes(palette[draw(st.integers(0, len(palette) - 1))]) for _ in range(width * height))


def replayed(rows: list[str], columns: int) -> list[list[tuple[str, str]]]:
    """What a terminal shows: upper and lower colour of each cell, by pyte."""
    screen = pyte.Screen(columns, len(rows))
    stream = pyte.Stream(screen)
    for number, row in enumerate(rows):
        stream.feed(f"\x1b[{number + 1};1H{row}")
    cells = []
    for y in range(len(rows)):
        line = [screen.buffer[y][x] for x in range(columns)]
        cells.append([(cell.fg if cell.data == "▀" else cell.bg, cell.bg) for cell in line])
    return cells


def wanted(rgb: bytes, width: int, height: int) -> list[list[tuple[str, str]]]:
    def at(x: int, y: int) -> str:
        return rgb[(y * width + x) * 3 : (y * width + x) * 3 + 3].hex()

    return [[(at(x, y), at(x, y + 1)) for x in range(width)] for y in range(0, height, 2)]


@given(pictures())
@settings(max_examples=60, deadline=None)
def test_a_terminal_shows_exactly_the_picture(rgb: bytes) -> None:
    cells = PictureCells(7, 3)
    cells.update(rgb, 7, 6)
    assert replayed([cells.ansi(row) for row in range(3)], 7) == wanted(rgb, 7, 6)
    assert b"".join(cells.colours(0)[n * 6 : n * 6 + 3] for n in range(7)) == rgb[: 7 * 3]


@given(pictures(), pictures(), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_what_is_shown_never_differs_from_the_picture_by_more_than_the_tolerance(a: bytes, b: bytes, tol: int) -> None:
    cells = PictureCells(7, 3)
    cells.update(a, 7, 6)
    before = [cells.ansi(row) for row in range(3)]
    dirty = cells.update(b, 7, 6, tol)
    shown = b"".join(cells.colours(row) for row in range(3))
    for cell in range(21):
        for half in range(2):
            pixel = ((cell // 7 * 2 + half) * 7 + cell % 7) * 3
            for channel in range(3):
                assert abs(shown[cell * 6 + half * 3 + channel] - b[pixel + channel]) <= tol
    assert [row for row in range(3) if cells.ansi(row) != before[row]] == dirty


@given(pictures(), pictures(), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_patches_bring_a_terminal_from_one_picture_to_the_next(a: bytes, b: bytes, tol: int) -> None:
    cells = PictureCells(7, 3)
    cells.update(a, 7, 6)
    screen = pyte.Screen(12, 6)
    stream = pyte.Stream(screen)
    for row in range(3):
        stream.feed(f"\x1b[{row + 3};5H{cells.ansi(row)}")
    for row in cells.update(b, 7, 6, tol):
        stream.feed(cells.patch(row, row + 2, 4))
    shown = [[screen.buffer[y + 2][x + 4] for x in range(7)] for y in range(3)]
    for row in range(3):
        expected = [cells.colours(row)[n * 6 : n * 6 + 6].hex() for n in range(7)]
        assert [(c.fg if c.data == "▀" else c.bg) + c.bg for c in shown[row]] == expected
    assert screen.buffer[2][3].bg == screen.buffer[2][11].bg == "default"


def test_a_row_that_did_not_change_has_an_empty_patch() -> None:
    cells = PictureCells(4, 2)
    cells.update(bytes([100] * 48), 4, 4)
    cells.update(bytes([100] * 48), 4, 4)
    assert cells.patch(0, 0, 0) == ""


def test_noise_within_the_tolerance_repaints_nothing() -> None:
    cells = PictureCells(4, 2)
    cells.update(bytes([100] * 48), 4, 4, 8)
    assert cells.update(bytes([108] * 48), 4, 4, 8) == []
    assert cells.update(bytes([109] * 48), 4, 4, 8) == [0, 1]


def test_only_the_row_that_changed_is_dirty() -> None:
    cells = PictureCells(4, 3)
    cells.update(bytes(4 * 6 * 3), 4, 6)
    picture = bytearray(4 * 6 * 3)
    picture[(3 * 4 + 2) * 3] = 255
    assert cells.update(picture, 4, 6) == [1]


def test_a_smaller_picture_stands_in_the_middle_of_the_ground() -> None:
    cells = PictureCells(4, 2, ground=(9, 9, 9))
    cells.update(bytes([200] * 2 * 2 * 3), 2, 2)
    shown = replayed([cells.ansi(0), cells.ansi(1)], 4)
    assert shown[0] == [("090909", "090909"), ("090909", "c8c8c8"), ("090909", "c8c8c8"), ("090909", "090909")]


def test_a_dim_picture_is_grey_and_dark() -> None:
    cells = PictureCells(1, 1)
    cells.update(bytes([255, 0, 0, 0, 255, 0]), 1, 2, 0, True)
    red, green = cells.colours(0)[:3], cells.colours(0)[3:]
    assert len(set(red)) == len(set(green)) == 1
    assert red < green < bytes([128] * 3)


def test_256_colours_are_used_where_24_bit_are_not_known() -> None:
    cells = PictureCells(1, 1, true_colour=False)
    cells.update(bytes([255, 0, 0, 128, 128, 128]), 1, 2)
    assert cells.ansi(0) == "\x1b[38;5;196;48;5;244m▀\x1b[0m"


@pytest.mark.parametrize("size", [(4, 5), (-1, 1), (1000, 1000)])
def test_a_buffer_of_the_wrong_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="bytes, not"):
        PictureCells(4, 2).update(bytes(48), *size)


def test_a_row_that_is_not_there_is_refused() -> None:
    cells = PictureCells(4, 2)
    for row in (-1, 2):
        with pytest.raises(IndexError):
            cells.ansi(row)
        with pytest.raises(IndexError):
            cells.colours(row)
        with pytest.raises(IndexError):
            cells.patch(row, 0, 0)
    with pytest.raises(ValueError, match="columns and rows"):
        PictureCells(0, 5)


def test_an_empty_picture_shows_the_ground() -> None:
    cells = PictureCells(2, 1, ground=(1, 2, 3))
    cells.update(b"", 0, 0)
    assert cells.colours(0) == bytes([1, 2, 3] * 4)
