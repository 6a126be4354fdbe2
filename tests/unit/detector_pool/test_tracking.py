"""Tracks keep their numbers: past each other, behind pillars, through poor scores, and from one process to the next."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from detector_pool.detector import FoundBox
from detector_pool.packing import pack, unpack
from detector_pool.tracking import Tracker, TrackerSettings, Tracks
from detector_pool.tracking.assignment import assigned
from simulator.scene import actors, layouts

SECOND = 1_000_000_000
START_NS = 1_800_000_000 * SECOND
Told = dict[str, FoundBox]


def box(
    x: float, y: float, width: float = 0.05, height: float = 0.2, label: str = "person", score: float = 0.8
) -> FoundBox:
    """A box by its centre."""
    return FoundBox(x - width / 2, y - height / 2, width, height, label, score)


def followed(
    frames: Iterator[Told], fps: float = 10.0, settings: TrackerSettings | None = None
) -> dict[str, Counter[int]]:
    """Which numbers each thing had, how often."""
    tracker = Tracker(settings)
    state = tracker.start()
    numbers: dict[str, Counter[int]] = {}
    for index, told in enumerate(frames):
        found, state = tracker.step([*told.values()], START_NS + round(index * SECOND / fps), state)
        for name, one in zip(told, found, strict=True):
            numbers.setdefault(name, Counter())[one.track] += 1
    return numbers


def only(numbers: Counter[int]) -> int:
    """The one number that something had, but for its first sighting."""
    given = [number for number in numbers if number]
    assert len(given) == 1, numbers
    assert numbers[0] <= 1
    return given[0]


def test_two_who_cross_keep_their_numbers() -> None:
    def frames() -> Iterator[Told]:
        for i in range(60):
            yield {"a": box(0.1 + i * 0.0125, 0.5), "b": box(0.85 - i * 0.0125, 0.52, height=0.22)}

    numbers = followed(frames())
    assert {only(numbers["a"]), only(numbers["b"])} == {1, 2}


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0])
def test_somebody_hidden_for_a_second_comes_back_with_the_same_number(fps: float) -> None:
    def frames() -> Iterator[Told]:
        for i in range(int(6 * fps)):
            hidden = 2 * fps <= i < 3 * fps
            yield {} if hidden else {"a": box(0.1 + i / fps * 0.1, 0.5)}

    assert only(followed(frames(), fps)["a"]) == 1


def test_somebody_hidden_while_another_passes_is_not_taken_for_the_other() -> None:
    def frames() -> Iterator[Told]:
        for i in range(60):
            told = {"b": box(0.9 - i * 0.0125, 0.55, height=0.24)}
            if not 25 <= i < 35:
                told["a"] = box(0.1 + i * 0.0125, 0.5)
            yield told

    numbers = followed(frames())
    assert only(numbers["a"]) != only(numbers["b"])


def test_who_is_gone_for_longer_gets_a_new_number() -> None:
    def frames() -> Iterator[Told]:
        for i in range(80):
            yield {} if 20 <= i < 50 else {"a": box(0.5, 0.5)}

    assert set(followed(frames())["a"]) == {0, 1, 2}


def test_half_hidden_with_a_poor_score_keeps_the_number_but_a_poor_score_alone_begins_none() -> None:
    def frames() -> Iterator[Told]:
        for i in range(40):
            yield {
                "a": box(0.2 + i * 0.01, 0.5, score=0.2 if 10 <= i < 30 else 0.8),
                "ghost": box(0.8, 0.2, score=0.2),
            }

    numbers = followed(frames())
    assert only(numbers["a"]) == 1
    assert set(numbers["ghost"]) == {0}


def test_one_flash_gets_no_number() -> None:
    assert set(followed(iter([{"a": box(0.5, 0.5)}, {}, {}, {"a": box(0.5, 0.5)}]))["a"]) == {0}


def test_where_one_sighting_is_enough_each_thing_gets_its_own_number_at_once() -> None:
    frames = [{"a": box(0.2, 0.5)}, {"a": box(0.2, 0.5), "b": box(0.5, 0.5), "c": box(0.8, 0.5)}]
    assert followed(iter(frames), settings=TrackerSettings(sightings=1)) == {
        "a": Counter({1: 2}), "b": Counter({2: 1}), "c": Counter({3: 1}),
    }  # fmt: skip


def test_things_of_different_kinds_are_different_things() -> None:
    frames = [{"a": box(0.5, 0.5, label="person" if i < 5 else "dog")} for i in range(10)]
    assert set(followed(iter(frames))["a"]) == {0, 1, 2}


def test_what_counts_is_time_not_the_number_of_frames() -> None:
    tracker = Tracker()
    state = tracker.start()
    seen = [0.0, 0.1, 0.2, 0.3, 1.3, 1.4, 1.9, 2.0]
    numbers = set()
    for at_s in seen:
        found, state = tracker.step([box(0.1 + at_s * 0.2, 0.5)], START_NS + int(at_s * SECOND), state)
        numbers.add(found[0].track)
    assert numbers == {0, 1}


def test_after_a_pause_numbers_go_on_and_nothing_is_known() -> None:
    tracker = Tracker()
    state = tracker.start()
    for i in range(3):
        found, state = tracker.step([box(0.5, 0.5)], START_NS + i * SECOND // 10, state)
    assert found[0].track == 1
    for i in range(3):
        found, state = tracker.step([box(0.5, 0.5)], START_NS + 60 * SECOND + i * SECOND // 10, state)
    assert found[0].track == 2


def test_a_clock_that_goes_back_a_little_does_no_harm() -> None:
    tracker = Tracker()
    state = tracker.start()
    for at_ns in (0, 100_000_000, 90_000_000, 200_000_000):
        found, state = tracker.step([box(0.5, 0.5)], START_NS + at_ns, state)
    assert found[0].track == 1
    assert state.last_ns == START_NS + 200_000_000


# On the platform people wait in one another's place, hidden for seconds: boxes alone cannot tell who is who.
@pytest.mark.parametrize("layout", sorted(set(layouts.LAYOUTS) - {"platform"}))
def test_in_simulated_scenes_few_things_change_their_number(layout: str) -> None:
    numbers = followed(seen_in(layout, seed=3), 10.0)
    seen_long = {name: counts for name, counts in numbers.items() if sum(counts.values()) >= 20}
    changes = sum(len([number for number in counts if number]) - 1 for counts in seen_long.values())
    assert len(seen_long) >= 8
    assert changes <= 0.2 * len(seen_long)


def test_who_turns_round_keeps_the_number() -> None:
    way = [0.3 + 0.012 * i for i in range(25)]
    frames = [{"a": box(x, 0.5)} for x in [*way, *reversed(way)]]
    assert only(followed(iter(frames))["a"]) == 1


def seen_in(name: str, seed: int, loop_s: float = 60.0, fps: float = 10.0) -> Iterator[Told]:
    """What a detector with a shaky hand finds in a scene; who is mostly behind somebody nearer is not found."""
    layout = layouts.LAYOUTS[name]()
    view = layout.view(640, 360)
    everybody = actors.traffic(layout, seed, loop_s)
    rng = np.random.default_rng(seed)
    for index in range(int(loop_s * fps)):
        placed = []
        for (number, actor), turn in itertools.product(enumerate(everybody), range(-2, 3)):
            # One time round the loop is one thing: who comes again a loop later is somebody else.
            moment = actor.path.at(index / fps - actor.starts_s + turn * loop_s)
            if moment is None:
                continue
            aside_x, aside_y = -math.sin(moment.heading) * actor.aside_m, math.cos(moment.heading) * actor.aside_m
            foot, head = (view.project((moment.x + aside_x, moment.y + aside_y, z)) for z in (0.0, 1.75))
            if foot is None or head is None:
                continue
            height = (foot[1] - head[1]) / 360
            width = height * 360 / 640 * (2.0 if actor.make else 0.35)
            label, score = "vehicle" if actor.make else "person", float(rng.uniform(0.2, 0.9))
            x, y, width, height = (
                np.array([foot[0] / 640, foot[1] / 360 - height / 2, width, height])
                + rng.normal(0.0, 0.03, 4) * (width, height, width, height)
            ).tolist()
            if 0 < x < 1 and 0 < y < 1:
                placed.append((foot[2], f"{number}/{turn}", box(x, y, width, height, label, score)))
        placed.sort(key=lambda one: one[0])
        yield {
            one: b
            for n, (_, one, b) in enumerate(placed)
            if max((hidden(b, o[2]) for o in placed[:n]), default=0.0) < 0.6
        }


def hidden(one: FoundBox, by: FoundBox) -> float:
    across = min(one.x + one.width, by.x + by.width) - max(one.x, by.x)
    down = min(one.y + one.height, by.y + by.height) - max(one.y, by.y)
    return max(across, 0.0) * max(down, 0.0) / (one.width * one.height)


def packed(tracker_state: Tracks) -> bytes:
    numbers, arrays = tracker_state.packable()
    return pack("test@1", numbers, arrays)


def unpacked(data: bytes) -> Tracks:
    numbers, arrays = unpack("test@1", data)
    return Tracks.unpacked(numbers, arrays)


def test_a_state_goes_on_elsewhere_to_the_bit() -> None:
    tracker = Tracker()
    state = tracker.start()
    frames = list(seen_in("platform", seed=5, loop_s=12.0))
    for index, told in enumerate(frames):
        at_ns = START_NS + index * SECOND // 10
        again, other = tracker.step([*told.values()], at_ns, unpacked(packed(state)))
        found, state = tracker.step([*told.values()], at_ns, state)
        assert found == again
        assert packed(state) == packed(other)


@pytest.mark.parametrize("spoil", [lambda a: a.pop("tracks_ids"), lambda a: a.update(tracks_means=np.zeros((3, 4, 2)))])
def test_a_broken_state_is_refused(spoil: Callable[[dict[str, np.ndarray]], object]) -> None:
    numbers, arrays = Tracks().packable()
    spoil(arrays)
    with pytest.raises(ValueError, match="no state of a tracker"):
        Tracks.unpacked(dict(numbers), arrays)


@pytest.mark.parametrize("seed", range(30))
def test_assignments_are_the_cheapest_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 5, 2)
    costs = rng.uniform(0.0, 2.0, (rows, columns))
    costs[rng.random(costs.shape) < 0.3] = np.inf

    def total(pairs: list[tuple[int, int]]) -> float:
        return float(sum(costs[pair] for pair in pairs)) + 1.5 * (int(rows) - len(pairs))

    best = 1.5 * rows
    for choice in itertools.product(range(-1, columns), repeat=int(rows)):
        taken = [column for column in choice if column >= 0]
        if len(set(taken)) == len(taken):
            best = min(best, total([(row, column) for row, column in enumerate(choice) if column >= 0]))
    pairs = assigned(costs, 1.5)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert total(pairs) == pytest.approx(best)
