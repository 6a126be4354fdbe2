"""KEYFRAMES: exact join points alone, at most so many a second, with few words for all the others."""

from __future__ import annotations

from itertools import pairwise

from broker.core.hub import KEYFRAMES, Hub, Subscriber
from broker.core.wire import WireFrame
from tests.unit.core.fanout import NETWORK_LOSS, Bell, Camera, nothing, take_all, told
from trueframe.v1.frames_pb2 import GapReason

NOT_REQUESTED = GapReason.GAP_REASON_NOT_REQUESTED
RATE_CAPPED = GapReason.GAP_REASON_RATE_CAPPED
SUPERSEDED = GapReason.GAP_REASON_SUPERSEDED
OVERRUN = GapReason.GAP_REASON_OVERRUN
MS = 1_000_000


def keyframes(hub: Hub, max_rate: float = 0.0, max_items: int = 0) -> Subscriber:
    return Subscriber(hub, nothing, KEYFRAMES, max_rate=max_rate, max_pending_items=max_items)


def started(hub: Hub, step_ms: int = 40) -> Camera:
    camera = Camera(hub, step_ns=step_ms * MS)
    camera.start(5)
    return camera


def read(camera: Camera, subscriber: Subscriber, kinds: str) -> list[str]:
    """Frames one by one, each taken at once."""
    words: list[str] = []
    for kind in kinds:
        camera.frames(kind)
        words += told(take_all(subscriber))
    return words


def test_only_exact_join_points_come_and_one_gap_before_each_counts_the_others() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = keyframes(hub)
    subscriber.add("gate")
    assert read(camera, subscriber, "I..R.I.I") == [
        *["start 5", "5/0", "gap NOT_REQUESTED 4 5/0→5/5", "5/5", "gap NOT_REQUESTED 1 5/5→5/7", "5/7"],
    ]
    counters = subscriber.counters("gate")
    assert (counters.captured, counters.delivered, counters.pending) == (8, 3, 0)
    assert counters.not_delivered[NOT_REQUESTED].count == 5


def test_a_damaged_key_frame_is_one_and_says_so() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = keyframes(hub)
    subscriber.add("gate")
    camera.frames("X")
    frame = take_all(subscriber)[1]
    assert frame.damaged  # type: ignore[attr-defined]


def test_frames_that_are_never_handed_out_wake_nobody() -> None:
    hub = Hub()
    camera = started(hub)
    bell = Bell()
    subscriber = Subscriber(hub, bell, KEYFRAMES)
    subscriber.add("gate")
    camera.frames("I")
    take_all(subscriber)
    camera.frames("." * 100)
    assert bell.rings == 1
    assert subscriber.counters("gate").pending == 0
    camera.frames("I")
    assert bell.rings == 2


def test_a_rate_cap_holds_between_any_two_frames_and_counts_what_it_left_out() -> None:
    hub = Hub()
    camera = started(hub, step_ms=300)
    subscriber = keyframes(hub, max_rate=1.0)
    subscriber.add("gate")
    times = []
    for _ in range(40):
        camera.frames("I")
        times += [item.received_ns for item in take_all(subscriber) if isinstance(item, WireFrame)]
    assert all(later - earlier >= 1000 * MS for earlier, later in pairwise(times))
    assert len(times) == 10
    counters = subscriber.counters("gate")
    assert counters.not_delivered[RATE_CAPPED].count == 30


def test_a_wall_clock_that_is_set_back_does_not_silence_a_capped_camera() -> None:
    hub = Hub()
    camera = started(hub, step_ms=500)
    subscriber = keyframes(hub, max_rate=0.1)
    subscriber.add("gate")
    camera.now_ns = 3_600_000 * MS
    camera.frames("I")
    take_all(subscriber)
    camera.end()
    camera.now_ns = 1000 * MS
    camera.start(6)
    camera.frames("I")
    assert "6/0" in told(take_all(subscriber))


def test_a_reader_that_is_slow_goes_on_at_the_newest_key_frame() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = keyframes(hub)
    subscriber.add("gate")
    read(camera, subscriber, "I")
    camera.frames("....I....I..I.")
    assert told(take_all(subscriber)) == ["gap NOT_REQUESTED 10 5/0→5/13", "gap SUPERSEDED 2 5/0→5/13", "5/13"]
    assert subscriber.counters("gate").not_delivered[NOT_REQUESTED].count == 11


def test_above_its_limit_a_reader_goes_on_at_the_newest_key_frame() -> None:
    hub = Hub()
    camera = started(hub, step_ms=1)
    subscriber = keyframes(hub, max_items=2)
    subscriber.add("gate")
    camera.frames("III")
    assert told(take_all(subscriber)) == ["gap SUPERSEDED 2 →5/2", "start 5", "5/2"]


def test_live_begins_at_the_newest_key_frame_and_without_one_waits_for_it() -> None:
    hub = Hub()
    camera = started(hub)
    camera.frames("I..I..R.")
    subscriber = keyframes(hub)
    subscriber.add("gate")
    assert told(take_all(subscriber)) == ["start 5", "5/3"]
    camera.end()
    camera.start(6)
    camera.frames("..")
    later = keyframes(hub)
    later.add("gate")
    assert take_all(later) == []
    camera.frames(".I")
    assert told(take_all(later)) == ["gap NOT_REQUESTED 1 →6/3", "start 6", "6/3"]


def test_a_start_in_the_past_gives_the_key_frames_since() -> None:
    hub = Hub()
    camera = started(hub)
    camera.frames("I....I....I....I")
    subscriber = keyframes(hub)
    subscriber.add("gate", 1000 + 8 * 40 * MS)
    frames = [word for word in told(take_all(subscriber)) if word.startswith("5/")]
    assert frames == ["5/5", "5/10", "5/15"]


def test_resuming_behind_an_id_counts_from_there() -> None:
    hub = Hub()
    camera = started(hub)
    camera.frames("I..I..I.")
    subscriber = keyframes(hub)
    subscriber.add("gate", (5, 4))
    assert told(take_all(subscriber)) == ["gap NOT_REQUESTED 1 5/4→5/6", "start 5", "5/6"]
    counters = subscriber.counters("gate")
    assert (counters.captured, counters.delivered) == (3, 1)


def test_resuming_behind_an_id_that_has_gone_counts_the_evicted_as_overrun() -> None:
    hub = Hub(max_items=4)
    camera = started(hub)
    camera.frames("I..I..I..I")
    subscriber = keyframes(hub)
    subscriber.add("gate", (5, 1))
    counters = subscriber.counters("gate")
    missed = {reason: row.count for reason, row in counters.not_delivered.items()}
    assert missed[OVERRUN] == 4
    assert counters.captured == 8 == counters.delivered + counters.pending + sum(missed.values())


def test_of_what_a_reader_was_to_get_only_key_frames_are_overrun() -> None:
    hub = Hub(max_items=4)
    camera = started(hub, step_ms=1)
    subscriber = keyframes(hub)
    subscriber.add("gate")
    camera.frames("I")
    take_all(subscriber)
    camera.frames("I..I...")
    assert told(take_all(subscriber)) == [
        *["gap NOT_REQUESTED 2 5/0→5/4", "gap OVERRUN 1 5/0→5/4", "5/4"],
    ]


def test_losses_between_key_frames_are_told_together_with_what_was_left_out() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = keyframes(hub)
    subscriber.add("gate")
    read(camera, subscriber, "I.")
    camera.gap()
    camera.gap()
    assert read(camera, subscriber, "..I") == ["gap NOT_REQUESTED 3 5/0→5/4", "gap NETWORK_LOSS ? 5/0→5/4", "5/4"]
    assert subscriber.counters("gate").not_delivered[NETWORK_LOSS].unknown_gaps == 1


def test_the_end_of_an_epoch_comes_at_once_behind_what_was_left_out() -> None:
    hub = Hub()
    camera = started(hub)
    subscriber = keyframes(hub)
    subscriber.add("gate")
    read(camera, subscriber, "I...")
    camera.end()
    assert told(take_all(subscriber)) == ["gap NOT_REQUESTED 3 5/0→", "end 5"]


def test_a_camera_without_key_frames_tells_every_ten_seconds_what_was_left_out() -> None:
    hub = Hub(max_ns=100_000 * MS)
    camera = started(hub, step_ms=100)
    subscriber = keyframes(hub)
    subscriber.add("gate")
    words = read(camera, subscriber, "I" + "." * 305)
    gaps = [word for word in words if word.startswith("gap")]
    assert gaps == ["gap NOT_REQUESTED 101 5/0→"] * 3
