"""How high bodies are is learned from who walks; and how fast somebody is over the ground."""

from __future__ import annotations

import math

import pytest

from detector_pool.canvas import RegionMask
from detector_pool.detector import FoundBox
from detector_pool.rules.memory import of_plain, plain
from detector_pool.rules.perspective import BANDS, Bodies, slope_of
from detector_pool.rules.ruleset import RuleSet

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
FPS = 10
ASPECT = 16 / 9
CAMERA, FOCAL = 2.6, 1.25
"""Height in body heights; focal length in picture heights."""
HORIZON = 0.1


def seen_at(x: float, away: float, *, width: float = 0.45, height: float = 1.0) -> tuple[float, float, float, float]:
    """The box of somebody x body heights to the right and so far away, as a level camera has it."""
    foot, tall = HORIZON + FOCAL * CAMERA / away, FOCAL * height / away
    wide = FOCAL * width / away / ASPECT
    return 0.5 + FOCAL * x / away / ASPECT - wide / 2, foot - tall, wide, tall


def walked(begin: tuple[float, float], end: tuple[float, float], speed: float, **shape: float) -> list[FoundBox]:
    """Somebody on a straight way, in body heights, frame by frame; boxes on a grid of cells as `static` has them."""
    frames = round(math.dist(begin, end) / speed * FPS)
    boxes = []
    for index in range(frames):
        share = index / frames
        x, y, w, h = seen_at(begin[0] + (end[0] - begin[0]) * share, begin[1] + (end[1] - begin[1]) * share, **shape)
        left, top = round(x * 160) / 160, round(y * 90) / 90
        right, bottom = round((x + w) * 160) / 160, round((y + h) * 90) / 90
        boxes.append(FoundBox(left, top, right - left, bottom - top, "object", 0.9))
    return boxes


def told(*ways: list[FoundBox], rule: str = "fast: object faster than 1.7 body heights/s") -> list[bool]:
    """Whether the rule was true of each way, one way after the other."""
    rules, at, found = RuleSet.of(rule), START, []
    state = rules.start()
    for number, way in enumerate(ways):
        fired = False
        for box in way:
            at += SECOND // FPS
            moved = FoundBox(box.x, box.y, box.width, box.height, box.label, box.score, number + 1)
            said, _, state = rules.step([moved], at, [], state, aspect=ASPECT)
            fired |= bool(said)
        at += 5 * SECOND
        found.append(fired)
    return found


ALONG = walked((0.4, 20.0), (0.4, 4.5), 0.75)
ACROSS = walked((-6.0, 9.0), (6.0, 9.0), 0.75)


def test_a_line_through_the_heights_of_walkers_tells_how_high_a_body_is_anywhere() -> None:
    bodies = Bodies.unknown()
    for box in [*ALONG, *ALONG]:
        bodies.learn(box.y + box.height, box.height)
    line = bodies.perspective(0.5, 0.2)
    assert line.is_known
    for away in (5.0, 8.0, 15.0):
        _, y, _, height = seen_at(0.0, away)
        assert line.height(y + height) == pytest.approx(height, rel=0.15)


def test_a_few_boxes_of_two_people_as_one_do_not_sway_the_line() -> None:
    bodies, swayed = Bodies.unknown(), Bodies.unknown()
    for box in [*ALONG, *ALONG]:
        bodies.learn(box.y + box.height, box.height)
        swayed.learn(box.y + box.height, box.height)
    for _ in range(10):
        swayed.learn(0.5, 0.9)
    assert swayed.perspective(0.5, 0.2).height(0.5) == pytest.approx(bodies.perspective(0.5, 0.2).height(0.5), rel=0.15)


def test_before_anybody_was_seen_a_body_is_as_high_as_the_thing_itself() -> None:
    line = Bodies.unknown().perspective(0.5, 0.2)
    assert not line.is_known
    assert line.height(0.5) == 0.2
    assert line.height(0.6) > 0.2


@pytest.mark.parametrize(
    ("begin", "end"), [((-6.0, 9.0), (6.0, 9.0)), ((0.4, 16.0), (0.2, 4.5)), ((-3.0, 14.0), (3.0, 6.0))]
)
def test_one_limit_tells_running_from_walking_across_along_and_aslant(
    begin: tuple[float, float], end: tuple[float, float]
) -> None:
    assert told(ALONG, ACROSS, ALONG, walked(begin, end, 2.4)) == [False, False, False, True]
    assert told(ALONG, ACROSS, ALONG, walked(begin, end, 0.85)) == [False] * 4


def test_a_van_that_drives_by_does_not_run() -> None:
    van = walked((-9.0, 9.0), (9.0, 9.0), 3.0, width=2.8, height=1.2)
    assert told(ALONG, ACROSS, van) == [False, False, False]
    assert told(ALONG, ACROSS, van, rule="fast: object faster than 0.2 heights/s")[-1]


def test_a_box_that_jumps_is_nobody_who_runs() -> None:
    stands = walked((0.0, 9.0), (0.01, 9.0), 0.002)
    jumps = [stands[0]] * 10 + [ACROSS[-1]] * 10
    assert told(ALONG, ACROSS, jumps) == [False, False, False]


def test_the_speed_that_counts_is_less_than_the_slope_by_what_it_may_be_off() -> None:
    times = [index / 10 for index in range(11)]
    slope, off = slope_of(times, [2.0 * time for time in times], 0.0)
    assert slope == pytest.approx(2.0)
    assert off == pytest.approx(0.0, abs=1e-6)
    _, off = slope_of(times, [2.0 * time + (0.3 if index == 6 else 0.0) for index, time in enumerate(times)], 0.0)
    assert off > 0.05


def test_what_was_learned_is_in_the_state_and_a_state_of_other_sizes_is_refused() -> None:
    rules = RuleSet.of("fast: object faster than 1.7 body heights/s")
    state = rules.start()
    state.bodies.learn(0.5, 0.2)
    again = rules.unpack(rules.pack(state))
    assert (again.bodies.heights, again.bodies.sightings) == (state.bodies.heights, state.bodies.sightings)
    values = plain(state)
    values[-1] = [[0.0] * (BANDS - 1), [0] * BANDS]
    with pytest.raises(ValueError, match="sizes differ"):
        of_plain(values, [1])


def crossings(boxes: list[FoundBox]) -> int:
    """How often the line in the middle is told to be crossed."""
    line = RegionMask(False, ((0.5, 0.0), (0.5, 1.0)), "middle", is_line=True)
    rules, at, told = RuleSet.of('over: object crosses "middle"'), START, 0
    state, was_told = rules.start(), False
    for box in boxes:
        at += SECOND // FPS
        moved = FoundBox(box.x, box.y, box.width, box.height, box.label, box.score, 1)
        said, _, state = rules.step([moved], at, [line], state, aspect=ASPECT)
        told, was_told = told + (bool(said) and not was_told), bool(said)
    return told


def test_two_that_meet_have_not_crossed_what_lies_between_them() -> None:
    left, right = FoundBox(0.30, 0.4, 0.12, 0.1, "object", 0.9), FoundBox(0.56, 0.4, 0.12, 0.1, "object", 0.9)
    both = FoundBox(0.30, 0.4, 0.38, 0.1, "object", 0.9)
    assert crossings([left] * 5 + [both] * 2 + [right] * 5) == 0
    assert crossings(ACROSS) == 1


def test_what_was_never_as_high_as_a_body_does_not_fall() -> None:
    def falls(height: float) -> list[FoundBox]:
        foot, width = HORIZON + FOCAL * CAMERA / 8.0, 0.3 * height
        stands = FoundBox(0.5, foot - height, width, height, "object", 0.9)
        lies = FoundBox(0.5, foot - 0.3 * height, height / ASPECT, 0.3 * height, "object", 0.9)
        return [stands] * 12 + [lies] * 25

    tall = FOCAL / 8.0
    assert told(ALONG, falls(tall), rule="fall: object falls") == [False, True]
    assert told(ALONG, falls(0.4 * tall), rule="fall: object falls") == [False, False]
