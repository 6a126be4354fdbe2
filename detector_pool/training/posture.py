"""Training of the posture model: what people's bodies do in one camera's own footage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask
from detector_pool.models import ModelFiles
from detector_pool.onnx_models.places import counts
from detector_pool.picture import Shot, copied
from detector_pool.posture.body import Floats
from detector_pool.posture.detector import Level, pose_detector
from detector_pool.posture.graph import posture_graph
from detector_pool.posture.pace import FPS, STEP_NS, Pace
from detector_pool.posture.people import ROWS, PeopleState, step
from detector_pool.training.posture_model import TrainedPosture
from detector_pool.training.posture_network import TICK_EVERY, fitted, rounds_for, torch_there
from detector_pool.training.posture_windows import Collecting, Windows, rows_of
from detector_pool.training.trained import Odd, merged
from mesh.errors import InvalidArgument

SECOND = 1_000_000_000
LEAST_S = 30.0
"""Of people that were followed, put together: less is refused."""
PROVISIONAL_S = 600.0
FOLDS = 2
FOLD_S = 20.0
"""People are dealt out to the folds by when they were seen first, in pieces of this length."""
EXTREME_SHARE = 0.005
"""Of windows: they are left out."""
HIGH = 0.98
LEAST_SPREAD = 0.05
GOLDEN_FRAMES = 12

Progress = Callable[[str, float], None]


def train_posture(
    pictures: Iterable[Shot],
    *,
    camera: str,
    pose: ModelFiles,
    regions: Sequence[RegionMask] = (),
    progress: Progress | None = None,
    seed: int = 0,
    rounds: int | None = None,
) -> TrainedPosture:
    """Learns from a camera's own normal footage how people hold themselves and move there.

    `pictures` come in the order of their time. `pose`: the model whose key points are learnt; it goes into the trained
    model. `regions` as the inspection will have them. `progress` is told a stage ("fitting") and the share of it that
    is done. Raises FailedPrecondition: torch is not installed. InvalidArgument: too few people, or no pose model.
    """
    torch_there()
    windows, golden, from_ns, to_ns = _looked_at(pictures, pose, regions)
    return learnt(
        windows, camera=camera, pose=pose, regions=regions, progress=progress, seed=seed, rounds=rounds,
        golden=golden, span_ns=(from_ns, to_ns),
    )  # fmt: skip


def learnt(
    windows: Windows,
    *,
    camera: str,
    pose: ModelFiles,
    regions: Sequence[RegionMask] = (),
    progress: Progress | None = None,
    seed: int = 0,
    rounds: int | None = None,
    golden: Sequence[Shot] = (),
    span_ns: tuple[int, int] = (0, 0),
) -> TrainedPosture:
    """As `train_posture`, of people's windows as they are. `rounds`: of fitting; None: as many as they are worth."""
    seconds = len(windows) / FPS
    if seconds < LEAST_S:
        raise InvalidArgument(
            f"training posture on camera {camera}",
            f"people were followed for {seconds:.0f} s altogether; it needs {LEAST_S:.0f}",
            "Give longer footage with people who are seen whole, a tenth of the picture's height at least.",
        )
    rounds = rounds or rounds_for(len(windows))
    done, whole = 0, (FOLDS + 1) * (rounds // TICK_EVERY)

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress("fitting", min(done / max(whole, 1), 1.0))

    every = np.arange(len(windows))
    errors, by_place = _unseen(windows, every, seed, rounds, tick)
    kept, odd = _without_extremes(windows, errors)
    median, high = float(np.median(errors[kept])), float(np.quantile(errors[kept], HIGH))
    level = Level(
        median, max(high, median + LEAST_SPREAD), tuple(float(one) for one in np.median(by_place[kept], axis=0))
    )  # fmt: skip
    weights = fitted(windows.batch, every[kept], seed, tick, rounds)
    return TrainedPosture(
        camera=camera, regions=tuple(regions), graph=posture_graph(weights), pose=pose, level=level, odd=tuple(odd),
        from_ns=span_ns[0], to_ns=span_ns[1], seconds=seconds, people=len(np.unique(windows.tracks)),
        is_provisional=seconds < PROVISIONAL_S, golden=tuple(golden), seed=seed,
    )  # fmt: skip


def _looked_at(
    pictures: Iterable[Shot], pose: ModelFiles, regions: Sequence[RegionMask]
) -> tuple[Windows, list[Shot], int, int]:
    """Windows of all people who are where the inspection looks, golden frames, and from when to when."""
    detector = pose_detector(pose)
    state, pace, people = detector.start(), Pace(), PeopleState()
    ignored = [region for region in regions if region.is_ignored and not region.is_line]
    collecting = Collecting()
    recent: list[Shot] = []
    golden: list[Shot] = []
    most = from_ns = to_ns = 0
    for shot in pictures:
        steps = pace.due(shot.received_ns)
        if not steps:
            continue
        seen, state = detector.inspect(shot, state, ignored)
        from_ns, to_ns = from_ns or shot.received_ns, shot.received_ns
        there = [box for box in seen.boxes if counts(box.x, box.y, box.width, box.height, regions)]
        height, width = shot.y.shape
        judged = collecting.add(step(there, steps, width / height, people), shot.received_ns)
        recent = [*recent[1 - GOLDEN_FRAMES :], copied(shot)]
        if judged > most and len(recent) == GOLDEN_FRAMES:
            most, golden = judged, recent
    return collecting.windows(), golden or recent, from_ns, to_ns


def _unseen(
    windows: Windows, every: NDArray[np.int64], seed: int, rounds: int, tick: Callable[[], None]
) -> tuple[NDArray[np.float64], Floats]:
    """Error of each window, (N,), and by place, (N, P), by a graph that was fitted to other people."""
    folds = (windows.begins_ns // round(FOLD_S * SECOND)) % FOLDS
    if len(np.unique(folds)) < FOLDS:
        # All came at once: halves of their way, then.
        folds = windows.tracks % FOLDS if len(np.unique(windows.tracks)) > 1 else (every * FOLDS) // len(every)
    errors, by_place = np.zeros(len(every)), np.zeros((len(every), windows.seen.shape[1]), np.float32)
    for fold in range(FOLDS):
        graph = posture_graph(fitted(windows.batch, every[folds != fold], seed, tick, rounds))
        chosen = every[folds == fold]
        errors[chosen], by_place[chosen] = errors_of(windows, chosen, graph)
    return errors, by_place


def errors_of(windows: Windows, numbers: NDArray[np.int64], graph: bytes) -> tuple[NDArray[np.float64], Floats]:
    """What the graph says of windows, just as the detector runs it."""
    from detector_pool.normality.runtime import Session

    session = Session(graph, "graph of posture")
    errors, by_place = [], []
    for some in rows_of(numbers):
        full = np.resize(some, ROWS)
        (before, before_seen), (now, now_seen) = windows.batch(full, back=1), windows.batch(full)
        out = session.run(
            {"window": before, "window_seen": before_seen, "pose": now[-1], "pose_seen": now_seen[-1]},
            ("error", "by_place"),
        )
        errors.append(out["error"][: len(some)])
        by_place.append(out["by_place"][: len(some)])
    return np.concatenate(errors).astype(np.float64), np.concatenate(by_place)


def _without_extremes(windows: Windows, errors: NDArray[np.float64]) -> tuple[NDArray[np.bool_], list[Odd]]:
    """Which windows are learnt from, and the stretches of the others."""
    kept = np.ones(len(errors), bool)
    most = np.argsort(-errors, kind="stable")[: max(1, round(len(errors) * EXTREME_SHARE))]
    kept[most] = False
    around_ns = STEP_NS
    times = windows.times_ns[most].tolist()
    return kept, merged([Odd(one - around_ns, one + around_ns, "a person's posture stands out most") for one in times])
