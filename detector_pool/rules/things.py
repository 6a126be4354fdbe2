"""Followed things from frame to frame: where they stand, what they cross, how fast they are. Knows no rules.

Foot points (bottom centre of the box) decide where somebody stands. A border is passed once somebody is clearly beyond
it, so that a box that trembles on it counts once. A pause without pictures cuts every way: nobody is fast, and nobody
has crossed, because of frames that were not seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from detector_pool.detector import FoundBox, KeyPoint
from detector_pool.rules import geometry
from detector_pool.rules.fall import looked_for_fall
from detector_pool.rules.geometry import Point
from detector_pool.rules.memory import MAX_SAMPLES, MAX_THINGS, RulesState, Sample, Thing

SECOND = 1_000_000_000
LOST_NS = 3 * SECOND
"""A thing that is not seen for longer is gone. One that comes up near it before that is the same one."""
_SAMPLE_EVERY_NS = 90_000_000
_SAMPLES_NS = 3 * SECOND
_SPEED_NS = 1 * SECOND
_SPEED_LEAST_NS = 450_000_000
LEFT_LABEL = "left object"
"""Of boxes that are evidence of something left behind (`detector_pool.static_objects`)."""
_SHOULDERS, _HIPS = (5, 6), (11, 12)
_SURE_POINT = 0.3


@dataclass(frozen=True, slots=True)
class Ground:
    """The zones and lines of a frame, in picture heights."""

    zones: Mapping[str, tuple[Sequence[Point], ...]]
    lines: Mapping[str, tuple[Sequence[Point], ...]]
    aspect: float


@dataclass(slots=True)
class Seen:
    """What a frame showed."""

    now: dict[int, FoundBox] = field(default_factory=dict)
    """Boxes by key."""
    crossed: list[tuple[str, int, bool]] = field(default_factory=list)
    """Line, key, forwards."""
    passed: list[tuple[str, int, bool]] = field(default_factory=list)
    """Zone, key, into it."""


def follow(boxes: Sequence[FoundBox], ground: Ground, state: RulesState) -> Seen:
    """Takes the tracked boxes of a frame into the state; those without a track are not looked at."""
    seen = Seen()
    numbered = [box for box in boxes if box.track > 0][:MAX_THINGS]
    by_track = {(thing.track, thing.is_left): key for key, thing in state.things.items()}
    present = {(box.track, box.label == LEFT_LABEL) for box in numbered}
    for box in numbered:
        is_left = box.label == LEFT_LABEL
        key = by_track.get((box.track, is_left))
        if key is None:
            key = _adopted(box, state, present, ground) or _begun(box, is_left, state)
        if key in seen.now:
            continue
        thing = state.things[key]
        thing.track, thing.label, thing.seen_ns = box.track, box.label, state.clock_ns
        thing.box = [box.x, box.y, box.width, box.height, box.score]
        seen.now[key] = box
        sample = _sample(box, state.clock_ns, ground.aspect)
        _remember(thing, sample)
        _stand(thing, sample, ground, seen)
        if not thing.is_left:
            _cross(thing, sample, ground, seen)
            looked_for_fall(thing, sample, box)
    gone = [key for key, thing in state.things.items() if state.clock_ns - thing.seen_ns > LOST_NS]
    oldest = sorted(state.things, key=lambda key: state.things[key].seen_ns)
    for key in [*gone, *oldest[: max(0, len(state.things) - MAX_THINGS)]]:
        state.things.pop(key, None)
    return seen


def cut(state: RulesState) -> None:
    """Ways end here: what is seen next is not the end of what was seen before."""
    for thing in state.things.values():
        thing.samples.clear()
        thing.lines.clear()


def speed_of(thing: Thing, clock_ns: int) -> tuple[float, float] | None:
    """Picture heights a second, and heights of the thing itself; None if it was not seen for long enough just now."""
    recent = [one for one in thing.samples if clock_ns - one.clock_ns <= _SPEED_NS]
    if len(recent) < 3 or recent[-1].clock_ns - recent[0].clock_ns < _SPEED_LEAST_NS:
        return None
    heights = sorted(one.height for one in recent)
    widths = sorted(one.width for one in recent)
    if heights[-1] > 1.6 * heights[0] or widths[-1] > 2.5 * widths[0]:
        # Two became one, or one two: the box jumped, nobody ran.
        return None
    times = [(one.clock_ns - recent[0].clock_ns) / SECOND for one in recent]
    speed = math.hypot(_slope(times, [one.x for one in recent]), _slope(times, [one.y for one in recent]))
    return speed, speed / max(heights[len(heights) // 2], 1e-3)


def _slope(times: list[float], values: list[float]) -> float:
    """Least squares."""
    middle = sum(times) / len(times)
    mean = sum(values) / len(values)
    spread = sum((time - middle) ** 2 for time in times)
    return sum((time - middle) * (value - mean) for time, value in zip(times, values, strict=True)) / spread


def _sample(box: FoundBox, clock_ns: int, aspect: float) -> Sample:
    x, y = (box.x + box.width / 2) * aspect, box.y + box.height
    return Sample(clock_ns, x, y, box.width * aspect, box.height, _lean_deg(box.key_points, aspect))


def _lean_deg(points: Sequence[KeyPoint], aspect: float) -> float:
    """How far the trunk of a body with COCO's seventeen points leans; -1 if it is not seen."""
    middles = []
    for pair in (_SHOULDERS, _HIPS):
        sure = [points[index] for index in pair if index < len(points) and points[index].score >= _SURE_POINT]
        if not sure:
            return -1.0
        middles.append((sum(p.x for p in sure) / len(sure) * aspect, sum(p.y for p in sure) / len(sure)))
    (head_x, head_y), (hip_x, hip_y) = middles
    return math.degrees(math.atan2(abs(hip_x - head_x), hip_y - head_y))


def _remember(thing: Thing, sample: Sample) -> None:
    if thing.samples and sample.clock_ns - thing.samples[-1].clock_ns < _SAMPLE_EVERY_NS:
        return
    thing.samples.append(sample)
    oldest_ns = sample.clock_ns - _SAMPLES_NS
    while len(thing.samples) > MAX_SAMPLES or thing.samples[0].clock_ns < oldest_ns:
        thing.samples.pop(0)


def _stand(thing: Thing, sample: Sample, ground: Ground, seen: Seen) -> None:
    foot = (sample.x, sample.y)
    known, thing.zones = thing.zones, {}
    for name, outlines in ground.zones.items():
        depth = max(geometry.depth_in(foot, corners) for corners in outlines)
        least = min(geometry.size_of(corners) for corners in outlines)
        margin = min(_margin(sample), least / 8)
        before = known.get(name)
        is_inside = depth > 0 if before is None else depth > (-margin if before else margin)
        thing.zones[name] = is_inside
        if before is not None and before != is_inside:
            seen.passed.append((name, thing.key, is_inside))


def _cross(thing: Thing, sample: Sample, ground: Ground, seen: Seen) -> None:
    foot = (sample.x, sample.y)
    for name, ways in ground.lines.items():
        for number, corners in enumerate(ways):
            away = geometry.beside(foot, corners)
            if abs(away) < _margin(sample):
                continue
            part = f"{name}\0{number}"
            side = math.copysign(1.0, away)
            before = thing.lines.get(part)
            if before and before[0] != side and geometry.crosses((before[1], before[2]), foot, corners):
                seen.crossed.append((name, thing.key, side > 0))
            thing.lines[part] = [side, *foot]


def _margin(sample: Sample) -> float:
    """How far beyond a border is clearly beyond it: a little of the thing's own height."""
    return min(max(0.05 * sample.height, 0.006), 0.03)


def _begun(box: FoundBox, is_left: bool, state: RulesState) -> int:
    key = state.next_key
    state.next_key += 1
    values = [box.x, box.y, box.width, box.height, box.score]
    state.things[key] = Thing(key, box.track, box.label, state.clock_ns, state.clock_ns, values, is_left)
    return key


def _adopted(box: FoundBox, state: RulesState, present: set[tuple[int, bool]], ground: Ground) -> int | None:
    """The thing that was lost a moment ago just where this one comes up."""
    if box.label == LEFT_LABEL:
        return None
    best, nearest = None, 1.0
    for key, thing in state.things.items():
        is_gone = state.clock_ns - thing.seen_ns > LOST_NS
        if is_gone or thing.is_left or thing.label != box.label or (thing.track, False) in present:
            continue
        x, y, width, height, _ = thing.box
        if not 0.5 < box.height / max(height, 1e-6) < 2.0:
            continue
        lost_s = (state.clock_ns - thing.seen_ns) / SECOND
        apart = math.hypot((box.x + box.width / 2 - x - width / 2) * ground.aspect, box.y + box.height - y - height)
        share = apart / (max(height, box.height) * (0.5 + 0.5 * lost_s))
        if share < nearest:
            best, nearest = key, share
    return best
