from hypothesis import given
from hypothesis import strategies as st

from tui.grid import SMALLEST_HEIGHT, SMALLEST_WIDTH, grid_for, neighbour


@given(st.integers(0, 300), st.integers(1, 400), st.integers(1, 120))
def test_tiles_never_stand_outside_of_the_wall(count: int, width: int, height: int) -> None:
    grid = grid_for(count, width, height)
    assert grid.columns * grid.tile_width <= width
    assert grid.rows * grid.tile_height <= height
    assert grid.pages(count) * grid.per_page >= count


def test_a_hundred_cameras_stand_on_one_page_of_a_large_terminal() -> None:
    grid = grid_for(100, 240, 70)
    assert grid.per_page >= 100
    assert grid.tile_width >= SMALLEST_WIDTH
    assert grid.tile_height >= SMALLEST_HEIGHT


def test_four_cameras_stand_two_by_two() -> None:
    grid = grid_for(4, 120, 40)
    assert (grid.columns, grid.rows) == (2, 2)


def test_what_does_not_fit_goes_to_further_pages() -> None:
    grid = grid_for(100, 80, 24)
    assert grid.pages(100) == -(-100 // grid.per_page) > 1


@given(st.integers(0, 50), st.integers(1, 51), st.sampled_from([(1, 0), (-1, 0), (0, 1), (0, -1)]))
def test_an_arrow_key_always_leads_to_a_camera(selected: int, count: int, step: tuple[int, int]) -> None:
    grid = grid_for(count, 200, 60)
    assert 0 <= neighbour(min(selected, count - 1), count, grid, *step) < count


def test_up_and_down_stay_in_the_column() -> None:
    grid = grid_for(9, 160, 60)
    assert neighbour(4, 9, grid, 0, 1) == 4 + grid.columns
    assert neighbour(1, 9, grid, 0, -1) == 1
