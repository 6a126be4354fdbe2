import os
import time
from collections.abc import Iterator

import pytest

from mesh.errors import InvalidArgument
from trueframe.times import SECOND_NS, parse_duration, parse_time, show_duration, show_time

# 2026-03-29 is the day on which Berlin's clocks go from 02:00 to 03:00.
NOON = 1_774_778_400 * SECOND_NS  # 2026-03-29 12:00:00 +02:00


@pytest.fixture(autouse=True)
def _berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_a_moment_is_shown_in_the_local_zone_with_its_offset() -> None:
    assert show_time(NOON + 123_456_789) == "2026-03-29 12:00:00.123+02:00"
    assert show_time(NOON - 11 * 3600 * SECOND_NS) == "2026-03-29 00:00:00.000+01:00"


def test_what_is_shown_is_read_back_to_the_millisecond() -> None:
    assert parse_time(show_time(NOON + 123_000_000), NOON) == NOON + 123_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOON),
        ("-30s", NOON - 30 * SECOND_NS),
        ("-1m30s", NOON - 90 * SECOND_NS),
        ("11:59:30", NOON - 30 * SECOND_NS),
        ("11:59", NOON - 60 * SECOND_NS),
        ("11:59:30.250", NOON - 29_750_000_000),
        # Still to come today, so yesterday's is meant; that day had 23 hours.
        ("12:00:01", NOON + SECOND_NS - 23 * 3600 * SECOND_NS),
        ("2026-03-29T10:00:00+00:00", NOON),
        ("2026-03-29T10:00:00Z", NOON),
        ("2026-03-29 12:00:00", NOON),
        ("2026-03-29T12:00:00.000000001+02:00", NOON + 1),
        (str(NOON), NOON),
    ],
)
def test_times_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert parse_time(text, NOON) == expected


def test_a_clock_time_of_before_the_change_has_the_offset_of_then() -> None:
    assert show_time(parse_time("01:30", NOON)) == "2026-03-29 01:30:00.000+01:00"


@pytest.mark.parametrize("text", ["", "noon", "25:00", "12:61", "-", "-5 parsecs", "2026-13-01"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_time(text, NOON)
    assert refused.value.remedy


def test_durations_are_read_and_shown() -> None:
    assert parse_duration("60s") == parse_duration("1m") == parse_duration("60") == 60
    assert parse_duration("2h") == 7200
    for endless in ("9" * 400, "40000d"):
        with pytest.raises(InvalidArgument, match="century"):
            parse_duration(endless)
    assert parse_duration("250ms") == 0.25
    assert [show_duration(s) for s in (0.04, 9.94, 59, 61, 3700, 90000)] == [
        "0.0 s", "9.9 s", "59 s", "1 min 01 s", "1 h 01 min", "1 d 1 h",
    ]  # fmt: skip
