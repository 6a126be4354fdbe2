"""Stretches of the week."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from mesh.schedule import Window, holds, parse_window

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    """UTC nanoseconds of a local time in Berlin."""
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("mon-fri 08:00-18:00", Window((1, 2, 3, 4, 5), 480, 1080)),
        ("22:00-06:00", Window((), 1320, 360)),
        ("sat,sun 00:00-24:00", Window((6, 7), 0, 0)),
        ("Fri-Mon 7:05-8:10", Window((1, 5, 6, 7), 425, 490)),
    ],
)
def test_a_window_is_written_as_people_write_it(text: str, window: Window) -> None:
    assert parse_window(text) == window
    assert parse_window(str(window).replace("-00:00", "-24:00")) == window


@pytest.mark.parametrize("text", ["", "8-18", "mon 25:00-26:00", "moon 08:00-09:00", "08:61-09:00"])
def test_what_is_no_window_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"mon-fri 08:00-18:00|Write"):
        parse_window(text)


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    nights = (Window((5,), 22 * 60, 6 * 60),)
    assert holds(nights, at("2026-11-20T23:00"), BERLIN)
    assert holds(nights, at("2026-11-21T05:59"), BERLIN)
    assert not holds(nights, at("2026-11-21T06:00"), BERLIN)
    assert not holds(nights, at("2026-11-20T05:00"), BERLIN)


def test_hours_are_those_of_the_site_through_summer_and_winter() -> None:
    day = (Window((), 8 * 60, 18 * 60),)
    for date in ("2026-01-15", "2026-07-15"):
        assert holds(day, at(f"{date}T08:00"), BERLIN)
        assert not holds(day, at(f"{date}T07:59"), BERLIN)


def test_no_windows_are_always() -> None:
    assert holds((), 0, BERLIN)


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(1, 7))
def test_a_window_of_every_day_covers_as_many_minutes_as_it_says(begin: int, end: int, day: int) -> None:
    window = Window((), begin, end)
    covered = sum(window.holds(day, minute) for minute in range(1440))
    assert covered == ((end - begin) % 1440 or 1440)
