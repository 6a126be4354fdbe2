"""A small made-up camera: people walk both ways before a textured ground; now and then somebody runs. Pure, seeded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detector_pool.picture import Shot
from mesh.ids import FrameId

WIDTH, HEIGHT, FPS = 160, 96, 10
START_NS = 1_700_000_000_000_000_000
LANES = (26, 46, 66)
_SIZE = (14, 6)


def ground() -> NDArray[np.float64]:
    """What the camera sees when nobody is there."""
    rng = np.random.default_rng(11)
    coarse = rng.normal(0, 14, (HEIGHT // 4 + 1, WIDTH // 4 + 1))
    blocks = np.pad(np.kron(coarse, np.ones((4, 4)))[:HEIGHT, :WIDTH], 1, mode="edge")
    # As a lens shows it: no edge is sharper than two pixels.
    down = 0.25 * (blocks[:-2] + 2 * blocks[1:-1] + blocks[2:])
    fine: NDArray[np.float64] = 110 + 0.25 * (down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:])
    return fine


def traffic(
    seconds: float,
    seed: int,
    *,
    runner_s: tuple[float, float] | None = None,
    step: float = 5.0,
    left_s: float | None = None,
    start_ns: int = START_NS,
) -> Iterator[Shot]:
    """Shots of `seconds` at FPS. A runner crosses within `runner_s`, `step` pixels a frame; from `left_s` on a bag
    stands where nobody walks.
    """
    rng = np.random.default_rng(seed)
    behind = ground()
    people: list[list[float]] = []
    patterns = [rng.uniform(-1, 1, _SIZE) for _ in range(6)]
    for number in range(round(seconds * FPS)):
        for lane in LANES:
            if rng.random() < 0.035:
                way = 1.0 if rng.random() < 0.5 else -1.0
                people.append([-6.0 if way > 0 else WIDTH + 6.0, lane, way * rng.uniform(0.9, 1.6), rng.integers(6)])
        for person in people:
            person[0] += person[2]
        people = [person for person in people if -8 <= person[0] <= WIDTH + 8]
        picture = behind.copy()
        for x, lane, _, pattern in people:
            _draw(picture, x, int(lane), patterns[int(pattern)], number)
        if runner_s is not None and runner_s[0] * FPS <= number < runner_s[1] * FPS:
            _draw(picture, step * (number - runner_s[0] * FPS), 56, patterns[0], number)
        if left_s is not None and number >= left_s * FPS:
            picture[82:94, 72:88] = 170
        picture += rng.normal(0, 1.5, picture.shape)
        luma = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        yield Shot(FrameId("yard", 1, number), start_ns + number * 1_000_000_000 // FPS, luma)


def _draw(picture: NDArray[np.float64], x: float, top: int, pattern: NDArray[np.float64], number: int) -> None:
    """A person, with a swing of the legs; its place to a fraction of a pixel."""
    whole, part = int(np.floor(x)), x - np.floor(x)
    legs = pattern.copy()
    legs[9:] = np.roll(legs[9:], number // 2 % 3, axis=1)
    for shift, weight in ((0, 1 - part), (1, part)):
        left, right = whole + shift, whole + shift + _SIZE[1]
        cut = slice(max(0, -left), _SIZE[1] - max(0, right - WIDTH))
        if left < WIDTH and right > 0:
            place = (slice(top, top + _SIZE[0]), slice(max(0, left), min(WIDTH, right)))
            picture[place] += weight * (60 + 50 * legs[:, cut] - (picture[place] - 110))
