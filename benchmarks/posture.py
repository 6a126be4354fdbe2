"""What posture makes of falls, runs and crouches: simulated people's key points, trained on their ordinary walking.

`python -m benchmarks.posture --json` → {"layouts": {"hall": {"people", "auc": {"fall", …}, …}, …}, "mean"}

Needs torch (`pip install 'trueframe[train]'`). Key points are those of the simulator's walkers, projected into each
layout's picture, shaken by 1.5 % of the body's height, every tenth not seen; no pose model looks at pictures here, and
nobody hides anybody. AUC is over persons' frames: those of a kind's abnormal stretch against all ordinary ones of the
test. A crouch is somebody who stops, goes down on bent knees for some seconds, and goes on.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.detector import FoundBox, KeyPoint
from detector_pool.evaluation.metrics import roc_auc
from detector_pool.models import ModelFiles
from detector_pool.posture.pace import STEP_NS
from detector_pool.posture.people import PeopleState, step
from detector_pool.training.posture import errors_of, learnt
from detector_pool.training.posture_windows import Collecting, Windows
from simulator.scene import actors, incidents
from simulator.scene.actors import Actor
from simulator.scene.layouts import LAYOUTS
from simulator.scene.paths import Moment, Path
from simulator.scene.people import Limb, Stance, limbs
from simulator.scene.stages import STAGES
from simulator.scene.view import Point, View
from simulator.spec import IncidentSpec

START_NS = 1_800_000_000_000_000_000
WIDTH, HEIGHT = 640, 360
NOISE, MISSING = 0.015, 0.1
"""Of the body's height; share of points."""
KINDS = ("fall", "running", "crouch")
LAYOUT_NAMES = ("hall", "yard", "platform")
_LIMB_ORDERS = {"thigh": 0.1, "shin": 0.0, "upper arm": 0.3, "forearm": 0.35}
_NEARER = 3.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Walker:
    """Somebody, and when they do what they should not."""

    actor: Actor
    kind: str = ""
    crouches_s: tuple[float, float] = (0.0, 0.0)
    """After setting out."""

    def is_abnormal(self, moment: Moment) -> bool:
        """Whether they do it now."""
        if self.kind == "crouch":
            return self.crouches_s[0] <= moment.passed_s <= self.crouches_s[1] + 1.0
        return self.kind == "running" or (self.kind == "fall" and moment.down > 0)


def joints(body: Sequence[Limb], heading: float, crouched: float) -> list[Point]:
    """COCO's seventeen points of a body in the world. `crouched`: 0 stands, 1 sits on the heels."""
    by_order = {round(limb.order, 2): limb for limb in body}
    near = -1.0 if math.cos(heading) > 0 else 1.0
    found: dict[tuple[str, float], Limb] = {
        (name, side): by_order[round(order + (_NEARER if side == near else 0.0), 2)]
        for name, order in _LIMB_ORDERS.items()
        for side in (-1.0, 1.0)
    }
    head = by_order[1.7].b
    fx, fy = math.cos(heading), math.sin(heading)

    def by_head(forward: float, aside: float, up: float) -> Point:
        return head[0] + fx * forward - fy * aside, head[1] + fy * forward + fx * aside, head[2] + up

    # A person's left is at a greater angle than where they go.
    face = [by_head(0.10, 0.0, -0.02)]
    face += [by_head(forward, side * aside, up) for forward, aside, up in ((0.09, 0.03, 0.02), (0.0, 0.07, 0.0))
             for side in (1.0, -1.0)]  # fmt: skip
    trunk = [found["upper arm", side].a for side in (1.0, -1.0)]
    elbows = [found["upper arm", side].b for side in (1.0, -1.0)]
    wrists = [found["forearm", side].b for side in (1.0, -1.0)]
    hips = [found["thigh", side].a for side in (1.0, -1.0)]
    knees = [found["thigh", side].b for side in (1.0, -1.0)]
    ankles = [found["shin", side].b for side in (1.0, -1.0)]
    sunk = 0.55 * crouched

    def down(points: list[Point], forward: float = 0.0) -> list[Point]:
        return [(x + fx * forward, y + fy * forward, z - sunk) for x, y, z in points]

    bent = [(x + fx * 0.35 * crouched, y + fy * 0.35 * crouched, z - 0.1 * crouched) for x, y, z in knees]
    upper = down([*face, *trunk, *elbows, *wrists], 0.15 * crouched)
    return [*upper, *down(hips), *bent, *ankles]


def box_of(points: Sequence[Point], view: View, track: int, rng: np.random.Generator) -> FoundBox | None:
    """What a pose model would say of a body; None where it is not wholly before the camera."""
    seen = [view.project(point) for point in points]
    if any(one is None for one in seen):
        return None
    at = np.array([one[:2] for one in seen if one is not None])
    height = max(float(np.ptp(at[:, 1])), 1.0)
    size = max(height, float(np.ptp(at[:, 0])))
    at = at + rng.normal(0.0, NOISE * size, at.shape)
    left, top = at.min(axis=0) - np.array([0.06, 0.08]) * size
    right, bottom = at.max(axis=0) + np.array([0.06, 0.04]) * size
    score = np.where(rng.random(len(at)) < MISSING, 0.05, 0.8)
    key_points = tuple(
        KeyPoint(x / view.width, y / view.height, float(s)) for (x, y), s in zip(at.tolist(), score, strict=True)
    )
    return FoundBox(
        left / view.width, top / view.height, (right - left) / view.width, (bottom - top) / view.height, "person", 0.9,
        track, key_points=key_points,
    )  # fmt: skip


def steps(
    walkers: Sequence[Walker], view: View, loop_s: float, seed: int
) -> Iterator[tuple[int, list[FoundBox], set[int]]]:
    """Ten times a second: the time, everybody's boxes, and who of them does what they should not."""
    rng = np.random.default_rng([seed, 7])
    for index in range(round(loop_s * 1e9 / STEP_NS)):
        boxes, abnormal = [], set()
        for number, walker in enumerate(walkers):
            for moment in walker.actor.moments(index * STEP_NS / 1e9, loop_s):
                look = walker.actor.look_at(moment.passed_s)
                if look is None or walker.actor.bag:
                    continue
                stance = Stance(moment.x, moment.y, moment.heading, moment.speed, moment.travelled_m, moment.down)
                body = joints(limbs(look, stance), moment.heading, _crouched(walker, moment.passed_s))
                box = box_of(body, view, number + 1, rng)
                if box is not None:
                    boxes.append(box)
                    if walker.is_abnormal(moment):
                        abnormal.add(box.track)
        yield START_NS + index * STEP_NS, boxes, abnormal


def _crouched(walker: Walker, passed_s: float) -> float:
    begins, ends = walker.crouches_s
    return min(max((passed_s - begins) / 0.8, 0.0), 1.0) * min(max((ends + 0.8 - passed_s) / 0.8, 0.0), 1.0)


def collected(walkers: Sequence[Walker], view: View, loop_s: float, seed: int) -> tuple[Windows, NDArray[np.bool_]]:
    """Windows of everybody, and which of them end while their person does what they should not."""
    people, collecting = PeopleState(), Collecting()
    wrong: set[tuple[int, int]] = set()
    for time_ns, boxes, abnormal in steps(walkers, view, loop_s, seed):
        collecting.add(step(boxes, 1, view.width / view.height, people), time_ns)
        wrong |= {(time_ns, track) for track in abnormal}
    windows = collecting.windows()
    pairs = zip(windows.times_ns.tolist(), windows.tracks.tolist(), strict=True)
    return windows, np.array([pair in wrong for pair in pairs], bool)


def ordinary(name: str, seed: int, loop_s: float) -> list[Walker]:
    """Ordinary walkers of a layout."""
    return [Walker(actor) for actor in actors.traffic(LAYOUTS[name](), seed, loop_s) if actor.look is not None]


def unusual(name: str, kind: str, seed: int, loop_s: float) -> list[Walker]:
    """Somebody who does it, once every 20 seconds."""
    layout = LAYOUTS[name]()
    view = layout.view(WIDTH, HEIGHT)
    found = []
    for number, start_s in enumerate(np.arange(4.0, loop_s - 16.0, 20.0).tolist()):
        rng = np.random.default_rng([seed, number, KINDS.index(kind)])
        if kind == "crouch":
            stage, speed = STAGES[name], 1.3
            spot = (stage.spot[0] + float(rng.uniform(-0.6, 0.6)), stage.spot[1] + float(rng.uniform(-0.6, 0.6)))
            walk_s = math.dist(stage.enters, spot) / speed
            way = Path((stage.enters, (*spot, 6.0), stage.enters), speed)
            comes = incidents.seen(way, view)[0]
            found.append(Walker(Actor(way, start_s - comes, look=actors.look(rng), incident=number), kind,
                                (walk_s + 0.5, walk_s + 4.5)))  # fmt: skip
            continue
        spec = IncidentSpec(kind, start_s, 10.0)
        found += [Walker(one, kind) for one in incidents.of_incident(layout, view, spec, number, seed)]
    return found


def measured(name: str, minutes: float, seed: int, rounds: int | None) -> dict[str, Any]:
    """One layout: trained on its ordinary walkers, tested on others among whom somebody falls, runs or crouches."""
    view = LAYOUTS[name]().view(WIDTH, HEIGHT)
    windows, _ = collected(ordinary(name, seed, minutes * 60), view, minutes * 60, seed)
    nothing = ModelFiles("", {"name": "none"}, {})
    trained = learnt(windows, camera=name, pose=nothing, seed=seed, rounds=rounds)
    told: dict[str, Any] = {
        "trained_minutes": minutes, "people": trained.people, "people_minutes": round(trained.seconds / 60, 1),
        "auc": {}, "above_half_ordinary": None, "above_half": {},
    }  # fmt: skip
    length_s = 124.0
    usual, scored = [], {}
    for number, kind in enumerate(KINDS):
        among = [*ordinary(name, seed + 50 + number, length_s), *unusual(name, kind, seed + 50, length_s)]
        seen, is_wrong = collected(among, view, length_s, seed + 50 + number)
        errors, _ = errors_of(seen, np.arange(len(seen)), trained.graph)
        scores = np.array([trained.level.score(error) for error in errors.tolist()])
        usual.append(scores[~is_wrong])
        scored[kind] = scores[is_wrong]
    normal = np.concatenate(usual)
    for kind, scores in scored.items():
        labels = np.concatenate([np.ones(len(scores), bool), np.zeros(len(normal), bool)])
        area = roc_auc(np.concatenate([scores, normal]), labels)
        told["auc"][kind] = None if area is None else round(area, 4)
        told["above_half"][kind] = round(float((scores >= 0.5).mean()), 3) if len(scores) else None
    told["above_half_ordinary"] = round(float((normal >= 0.5).mean()), 4)
    return told


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--layout", action="append", choices=sorted(LAYOUTS), help="only these")
    parser.add_argument("--minutes", type=float, default=10.0, help="of footage that is trained on")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--rounds", type=int, help="of fitting; as many as the footage is worth if left out")
    options = parser.parse_args()
    names = options.layout or LAYOUT_NAMES
    by_layout = {name: measured(name, options.minutes, options.seed, options.rounds) for name in names}
    mean = {
        kind: round(float(np.mean([one["auc"][kind] for one in by_layout.values() if one["auc"][kind]])), 4)
        for kind in KINDS
    }
    print(json.dumps({"layouts": by_layout, "mean": mean}, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
