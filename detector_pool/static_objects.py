"""Static: things before a long-time background, those that move and those that stand; and what was left behind.

Two backgrounds of one grid of small cells (about 160 across): a slow one that does not take in what stands there, and
a fast one that does within seconds (the idea of Porikli, "Detection of temporarily static regions by processing video
at different frame rates", AVSS 2007). What differs from the slow one is something; what agrees with the fast one as
well stands still. A still thing was left behind if it stands apart and something clearly higher moved over its place
just before: somebody with a bag is higher than the bag. Where the background has the edges and the present picture has
not, something was taken away instead (after Spagnolo et al., "An abandoned/removed objects detection algorithm", 2006).

It does not tell what a thing is, and not a bag from a child that stands still after its parents have gone on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from detector_pool.blobs import Cells, dilated, groups
from detector_pool.canvas import Grey, Mask, RegionMask, cell_means, region_grid, to_canvas
from detector_pool.detector import DetectorType, FoundBox, Judging, NoScore, Observation, Setup
from detector_pool.light import pools_of_light
from detector_pool.motion import light_change
from detector_pool.options import Option, checked
from detector_pool.packing import pack, unpack
from detector_pool.picture import Picture
from detector_pool.static_settings import StaticSettings

CELL = 2
SECOND = 1_000_000_000
LEFT_LABEL = "left object"
THING_LABEL = "object"
_CLEARLY = 1.15
"""What was put down has so many times the outline of what was there before."""


OPEN, LEFT, OTHER = range(3)
"""What is known of something that stands still: nothing while it hangs together with more; left behind; or neither that
nor anything to tell."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that stands still. Sides are cells; times are of the observed clock."""

    id: int
    since_ns: int
    seen_ns: int
    kind: int
    """OPEN, LEFT or OTHER."""
    left: int
    top: int
    right: int
    bottom: int


@dataclass(slots=True)
class StaticState:
    """All that is remembered of one camera. Arrays are grids of cells, float32."""

    last_ns: int = 0
    clock_ns: int = 0
    next_id: int = 1
    warm_up_from_ns: int = 0
    upset_since_ns: int = 0
    dim_since_ns: int = 0
    warm_up: list[Grey] = field(default_factory=list)
    slow: Grey | None = None
    fast: Grey | None = None
    noise: Grey | None = None
    still_s: Grey | None = None
    """Seconds for which a cell has shown the same thing."""
    brought: Grey | None = None
    """Height, in cells, of what moved here last."""
    brought_age_s: Grey | None = None
    candidates: tuple[Candidate, ...] = ()


_NUMBERS = ("last_ns", "clock_ns", "next_id", "warm_up_from_ns", "upset_since_ns", "dim_since_ns")
_ARRAYS = ("slow", "fast", "noise", "still_s", "brought", "brought_age_s")


class StaticObjects:
    """The detector. Holds settings, no memory of any camera."""

    name = "static@1"

    def __init__(self, settings: StaticSettings | None = None) -> None:
        self._settings = settings or StaticSettings()

    def start(self) -> StaticState:
        """Nothing known yet."""
        return StaticState()

    def inspect(
        self, picture: Picture, state: StaticState, regions: Sequence[RegionMask]
    ) -> tuple[Observation, StaticState]:
        """Score by how long something has been left, boxes of all things; WARMING_UP until the scene is known."""
        cells = cell_means(to_canvas(picture.y), CELL)
        picture.confirm()
        now_ns = picture.received_ns
        is_other_size = state.fast is not None and state.fast.shape != cells.shape
        if is_other_size or (state.last_ns and abs(now_ns - state.last_ns) > self._settings.forget_after_s * SECOND):
            state = StaticState(next_id=state.next_id)
        elapsed_ns = min(max(now_ns - state.last_ns, 0), SECOND) if state.last_ns else 0
        state.last_ns = now_ns
        state.clock_ns += elapsed_ns
        if state.slow is None:
            self._learn(cells, state)
            return Observation(reason=NoScore.WARMING_UP), state
        return self._compare(cells, elapsed_ns / SECOND, state, regions), state

    def pack(self, state: StaticState) -> bytes:
        """The state as bytes."""
        arrays: dict[str, NDArray[np.float32] | NDArray[np.int64] | None] = {
            name: getattr(state, name) for name in _ARRAYS
        }
        arrays["warm_up"] = np.stack(state.warm_up) if state.warm_up else None
        rows = [[getattr(one, name) for name in Candidate.__slots__] for one in state.candidates]
        arrays["candidates"] = np.array(rows, np.int64).reshape(-1, len(Candidate.__slots__))
        return pack(self.name, {name: getattr(state, name) for name in _NUMBERS}, arrays)

    def unpack(self, data: bytes) -> StaticState:
        """The inverse. Raises ValueError."""
        numbers, arrays = unpack(self.name, data)
        warm_up, rows = list(arrays.pop("warm_up", ())), arrays.pop("candidates", None)
        if set(numbers) != set(_NUMBERS) or not set(arrays) <= set(_ARRAYS) or rows is None or rows.ndim != 2:
            raise ValueError(f"is no state of {self.name}")
        if rows.shape[1] != len(Candidate.__slots__):
            raise ValueError(f"is no state of {self.name}")
        state = StaticState(warm_up=warm_up, candidates=tuple(Candidate(*row) for row in rows.tolist()), **numbers)
        for name, array in arrays.items():
            setattr(state, name, array)
        return state

    # Learning the scene

    def _learn(self, cells: Grey, state: StaticState) -> None:
        settings = self._settings
        if not state.warm_up:
            state.warm_up_from_ns = state.clock_ns
        passed_ns = state.clock_ns - state.warm_up_from_ns
        spacing_ns = settings.warm_up_s * SECOND / settings.warm_up_pictures
        if passed_ns >= len(state.warm_up) * spacing_ns:
            state.warm_up.append(cells)
        if passed_ns < settings.warm_up_s * SECOND or len(state.warm_up) < min(6, settings.warm_up_pictures):
            return
        stack = np.stack(state.warm_up)
        slow: Grey = np.median(stack, axis=0).astype(np.float32)
        state.slow, state.fast = slow, cells.copy()
        state.noise = np.quantile(np.abs(stack - slow), 0.75, axis=0).astype(np.float32)
        state.still_s = np.zeros_like(slow)
        state.brought, state.brought_age_s = np.zeros_like(slow), np.zeros_like(slow)
        state.candidates, state.warm_up, state.upset_since_ns = (), [], 0

    # Comparing with what is known

    def _compare(self, cells: Grey, elapsed_s: float, state: StaticState, regions: Sequence[RegionMask]) -> Observation:
        settings = self._settings
        assert state.slow is not None
        assert state.fast is not None
        assert state.noise is not None
        assert state.still_s is not None
        contrast = float(cells.std())
        if contrast < settings.flat_share * float(state.slow.std()):
            # Black or blown out: nothing can be seen, and nothing of it is worth learning. But if it stays so and shows
            # something, the lights went out, and it is the scene now.
            state.dim_since_ns = state.dim_since_ns or state.clock_ns
            if contrast >= settings.dim and state.clock_ns - state.dim_since_ns >= settings.dim_after_s * SECOND:
                state.slow, state.warm_up, state.dim_since_ns = None, [], 0
                self._learn(cells, state)
            return Observation(reason=NoScore.WARMING_UP)
        state.dim_since_ns = 0
        gain, offset = light_change(cells, state.slow)
        lit = state.slow * np.float32(gain) + np.float32(offset)
        difference = np.abs(cells - lit)
        strong: Mask = difference > settings.floor + settings.noise_margin * state.noise
        if float(strong.mean()) > settings.upset_share:
            state.upset_since_ns = state.upset_since_ns or state.clock_ns
            if state.clock_ns - state.upset_since_ns >= SECOND:
                state.slow, state.warm_up = None, []
                self._learn(cells, state)
            return Observation(reason=NoScore.WARMING_UP)
        state.upset_since_ns = 0
        change = cells - state.fast
        change -= np.float32(np.median(change[::2, ::2]))
        rests: Mask = np.abs(change) <= settings.still_floor + settings.noise_margin * state.noise
        state.still_s += np.float32(elapsed_s)
        state.still_s[~rests] = 0.0
        state.fast += (cells - state.fast) * np.float32(1 - np.exp(-elapsed_s / settings.fast_s))
        # What shows something else begins anew: a strong contrast is not waited for longer than a weak one.
        state.fast[~rests] = cells[~rests]

        grid = region_grid(tuple(regions), *cells.shape)
        differs: Mask = strong & grid.seen
        is_thing: Mask = differs & ~pools_of_light(cells - lit, differs)
        stands: Mask = is_thing & (state.still_s >= settings.still_after_s)
        self._match(stands, is_thing, cells, lit, state)
        left = [one for one in state.candidates if one.kind == LEFT]
        free = is_thing.copy()  # What was left is told of as such, not as a thing that stays.
        for one in left:
            free[one.top : one.bottom, one.left : one.right] &= ~stands[one.top : one.bottom, one.left : one.right]
        things = self._things(free, elapsed_s, is_thing, state)
        self._adapt(cells, lit, difference, differs, elapsed_s, state)

        rows, columns = cells.shape
        shown = [
            _box(one.left, one.top, one.right, one.bottom, rows, columns, LEFT_LABEL, self._left_score(one, state))
            for one in left
        ]
        shown = [replace(box, track=one.id) for box, one in zip(shown, left, strict=True)]
        score = max((box.score for box in shown if _stands_in(box, grid.inspected)), default=0.0)
        return Observation(score, tuple([*shown, *things][: settings.max_boxes]))

    def _left_score(self, one: Candidate, state: StaticState) -> float:
        return round(min(1.0, 0.5 * (state.clock_ns - one.since_ns) / SECOND / self._settings.after_s), 4)

    def _things(self, free: Mask, elapsed_s: float, is_thing: Mask, state: StaticState) -> list[FoundBox]:
        """Boxes of everything that moves, or came moving and stands now."""
        assert state.still_s is not None
        assert state.brought is not None
        assert state.brought_age_s is not None
        settings = self._settings
        rows, columns = free.shape
        still, brought, age = state.still_s.ravel(), state.brought.ravel(), state.brought_age_s.ravel()
        state.brought_age_s += np.float32(elapsed_s)
        fading = np.float32(np.exp(-elapsed_s / settings.mover_s))
        found = []
        for group in groups(free):
            if len(group) < settings.least_cells:
                continue
            ys = group // columns
            height = int(ys[-1] - ys[0]) + 1
            moves = float((still[group] <= settings.moved_within_s).mean()) >= 0.3
            if moves:
                brought[group] = np.maximum(brought[group] * fading, np.float32(height))
                age[group] = 0.0
            elif float((brought[group] >= 0.5 * height).mean()) < 0.5:
                # It never came: light that changes slowly, or the scene itself.
                continue
            score = len(group) ** 2 / (len(group) ** 2 + 36.0)
            found.append(_group_box(group, rows, columns, THING_LABEL, round(score, 4)))
        forgotten = ~is_thing & (state.brought_age_s > settings.remembered_s)
        state.brought[forgotten] = 0.0
        found.sort(key=lambda box: -box.width * box.height)
        return found

    # What stands still

    def _match(self, stands: Mask, is_thing: Mask, cells: Grey, lit: Grey, state: StaticState) -> None:
        """Carries the candidates on: seen, covered by somebody, or gone; and begins new ones."""
        assert state.brought is not None
        assert state.slow is not None
        settings, columns = self._settings, stands.shape[1]
        clock_ns = state.clock_ns
        together = _sizes(is_thing) if stands.any() else np.zeros(0, np.int64)
        waiting = list(state.candidates)
        kept: list[Candidate] = []
        for group in groups(stands, 1):
            if len(group) < settings.least_cells:
                continue
            ys, xs = group // columns, group % columns
            sides = int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
            same = max(waiting, key=lambda one: _overlap(one, sides), default=None)
            if same is not None and _overlap(same, sides) >= 0.4:
                waiting.remove(same)
                now = Candidate(same.id, same.since_ns, clock_ns, same.kind, *sides)
            else:
                since_ns = clock_ns - round(settings.still_after_s * SECOND)
                now = Candidate(state.next_id, since_ns, clock_ns, OPEN, *sides)
                state.next_id += 1
            if now.kind == OPEN and int(together[group].max()) <= settings.apart * len(group):
                mover = float(np.median(state.brought.ravel()[group]))
                edges, edges_before = _edges(group, stands.shape, cells, lit)
                is_left = self._is_low(now, mover) and edges > _CLEARLY * edges_before
                is_ghost = edges_before > settings.ghost * edges and int(together[group].max()) <= 1.2 * len(group)
                if is_ghost and clock_ns - now.since_ns >= settings.ghost_s * SECOND:
                    # Whoever stood there while the scene was learned is not seen for ever where they were.
                    state.slow.ravel()[group] = cells.ravel()[group]
                    continue
                now = replace(now, kind=LEFT if is_left else OPEN if is_ghost else OTHER)
            kept.append(now)
        for one in waiting:
            hidden_ns = clock_ns - one.seen_ns
            covered = float(is_thing[one.top : one.bottom, one.left : one.right].mean()) >= 0.4
            if hidden_ns <= (settings.covered_s if covered and one.kind == LEFT else settings.gone_s) * SECOND:
                kept.append(one)
        kept.sort(key=lambda one: one.id)
        state.candidates = tuple(kept[: settings.max_candidates])

    def _is_low(self, one: Candidate, mover: float) -> bool:
        """Whether it is no more than a part of who brought it."""
        height, width = one.bottom - one.top, one.right - one.left
        is_slim = height > self._settings.slim * width
        return height <= (self._settings.much_lower if is_slim else self._settings.lower) * mover

    def _adapt(
        self, cells: Grey, lit: Grey, difference: Grey, is_thing: Mask, elapsed_s: float, state: StaticState
    ) -> None:
        """Lets the slow background and the noise follow the scene where nothing is."""
        assert state.slow is not None
        assert state.noise is not None
        assert state.still_s is not None
        settings = self._settings
        state.slow += (lit - state.slow) * np.float32(1 - np.exp(-elapsed_s / 1.0))
        rate = np.where(dilated(is_thing), 0.0, 1 - np.exp(-elapsed_s / settings.slow_s)).astype(np.float32)
        rate[state.still_s >= settings.absorb_s] = 1.0
        state.slow += (cells - state.slow) * rate
        step = np.where(is_thing, 0.0, settings.quantile_per_s * elapsed_s).astype(np.float32)
        state.noise += np.where(difference > state.noise, step * np.float32(0.95), step * np.float32(-0.05))
        np.maximum(state.noise, 0.0, out=state.noise)


def _sizes(mask: Mask) -> NDArray[np.int64]:
    """For each cell, flat, of how many the group is that it belongs to."""
    sizes = np.zeros(mask.size, np.int64)
    for group in groups(mask):
        sizes[group] = len(group)
    return sizes


def _edges(group: Cells, shape: tuple[int, int], cells: Grey, lit: Grey) -> tuple[float, float]:
    """How much of the group's outline the present picture has, and how much the background."""
    inside: Mask = np.zeros(shape, bool)
    inside.ravel()[group] = True
    now = before = 0.0
    for axis in (0, 1):
        border = np.diff(inside.astype(np.int8), axis=axis) != 0
        now += float(np.abs(np.diff(cells, axis=axis))[border].sum())
        before += float(np.abs(np.diff(lit, axis=axis))[border].sum())
    return now, before


def _overlap(one: Candidate, sides: tuple[int, int, int, int]) -> float:
    """Intersection over union."""
    left, top, right, bottom = sides
    width = min(one.right, right) - max(one.left, left)
    height = min(one.bottom, bottom) - max(one.top, top)
    if width <= 0 or height <= 0:
        return 0.0
    areas = (one.right - one.left) * (one.bottom - one.top) + (right - left) * (bottom - top)
    return width * height / (areas - width * height)


def _stands_in(box: FoundBox, inspected: Mask) -> bool:
    """Whether its foot is in an inspected region."""
    rows, columns = inspected.shape
    row = min(int((box.y + box.height) * rows - 0.5), rows - 1)
    return bool(inspected[row, min(int((box.x + box.width / 2) * columns), columns - 1)])


def _group_box(group: Cells, rows: int, columns: int, label: str, score: float) -> FoundBox:
    ys, xs = group // columns, group % columns
    sides = int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
    return _box(*sides, rows, columns, label, score)


def _box(left: int, top: int, right: int, bottom: int, rows: int, columns: int, label: str, score: float) -> FoundBox:
    return FoundBox(left / columns, top / rows, (right - left) / columns, (bottom - top) / rows, label, score)


OPTIONS = (
    Option("after_s", 60.0, "Seconds after which something left behind is told.", low=2.0, high=86_400.0),
    Option("absorb_s", 1200.0, "Seconds after which what stands there belongs to the scene.", low=30.0, high=604_800.0),
)


def _made(setup: Setup) -> StaticObjects:
    options = checked("static", OPTIONS, setup.options)
    return StaticObjects(StaticSettings(after_s=options["after_s"], absorb_s=options["absorb_s"]))


STATIC = DetectorType(
    "static",
    "1",
    "Things that stand or move before a long-time background, and what was left behind.",
    _made,
    Judging(0.5, 0.9, min_duration_ns=0),
    OPTIONS,
)
