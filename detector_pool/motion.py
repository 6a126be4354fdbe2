"""Motion: things that move before a background learnt from the camera itself.

A grey canvas about 320 wide is compared with a slowly learnt background, after a global change of light (gain and
offset) has been taken out. Cells of 4x4 pixels are active where the difference exceeds what this cell's own noise
(a running high quantile: sensor, codec, leaves) explains. Active cells that stay for two frames and whose surroundings
have changed lately form groups; a group's mass, squashed, is the score. What stands still melts into the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from detector_pool.blobs import Cells, dilated, groups
from detector_pool.canvas import Grey, Mask, RegionGrid, RegionMask, cell_means, region_grid, to_canvas
from detector_pool.detector import FoundBox, NoScore, Observation
from detector_pool.packing import pack, unpack
from detector_pool.picture import Picture

CELL = 4
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """What can be tuned. Grey levels are of 0 to 255, times in seconds."""

    warm_up_s: float = 2.0
    warm_up_pictures: int = 16
    background_s: float = 8.0
    """Time constant of the background where nothing is active."""
    occupied_s: float = 60.0
    """Time constant where something moves."""
    absorb_s: float = 3.0
    """Time constant where something differs and has not moved for `still_after_s`: parked, or gone from there."""
    still_after_s: float = 3.0
    noise_margin: float = 1.6
    difference_floor: float = 4.0
    mean_floor: float = 3.0
    change_floor: float = 2.0
    quantile_per_s: float = 0.6
    """Speed at which a cell's noise estimate follows, in grey levels a second."""
    recent_s: float = 0.6
    half_mass: float = 4.0
    """Mass of a group that scores 0.5: about four weak cells, or one and a half strong ones."""
    strongest: float = 3.0
    sliver_share: float = 0.04
    """A smaller share of a thing inside a region is the edge of its shadow or light: a car that passes close by."""
    upset_share: float = 0.55
    """Share of active cells above which the whole picture changed: light, exposure, a move of the camera."""
    upset_s: float = 0.7
    flat_share: float = 0.2
    """A picture with less than this share of the background's contrast shows nothing."""
    forget_after_s: float = 60.0
    max_boxes: int = 8


@dataclass(slots=True)
class MotionState:
    """All that is remembered of one camera."""

    warm_up: list[Grey] = field(default_factory=list)
    warm_up_from_ns: int = 0
    last_ns: int = 0
    background: Grey | None = None
    previous: Grey | None = None
    difference_noise: Grey | None = None
    mean_noise: Grey | None = None
    change_noise: Grey | None = None
    still_s: Grey | None = None
    """Seconds since a cell or a neighbour last changed from one picture to the next."""
    was_active: Mask | None = None
    upset_since_ns: int = 0


_NUMBERS = ("warm_up_from_ns", "last_ns", "upset_since_ns")
_ARRAYS = ("background", "previous", "difference_noise", "mean_noise", "change_noise", "still_s", "was_active")


class Motion:
    """The detector. Holds settings, no memory of any camera."""

    name = "motion@1"

    def __init__(self, settings: MotionSettings | None = None) -> None:
        self._settings = settings or MotionSettings()

    def start(self) -> MotionState:
        """Nothing known yet."""
        return MotionState()

    def inspect(
        self, picture: Picture, state: MotionState, regions: Sequence[RegionMask]
    ) -> tuple[Observation, MotionState]:
        """Score and boxes of one picture; WARMING_UP until the background is known."""
        settings = self._settings
        canvas = to_canvas(picture.y)
        picture.confirm()
        now_ns = picture.received_ns
        is_other_size = state.previous is not None and state.previous.shape != canvas.shape
        if is_other_size or (state.last_ns and now_ns - state.last_ns > settings.forget_after_s * SECOND):
            state = MotionState()
        elapsed_s = min(max((now_ns - state.last_ns) / SECOND, 0.0), 1.0) if state.last_ns else 0.0
        state.last_ns = now_ns
        if state.background is None:
            self._learn(canvas, now_ns, state)
            return Observation(reason=NoScore.WARMING_UP), state
        observation = self._compare(canvas, now_ns, elapsed_s, state, regions)
        return observation, state

    def pack(self, state: MotionState) -> bytes:
        """The state as bytes."""
        numbers = {name: getattr(state, name) for name in _NUMBERS}
        arrays = {name: getattr(state, name) for name in _ARRAYS}
        return pack(self.name, numbers, {**arrays, "warm_up": np.stack(state.warm_up) if state.warm_up else None})

    def unpack(self, data: bytes) -> MotionState:
        """The inverse. Raises ValueError."""
        numbers, arrays = unpack(self.name, data)
        warm_up = list(arrays.pop("warm_up", ()))
        if set(numbers) != set(_NUMBERS) or not set(arrays) <= set(_ARRAYS):
            raise ValueError(f"is no state of {self.name}")
        state = MotionState(warm_up=warm_up, **numbers)
        for name, array in arrays.items():
            setattr(state, name, array)
        return state

    # Learning the scene

    def _learn(self, canvas: Grey, now_ns: int, state: MotionState) -> None:
        settings = self._settings
        if not state.warm_up:
            state.warm_up_from_ns = now_ns
        spacing_ns = settings.warm_up_s * SECOND / settings.warm_up_pictures
        if now_ns - state.warm_up_from_ns >= len(state.warm_up) * spacing_ns:
            state.warm_up.append(canvas)
        state.previous = canvas
        has_time = now_ns - state.warm_up_from_ns >= settings.warm_up_s * SECOND
        if not has_time or len(state.warm_up) < min(8, settings.warm_up_pictures):
            return
        stack = np.stack(state.warm_up)
        background: Grey = np.median(stack, axis=0).astype(np.float32)
        # Somebody who walks through the warm-up is in few of its pictures: the upper quartile does not see him.
        differences = np.stack([cell_means(np.abs(one - background), CELL) for one in state.warm_up])
        means = np.stack([np.abs(cell_means(one - background, CELL)) for one in state.warm_up])
        changes = np.stack([cell_means(np.abs(a - b), CELL) for a, b in zip(stack[1:], stack[:-1], strict=True)])
        state.background = background
        state.difference_noise = np.quantile(differences, 0.75, axis=0).astype(np.float32)
        state.mean_noise = np.quantile(means, 0.75, axis=0).astype(np.float32)
        state.change_noise = np.quantile(changes, 0.75, axis=0).astype(np.float32)
        state.still_s = np.full(state.mean_noise.shape, settings.still_after_s, dtype=np.float32)
        state.was_active = np.zeros(state.mean_noise.shape, dtype=bool)
        state.upset_since_ns = 0
        state.warm_up = []

    # Comparing with what is known

    def _compare(
        self, canvas: Grey, now_ns: int, elapsed_s: float, state: MotionState, regions: Sequence[RegionMask]
    ) -> Observation:
        settings = self._settings
        assert state.background is not None
        assert state.previous is not None
        assert state.difference_noise is not None
        assert state.mean_noise is not None
        assert state.change_noise is not None
        assert state.still_s is not None
        assert state.was_active is not None
        cells, known_cells = cell_means(canvas, CELL), cell_means(state.background, CELL)
        if float(cells.std()) < settings.flat_share * float(known_cells.std()):
            # Black, covered or blown out: nothing can be seen to move, and nothing of it is worth learning.
            state.previous, state.was_active = canvas, np.zeros_like(state.was_active)
            return Observation()
        gain, offset = light_change(cells, known_cells)
        lit = state.background * np.float32(gain) + np.float32(offset)
        difference = canvas - lit
        mean = np.abs(cell_means(difference, CELL))
        np.abs(difference, out=difference)
        spread = cell_means(difference, CELL)
        change_map = canvas - state.previous
        change_map -= np.float32(np.median(change_map[::4, ::4]))
        change = cell_means(np.abs(change_map), CELL)

        excess = np.maximum(
            mean / (settings.noise_margin * state.mean_noise + settings.mean_floor),
            spread / (settings.noise_margin * state.difference_noise + settings.difference_floor),
        )
        active: Mask = excess > 1.0
        has_changed: Mask = change > settings.noise_margin * state.change_noise + settings.change_floor
        state.still_s += np.float32(elapsed_s)
        state.still_s[dilated(has_changed)] = 0.0

        state.previous = canvas
        if float(active.mean()) > settings.upset_share:
            return self._upset(canvas, now_ns, state)
        state.upset_since_ns = 0
        grid = region_grid(tuple(regions), *active.shape)
        confirmed = active & dilated(state.was_active) & grid.seen
        observation = self._observe(confirmed, excess, state.still_s <= settings.recent_s, grid)
        state.was_active = active
        self._follow(canvas, lit, active, (mean, spread, change), excess, elapsed_s, state)
        return observation

    def _upset(self, canvas: Grey, now_ns: int, state: MotionState) -> Observation:
        """The whole picture differs: nothing can be said of single things until the scene is known again."""
        state.upset_since_ns = state.upset_since_ns or now_ns
        if now_ns - state.upset_since_ns >= self._settings.upset_s * SECOND:
            state.background, state.warm_up, state.upset_since_ns = None, [], 0
            self._learn(canvas, now_ns, state)
        return Observation(reason=NoScore.WARMING_UP)

    def _observe(self, confirmed: Mask, excess: Grey, is_recent: Mask, grid: RegionGrid) -> Observation:
        settings = self._settings
        rows, columns = confirmed.shape
        boxes: list[FoundBox] = []
        flat_excess, flat_recent = np.minimum(excess, settings.strongest).ravel(), is_recent.ravel()
        for group in groups(confirmed):
            if not flat_recent[group].any():
                continue
            mass = self._mass_that_counts(group, flat_excess, grid)
            score = mass * mass / (mass * mass + settings.half_mass**2)
            ys, xs = group // columns, group % columns
            top, left = int(ys.min()), int(xs.min())
            height, width = int(ys.max()) + 1 - top, int(xs.max()) + 1 - left
            boxes.append(
                FoundBox(left / columns, top / rows, width / columns, height / rows, "motion", round(score, 4))
            )
        boxes.sort(key=lambda box: -box.score)
        kept = tuple(box for box in boxes[: settings.max_boxes] if box.score >= 0.2)
        return Observation(kept[0].score if kept else max((box.score for box in boxes), default=0.0), kept)

    def _mass_that_counts(self, group: Cells, flat_excess: Grey, grid: RegionGrid) -> float:
        """Mass of a group: all of it, if it stands in an inspected region or lies there for a good part.

        What only brushes a region with its shadow, light or upper edge does not count; a large thing that reaches in
        counts with what is inside, unless that is a sliver of it.
        """
        settings = self._settings
        mass = float(flat_excess[group].sum())
        if grid.is_whole:
            return mass
        is_inside = grid.inspected.ravel()[group]
        inside = float(flat_excess[group[is_inside]].sum())
        columns = grid.inspected.shape[1]
        foot = group[group // columns == group[-1] // columns]
        stands_inside = bool(grid.inspected.ravel()[foot[len(foot) // 2]])
        if inside >= 0.4 * mass or (stands_inside and inside >= 0.15 * mass):
            return mass
        return inside if inside >= max(3 * settings.half_mass, settings.sliver_share * mass) else 0.0

    def _follow(
        self,
        canvas: Grey,
        lit: Grey,
        active: Mask,
        features: tuple[Grey, Grey, Grey],
        excess: Grey,
        elapsed_s: float,
        state: MotionState,
    ) -> None:
        """Lets background and noise follow the scene."""
        settings = self._settings
        assert state.background is not None
        assert state.still_s is not None
        rate = np.full(active.shape, _share(elapsed_s, settings.background_s), dtype=np.float32)
        rate[dilated(active)] = _share(elapsed_s, settings.occupied_s)
        rate[active & (state.still_s > settings.still_after_s)] = _share(elapsed_s, settings.absorb_s)
        pixel_rate = np.full(canvas.shape, _share(elapsed_s, settings.background_s), dtype=np.float32)
        rows, columns = active.shape
        pixel_rate[: rows * CELL, : columns * CELL] = rate.repeat(CELL, axis=0).repeat(CELL, axis=1)
        background = state.background
        # A change of light is a change of the whole picture, behind things that move too.
        background += (lit - background) * np.float32(_share(elapsed_s, 1.0))
        background += (canvas - background) * pixel_rate
        step = np.where(excess < 2.5, settings.quantile_per_s, settings.quantile_per_s * 0.1).astype(np.float32)
        step *= np.float32(elapsed_s)
        for noise, now in zip((state.mean_noise, state.difference_noise, state.change_noise), features, strict=True):
            assert noise is not None
            noise += np.where(now > noise, step * np.float32(0.95), step * np.float32(-0.05))
            np.maximum(noise, 0.0, out=noise)


def light_change(now: Grey, before: Grey) -> tuple[float, float]:
    """Gain and offset that take `before` to `now` for most cells; things that came or went do not sway it."""
    difference = now - before
    middle = float(np.median(difference))
    close = np.abs(difference - middle) <= max(4.0, 2.0 * float(np.median(np.abs(difference - middle))))
    x, y = before[close], now[close]
    if x.size < before.size // 8:
        return 1.0, middle
    mean_x, mean_y = float(x.mean()), float(y.mean())
    spread = float(((x - mean_x) ** 2).mean())
    if spread < 25.0:
        return 1.0, mean_y - mean_x
    gain = float(((x - mean_x) * (y - mean_y)).mean()) / spread
    gain = min(max(gain, 0.5), 2.0)
    return gain, mean_y - gain * mean_x


def _share(elapsed_s: float, constant_s: float) -> float:
    return 1.0 - float(np.exp(-elapsed_s / constant_s))
