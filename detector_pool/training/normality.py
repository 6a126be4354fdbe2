"""Training of the normality model from one camera's own footage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from detector_pool.canvas import RegionMask
from detector_pool.health.detector import Health
from detector_pool.normality.graph import normality_graph
from detector_pool.normality.grid import Canvas
from detector_pool.normality.heads import HEADS, HeadModel, Level
from detector_pool.normality.mixture import Floats
from detector_pool.normality.view import FORGET_S, SECOND, Lighting, LightingState, Pace, PaceState, lighting, stride
from detector_pool.picture import Shot, copied
from detector_pool.training.fitting import Tick, allowed_cells, fitted, scale_of, unseen_values
from detector_pool.training.gathering import Frame, Gathering
from detector_pool.training.levels import events
from detector_pool.training.trained import Odd, TrainedMode, TrainedModel, merged
from mesh.errors import InvalidArgument

LEAST_S = 60.0
PROVISIONAL_S = 600.0
FOLDS = 2
FOLD_S = 20.0
"""Footage is dealt out to the folds in pieces of this length."""
EXTREME_SHARE = 0.005
"""Of frames, by all heads together: they are left out."""
AROUND_S = 0.3
"""What is dropped with an extreme frame, before and behind it."""
GOLDEN_FRAMES = 12
FAULT_FROM = 0.5
"""Picture health's score from here on is a fault."""
EXCEEDED_SHARE = 0.02
"""Of normal frames, by all heads together: where a head's value is 0.5."""
RARE_MARGIN = 1.5
"""On the levels of heads that see little: minutes of footage do not show all ways that people go."""
LEAST_LEVEL = Level(1.5, 2.0)
"""Where nothing has ever happened, something ordinary is still no alarm."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class _Sample:
    """All frames of all variants, one after the other, and which are of the camera as it is."""

    frames: list[Frame]
    runs: list[int]
    folds: list[int]
    steady: int
    """So many of the first ones are not shaken."""


def train_normality(
    pictures: Iterable[Shot],
    *,
    camera: str,
    regions: Sequence[RegionMask] = (),
    fps: float,
    progress: Progress | None = None,
    seed: int = 0,
) -> TrainedModel:
    """Learns what is normal for a camera from its own footage.

    `pictures` come in the order of their time, several stretches one behind the other if need be; `fps`: frames a
    second that they come with. `regions` as the inspection will have them. `progress` is told a stage ("fitting") and
    the share of it that is done. Raises InvalidArgument: less than a minute, pictures of several sizes, or nothing
    that moves.
    """
    interval_ns = stride(fps) * SECOND / fps
    footage = _looked_at(pictures, regions, interval_ns, seed)
    enough = {light: one for light, one in footage.by_light.items() if one.seconds >= LEAST_S}
    seconds = sum(one.seconds for one in footage.by_light.values())
    if not enough:
        raise InvalidArgument(
            f"training on camera {camera}", f"has {seconds:.0f} s of footage; it needs a minute",
            "Give ten minutes or more of ordinary traffic; an hour is better.",
        )  # fmt: skip
    steps = sum(len(HEADS) * one.canvas.rows * (FOLDS + 1) for one in enough.values())
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress("fitting", done / steps)

    rng = np.random.default_rng(seed)
    odd = list(footage.faults)
    modes = []
    for light, gathering in sorted(enough.items(), key=lambda item: -item[1].seconds):
        mode, extremes = _mode(light, gathering, footage.faults, rng, tick)
        modes.append(mode)
        odd += extremes
    seconds = min(one.seconds for one in enough.values())
    return TrainedModel(
        camera=camera, regions=tuple(regions), canvas=next(iter(enough.values())).canvas, fps=fps,
        interval_ns=interval_ns, modes=tuple(modes), odd=tuple(merged(odd)), from_ns=footage.from_ns,
        to_ns=footage.to_ns, is_provisional=seconds < PROVISIONAL_S, golden=footage.golden,
    )  # fmt: skip


@dataclass(slots=True)
class _Footage:
    """The footage as it was looked at."""

    by_light: dict[Lighting, Gathering]
    faults: tuple[Odd, ...]
    from_ns: int
    to_ns: int
    golden: tuple[Shot, ...]


def _looked_at(pictures: Iterable[Shot], regions: Sequence[RegionMask], interval_ns: float, seed: int) -> _Footage:
    by_light: dict[Lighting, Gathering] = {}
    pace, pace_state, light_state = Pace(interval_ns), PaceState(), LightingState()
    health = Health()
    health_state = health.start()
    faults: list[Odd] = []
    golden: list[Shot] = []
    from_ns = to_ns = 0
    for shot in pictures:
        if not pace.is_due(shot.received_ns, pace_state):
            continue
        at_ns = pace_state.latest_ns
        if not 0 <= at_ns - to_ns <= FORGET_S * SECOND:
            light_state, health_state = LightingState(), health.start()
        from_ns, to_ns = from_ns or at_ns, at_ns
        light = lighting(shot, light_state)
        if light not in by_light:
            by_light[light] = Gathering(regions, interval_ns, seed)
        by_light[light].add(shot, at_ns)
        said, health_state = health.inspect(shot, health_state, ())
        if said.reason is None and said.score >= FAULT_FROM:
            around_ns = int(AROUND_S * SECOND)
            why = f"picture fault: {said.said or 'unhealthy'}"
            faults = merged([*faults, Odd(at_ns - around_ns, at_ns + around_ns, why)])
        golden = [*golden[1 - GOLDEN_FRAMES :], copied(shot)]
    for gathering in by_light.values():
        gathering.finish()
    return _Footage(by_light, tuple(faults), from_ns, to_ns, tuple(golden))


def _mode(
    light: Lighting, gathering: Gathering, faults: Sequence[Odd], rng: np.random.Generator, tick: Tick
) -> tuple[TrainedMode, list[Odd]]:
    """What was learnt of one light, and what of it stood out too much to be learnt."""
    sample = _sample(gathering)
    learning = [_Learning(number, gathering.canvas, sample, rng, tick) for number in range(len(HEADS))]
    odd, kept = _without_extremes(sample, learning)
    for fault in faults:
        for index, frame in enumerate(sample.frames):
            kept[index] = kept[index] and not fault.from_ns <= frame.received_ns <= fault.to_ns
    if not any(kept[: sample.steady]):
        raise InvalidArgument("training", "all of the footage has picture faults", "Give footage of a healthy camera.")
    models = [one.finish(kept) for one in learning]
    levels = tuple(one.level(kept) for one in learning)
    graph = normality_graph(gathering.canvas, gathering.noise, models).SerializeToString()
    return TrainedMode(light.value, gathering.noise, graph, levels, gathering.seconds, gathering.count), odd


class _Learning:
    """One head's way from cells to model."""

    def __init__(self, number: int, canvas: Canvas, sample: _Sample, rng: np.random.Generator, tick: Tick) -> None:
        self.head = HEADS[number]
        self._canvas, self._sample, self._rng, self._tick = canvas, sample, rng, tick
        allowed = allowed_cells(self.head, canvas, FOLDS, rng)
        self._cells = [*(frame.heads[number] for frame in sample.frames), *allowed]
        self._values = unseen_values(canvas, self._cells, [*sample.folds, *range(len(allowed))], rng, tick)
        self._scale = scale_of(canvas, self._cells, self._values)

    def finish(self, kept: Sequence[bool]) -> HeadModel:
        """The model of the frames that are kept."""
        all_kept = [*kept, *[True] * (len(self._cells) - len(kept))]
        cells = list(compress(self._cells, all_kept))
        self._scale = scale_of(self._canvas, cells, list(compress(self._values, all_kept)))
        return fitted(self.head, self._canvas, cells, self._scale, self._rng, self._tick)

    def told(self) -> tuple[Floats, Floats]:
        """Score and event score of each frame of the camera as it is."""
        steady = self._sample.steady
        cells = self._cells[:steady]
        values = self._scale.of(self._canvas, cells, self._values[:steady])
        return events(self._canvas, cells, values, self._sample.runs[:steady])

    def level(self, kept: Sequence[bool]) -> Level:
        """What the head exceeds in its share of all frames that may be exceeded."""
        normal = np.asarray(kept[: self._sample.steady])
        share = 1.0 - EXCEEDED_SHARE * self.head.budget
        now, event = (float(np.quantile(one[normal], share)) for one in self.told())
        margin = 1.0 if self.head.power == 1 else RARE_MARGIN
        return Level(margin * max(now, LEAST_LEVEL.now), margin * max(event, LEAST_LEVEL.event))


def _sample(gathering: Gathering) -> _Sample:
    frames = [frame for variant in gathering.frames for frame in variant]
    begins: dict[int, int] = {}
    for frame in frames:
        begins.setdefault(frame.run, frame.received_ns)
    folds = [(frame.run + int((frame.received_ns - begins[frame.run]) / (FOLD_S * SECOND))) % FOLDS for frame in frames]
    return _Sample(frames, [frame.run for frame in frames], folds, len(gathering.frames[0]))


def _without_extremes(sample: _Sample, learning: Sequence[_Learning]) -> tuple[list[Odd], list[bool]]:
    """The intervals that stand out most, and which frames are left."""
    times = np.array([frame.received_ns for frame in sample.frames])
    kept = np.ones(len(times), dtype=bool)
    odd: list[Odd] = []
    around_ns = int(AROUND_S * SECOND)
    for one in learning:
        most = max(1, round(sample.steady * EXTREME_SHARE * one.head.budget))
        scores, _ = one.told()
        for index in np.sort(np.argsort(-scores, kind="stable")[:most]).tolist():
            at_ns = int(times[index])
            odd.append(Odd(at_ns - around_ns, at_ns + around_ns, f"{one.head.name} stands out most"))
            kept &= np.abs(times - at_ns) > around_ns
    return merged(odd), kept.tolist()
