"""What a subscriber gets, from where, and what it is told of the rest."""

from __future__ import annotations

import gc
import weakref

import pytest

from broker.core.hub import Hub, Subscriber
from broker.core.wire import BatchReader, WireFrame
from mesh.ids import FrameId
from tests.unit.core.fanout import BROKER_LOST, NETWORK_LOSS, OVERRUN, REFUSED, Camera, take_all, told
from trueframe.v1.frames_pb2 import FrameId as ProtoId


def nothing() -> None:
    return None


class Bell:
    def __init__(self) -> None:
        self.rings = 0

    def __call__(self) -> None:
        self.rings += 1


def test_a_subscriber_gets_everything_from_the_beginning_of_an_epoch_on() -> None:
    hub = Hub()
    camera = Camera(hub)
    with Subscriber(hub, nothing) as subscriber:
        subscriber.add("gate")
        camera.start(5)
        camera.frames("..I")
        camera.gap(count=None)
        camera.frames(".")
        camera.end()
        camera.start(9)
        camera.frames("I")
        assert told(take_all(subscriber)) == [
            *["start 5", "5/0", "5/1", "5/2", "gap NETWORK_LOSS ? →", "5/3", "end 5", "start 9", "9/0"],
        ]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", ["start 5", "5/0"]),
        ("I", ["start 5", "5/0", "5/1"]),
        ("I..I..", ["start 5", "5/3", "5/4", "5/5", "5/6"]),
        ("I..R..", ["start 5", "5/3", "5/4", "5/5", "5/6"]),
        ("I..X", ["start 5", "5/0", "5/1", "5/2", "5/3", "5/4"]),
        ("..", ["start 5", "5/0", "5/1", "5/2"]),
    ],
)
def test_live_begins_at_the_newest_join_point_that_is_whole(before: str, expected: list[str]) -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames(before)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.frames(".")
    assert told(take_all(subscriber)) == expected


def test_live_on_a_camera_that_is_down_waits_for_its_next_epoch() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I..")
    camera.end()
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    assert subscriber.take() == b""
    camera.start(6)
    camera.frames("I")
    assert told(take_all(subscriber)) == ["start 6", "6/0"]
    assert subscriber.counters("gate").captured == 1


def test_behind_an_id_it_goes_on_without_a_seam() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I...I.")
    starts: list[tuple[int, int] | FrameId | ProtoId] = [
        (5, 1),
        FrameId("gate", 5, 1),
        ProtoId(camera="gate", epoch=5, seq=1),
    ]
    for start in starts:
        subscriber = Subscriber(hub, nothing)
        subscriber.add("gate", start)
        assert told(take_all(subscriber)) == ["start 5", "5/2", "5/3", "5/4", "5/5"]
        counters = subscriber.counters("gate")
        assert (counters.captured, counters.delivered, counters.pending) == (4, 4, 0)


def test_behind_the_newest_id_it_waits_for_the_next() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I.")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 1))
    assert subscriber.take() == b""
    camera.frames(".")
    assert told(take_all(subscriber)) == ["start 5", "5/2"]


def test_a_gap_behind_the_id_is_told() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I.")
    camera.gap()
    camera.frames(".")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 1))
    assert told(take_all(subscriber)) == ["gap NETWORK_LOSS ? →", "start 5", "5/2"]


def test_behind_an_id_that_has_gone_the_overrun_is_counted() -> None:
    hub = Hub(max_items=6)
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I......I..")
    camera.end()
    camera.start(6)
    camera.frames("I")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 2))
    assert told(take_all(subscriber)) == [
        *["gap OVERRUN 4 5/2→5/7", "start 5", "5/7", "5/8", "5/9", "end 5", "start 6", "6/0"],
    ]
    counters = subscriber.counters("gate")
    assert (counters.captured, counters.delivered, counters.not_delivered[OVERRUN].count) == (8, 4, 4)


def test_an_overrun_over_several_epochs_is_counted_too() -> None:
    hub = Hub(max_items=3)
    camera = Camera(hub)
    for epoch in (5, 6, 7):
        camera.start(epoch)
        camera.frames("I...")
        camera.end()
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 1))
    # No join point is held: it goes on with what there is.
    assert told(take_all(subscriber)) == ["gap OVERRUN 8 5/1→7/2", "start 7", "7/2", "7/3", "end 7"]


def test_behind_an_id_of_a_broker_that_died_the_gap_has_no_count() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(50)
    camera.frames("I.")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 2))
    assert told(take_all(subscriber)) == ["gap BROKER_LOST ? 5/2→", "start 50", "50/0", "50/1"]
    counters = subscriber.counters("gate")
    assert (counters.captured, counters.delivered) == (2, 2)
    assert counters.not_delivered[BROKER_LOST].unknown_gaps == 1


def test_behind_an_id_of_a_dead_broker_the_gap_is_told_at_once_even_if_nothing_came_yet() -> None:
    hub = Hub()
    bell = Bell()
    camera = Camera(hub)
    subscriber = Subscriber(hub, bell)
    subscriber.add("gate", (5, 2))
    assert bell.rings == 1
    assert told(take_all(subscriber)) == ["gap BROKER_LOST ? 5/2→"]
    camera.start(9)
    camera.frames("I")
    assert told(take_all(subscriber)) == ["start 9", "9/0"]


def test_an_id_from_the_future_gets_what_comes_next() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I.")
    for start, first in [((5, 7), []), ((9, 0), ["gap BROKER_LOST ? 9/0→"])]:
        subscriber = Subscriber(hub, nothing)
        subscriber.add("gate", start)
        assert told(take_all(subscriber))[: len(first)] == first
        camera.frames(".")
        assert told(take_all(subscriber))[-1] == f"5/{camera.seq - 1}"


@pytest.mark.parametrize(
    ("at_ns", "first"), [(0, "5/0"), (1009, "5/0"), (1040, "5/3"), (1069, "5/3"), (1 << 60, "5/6")]
)
def test_a_time_begins_at_the_join_point_before_it(at_ns: int, first: str) -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I..I..I.")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", at_ns)
    assert told(take_all(subscriber))[:2] == ["start 5", first]


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


def test_a_loss_right_behind_the_id_is_told_even_if_it_went() -> None:
    hub = Hub(max_items=2)
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I")
    camera.gap()
    camera.frames("II")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 0))
    assert told(take_all(subscriber)) == ["gap NETWORK_LOSS ? 5/0→", "start 5", "5/1", "5/2"]


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


def test_wake_is_called_once_until_everything_was_taken() -> None:
    hub = Hub()
    camera = Camera(hub)
    bell = Bell()
    subscriber = Subscriber(hub, bell)
    subscriber.add("gate")
    assert bell.rings == 0
    assert not subscriber.ready
    camera.start(5)
    camera.frames("I..")
    assert bell.rings == 1
    assert subscriber.take(2)
    camera.frames(".")
    assert bell.rings == 1
    assert subscriber.ready
    assert len(take_all(subscriber)) == 3
    assert not subscriber.ready
    camera.frames(".")
    assert bell.rings == 2


def test_a_subscriber_may_take_inside_its_wake() -> None:
    hub = Hub()
    camera = Camera(hub)
    got: list[object] = []
    subscriber = Subscriber(hub, lambda: got.extend(take_all(subscriber)))
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I..")
    assert told(got) == ["start 5", "5/0", "5/1", "5/2"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wake_that_fails_does_not_keep_the_frame_from_others() -> None:
    hub = Hub()
    camera = Camera(hub)

    def broken() -> None:
        raise RuntimeError("broken")

    bell = Bell()
    first, second = Subscriber(hub, broken), Subscriber(hub, bell)
    first.add("gate")
    second.add("gate")
    camera.start(5)
    camera.frames("I")
    assert bell.rings == 1
    assert len(take_all(first)) == len(take_all(second)) == 2


def test_a_batch_is_bounded_in_items_and_bytes_but_one_larger_item_goes_alone() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    small = len(camera.frame(2, size=500))
    camera.frame(1, size=500)
    large = len(camera.frame(1, size=9000))
    camera.frames("....")
    sizes = []
    while batch := subscriber.take(3, 2 * small):
        sizes.append((len(list(BatchReader(batch))), len(batch)))
    assert [count for count, _ in sizes] == [2, 1, 1, 3, 1]
    assert sizes[2][1] == large
    assert all(size <= 2 * small for i, (_, size) in enumerate(sizes) if i != 2)


def test_a_single_item_is_handed_out_without_a_copy() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    take_all(subscriber)
    item = camera.frame(2)
    assert subscriber.take() is item


def test_cameras_take_turns() -> None:
    hub = Hub()
    busy, quiet = Camera(hub, "busy"), Camera(hub, "quiet")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("busy")
    subscriber.add("quiet")
    busy.start(5)
    busy.frames("I" * 30)
    quiet.start(5)
    quiet.frames("I")
    cameras = [item.camera for item in BatchReader(subscriber.take(4))]
    assert cameras == ["busy", "quiet", "busy", "quiet"]


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


def test_a_removed_camera_is_silent_and_tells_its_counters() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I.")
    counters = subscriber.remove("gate")
    assert (counters.captured, counters.pending) == (2, 2)
    assert subscriber.take() == b""
    camera.frames(".")
    assert subscriber.cameras == []
    assert not subscriber.ready
    subscriber.add("gate", (5, 1))
    assert told(take_all(subscriber)) == ["start 5", "5/2"]


def test_a_dropped_camera_can_still_be_read_to_its_end() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I")
    camera.end()
    hub.drop("gate")
    assert hub.cameras == []
    assert told(take_all(subscriber)) == ["start 5", "5/0", "end 5"]
    subscriber.remove("gate")
    with pytest.raises(KeyError):
        subscriber.add("gate")


def test_misuse_is_refused() -> None:
    hub = Hub()
    Camera(hub)
    subscriber = Subscriber(hub, nothing)
    with pytest.raises(KeyError):
        subscriber.add("yard")
    with pytest.raises(KeyError):
        hub.append_frame("yard", 1, 0, 0, 0, 2, False, b"x")
    with pytest.raises(KeyError):
        subscriber.counters("gate")
    with pytest.raises(KeyError):
        subscriber.remove("gate")
    with pytest.raises(ValueError, match="for 'gate'"):
        subscriber.add("gate", FrameId("yard", 5, 1))
    assert subscriber.cameras == []
    subscriber.add("gate")
    with pytest.raises(ValueError, match="already"):
        subscriber.add("gate")
    subscriber.close()
    subscriber.close()
    assert subscriber.take() == b""
    with pytest.raises(ValueError, match="closed"):
        subscriber.add("gate")
    assert hub.subscribers == 0


def test_a_closed_subscriber_leaves_nothing_behind() -> None:
    hub = Hub()
    camera = Camera(hub)
    bell = Bell()
    gone = weakref.ref(bell)
    subscriber = Subscriber(hub, bell)
    subscriber.add("gate")
    camera.start(5)
    subscriber.close()
    del subscriber, bell
    gc.collect()
    assert gone() is None
    camera.frames("I")


def test_a_forgotten_subscriber_closes_itself() -> None:
    hub = Hub()
    camera = Camera(hub)
    bell = Bell()
    subscriber = Subscriber(hub, bell)
    subscriber.add("gate")
    camera.start(5)
    assert hub.subscribers == 1
    del subscriber
    gc.collect()
    assert hub.subscribers == 0
    camera.frames("I..")
    assert bell.rings == 1


def test_a_batch_taken_outlives_the_hub() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I", size=4000)
    batch = subscriber.take()
    subscriber.close()
    del hub, camera, subscriber
    gc.collect()
    assert told(list(BatchReader(batch))) == ["start 5", "5/0"]
