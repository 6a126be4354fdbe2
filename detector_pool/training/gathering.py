"""From pictures to what a model is fitted to: the cells of every frame in which something happens.

Each picture is also looked at as a shaking camera would have shown it, stabilised again: a model that has only seen a
steady camera takes the rests of a shake for news.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey, RegionMask
from detector_pool.normality.graph import features_graph
from detector_pool.normality.grid import STATE_CHANNELS, Canvas
from detector_pool.normality.heads import HEADS, Vectors
from detector_pool.normality.runtime import Session
from detector_pool.normality.view import SECOND, cells, drawn
from detector_pool.picture import Shot
from detector_pool.stabilise import moved
from detector_pool.steady import Steady, SteadyState
from mesh.errors import InvalidArgument

SHAKES_PX = (0.0, 0.5, 2.0)
FRAMES_FOR_NOISE = 60
MOST_FRAMES = 12_000
"""Of each variant; of longer footage every second piece is kept, then every fourth, and so on."""
PIECE_S = 20.0
BREAK_INTERVALS = 3.0
"""A pause of so many intervals between frames breaks what is remembered between them."""


@dataclass(slots=True)
class Cell:
    """The cells of one frame in which a head has something to see."""

    places: NDArray[np.int32]
    """Flat indices."""
    vectors: Vectors
    """One for each, (N, D)."""


@dataclass(slots=True)
class Frame:
    """One frame as it was looked at."""

    received_ns: int
    run: int
    """Frames of one run follow each other without a break."""
    heads: list[Cell]


@dataclass(slots=True)
class _Variant:
    """The camera, shaken by so much, and what is remembered of it."""

    shake_px: float
    rng: np.random.Generator
    stabiliser: SteadyState
    state: Grey
    previous: Grey | None = None
    frames: list[Frame] = field(default_factory=list)


class Gathering:
    """Takes the pictures that are looked at, one after the other."""

    def __init__(self, regions: Sequence[RegionMask], interval_ns: float, seed: int) -> None:
        self._regions = tuple(regions)
        self._interval_ns = interval_ns
        self._seed = seed
        self._waiting: list[tuple[int, Grey]] = []
        self._canvas: Canvas | None = None
        self._size: tuple[int, ...] = ()
        self._session: Session | None = None
        self._stabiliser = Steady()
        self._variants: list[_Variant] = []
        self._last_ns = 0
        self._run = 0
        self._every = 1
        self.noise = 0.0
        self.seconds = 0.0
        self.count = 0

    @property
    def canvas(self) -> Canvas:
        """The canvas of all pictures. Raises InvalidArgument: there were too few to say."""
        if self._canvas is None:
            raise InvalidArgument("training", "there are no pictures", "Give at least a minute of normal footage.")
        return self._canvas

    @property
    def frames(self) -> list[list[Frame]]:
        """Frames of each variant, equally many and in the same order."""
        return [variant.frames for variant in self._variants]

    def add(self, shot: Shot, at_ns: int) -> None:
        """Looks at a picture, shown at that time. Raises InvalidArgument: it has another size than those before."""
        grey = drawn(shot.y)
        if self._canvas is None:
            self._canvas, self._size = Canvas(grey.shape[1], grey.shape[0]), shot.y.shape
        if shot.y.shape != self._size:
            was, now = (f"{width}x{height}" for height, width in (self._size, shot.y.shape))
            raise InvalidArgument(
                f"training on camera {shot.id.camera}", f"its pictures change from {was} to {now}",
                "A model is for one size: train on the footage before or after the change.",
            )  # fmt: skip
        if self._session is not None:
            self._look(at_ns, grey)
            return
        self._waiting.append((at_ns, grey))
        if len(self._waiting) >= FRAMES_FOR_NOISE:
            self._begin()

    def finish(self) -> None:
        """No more pictures."""
        if self._session is None and len(self._waiting) > 1:
            self._begin()

    def _begin(self) -> None:
        self.noise = noise_of([grey for _, grey in self._waiting])
        self._session = Session(features_graph(self.canvas, self.noise).SerializeToString(), "features graph")
        for number, shake_px in enumerate(SHAKES_PX):
            rng = np.random.default_rng([self._seed, number])
            self._variants.append(_Variant(shake_px, rng, self._stabiliser.start(), self._blank()))
        for received_ns, grey in self._waiting:
            self._look(received_ns, grey)
        self._waiting = []

    def _look(self, received_ns: int, grey: Grey) -> None:
        pause_ns = received_ns - self._last_ns
        is_new_run = not 0 <= pause_ns <= BREAK_INTERVALS * self._interval_ns
        self._last_ns = received_ns
        self._run += is_new_run
        self.count += 1
        if not is_new_run:
            self.seconds += pause_ns / SECOND
        if self._variants and len(self._variants[0].frames) >= MOST_FRAMES:
            self._every *= 2
            for variant in self._variants:
                variant.frames = [frame for frame in variant.frames if self._is_kept(frame.received_ns)]
        for variant in self._variants:
            if is_new_run:
                variant.stabiliser, variant.state, variant.previous = self._stabiliser.start(), self._blank(), None
            self._look_at(received_ns, grey, variant)

    def _look_at(self, received_ns: int, grey: Grey, variant: _Variant) -> None:
        assert self._session is not None
        if variant.shake_px:
            dx, dy = variant.shake_px * variant.rng.standard_normal(2)
            grey = moved(grey, float(dx), float(dy))
        grey, variant.stabiliser = self._stabiliser.step(grey, variant.stabiliser)
        previous, variant.previous = variant.previous, grey
        if previous is None:
            return
        shift = variant.stabiliser.shift
        looked = cells(self.canvas, self._regions, shift.dx, shift.dy)
        out = self._session.run(
            {"previous": previous[None, None], "current": grey[None, None], "seen": looked.seen,
             "judged": looked.judged, "state": variant.state}
        )  # fmt: skip
        variant.state = out["new_state"]
        if self._is_kept(received_ns):
            variant.frames.append(Frame(received_ns, self._run, _heads(out["attributes"][0], out["active"][0])))

    def _is_kept(self, received_ns: int) -> bool:
        return int(received_ns / (PIECE_S * SECOND)) % self._every == 0

    def _blank(self) -> Grey:
        return np.zeros((1, STATE_CHANNELS, self.canvas.rows, self.canvas.columns), np.float32)


def _heads(attributes: Grey, active: Grey) -> list[Cell]:
    found, at = [], 0
    for number, head in enumerate(HEADS):
        width = len(head.attributes)
        places = np.flatnonzero(active[number])
        vectors = attributes[at : at + width].reshape(width, -1)[:, places].T
        found.append(Cell(places.astype(np.int32), np.ascontiguousarray(vectors)))
        at += width
    return found


def noise_of(pictures: Sequence[Grey]) -> float:
    """Standard deviation of a pixel that shows nothing new, from the change between neighbouring pictures."""
    medians = [float(np.median(np.abs(b[::2, ::2] - a[::2, ::2]))) for a, b in pairwise(pictures)]
    # Of differences of two, hence the root; 0.6745 is the median deviation of the normal distribution.
    return float(np.median(medians)) / 0.6745 / 2**0.5 if medians else 0.0
