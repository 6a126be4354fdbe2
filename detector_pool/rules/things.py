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
from detector_pool.rules.fall import is_cut_off, looked_for_fall
from detector_pool.rules.geometry import Point
from detector_pool.rules.memory import MAX_SAMPLES, MAX_THINGS, RulesState, Sample, Thing
from detector_pool.rules.perspective import Perspective, slope_of
from detector_pool.rules.terms import ANY_CLASS

SECOND = 1_000_000_000
LOST_NS = 3 * SECOND
"""A thing that is not seen for longer is gone. One that comes up near it before that is the same one."""
_SAMPLE_EVERY_NS = 90_000_000
_SAMPLES_NS = 3 * SECOND
_SPEED_NS = 1 * SECOND
_SPEED_LEAST_NS = 450_000_000
BODIES = (ANY_CLASS, "person")
"""Labels of what may be a person."""
_WIDEST = 1.35
"""A body is at most so wide, of its height: somebody who runs, and some of their shadow."""
_BODY = 0.55, 1.7
"""And so high, of what a body there usually is."""
_UPRIGHT = 1.25
"""Height over width from which on something that walks tells how high a body is."""
_FASTEST = 7.0
"""Body heights a second: nobody runs faster."""
_BLUR = 0.003
"""Picture heights by which a foot is misplaced at least: boxes are made of cells."""
_GROWN = 0.3, 2.0
"""What comes up in its place is at least and at most so many times as high: somebody who fell is low."""
_CELL = 0.011
"""Picture heights: feet that come in sight, or do not, move a box by this."""
_UNSURE = 0.7
"""Body heights: where that is further along the line of sight, only the way across counts."""
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
        if thing.samples and _is_another(thing.samples[-1], sample):
            thing.lines.clear()
        _remember(thing, sample)
        _stand(thing, sample, ground, seen)
        if not thing.is_left:
            _cross(thing, sample, ground, seen)
            looked_for_fall(thing, sample, box, state.bodies)
            _learn_body(thing, sample, box, state)
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


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a thing moves."""

    picture: float
    """Picture heights a second."""
    own: float
    """Heights of the thing itself a second, as it looks."""
    body: float
    """Body heights a second over the ground, at least; 0 of what has not the shape of a body."""


def pace_of(thing: Thing, state: RulesState, aspect: float) -> Pace | None:
    """None if it was not seen for long enough since its box last jumped: two became one, or one two."""
    is_any = thing.label in BODIES
    last = thing.samples[-1] if thing.samples else None
    if last is None:
        return None
    seen = state.bodies.perspective(last.y, last.height)
    recent = _since_jump([one for one in thing.samples if state.clock_ns - one.clock_ns <= _SPEED_NS], seen, is_any)
    if len(recent) < 3 or recent[-1].clock_ns - recent[0].clock_ns < _SPEED_LEAST_NS:
        return None
    height, width = _median([one.height for one in recent]), _median([one.width for one in recent])
    times = [(one.clock_ns - recent[0].clock_ns) / SECOND for one in recent]
    across, _ = slope_of(times, [one.x for one in recent], 0.0)
    down, _ = slope_of(times, [one.y for one in recent], 0.0)
    picture = math.hypot(across, down)
    own = picture / max(height, 1e-3)
    if not is_any:
        return Pace(picture, own, own)
    share = _median([one.height / max(seen.height(one.y), 1e-3) for one in recent])
    is_body = width <= _WIDEST * height and (not seen.is_known or _BODY[0] < share < _BODY[1])
    return Pace(picture, own, _over_ground(recent, times, seen, aspect) if is_body else 0.0)


def _since_jump(samples: list[Sample], seen: Perspective, is_any: bool) -> list[Sample]:
    """The last of these of about one size. Who comes towards the camera grows: as a body there does."""
    kept: list[Sample] = []
    heights: list[float] = []
    for one in reversed(samples):
        heights.append(one.height / max(seen.height(one.y), 1e-3) if is_any else one.height)
        widths = [one.width, *(other.width for other in kept)]
        if max(heights) > 1.6 * min(heights) or max(widths) > 2.5 * min(widths):
            break
        if kept and is_any and _leapt(one, kept[-1]):
            break
        kept.append(one)
    return kept[::-1]


def _is_another(before: Sample, now: Sample) -> bool:
    """Whether the box became another at once, as of two vehicles that meet: it has not crossed what lies between."""
    return any(
        max(a, b) > 1.5 * min(a, b) for a, b in ((before.width, now.width), (before.height, now.height))
    ) or _leapt(before, now)


def _leapt(before: Sample, behind: Sample) -> bool:
    """Whether nobody can have come so far meanwhile: another thing goes on under this one's number."""
    apart = math.hypot(behind.x - before.x, behind.y - before.y)
    possible = 0.25 + _FASTEST * (behind.clock_ns - before.clock_ns) / SECOND
    return apart > possible * max(before.height, behind.height)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _over_ground(recent: list[Sample], times: list[float], seen: Perspective, aspect: float) -> float:
    """Body heights a second that somebody surely has: less two standard errors."""
    places = [seen.on_ground(one.x, one.y, aspect / 2) for one in recent]
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        return 0.0
    blur = max(place[2] for place in known)
    across, off_across = slope_of(times, [place[0] for place in known], _BLUR / max(seen.height(recent[-1].y), 1e-3))
    along, off_along = slope_of(times, [place[1] for place in known], _BLUR * blur)
    if _CELL * blur > _UNSURE:
        along = off_along = 0.0
    speed = math.hypot(across, along)
    off = math.hypot(across * off_across, along * off_along) / speed if speed > 0 else 0.0
    return max(0.0, speed - 2 * off)


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


def _learn_body(thing: Thing, sample: Sample, box: FoundBox, state: RulesState) -> None:
    """Somebody upright who walks tells how high a body is there."""
    if thing.label not in BODIES or thing.samples[-1] is not sample or len(thing.samples) < 5 or is_cut_off(box):
        return
    before = thing.samples[-5]
    has_walked = math.hypot(sample.x - before.x, sample.y - before.y) > 0.1 * sample.height
    if has_walked and sample.height > _UPRIGHT * sample.width and sample.height > 0.04:
        state.bodies.learn(sample.y, sample.height)


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
        if not _GROWN[0] < box.height / max(height, 1e-6) < _GROWN[1]:
            continue
        lost_s = (state.clock_ns - thing.seen_ns) / SECOND
        apart = math.hypot((box.x + box.width / 2 - x - width / 2) * ground.aspect, box.y + box.height - y - height)
        share = apart / (max(height, box.height) * (0.5 + 0.5 * lost_s))
        if share < nearest:
            best, nearest = key, share
    return best
