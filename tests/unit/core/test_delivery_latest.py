"""LATEST: runs that decode, begun anew where a reader has fallen behind, with a word for all that was left out."""

from __future__ import annotations

import pytest

from broker.core.hub import LATEST, Hub, Subscriber
from tests.unit.core.fanout import Bell, Camera, nothing, take_all, told
from trueframe.v1.frames_pb2 import GapReason

SUPERSEDED = GapReason.GAP_REASON_SUPERSEDED
OVERRUN = GapReason.GAP_REASON_OVERRUN
NOT_REQUESTED = GapReason.GAP_REASON_NOT_REQUESTED
MS = 1_000_000


def latest(hub: Hub, max_items: int = 0, max_bytes: int = 0) -> Subscriber:
    return Subscriber(hub, nothing, LATEST, max_pending_items=max_items, max_pending_bytes=max_bytes)


def started(hub: Hub, name: str = "gate", step_ms: int = 40) -> Camera:
    camera = Camera(hub, name, step_ns=step_ms * MS)
    camera.start(5)
    return camera


def test_a_reader_that_keeps_up_gets_what_a_lossless_one_gets() -> None:
    hub = Hub()
    subscribers = [latest(hub), Subscriber(hub, nothing)]
    camera = Camera(hub, step_ns=400 * MS)
    for subscriber in subscribers:
        subscriber.add("gate")
    got: list[list[str]] = [[], []]
    camera.start(5)
    for letter in "I..I.R..X.":
        camera.frames(letter)
        if letter == "R":
            camera.gap()
        for words, subscriber in zip(got, subscribers, strict=True):
            words += told(take_all(subscriber))
    assert got[0] == got[1]
    assert len(got[0]) == 12


def test_a_reader_that_is_slow_goes_on_at_the_newest_join_point() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = latest(hub)
    subscriber.add("gate")
    camera.frames("I.")
    assert told(take_all(subscriber)) == ["start 5", "5/0", "5/1"]
    camera.frames(".......I..I.")
    assert told(take_all(subscriber)) == ["gap SUPERSEDED 10 5/1→5/12", "5/12", "5/13"]


def test_a_short_stall_loses_nothing() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = latest(hub)
    subscriber.add("gate")
    camera.frames("I..")
    take_all(subscriber)
    camera.frames("...I..")  # 240 ms
    assert told(take_all(subscriber)) == [f"5/{seq}" for seq in range(3, 9)]


def test_without_a_newer_join_point_a_slow_reader_goes_on_with_its_run() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = latest(hub)
    subscriber.add("gate")
    camera.frames("I.")
    take_all(subscriber)
    camera.frames("." * 50)
    assert len(take_all(subscriber)) == 50


def test_above_its_limit_a_reader_gets_nothing_before_the_next_join_point() -> None:
    hub = Hub()
    camera = started(hub, step_ms=1)
    subscriber = latest(hub, max_items=4)
    subscriber.add("gate")
    camera.frames("I.")
    take_all(subscriber)
    camera.frames(".....")
    assert subscriber.take() == b""
    counters = subscriber.counters("gate")
    assert (counters.delivered, counters.pending, counters.not_delivered[SUPERSEDED].count) == (2, 0, 5)
    camera.frames("..")
    assert not subscriber.ready, "a frame whose references were left out wakes nobody"
    camera.frames("I.")
    assert told(take_all(subscriber)) == ["gap SUPERSEDED 7 5/1→5/9", "5/9", "5/10"]


def test_a_long_group_that_is_there_when_a_reader_comes_is_handed_out_whole() -> None:
    hub = Hub()
    camera = started(hub)
    camera.frames("I" + "." * 60)
    subscriber = latest(hub, max_items=10)
    subscriber.add("gate")
    camera.frames("....")
    assert len(take_all(subscriber)) == 1 + 61 + 4


def test_a_join_point_that_recovers_later_begins_a_run_and_says_so_itself() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = latest(hub)
    subscriber.add("gate")
    camera.frames("I")
    take_all(subscriber)
    camera.frames("........R.")
    items = take_all(subscriber)
    assert told(items) == ["gap SUPERSEDED 8 5/0→5/9", "5/9", "5/10"]
    assert items[1].join_point == 3  # type: ignore[attr-defined]


def test_a_damaged_join_point_begins_no_run() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = latest(hub, max_items=3)
    subscriber.add("gate")
    camera.frames("I")
    take_all(subscriber)
    camera.frames("....X..I")
    assert told(take_all(subscriber)) == ["gap SUPERSEDED 7 5/0→5/8", "5/8"]


def test_an_epoch_that_begins_in_the_middle_of_a_group_begins_at_its_first_join_point() -> None:
    hub = Hub()
    subscriber = latest(hub)
    camera = Camera(hub)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("..I.")
    assert told(take_all(subscriber)) == ["start 5", "gap NOT_REQUESTED 2 →5/2", "5/2", "5/3"]
    assert subscriber.counters("gate").not_delivered[NOT_REQUESTED].count == 2


def test_losses_on_the_way_to_the_newest_join_point_are_told() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = latest(hub)
    subscriber.add("gate")
    camera.frames("I")
    take_all(subscriber)
    camera.frames("...")
    camera.gap()
    camera.frames(".....I")
    assert told(take_all(subscriber)) == ["gap SUPERSEDED 8 5/0→5/9", "gap NETWORK_LOSS ? 5/0→5/9", "5/9"]


def test_what_the_ring_no_longer_holds_is_overrun_and_the_rest_is_superseded() -> None:
    hub = Hub(max_items=6)
    camera = started(hub, step_ms=1)
    subscriber = latest(hub)
    subscriber.add("gate")
    camera.frames("I")
    take_all(subscriber)
    camera.frames("....I..I..")
    assert told(take_all(subscriber)) == [
        *["gap SUPERSEDED 6 5/0→5/8", "gap OVERRUN 1 5/0→5/8", "5/8", "5/9", "5/10"],
    ]
    missed = subscriber.counters("gate").not_delivered
    assert (missed[OVERRUN].count, missed[SUPERSEDED].count) == (1, 6)


def test_resuming_behind_an_id_is_without_a_seam_when_it_is_recent_and_newest_when_it_is_not() -> None:
    hub = Hub()
    camera = started(hub)
    camera.frames("I.....I...")
    recent, old = latest(hub), latest(hub)
    recent.add("gate", (5, 7))
    old.add("gate", (5, 1))
    assert told(take_all(recent)) == ["start 5", "5/8", "5/9"]
    assert told(take_all(old)) == ["gap SUPERSEDED 4 5/1→5/6", "start 5", "5/6", "5/7", "5/8", "5/9"]
    assert old.counters("gate").captured == 8


def test_resuming_behind_an_id_of_a_broker_that_died_is_told_with_an_unknown_number() -> None:
    hub = Hub()
    camera = started(hub)
    camera.frames("I.")
    subscriber = latest(hub)
    subscriber.add("gate", (3, 9))
    assert told(take_all(subscriber)) == ["gap BROKER_LOST ? 3/9→", "start 5", "5/0", "5/1"]


def test_a_start_in_the_past_is_what_was_asked_for() -> None:
    hub = Hub()
    camera = started(hub)
    camera.frames("I....I....I.")
    subscriber = latest(hub)
    subscriber.add("gate", 1000 + 7 * 40 * MS)
    assert told(take_all(subscriber)) == ["start 5", *[f"5/{seq}" for seq in range(5, 12)]]


def test_a_reader_that_waits_long_for_a_join_point_is_told_meanwhile() -> None:
    hub = Hub(max_ns=60_000 * MS)
    camera = started(hub, step_ms=1000)
    bell = Bell()
    subscriber = Subscriber(hub, bell, LATEST, max_pending_items=2)
    subscriber.add("gate")
    camera.frames("I")
    take_all(subscriber)
    camera.frames("...")  # over the limit
    assert take_all(subscriber) == []
    rings = bell.rings
    camera.frames("." * 10)
    assert bell.rings == rings + 1
    [word] = told(take_all(subscriber))
    assert word.startswith("gap SUPERSEDED 1")


def test_the_camera_that_has_most_waiting_gives_way_when_all_together_are_too_many_bytes() -> None:
    hub = Hub()
    busy, quiet = started(hub, "busy", 1), started(hub, "quiet", 1)
    subscriber = latest(hub, max_bytes=6000)
    for camera in (busy, quiet):
        subscriber.add(camera.name)
        camera.frames("I")
    take_all(subscriber)
    quiet.frames("..", size=500)
    busy.frames("......I.", size=900)
    words = told([item for item in take_all(subscriber) if item.camera == "quiet"])  # type: ignore[attr-defined]
    assert words == ["5/1", "5/2"]
    assert subscriber.counters("busy").not_delivered[SUPERSEDED].count >= 5
    assert subscriber.counters("quiet").not_delivered == {}


def test_pending_bytes_are_those_that_wait() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = latest(hub)
    subscriber.add("gate")
    size = len(camera.frame(2, size=100)) + len(camera.frame(1, size=100))
    begin = subscriber.pending_bytes - size
    take_all(subscriber)
    assert begin > 0
    assert subscriber.pending_bytes == 0
    assert subscriber.delivered_bytes == size + begin


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"delivery": 0}, "no delivery 0"),
        ({"delivery": 4}, "no delivery 4"),
        ({"delivery": LATEST, "max_rate": 1.0}, "only for KEYFRAMES"),
        ({"delivery": 3, "max_rate": -1.0}, "positive"),
        ({"delivery": 3, "max_rate": float("nan")}, "positive"),
        ({"delivery": LATEST, "max_pending_items": -1}, "negative"),
        ({"delivery": LATEST, "max_pending_bytes": -1}, "negative"),
    ],
)
def test_a_reader_that_cannot_be_meant_is_refused(options: dict[str, float], reason: str) -> None:
    hub = Hub()
    with pytest.raises(ValueError, match=reason):
        Subscriber(hub, nothing, **options)  # type: ignore[arg-type]
    assert hub.subscribers == 0
