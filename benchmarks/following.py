"""How well regions follow a camera that shakes and is bumped, on simulated scenes and on warped real clips.

`python -m benchmarks.following --json` → {"shake_within_3_px", "bumps", "recovered", "after_bump_within_3_px", …}

The error of a frame is the largest one of 25 points of a grid over the picture, in pixels of a picture 640 wide. A bump
of 40 px and 3 degrees (of 640) counts as recovered if the error is below 3 px from ten seconds after it on, in 95 % of
frames. Real clips may move by themselves, which the program that warps them does not know: their errors count as they
are.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from detector_pool.following import Follower
from detector_pool.following.geometry import carried, in_fractions
from detector_pool.picture import Shot
from mesh.ids import FrameId
from simulator.scene import LAYOUTS, Scene, filmed
from simulator.scene.lens import taken
from simulator.spec import IncidentSpec, SceneSpec

FOOTAGE = Path(__file__).parents[2] / "shared" / "footage"
CLIPS = (
    "vtest.avi", "car-detection.mp4", "one-by-one-person-detection.mp4", "avenue_partial/training_videos/16.avi"
)  # fmt: skip
START_NS = 1_700_000_000_000_000_000
FPS = 5
BUMP_S, LENGTH_S, GRACE_S = 8, 32, 10
_GRID = np.array([(x, y) for x in (0.1, 0.3, 0.5, 0.7, 0.9) for y in (0.1, 0.3, 0.5, 0.7, 0.9)])

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Followed:
    """One run. `errors` in pixels of 640, by frame."""

    errors: NDArray[np.float64]
    lost: int
    said: tuple[str, ...]
    times_s: NDArray[np.float64]
    state_bytes: int


def follow(pictures: Iterable[NDArray[np.uint8]], truth: Callable[[int], Matrix]) -> Followed:
    """Shows pictures to a follower; `truth` is where each shows what the first one showed."""
    follower = Follower()
    state = follower.start()
    errors, times, said, lost = [], [], list[str](), 0
    for number, picture in enumerate(pictures):
        before = time.process_time()
        shot = Shot(FrameId("benchmark", 1, number), START_NS + number * 1_000_000_000 // FPS, picture)
        alignment, state = follower.step(shot, state)
        times.append(time.process_time() - before)
        height, width = picture.shape
        away = carried(_GRID, alignment.matrix) - carried(_GRID, truth(number))
        errors.append(float(np.hypot(away[:, 0] * 640, away[:, 1] * 640 * height / width).max()))
        lost += alignment.is_lost
        if alignment.said and alignment.said not in said[-1:]:
            said.append(alignment.said)
    return Followed(np.array(errors), lost, tuple(said), np.array(times), len(follower.pack(state)))


def simulated(layout: str, seed: int, shake_px: float, incident: str) -> Followed:
    """A scene with its people and cars, its camera shaken and, from `BUMP_S` on, bumped."""
    incidents = (IncidentSpec(incident, BUMP_S, LENGTH_S - BUMP_S - 2),) if incident else ()
    scene = filmed(SceneSpec(layout, seed, fps=FPS, loop_s=LENGTH_S, incidents=incidents, shake_px=shake_px))
    if isinstance(scene, Scene):
        raise ValueError("nothing moves the camera")
    rest = np.linalg.inv(scene.alignment(0))
    frames = (LENGTH_S - 2) * FPS
    return follow((scene.picture(k)[:360] for k in range(frames)), lambda k: scene.alignment(k) @ rest)


def real(path: Path, shake_px: float, degrees: float, bump_px: float, seed: int) -> Followed:
    """A clip whose pictures are warped: shaken, and bumped from `BUMP_S` on. The clip goes round."""
    film = list(_luma(path))
    height, width = film[0].shape
    dice = np.random.default_rng(seed)
    sway = dice.standard_normal((LENGTH_S * FPS, 2)) * shake_px * width / 640
    side = 1 if seed % 2 else -1

    def pixels(number: int) -> Matrix:
        dx, dy = sway[number]
        turn = 0.0
        if number >= BUMP_S * FPS:
            dx, dy, turn = dx + side * bump_px * 0.94 * width / 640, dy + bump_px * 0.34 * width / 640, side * degrees
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        middle = np.array(((1, 0, width / 2), (0, 1, height / 2), (0, 0, 1)))
        return np.asarray(middle @ np.array(((cos, -sin, dx), (sin, cos, dy), (0, 0, 1))) @ np.linalg.inv(middle))

    def shown() -> Iterator[NDArray[np.uint8]]:
        for number in range((LENGTH_S - 2) * FPS):
            # Forth and back, so that nothing jumps where the clip ends.
            at = number % (2 * len(film) - 2)
            back: Matrix = np.linalg.inv(pixels(number)).astype(np.float64)
            yield taken(film[min(at, 2 * len(film) - 2 - at)], back, width, height)

    rest = np.linalg.inv(pixels(0))
    return follow(shown(), lambda k: in_fractions(pixels(k) @ rest, width, height))


def _luma(path: Path) -> Iterator[NDArray[np.uint8]]:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        step = max(1, round(float(stream.average_rate or FPS) / FPS))
        for number, frame in enumerate(file.decode(stream)):
            if number >= 400 * step:
                return
            if number % step == 0:
                yield frame.to_ndarray(format="gray").astype(np.uint8, copy=False)


def within(errors: NDArray[np.float64]) -> float:
    """Share of frames whose error is below 3 px."""
    return round(float((errors < 3.0).mean()), 4)


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--first-seed", type=int, default=31)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--layouts", default=",".join(LAYOUTS))
    parser.add_argument("--footage", type=Path, default=FOOTAGE)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    shakes: dict[str, Followed] = {}
    bumps: dict[str, Followed] = {}
    for seed in seeds:
        for layout in filter(None, options.layouts.split(",")):
            shakes[f"{layout} {seed}"] = simulated(layout, seed, 3.0, "")
            bumps[f"{layout} {seed}"] = simulated(layout, seed, 1.0, "bump")
    for name in CLIPS:
        if (options.footage / name).is_file():
            shakes[name] = real(options.footage / name, 3.0, 0.0, 0.0, 1)
            bumps[name] = real(options.footage / name, 1.0, 3.0, 40.0, options.first_seed)
    settled = (BUMP_S + GRACE_S) * FPS
    after = {name: within(one.errors[settled:]) for name, one in bumps.items()}
    times = np.concatenate([one.times_s for one in (*shakes.values(), *bumps.values())])
    found: dict[str, Any] = {
        "shake_within_3_px": {name: within(one.errors[FPS:]) for name, one in shakes.items()},
        "shake_p95_px": {name: round(float(np.percentile(one.errors[FPS:], 95)), 2) for name, one in shakes.items()},
        "bumps": len(bumps),
        "recovered": sum(share >= 0.95 for share in after.values()),
        "after_bump_within_3_px": after,
        "said": {name: one.said for name, one in bumps.items()},
        "lost_frames": {name: one.lost for name, one in (*shakes.items(), *bumps.items()) if one.lost},
        "ms_a_frame": round(1000 * float(np.median(times)), 2),
        "ms_longest": round(1000 * float(times.max())),
        "state_bytes": max(one.state_bytes for one in (*shakes.values(), *bumps.values())),
    }
    if options.json:
        print(json.dumps(found))
        return
    for key, value in found.items():
        print(f"{key}:", *(f"\n  {k:40} {v}" for k, v in value.items()) if isinstance(value, dict) else [value])


if __name__ == "__main__":
    main()
