"""One budget for all rings: who gives, how much, and what readers are told of it."""

from __future__ import annotations

import pytest

from broker.core.hub import Hub, Subscriber
from tests.unit.core.fanout import OVERRUN, Camera, nothing, take_all, told


def cameras(hub: Hub, *names: str) -> list[Camera]:
    made = [Camera(hub, name) for name in names]
    for camera in made:
        camera.start(5)
    return made


def test_all_rings_together_stay_inside_the_budget() -> None:
    hub = Hub(budget_bytes=20_000)
    for number, camera in enumerate(cameras(hub, "a", "b", "c", "d")):
        for _ in range(20):
            camera.frames("I....", size=100 * number)
            assert hub.used_bytes <= hub.budget_bytes == 20_000
    assert hub.used_bytes == sum(hub.ring(name).bytes for name in hub.cameras) > 15_000


def test_the_ring_beyond_its_share_gives_whole_groups_and_the_others_keep_theirs() -> None:
    hub = Hub(budget_bytes=12_000)
    small, large = cameras(hub, "small", "large")
    small.frames("I....", size=100)
    kept = hub.ring("small").bytes
    for _ in range(30):
        large.frames("I...", size=500)
    assert hub.ring("small").bytes == kept
    first = hub.ring("large").first_id
    assert first is not None
    assert first[1] % 4 == 0, "what is left begins at a join point"


def test_a_reader_that_loses_by_the_budget_is_told_and_counted_as_overrun() -> None:
    hub = Hub(budget_bytes=6000)
    near, far = cameras(hub, "near", "far")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("near")
    near.frames("I..I", size=900)
    far.frames("I", size=2500)
    words = told(take_all(subscriber))
    assert words == ["gap OVERRUN 3 →5/3", "start 5", "5/3"]
    assert subscriber.counters("near").not_delivered[OVERRUN].count == 3


def test_one_long_group_gives_its_oldest_items_when_nobody_has_a_whole_one() -> None:
    hub = Hub(budget_bytes=5000)
    [camera] = cameras(hub, "gate")
    camera.frames("I" + "." * 40, size=300)
    assert hub.used_bytes <= 5000
    assert hub.ring("gate").last_id == (5, 40)


def test_the_newest_item_of_every_ring_stays_whatever_the_budget() -> None:
    hub = Hub(budget_bytes=1000)
    for camera in cameras(hub, "a", "b", "c"):
        camera.frames("I", size=800)
    assert [len(hub.ring(name)) for name in hub.cameras] == [1, 1, 1]


def test_without_a_budget_each_ring_has_its_own_bounds_only() -> None:
    hub = Hub(max_bytes=3000)
    for camera in cameras(hub, "a", "b"):
        camera.frames("I" * 20, size=500)
    assert hub.budget_bytes == 0
    assert 3000 < hub.used_bytes <= 6000


def test_a_dropped_camera_counts_as_long_as_somebody_reads_it() -> None:
    hub = Hub(budget_bytes=50_000)
    first, second = cameras(hub, "first", "second")
    first.frames("I..", size=1000)
    second.frames("I", size=1000)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("first")
    both = hub.used_bytes
    hub.drop("first")
    assert hub.used_bytes == both
    assert told(take_all(subscriber)) == ["start 5", "5/0", "5/1", "5/2"]
    subscriber.remove("first")
    assert hub.used_bytes == hub.ring("second").bytes
    hub.drop("second")
    assert hub.used_bytes == 0


def test_a_dropped_camera_that_is_still_read_gives_room_like_any_other() -> None:
    hub = Hub(budget_bytes=6000)
    gone, stays = cameras(hub, "gone", "stays")
    gone.frames("I" * 10, size=400)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gone", (5, 0))
    hub.drop("gone")
    stays.frames("I" * 10, size=400)
    assert hub.used_bytes <= 6000
    assert subscriber.counters("gone").not_delivered[OVERRUN].count > 0
    subscriber.close()
    assert hub.used_bytes == hub.ring("stays").bytes


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="budget"):
        Hub(budget_bytes=-1)
