"""Degraded before it hurts, good again not at once: a load that swings around its limit is one alarm."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.load import Limit, LoadBook, LoadRow, broker_limits
from broker.load_watch import open_descriptors, raise_descriptor_limit, usable_cores
from broker.view import load_view
from mesh.amounts import amount

SECOND = 1_000_000_000
RINGS = Limit("ring_memory", "bytes", 1000.0, 0.9, "Rings are nearly full", "Old frames go", "Raise it.")


def book(limit: Limit = RINGS) -> LoadBook:
    return LoadBook([limit], degraded_after_s=5, good_after_s=30)


def changes(loads: LoadBook, used: list[float], start_s: int = 0) -> list[tuple[int, bool]]:
    """Seconds at which `degraded` changed, of measurements once a second."""
    found = []
    for second, value in enumerate(used, start_s):
        found += [(second, row.degraded) for row in loads.measure({"ring_memory": value}, second * SECOND)]
    return found


def test_a_limit_is_degraded_once_it_was_nearly_used_up_for_five_seconds() -> None:
    loads = book()
    assert changes(loads, [899.0] * 10 + [900.0] * 10) == [(15, True)]
    (row,) = loads.rows
    assert row.degraded
    assert row.since_ns == 15 * SECOND
    assert row.detail == "900 bytes of 1 kB. Old frames go. Raise it."
    assert row.summary == f"Rings are nearly full: {row.detail}"


def test_a_peak_is_no_degradation() -> None:
    assert changes(book(), [999.0, 999.0, 999.0, 999.0, 10.0] * 10) == []


def test_a_limit_is_good_again_only_well_below_and_after_half_a_minute() -> None:
    loads = book()
    assert changes(loads, [950.0] * 6) == [(5, True)]
    assert changes(loads, [820.0] * 100, 6) == [], "between the two shares nothing changes"
    assert changes(loads, [800.0] * 29 + [850.0], 106) == [], "it went up again in time"
    assert changes(loads, [800.0] * 31, 136) == [(166, False)]
    (row,) = loads.rows
    assert (row.detail, row.summary) == ("", "")


@given(st.lists(st.floats(0, 2000), max_size=300))
def test_a_load_changes_at_most_twice_in_thirty_five_seconds(used: list[float]) -> None:
    found = changes(book(), used)
    assert [is_degraded for _, is_degraded in found] == [number % 2 == 0 for number in range(len(found))]
    for (first, _), (third, _) in zip(found, found[2:], strict=False):
        assert third - first >= 35


def test_what_has_no_limit_is_never_degraded() -> None:
    loads = book(Limit("ring_memory", "bytes", 0.0, 0.9, "", "", ""))
    assert changes(loads, [1e12] * 20) == []
    assert loads.rows[0].share == 0


def test_a_full_set_of_cameras_is_said_at_once_and_is_no_alarm() -> None:
    loads = LoadBook(
        broker_limits(max_cameras=4, max_subscribers=10, memory_bytes=0, cores=2, descriptors=100), degraded_after_s=0
    )
    assert loads.measure({"cameras": 3}, 0) == []
    (row,) = loads.measure({"cameras": 4}, SECOND)
    assert (row.name, row.degraded, row.priority) == ("cameras", True, 0)
    assert [row.name for row in loads.rows] == sorted(row.name for row in loads.rows)
    assert all(row.priority for row in loads.rows if row.name != "cameras")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1_073_741_824, "bytes", "1.07 GB"),
        (2_500_000, "bytes", "2.5 MB"),
        (999, "bytes", "999 bytes"),
        (0.25, "seconds", "250 ms"),
        (0.914, "cores", "0.91 cores"),
        (57, "cameras", "57 cameras"),
    ],
)
def test_amounts_read_as_people_write_them(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text


def test_a_load_is_told_with_all_that_is_known_of_it() -> None:
    row = LoadRow("cpu", "cores", 0.9, 1.0, 0.85, True, "0.9 of 1")
    (load,) = load_view([row], 7).loads
    assert (load.name, load.used, load.limit, load.unit, load.warns_at) == ("cpu", 0.9, 1.0, "cores", 0.85)
    assert (load.degraded, load.detail) == (True, "0.9 of 1")


def test_descriptors_are_counted_and_their_limit_is_taken() -> None:
    before = open_descriptors()
    with Path("/dev/null").open():
        assert open_descriptors() == before + 1
    assert before < raise_descriptor_limit() <= 65_536


def test_a_quota_of_processor_time_counts_as_cores(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usable_cores(tmp_path / "cpu.max") == 0.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path / "cpu.max") == usable_cores(tmp_path / "none") >= 1
