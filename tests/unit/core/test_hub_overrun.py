"""A LOSSLESS reader that the ring overtakes: where it goes on, and that no loss inside is lost itself."""

from __future__ import annotations

from broker.core.hub import Hub, Subscriber
from broker.core.wire import WireFrame
from tests.unit.core.fanout import NETWORK_LOSS, OVERRUN, REFUSED, Camera, nothing, take_all, told


def test_a_reader_that_is_overtaken_goes_on_at_the_oldest_join_point() -> None:
    hub = Hub(max_items=10)
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I..")
    assert told(take_all(subscriber, max_items=2)) == ["start 5", "5/0", "5/1", "5/2"]
    camera.frames("I....I........")
    assert told(take_all(subscriber)) == [
        "gap OVERRUN 5 5/2→5/8",
        *[f"5/{seq}" for seq in range(8, 17)],
    ]
    counters = subscriber.counters("gate")
    assert (counters.captured, counters.delivered, counters.pending) == (17, 12, 0)
    assert counters.not_delivered[OVERRUN].count == 5


def test_losses_inside_an_overrun_are_told_not_swallowed() -> None:
    hub = Hub(max_items=3)
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I.")
    camera.gap()
    camera.gap(REFUSED, count=2)
    camera.gap(REFUSED, count=1)
    camera.frames("...I.")
    assert told(take_all(subscriber)) == [
        "gap OVERRUN 5 →5/5",
        "gap NETWORK_LOSS ? →5/5",
        "gap REFUSED 3 →5/5",
        "start 5",
        "5/5",
        "5/6",
    ]
    missed = subscriber.counters("gate").not_delivered
    assert missed[OVERRUN].count == 5
    assert (missed[NETWORK_LOSS].count, missed[NETWORK_LOSS].unknown_gaps) == (0, 1)
    assert (missed[REFUSED].count, missed[REFUSED].unminted) == (0, 3)


def test_a_loss_that_was_next_when_it_went_is_told() -> None:
    hub = Hub(max_items=2)
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I")
    assert len(take_all(subscriber)) == 2
    camera.gap()
    camera.frames("II")
    assert told(take_all(subscriber)) == ["gap NETWORK_LOSS ? 5/0→5/1", "5/1", "5/2"]


def test_a_loss_between_what_went_and_the_join_point_is_told() -> None:
    hub = Hub(max_items=4)
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I..")
    camera.gap()
    camera.frames(".I.")
    assert told(take_all(subscriber)) == [
        *["gap OVERRUN 4 →5/4", "gap NETWORK_LOSS ? →5/4", "start 5", "5/4", "5/5"],
    ]


def test_a_second_overrun_before_the_first_was_read_is_told_as_well() -> None:
    hub = Hub(max_items=4)
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("IIIIII")
    assert subscriber.counters("gate").not_delivered[OVERRUN].count == 2
    camera.frames("IIIIII")
    assert told(take_all(subscriber)) == [
        *["gap OVERRUN 2 →5/2", "gap OVERRUN 6 →5/8", "start 5", "5/8", "5/9", "5/10", "5/11"],
    ]


def test_a_slow_subscriber_holds_nobody_up_and_no_memory() -> None:
    hub = Hub(max_bytes=2000)
    camera = Camera(hub)
    slow, quick = Subscriber(hub, nothing), Subscriber(hub, nothing)
    slow.add("gate")
    quick.add("gate")
    camera.start(5)
    seen = 0
    for _ in range(500):
        camera.frames("I")
        seen += sum(isinstance(item, WireFrame) for item in take_all(quick))
    assert seen == 500
    assert hub.ring("gate").bytes <= 2000
    counters = slow.counters("gate")
    assert counters.captured == 500 == counters.pending + counters.not_delivered[OVERRUN].count
