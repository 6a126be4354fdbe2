"""Container times."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from media_center.timeline import REORDER_DELAY, Timeline, has_reordering, ticks

MS = 1_000_000


@dataclass(frozen=True)
class Shot:
    monotonic_ns: int
    pts: int | None
    join_point: int = 1


def shots(times_ms: list[int], pts: list[int | None]) -> list[Shot]:
    return [Shot(t * MS, p, 2 if i == 0 else 1) for i, (t, p) in enumerate(zip(times_ms, pts, strict=True))]


def test_decode_time_is_arrival_time() -> None:
    placed = Timeline((1, 90_000), 0).place(shots([1000, 1040, 1081], [0, 3600, 7200]), 1120 * MS)
    assert [(p.decode, p.duration, p.composition) for p in placed] == [(0, 3600, 0), (3600, 3690, 0), (7290, 3510, 0)]


@given(
    fragments=st.lists(st.lists(st.integers(0, 200), min_size=1, max_size=8), min_size=1, max_size=6),
    delay=st.sampled_from([0, REORDER_DELAY]),
    pts=st.lists(st.one_of(st.none(), st.integers(-(1 << 62), 1 << 62)), min_size=48, max_size=48),
    knows_next=st.booleans(),
)
def test_decode_time_grows_strictly_whatever_arrives(
    fragments: list[list[int]], delay: int, pts: list[int | None], knows_next: bool
) -> None:
    timeline = Timeline((1, 90_000), delay)
    now_ms, decodes = 0, []
    values = iter(pts)
    for steps in fragments:
        frames = []
        for step in steps:
            now_ms += step
            frames.append(Shot(now_ms * MS, next(values)))
        placed = timeline.place(frames, (now_ms + 5) * MS if knows_next else None)
        decodes += [p.decode for p in placed]
        assert all(p.duration > 0 and 0 <= p.composition < 1 << 31 for p in placed)
    assert all(before < after for before, after in itertools.pairwise(decodes))


def test_pictures_are_presented_in_the_order_of_their_pts() -> None:
    # I0 P3 B1 B2 P6 B4 B5, arriving in bursts.
    frames = shots([0, 1, 2, 120, 121, 200, 240], [0, 10800, 3600, 7200, 21600, 14400, 18000])
    assert has_reordering(frames)
    placed = Timeline((1, 90_000), REORDER_DELAY).place(frames, None)
    presented = [p.decode + p.composition for p in placed]
    order = sorted(range(7), key=presented.__getitem__)
    assert order == [0, 2, 3, 1, 5, 6, 4]
    assert presented[2] - presented[0] == 3600


def test_presentation_follows_arrival_again_from_each_exact_join_point() -> None:
    timeline = Timeline((1, 90_000), REORDER_DELAY)
    timeline.place(shots([0, 40, 80], [0, 7200, 3600]), None)
    # The camera's clock was set back by an hour meanwhile.
    placed = timeline.place([Shot(120 * MS, -324_000_000, 2), Shot(160 * MS, -323_992_800)], None)
    assert [p.decode + p.composition - REORDER_DELAY for p in placed] == [ticks(120 * MS), ticks(120 * MS) + 7200]


def test_a_stream_is_not_reordered_because_its_clock_restarts_at_a_join_point() -> None:
    assert not has_reordering([Shot(0, 500), Shot(1, 600), Shot(2, 0, 2), Shot(3, 100)])
    assert has_reordering([Shot(0, 500, 2), Shot(1, 700), Shot(2, 600)])
    assert not has_reordering([Shot(0, None), Shot(1, 5), Shot(2, None), Shot(3, 6)])


def test_a_timeline_goes_on_behind_what_is_on_disk() -> None:
    whole = Timeline((1, 90_000), 0)
    frames = [Shot(i * 40 * MS + 7, i * 3600) for i in range(20)]
    expected = [p.decode for p in whole.place(frames, None)]

    resumed = Timeline((1, 90_000), 0)
    resumed.resume(frames[9], expected[9], 0, 3600, expected[9])
    assert [p.decode for p in resumed.place(frames[10:], None)] == expected[10:]
