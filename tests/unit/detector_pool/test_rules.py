"""Rules over tracked boxes: what fires when, and what must not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from detector_pool.canvas import RegionMask
from detector_pool.detector import FoundBox, KeyPoint
from detector_pool.rules.memory import RulesState
from detector_pool.rules.ruleset import Fired, RuleSet
from detector_pool.rules.things import LEFT_LABEL
from mesh.errors import InvalidArgument

SECOND = 1_000_000_000
START = int(datetime(2026, 3, 6, 14, 3, 10, tzinfo=ZoneInfo("UTC")).timestamp()) * SECOND  # a Friday
YARD = RegionMask(False, ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)), "yard")
HALL = RegionMask(False, ((0.0, 0.0), (0.45, 0.0), (0.45, 1.0), (0.0, 1.0)), "hall")
GATE = RegionMask(False, ((0.5, 0.2), (0.5, 0.9)), "gate", is_line=True)
"""Goes down the picture: its left is the picture's right."""
REGIONS = (YARD, HALL, GATE)
Scene = Callable[[float], Sequence[FoundBox]]


def person(x: float, foot: float = 0.6, track: int = 1, height: float = 0.2, label: str = "person") -> FoundBox:
    """Somebody whose foot is at x, foot."""
    return FoundBox(x - 0.02, foot - height, 0.04, height, label, 0.9, track)


class Run:
    """A rule set at work."""

    def __init__(self, text: str, *, fps: float = 10.0, start: int = START, timezone: str = "UTC") -> None:
        self.rules = RuleSet.of(text, timezone)
        self.state: RulesState = self.rules.start()
        self.now = start
        self.step_ns = round(SECOND / fps)
        self.fired: list[tuple[float, Fired]] = []
        self.progress: list[float] = []
        self.begin = start

    def see(self, scene: Scene, seconds: float) -> list[float]:
        """Shows the scene, as a function of the seconds since now; gives the times at which something was true."""
        begin, true_at = self.now, []
        while self.now - begin < seconds * SECOND:
            boxes = scene((self.now - begin) / SECOND)
            fired, self.progress, self.state = self.rules.step(boxes, self.now, REGIONS, self.state)
            if fired:
                true_at.append(round((self.now - begin) / SECOND, 2))
                self.fired += [((self.now - self.begin) / SECOND, one) for one in fired]
            self.now += self.step_ns
        return true_at

    def skip(self, seconds: float) -> None:
        """Time passes in which nothing is seen."""
        self.now += round(seconds * SECOND)


def nobody(_: float) -> list[FoundBox]:
    return []


def standing(x: float, **more: float) -> Scene:
    return lambda _: [person(x, **more)]  # type: ignore[arg-type]


def walking(begin: float, speed: float, **more: float) -> Scene:
    return lambda t: [person(begin + speed * t, **more)]  # type: ignore[arg-type]


def test_somebody_who_stays_fires_after_the_time_and_is_named() -> None:
    run = Run('intruder: person in "yard" for 2 s')
    true_at = run.see(standing(0.7), 5)
    assert true_at[0] == 2.0
    assert len(true_at) == 30
    _, fired = run.fired[0]
    assert fired.rule == "intruder"
    assert fired.since_ns == START
    assert fired.said == "person in yard since 14:03:10, for 2 s"
    assert fired.boxes[0].said == fired.said
    assert (fired.boxes[0].track, fired.boxes[0].label, fired.boxes[0].x) == (1, "person", 0.7 - 0.02)


def test_progress_rises_to_one() -> None:
    run = Run('intruder: person in "yard" for 2 s')
    run.see(standing(0.7), 1.05)
    assert run.progress == [0.5]
    run.see(standing(0.7), 1.5)
    assert run.progress == [1.0]


@pytest.mark.parametrize("fps", [2.0, 5.0, 25.0])
def test_time_is_time_at_any_rate_of_frames(fps: float) -> None:
    run = Run('intruder: person in "yard" for 2 s', fps=fps)
    assert run.see(standing(0.7), 4)[0] == pytest.approx(2.0, abs=1 / fps)


def test_other_classes_and_other_places_do_not_fire() -> None:
    run = Run('a: person in "yard"\nb: car or truck in "hall"\nc: person outside "yard" or "hall"')
    run.see(lambda _: [person(0.2), person(0.7, track=2, label="dog"), person(0.9, track=3, label="bus")], 3)
    assert run.fired == []
    run.see(lambda _: [person(0.47)], 1)
    assert {one.rule for _, one in run.fired} == {"c"}


def test_object_means_everything() -> None:
    run = Run('a: object in "yard"')
    assert run.see(lambda _: [person(0.7, label="giraffe")], 1)


def test_a_box_without_a_track_or_a_sure_score_does_not_count() -> None:
    run = Run('a: person in "yard" score above 0.95')
    assert run.see(standing(0.7), 1) == []
    run = Run('a: person in "yard"')
    assert run.see(lambda _: [replace(person(0.7), track=0)], 1) == []


def test_a_stay_survives_a_moment_out_of_sight_and_a_new_number_nearby() -> None:
    run = Run('intruder: person in "yard" for 3 s')
    run.see(standing(0.7), 1.5)
    run.see(nobody, 1.0)
    true_at = run.see(lambda _: [person(0.71, track=9)], 2.0)
    assert true_at[0] == pytest.approx(0.5, abs=0.11)
    assert run.fired[0][1].since_ns == START


def test_a_stay_does_not_survive_somebody_else_elsewhere() -> None:
    run = Run('intruder: person in "yard" for 3 s')
    run.see(standing(0.6), 2.5)
    assert run.see(lambda _: [person(0.95, track=9)], 2.5) == []


def test_trembling_on_the_border_of_a_zone_enters_once() -> None:
    run = Run('in: more than 1 person cross "gate" per 1 min\nenters: person enters "yard"')
    run.see(lambda t: [person(0.5 + 0.002 * math.sin(40 * t))], 10)
    assert run.fired == []
    run.see(lambda t: [person(0.5 + 0.03 * t + 0.002 * math.sin(40 * t))], 5)
    assert {one.rule for _, one in run.fired} == {"enters"}
    assert run.fired[-1][0] - run.fired[0][0] == pytest.approx(1.0, abs=0.11)


def test_a_line_knows_its_directions() -> None:
    for speed, rule in ((-0.1, "forwards"), (0.1, "backwards")):
        run = Run('forwards: person crosses "gate" forwards\nbackwards: person crosses "gate" backwards')
        run.see(walking(0.5 - speed, speed), 2)
        assert {one.rule for _, one in run.fired} == {rule}
        assert run.fired[0][1].said == f"person crosses gate {rule} at 14:03:11"


def test_who_walks_round_the_end_of_a_line_does_not_cross_it() -> None:
    run = Run('a: person crosses "gate"')
    run.see(walking(0.4, 0.1, foot=0.95), 2)
    run.see(walking(0.6, 0.0, foot=0.95), 1)
    assert run.fired == []


def test_holes_make_nobody_cross_or_run_and_prolong_no_stay() -> None:
    run = Run('a: person crosses "gate"\nb: person faster than 0.2 heights/s\nc: person in "yard" for 8 s')
    run.see(standing(0.3), 1)
    run.skip(4)
    run.see(standing(0.9), 2)
    run.skip(7)
    run.see(standing(0.9), 2)
    assert run.fired == []
    # What was seen of the stay is 4 s and the first 1.5 s of the hole.
    assert run.see(standing(0.9), 4)[0] == pytest.approx(8 - 4 - 1.5, abs=0.3)


def test_after_a_long_hole_nobody_is_the_same() -> None:
    run = Run('c: person in "yard" for 3 s')
    run.see(standing(0.9), 2.5)
    run.skip(11)
    assert run.see(standing(0.9), 5)[0] == pytest.approx(3.0, abs=0.11)


def test_a_new_epoch_cuts_the_way() -> None:
    run = Run('a: person crosses "gate"')
    run.see(standing(0.45), 1)
    run.state = run.rules.cut(run.state)
    assert run.see(standing(0.55), 1) == []
    run = Run("b: person faster than 0.1 heights/s")
    run.see(standing(0.3), 1)
    run.state = run.rules.cut(run.state)
    assert run.see(standing(0.6), 1) == []


@pytest.mark.parametrize(("speed", "is_fast"), [(0.10, False), (0.30, True)])
def test_speed_in_picture_heights_and_in_bodies(speed: float, is_fast: bool) -> None:
    """0.1 of the width a second is 0.178 picture heights, and 0.89 of a body of 0.2."""
    run = Run("picture: person faster than 0.4 heights/s\nbody: person faster than 2 body heights/s\n"
              "slow: person slower than 1 body heights/s")  # fmt: skip
    run.see(walking(0.1, speed), 2.5)
    assert {one.rule for _, one in run.fired} == ({"picture", "body"} if is_fast else {"slow"})


def test_a_box_that_jumps_in_size_is_not_fast() -> None:
    run = Run("a: person faster than 0.2 heights/s")
    run.see(standing(0.5), 1)
    run.see(lambda _: [FoundBox(0.3, 0.2, 0.3, 0.6, "person", 0.9, 1)], 1)
    assert run.fired == []


def test_a_crowd_is_counted_with_those_hidden_for_a_moment() -> None:
    def crowd(t: float) -> list[FoundBox]:
        return [person(0.5 + 0.05 * n, track=n) for n in range(1, 6) if (round(t * 10) + n) % 7]

    run = Run('crowd: more than 4 person in "yard" for 2 s')
    true_at = run.see(crowd, 5)
    assert 2.0 <= true_at[0] <= 2.3
    assert len(run.fired[-1][1].boxes) == 5
    assert Run('crowd: more than 5 person in "yard"').see(crowd, 5) == []


def test_a_full_zone_needs_no_count_and_overlapping_boxes_fill_it_once() -> None:
    """The yard is half of the picture: a box of 0.4 x 0.5 of the picture is 40 % of it."""
    text = 'full: person fills more than 45 % of "yard" for 2 s'
    half = FoundBox(0.55, 0.2, 0.4, 0.5, "person", 0.9, 1)
    assert Run(text).see(lambda _: [half, replace(half, track=2)], 4) == []
    run = Run(text)
    assert run.see(lambda _: [half, replace(half, y=0.4, track=2)], 4)[0] == 2.0
    assert len(run.fired[0][1].boxes) == 2
    assert Run(text).see(lambda _: [replace(half, x=0.05)], 4) == []


def test_absence_needs_no_boxes_and_a_ghost_of_one_frame_does_not_end_it() -> None:
    run = Run('nobody: no person in "hall" for 5 s')
    run.see(standing(0.2), 2)
    true_at = run.see(lambda t: [person(0.2, track=7)] if 4.0 <= t < 4.1 else [person(0.7, track=2)], 8)
    assert true_at[0] == pytest.approx(6.0, abs=0.3)
    assert run.fired[0][1].boxes == ()
    assert run.fired[0][1].said.startswith("no person in hall since 14:03:13")
    assert run.see(standing(0.2), 2)[-1] < 1.0


def test_a_rate_counts_crossings_within_a_time() -> None:
    def passing(t: float) -> list[FoundBox]:
        lap, at = divmod(t, 2.0)
        return [person(0.6 - 0.1 * at, track=int(lap) + 1)]

    text = 'rush: at least 3 person cross "gate" forwards per 5 s'
    run = Run(text)
    assert run.see(passing, 8)[0] == pytest.approx(5.0, abs=0.3)
    assert Run(text.replace("per 5 s", "per 3 s")).see(passing, 8) == []
    assert Run(text.replace("forwards", "backwards")).see(passing, 8) == []


def test_one_after_the_other_within_a_time_and_never_oneself() -> None:
    def through(gap_s: float) -> Scene:
        def scene(t: float) -> list[FoundBox]:
            return [person(0.6 - 0.1 * (t - late), track=track) for late, track in ((0.0, 1), (gap_s, 2)) if t >= late]

        return scene

    text = 'tail: person crosses "gate" forwards then person crosses "gate" forwards within 1 s'
    assert Run(text).see(through(2.0), 5) == []
    run = Run(text)
    assert run.see(through(0.7), 4)
    assert len(run.fired[0][1].boxes) == 1
    assert Run(text).see(walking(0.6, -0.1), 4) == []
    assert Run(text).see(lambda t: [person(0.6 - 0.1 * t, foot, track) for foot, track in ((0.5, 1), (0.8, 2))], 3)


def test_a_then_b_wants_this_order() -> None:
    text = 'a: person in "hall" for 1 s then car in "yard" within 3 s'
    run = Run(text)
    run.see(standing(0.2), 1.5)
    assert run.progress == [0.5]
    run.see(lambda _: [person(0.8, track=2, label="car")], 1)
    assert run.fired[0][1].said == "person in hall since 14:03:11, for 1 s, then car in yard, within 3 s"
    run = Run(text)
    run.see(lambda _: [person(0.8, track=2, label="car")], 1)
    run.see(lambda _: [person(0.8, track=2, label="car"), person(0.2)], 2)
    assert run.fired == []


@pytest.mark.parametrize(
    ("clock", "day", "is_on"),
    [("21:59", 6, False), ("22:01", 6, True), ("05:59", 7, True), ("06:01", 7, False), ("23:00", 7, False),
     ("05:00", 6, False)],
)  # fmt: skip
def test_a_night_belongs_to_the_day_on_which_it_begins(clock: str, day: int, is_on: bool) -> None:
    """The 6th of March 2026 is a Friday."""
    hour, minute = map(int, clock.split(":"))
    start = int(datetime(2026, 3, day, hour, minute, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()) * SECOND
    run = Run("a: person on fri between 22:00 and 06:00", start=start, timezone="Europe/Berlin")
    assert bool(run.see(standing(0.5), 2)) is is_on


def test_outside_its_schedule_a_rule_counts_no_time() -> None:
    start = int(datetime(2026, 3, 6, 7, 59, 50, tzinfo=ZoneInfo("UTC")).timestamp()) * SECOND
    run = Run('a: no person in "hall" for 20 s between 08:00 and 18:00', start=start)
    assert run.see(nobody, 60)[0] == pytest.approx(30.0, abs=0.11)


def test_summer_time_is_the_sites() -> None:
    """At 01:30 UTC on the 29th of March 2026 clocks in Berlin show 03:30."""
    start = int(datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("UTC")).timestamp()) * SECOND
    assert Run("a: person between 03:00 and 04:00", start=start, timezone="Europe/Berlin").see(standing(0.5), 1)
    with pytest.raises(InvalidArgument, match="zone of the site"):
        RuleSet.of("a: person", "Europe/Bärlin")


def lying(x: float = 0.5, foot: float = 0.6) -> FoundBox:
    return FoundBox(x - 0.05, foot - 0.05, 0.1, 0.05, "person", 0.9, 1)


def test_somebody_who_falls_and_stays_down_is_told() -> None:
    def falls(t: float) -> list[FoundBox]:
        share = min(max((t - 2) / 0.6, 0.0), 1.0)
        width, height = 0.04 + 0.06 * share, 0.2 - 0.15 * share
        return [FoundBox(0.5 - width / 2, 0.6 - height, width, height, "person", 0.9, 1)]

    run = Run('fall: person falls in "yard"\nelsewhere: person falls in "hall"')
    true_at = run.see(lambda t: [replace(box, x=box.x + 0.1) for box in falls(t)], 6)
    assert 3.2 <= true_at[0] <= 3.8
    assert {one.rule for _, one in run.fired} == {"fall"}


def test_who_goes_behind_a_counter_or_gets_up_again_has_not_fallen() -> None:
    behind = lambda t: [FoundBox(0.48, 0.4, 0.04, 0.2 if t < 2 else 0.06, "person", 0.9, 1)]  # noqa: E731
    run = Run("fall: person falls")
    assert run.see(behind, 5) == []
    assert run.see(lambda t: [lying()] if 2 < t < 2.5 else [person(0.5)], 5) == []


def test_key_points_tell_a_fall_that_the_box_does_not() -> None:
    def body(lean: float) -> tuple[KeyPoint, ...]:
        x, y = 0.5 + 0.1 * math.sin(lean) * 9 / 16, 0.5 - 0.1 * math.cos(lean)
        points = [KeyPoint(0, 0, 0.0)] * 17
        for index, (px, py) in {5: (x, y), 6: (x, y), 11: (0.5, 0.5), 12: (0.5, 0.5)}.items():
            points[index] = KeyPoint(px, py, 0.9)
        return tuple(points)

    def falls(angle: float) -> Scene:
        return lambda t: [replace(person(0.5), key_points=body(angle if t > 1.5 else 0.1))]

    assert Run("fall: person falls").see(falls(1.4), 4)
    assert Run("fall: person falls").see(falls(0.6), 4) == []


def test_something_left_is_evidence_of_its_own() -> None:
    left = FoundBox(0.2, 0.5, 0.03, 0.05, LEFT_LABEL, 0.6, 1)
    text = 'left: object left in "hall" for 5 s\nthere: object in "hall"\nbag: backpack left in "hall" for 5 s'
    run = Run(text)
    true_at = run.see(lambda _: [left], 8)
    assert true_at[0] == 5.0
    assert {one.rule for _, one in run.fired} == {"left"}
    run = Run(text)
    run.see(lambda _: [left, FoundBox(0.2, 0.49, 0.03, 0.06, "backpack", 0.6, 4)], 8)
    assert {one.rule for _, one in run.fired} == {"left", "there", "bag"}


def test_rules_whose_zone_is_gone_rest_and_say_so() -> None:
    run = Run('a: no person in "desk" for 1 s\nb: person in "yard"')
    run.see(standing(0.7), 3)
    assert {one.rule for _, one in run.fired} == {"b"}
    assert run.rules.missing(REGIONS) == ['rule "a" rests: no zone is called "desk"']


def test_a_state_goes_on_in_another_process_to_the_bit() -> None:
    text = ('a: person in "yard" for 2 s\nb: person crosses "gate" then person crosses "gate" within 3 s\n'
            'c: more than 1 person cross "gate" per 9 s\nd: no person in "hall" for 3 s\ne: person falls')  # fmt: skip

    def scene(t: float) -> list[FoundBox]:
        return [person(0.5 + 0.2 * math.sin(2 * t + n), track=n) for n in (1, 2)] + [lying()] * (t % 2 > 1)

    whole, parted = Run(text), Run(text)
    whole.see(scene, 6)
    begin = parted.now
    while parted.now - begin < 6 * SECOND:
        at = (parted.now - begin) / SECOND
        parted.see(lambda _, at=at: scene(at), 0.01)  # type: ignore[misc]
        data = parted.rules.pack(parted.state)
        parted.state = RuleSet.of(text).unpack(data)
        assert parted.rules.pack(parted.state) == data
    assert len(whole.fired) > 20
    assert parted.fired == whole.fired
    assert parted.rules.pack(parted.state) == whole.rules.pack(whole.state)


def test_what_is_no_state_of_these_rules_is_refused() -> None:
    others = RuleSet.of("a: person\nb: car")
    for data in (b"", b"TFDS", others.pack(others.start())):
        with pytest.raises(ValueError, match=r"state|read"):
            RuleSet.of("a: person").unpack(data)


def test_a_full_state_stays_below_its_bound() -> None:
    text = "\n".join(f'r{n}: at least 1000 object cross "gate" per 1 h' for n in range(64))
    run = Run(text)
    crowd = [[person(x, 0.3 + 0.001 * n, n, 0.1, "object") for n in range(1, 500)] for x in (0.475, 0.525)]
    for turn in range(8):
        run.see(lambda _, turn=turn: crowd[turn % 2], 0.1)  # type: ignore[misc]
    assert all(len(rule.steps[0].times) == 1001 for rule in run.state.rules)
    assert len(run.rules.pack(run.state)) < 1 << 20
