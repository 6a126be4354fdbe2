"""The graph that runs: pictures and state in, values of all heads and the new state out. Built with `onnx.helper`.

Inputs, all float32: `previous` and `current` (1, 1, H, W) in grey levels; `seen` (1, 1, R, C), 1 for cells that exist
for it; `judged` (1, 1, R, C), 1 for those of them that count; `state` (1, S, R, C); `accumulator` (1, N, R, C) for N
heads. Cells are 8 by 8 pixels: R = H / 8, C = W / 8. Outputs: `map` (1, N, R, C), how far each cell is off, 0 where
nothing is; `score` (N,), mean of the four highest cells; `event` (N,), the same of the accumulator; `deviation`
(1, D, R, C), attributes of all heads in spreads from the row's median; `new_state`, `new_accumulator`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from detector_pool.normality.building import Building
from detector_pool.normality.grid import (
    BRIEF_CHANNELS,
    CELL,
    DECAY,
    DWELL_AFTER_FRAMES,
    DWELL_CHANNELS,
    DWELL_FRAMES,
    FAR_BY,
    FAR_SHARE,
    FLOW_CHANNELS,
    HIGHEST,
    KEEPING,
    LARGEST_STEP,
    LEAST_CHANGE,
    LEAST_FLOW_PX,
    LEAST_OFF,
    LEAST_SHARE,
    MOST_RESTLESS,
    MOTION_CHANNELS,
    NEAR_BY,
    NEAR_SHARE,
    QUICK,
    SLACK,
    SLOW,
    STATE_CHANNELS,
    Canvas,
)
from detector_pool.normality.heads import CEILING, HEADS, HeadModel

# The first are sums of two pictures over two pixels, four times the gradient.
_GRADIENTS = np.array([1, 1, 0.25, 0.25, 1], np.float32).reshape(1, MOTION_CHANNELS, 1, 1)


def features_graph(canvas: Canvas, noise: float) -> onnx.ModelProto:
    """Outputs `attributes` (1, D, R, C) of all heads, `active` (1, N, R, C) and `new_state`."""
    graph = Building()
    heads, new_state = _features(graph, canvas, noise)
    rows, columns = canvas.rows, canvas.columns
    width = sum(len(head.attributes) for head in HEADS)
    graph.output("attributes", graph.op("Concat", *(one.vectors for one in heads), axis=1), (1, width, rows, columns))
    graph.output("active", graph.op("Concat", *(one.active for one in heads), axis=1), (1, len(heads), rows, columns))
    graph.output("new_state", new_state, (1, STATE_CHANNELS, rows, columns))
    return graph.finished("features")


def normality_graph(canvas: Canvas, noise: float, models: Sequence[HeadModel]) -> onnx.ModelProto:
    """The whole graph. `models` has one for each of HEADS, in their order."""
    graph = Building()
    rows, columns, count = canvas.rows, canvas.columns, len(models)
    accumulator = graph.input("accumulator", (1, count, rows, columns))
    heads, new_state = _features(graph, canvas, noise)
    maps, deviations = [], []
    for features, model in zip(heads, models, strict=True):
        maps.append(_off(graph, features, model))
        centre, scale = (
            graph.constant(np.asarray(one.T[None, :, :, None], np.float32)) for one in (model.centre, 1 / model.scale)
        )
        deviations.append(graph.op("Mul", graph.op("Sub", features.vectors, centre), scale))
    shown = graph.op("Concat", *maps, axis=1)
    near = graph.op("Mul", graph.pool(accumulator, (3, 3), highest=True), graph.constant(DECAY))
    step = graph.op("Min", graph.op("Sub", shown, graph.constant(SLACK)), graph.constant(LARGEST_STEP))
    grown = graph.op("Relu", graph.op("Add", near, step))
    graph.output("map", shown, (1, count, rows, columns))
    graph.output("score", _highest(graph, shown, count), (count,))
    graph.output("event", _highest(graph, grown, count), (count,))
    width = sum(len(model.head.attributes) for model in models)
    graph.output("deviation", graph.op("Concat", *deviations, axis=1), (1, width, rows, columns))
    graph.output("new_state", new_state, (1, STATE_CHANNELS, rows, columns))
    graph.output("new_accumulator", grown, (1, count, rows, columns))
    return graph.finished("normality")


@dataclass(frozen=True, slots=True)
class _Features:
    """Names of the values of a head."""

    vectors: str
    """(1, D, R, C)."""
    active: str
    """(1, 1, R, C), 1 or 0."""


def _features(graph: Building, canvas: Canvas, noise: float) -> tuple[list[_Features], str]:
    """Attributes of every head, and the new state."""
    height, width = canvas.height, canvas.width
    previous = graph.input("previous", (1, 1, height, width))
    current = graph.input("current", (1, 1, height, width))
    seen = graph.input("seen", (1, 1, canvas.rows, canvas.columns))
    judged = graph.input("judged", (1, 1, canvas.rows, canvas.columns))
    state = graph.input("state", (1, STATE_CHANNELS, canvas.rows, canvas.columns))
    change = graph.op("Sub", current, previous)
    # Twice the mean of both: its central differences are four times the gradient of the mean.
    wide = graph.op("Pad", graph.op("Add", current, previous), graph.constant([0, 0, 1, 1, 0, 0, 1, 1]), mode="edge")
    rows, columns = graph.part(wide, 2, 1, height + 1), graph.part(wide, 3, 1, width + 1)
    across = graph.op("Sub", graph.part(rows, 3, 2, width + 2), graph.part(rows, 3, 0, width))
    down = graph.op("Sub", graph.part(columns, 2, 2, height + 2), graph.part(columns, 2, 0, height))
    squared = graph.op("Add", graph.op("Mul", across, across), graph.op("Mul", down, down))
    halves = [graph.pool(graph.op("Abs", one), (2, 2), 2) for one in (across, down, change)]
    energies = [graph.pool(one, (2, 2), 2) for one in (graph.op("Mul", change, change), squared)]
    windows = graph.pool(graph.op("Concat", *energies, axis=1), (4, 4))
    changed, edges = graph.part(windows, 1, 0, 1), graph.part(windows, 1, 1, 2)
    # Means over 64 pixels: sqrt(sum change^2 / (sum gradient^2 + 4)).
    sixteenth = graph.constant(1 / 16)
    ground = graph.op("Add", graph.op("Mul", edges, sixteenth), sixteenth)
    speed = graph.op("Sqrt", graph.op("Div", changed, ground))
    threshold = graph.constant(float(max(LEAST_CHANGE, 4 * noise)))
    moving = graph.op("Cast", graph.op("Greater", graph.pool(halves[2], (2, 2)), threshold), to=onnx.TensorProto.FLOAT)
    values = graph.op("Mul", graph.op("Concat", speed, *halves, axis=1), moving)
    cells = graph.pool(graph.op("Concat", moving, values, axis=1), (4, 4), 4)
    cells = graph.op("Mul", cells, seen)
    flowing = (graph.op("Mul", one, seen) for one in _flowing(graph, canvas, current, previous, noise))
    fresh = graph.op("Concat", graph.op("Mul", cells, graph.constant(_GRADIENTS)), *flowing, axis=1)
    brief = graph.op(
        "Add",
        graph.op("Mul", graph.part(state, 1, 0, BRIEF_CHANNELS), graph.constant(KEEPING)),
        graph.op("Mul", fresh, graph.constant(1.0 - KEEPING)),
    )
    motion = graph.part(brief, 1, 0, MOTION_CHANNELS)
    near = graph.part(brief, 1, MOTION_CHANNELS, MOTION_CHANNELS + FLOW_CHANNELS)
    far = graph.part(brief, 1, MOTION_CHANNELS + FLOW_CHANNELS, BRIEF_CHANNELS)
    dwell, standing = _dwell(graph, current, graph.part(state, 1, BRIEF_CHANNELS, STATE_CHANNELS), judged)
    moving_cells = _motion(graph, motion, judged)
    heads = [moving_cells, *_flow(graph, canvas, near, far, moving_cells.active), dwell]
    return heads, graph.op("Concat", brief, standing, axis=1)


def _dwell(graph: Building, current: str, state: str, judged: str) -> tuple[_Features, str]:
    """What stands where it did not: cells that differ from a slow background and not from a quick one.

    The state has the quick and the slow background, frames that something stands, frames in all.
    """
    quick, slow, standing, count = (graph.part(state, 1, number, number + 1) for number in range(DWELL_CHANNELS))
    level = graph.pool(current, (CELL, CELL), CELL)
    count = graph.op("Add", count, graph.constant(1.0))
    # At first both are the mean of all frames so far: who stood there in the first one fades from it.
    first = graph.op("Reciprocal", count)
    followed = [
        graph.op("Add", one, graph.op("Mul", graph.op("Sub", level, one), graph.op("Max", first, graph.constant(rate))))
        for one, rate in ((quick, QUICK), (slow, SLOW))
    ]
    difference = graph.op("Sub", *followed)
    light = graph.op("ReduceMean", difference, graph.constant([2, 3]))
    off = graph.op("Abs", graph.op("Sub", difference, light))
    restless = graph.op("Abs", graph.op("Sub", level, followed[0]))
    is_known = graph.op("Greater", count, graph.constant(float(DWELL_AFTER_FRAMES)))
    differs = graph.op("And", graph.op("Greater", off, graph.constant(LEAST_OFF)), is_known)
    stands = graph.op("And", differs, graph.op("Less", restless, graph.constant(MOST_RESTLESS)))
    longer = graph.op("Add", standing, graph.constant(1.0))
    # Somebody who passes in front of it does not make it new.
    passed = graph.op("Mul", standing, graph.constant(0.9))
    standing = graph.op("Where", stands, longer, passed)
    enough = graph.op("And", graph.op("Greater", standing, graph.constant(float(DWELL_FRAMES))), stands)
    active = graph.op("Mul", graph.op("Cast", enough, to=onnx.TensorProto.FLOAT), judged)
    vectors = [graph.op("Sqrt", off), graph.op("Log", graph.op("Add", standing, graph.constant(1.0)))]
    new_state = graph.op("Concat", *followed, standing, count, axis=1)
    return _Features(graph.op("Concat", *vectors, axis=1), active), new_state


def _flowing(graph: Building, canvas: Canvas, current: str, previous: str, noise: float) -> list[str]:
    """Means over cells of what Lucas and Kanade's equations (1981) are made of, at a half and a quarter of the size.

    Each is (1, 7, R, C).
    """
    change = graph.pool(graph.op("Sub", current, previous), (2, 2), 2)
    both = graph.pool(graph.op("Add", current, previous), (2, 2), 2)
    least = float(max(LEAST_CHANGE, 4 * noise))
    near = _products(graph, canvas, change, both, NEAR_BY, least * NEAR_SHARE)
    change, both = (graph.pool(one, (2, 2), 2) for one in (change, both))
    return [near, _products(graph, canvas, change, both, FAR_BY, least * FAR_SHARE)]


def _products(graph: Building, canvas: Canvas, change: str, both: str, by: int, least: float) -> str:
    """Where something changes: share of it, gx gx, gx gy, gy gy, gx gt, gy gt, gt gt. Pictures are reduced by `by`."""
    height, width = canvas.height // by, canvas.width // by
    wide = graph.op("Pad", both, graph.constant([0, 0, 1, 1, 0, 0, 1, 1]), mode="edge")
    rows, columns = graph.part(wide, 2, 1, height + 1), graph.part(wide, 3, 1, width + 1)
    across = graph.op("Sub", graph.part(rows, 3, 2, width + 2), graph.part(rows, 3, 0, width))
    down = graph.op("Sub", graph.part(columns, 2, 2, height + 2), graph.part(columns, 2, 0, height))
    is_active = graph.op("Greater", graph.op("Abs", change), graph.constant(least))
    active = graph.op("Cast", is_active, to=onnx.TensorProto.FLOAT)
    gx, gy, gt = (graph.op("Mul", one, active) for one in (across, down, change))
    products = [graph.op("Mul", *pair) for pair in ((gx, gx), (gx, gy), (gy, gy), (gx, gt), (gy, gt), (gt, gt))]
    # Differences of sums of two pictures over two pixels: four times the gradient.
    quarters = np.array([1, 1 / 16, 1 / 16, 1 / 16, 1 / 4, 1 / 4, 1], np.float32).reshape(1, FLOW_CHANNELS, 1, 1)
    side = CELL // by
    means = graph.pool(graph.op("Concat", active, *products, axis=1), (side, side), side)
    return graph.op("Mul", means, graph.constant(quarters))


@dataclass(frozen=True, slots=True)
class _Displacement:
    """Names of maps (1, 1, R, C), in pixels of the canvas from one frame to the next; `area` is a share."""

    area: str
    right: str
    down: str
    length: str
    normal: str

    def vectors(self, graph: Building, area: str) -> str:
        """Attributes of a head."""
        one = graph.constant(1.0)
        logs = [graph.op("Log", graph.op("Add", value, one)) for value in (self.length, self.normal)]
        return graph.op("Concat", area, *logs, axis=1)


def _displacement(graph: Building, state: str, by: int) -> _Displacement:
    """The equations solved for windows of cells."""
    windows = graph.pool(state, (5, 3))
    area, xx, xy, yy, xt, yt, tt = (graph.part(windows, 1, number, number + 1) for number in range(FLOW_CHANNELS))
    # One grey level squared, over the same area, keeps flat windows from giving wild answers.
    ground = graph.op("Max", area, graph.constant(1e-3))
    xx, yy = graph.op("Add", xx, ground), graph.op("Add", yy, ground)
    determinant = graph.op("Sub", graph.op("Mul", xx, yy), graph.op("Mul", xy, xy))
    u = graph.op("Sub", graph.op("Mul", xy, yt), graph.op("Mul", yy, xt))
    v = graph.op("Sub", graph.op("Mul", xy, xt), graph.op("Mul", xx, yt))
    u, v = (graph.op("Mul", graph.op("Div", one, determinant), graph.constant(float(by))) for one in (u, v))
    length = graph.op("Sqrt", graph.op("Add", graph.op("Mul", u, u), graph.op("Mul", v, v)))
    normal = graph.op("Sqrt", graph.op("Div", tt, graph.op("Add", xx, yy)))
    return _Displacement(area, u, v, length, graph.op("Mul", normal, graph.constant(float(by))))


def _flow(graph: Building, canvas: Canvas, near: str, far: str, active: str) -> list[_Features]:
    """Speed of displacement by small and by large steps, and its direction at its place, where motion is `active`.

    Single pixels change by noise: with cells of their own, half of what these heads learnt was noise.
    """
    small, large = _displacement(graph, near, NEAR_BY), _displacement(graph, far, FAR_BY)
    goes = graph.op("Greater", small.length, graph.constant(LEAST_FLOW_PX))
    going = graph.op("Mul", active, graph.op("Cast", goes, to=onnx.TensorProto.FLOAT))
    least = graph.op("Max", small.length, graph.constant(LEAST_FLOW_PX))
    places = np.broadcast_to((np.arange(canvas.columns) + 0.5) / canvas.columns, (1, 1, canvas.rows, canvas.columns))
    ways = (graph.op("Div", one, least) for one in (small.right, small.down))
    way = graph.op("Concat", _floats(graph, places), *ways, axis=1)
    speeds = [_Features(one.vectors(graph, small.area), active) for one in (small, large)]
    return [*speeds, _Features(way, going)]


def _motion(graph: Building, state: str, judged: str) -> _Features:
    windows = graph.pool(state, (5, 3))
    area = graph.part(windows, 1, 0, 1)
    least = graph.op("Max", area, graph.constant(1e-4))
    means = graph.op("Div", graph.part(windows, 1, 1, MOTION_CHANNELS), least)
    speed = graph.op("Log", graph.op("Add", graph.part(means, 1, 0, 1), graph.constant(1.0)))
    edges = graph.op("Sqrt", graph.part(means, 1, 1, 4))
    own = graph.op("Greater", graph.part(state, 1, 0, 1), graph.constant(LEAST_SHARE))
    active = graph.op("Mul", graph.op("Cast", own, to=onnx.TensorProto.FLOAT), judged)
    return _Features(graph.op("Concat", area, speed, edges, axis=1), active)


def _off(graph: Building, features: _Features, model: HeadModel) -> str:
    """How far each cell is off, (1, 1, R, C): 0 at the row's median, 1 at its 98th percentile, 0 where inactive."""
    rows, count, width = model.means.shape
    # (R, K * D, D) times (R, D, C): all Gaussians of a row whiten all of its cells at once.
    whitening = model.whitening.reshape(rows, count * width, width)
    offset = -np.einsum("rkij,rkj->rki", model.whitening, model.means).reshape(rows, count * width, 1)
    summing = np.kron(np.eye(count), np.full((1, width), -0.5))
    constants = np.stack([model.row(row).constants() for row in range(rows)])[:, :, None]
    by_row = graph.op("Transpose", graph.op("Squeeze", features.vectors, graph.constant([0])), perm=[1, 0, 2])
    white = graph.op("Add", graph.op("MatMul", _floats(graph, whitening), by_row), _floats(graph, offset))
    away = graph.op("MatMul", _floats(graph, summing), graph.op("Mul", white, white))
    parts = graph.op("Add", away, _floats(graph, constants))
    # The logarithm of a sum of powers; by hand three times as fast as ReduceLogSumExp.
    highest = graph.op("ReduceMax", parts, graph.constant([1]))
    powers = graph.op("ReduceSum", graph.op("Exp", graph.op("Sub", parts, highest)), graph.constant([1]))
    density = graph.op("Squeeze", graph.op("Add", graph.op("Log", powers), highest), graph.constant([1]))
    lacking = graph.op("Sqrt", graph.op("Relu", graph.op("Sub", graph.constant(CEILING), density)))
    off = graph.op("Mul", graph.op("Sub", lacking, _floats(graph, model.median[:, None])),
                   _floats(graph, 1 / model.spread[:, None]))  # fmt: skip
    return graph.op("Mul", graph.op("Unsqueeze", off, graph.constant([0, 1])), features.active)


def _highest(graph: Building, values: str, count: int) -> str:
    flat = graph.op("Reshape", values, graph.constant([count, -1]))
    return graph.op("ReduceMean", graph.top(flat, HIGHEST), graph.constant([1]), keepdims=0)


def _floats(graph: Building, array: np.ndarray) -> str:
    return graph.constant(np.ascontiguousarray(array, np.float32))
