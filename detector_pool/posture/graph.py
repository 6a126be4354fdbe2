"""The ONNX graph of posture: an LSTM that reads a window of a body's steps, and one that tells it back.

An auto-encoder: what it has to tell back goes through a few numbers, so it learns what people do here and tells
everything else back badly. Encoder and decoder as in Srivastava, Mansimov and Salakhutdinov, "Unsupervised Learning of
Video Representations using LSTMs" (ICML 2015), the decoder telling the steps in reverse order; the error of what is
told back as a measure of the unusual as in Malhotra et al., "LSTM-based Encoder-Decoder for Multi-sensor Anomaly
Detection" (2016). Built operator by operator from weights, so that what was trained with torch runs without it.

Inputs: window (T, N, 2 P), window_seen (T, N, P), pose (N, 2 P), pose_seen (N, P), float32. Outputs: new_window and
new_window_seen, the state for the next run, the oldest step dropped and the pose pushed; error (N,), the root of the
mean square over all that was seen in the window, in deviations of training; by_place (N, P), the same by place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.normality.building import Building
from detector_pool.posture.body import PLACES
from detector_pool.posture.pace import STEPS
from detector_pool.posture.people import ROWS

Weights = Mapping[str, NDArray[Any]]
"""`mean`, `deviation` (2 P,); of `encoder` and `decoder`: `.input` (4 H, I), `.hidden` (4 H, H), `.bias` (4 H,), gates
in the order input, output, forget, cell; `.weight` and `.bias` of `code` (C, H) and `told` (2 P, H)."""
FARTHEST = 6.0
"""Deviations beyond count as so much: one point that was found on somebody else is not to outweigh a body."""
WIDTH = 2 * PLACES


def posture_graph(weights: Weights, rows: int = ROWS) -> bytes:
    """The graph as ONNX. `rows`: people at a time."""
    graph = Building()
    window = graph.input("window", (STEPS, rows, WIDTH))
    window_seen = graph.input("window_seen", (STEPS, rows, PLACES))
    pose, pose_seen = graph.input("pose", (rows, WIDTH)), graph.input("pose_seen", (rows, PLACES))
    window = _pushed(graph, window, pose)
    seen = _pushed(graph, window_seen, pose_seen)
    both = graph.op("Reshape", _twice(graph, seen, rows), graph.constant([STEPS, rows, WIDTH]))

    mean, deviation = (graph.constant(_f32(weights[name])) for name in ("mean", "deviation"))
    scaled = graph.op("Mul", graph.op("Div", graph.op("Sub", window, mean), deviation), both)
    scaled = graph.op("Clip", scaled, graph.constant(-FARTHEST), graph.constant(FARTHEST))
    told = _told_back(graph, weights, graph.op("Concat", scaled, seen, axis=-1), rows)

    off = graph.op("Mul", graph.op("Sub", told, scaled), both)
    square = graph.op("Mul", off, off)
    by_point = graph.op("Reshape", square, graph.constant([STEPS, rows, PLACES, 2]))
    by_point = graph.op("ReduceMean", by_point, graph.constant([3]), keepdims=0)
    graph.output("new_window", window, (STEPS, rows, WIDTH))
    graph.output("new_window_seen", seen, (STEPS, rows, PLACES))
    graph.output("error", _root_mean(graph, by_point, seen, (0, 2)), (rows,))
    graph.output("by_place", _root_mean(graph, by_point, seen, (0,)), (rows, PLACES))
    return bytes(graph.finished("posture").SerializeToString())


def _pushed(graph: Building, window: str, newest: str) -> str:
    kept = graph.part(window, 0, 1, STEPS)
    return graph.op("Concat", kept, graph.op("Unsqueeze", newest, graph.constant([0])), axis=0)


def _twice(graph: Building, seen: str, rows: int) -> str:
    """Each place's mask for x and for y."""
    one = graph.op("Unsqueeze", seen, graph.constant([3]))
    return graph.op("Expand", one, graph.constant([STEPS, rows, PLACES, 2]))


def _told_back(graph: Building, weights: Weights, steps: str, rows: int) -> str:
    """What the auto-encoder makes of the window, (T, N, 2 P)."""
    read = _lstm(graph, weights, "encoder", steps, "forward")
    last = graph.op("Squeeze", graph.part(read, 0, STEPS - 1, STEPS), graph.constant([0, 1]))
    code = _linear(graph, weights, "code", last)
    width = weights["code.weight"].shape[0]
    again = graph.op(
        "Expand", graph.op("Unsqueeze", code, graph.constant([0])), graph.constant([STEPS, rows, width])
    )  # fmt: skip
    out = graph.op("Squeeze", _lstm(graph, weights, "decoder", again, "reverse"), graph.constant([1]))
    return _linear(graph, weights, "told", out)


def _lstm(graph: Building, weights: Weights, name: str, steps: str, direction: str) -> str:
    """All hidden states, (T, 1, N, H)."""
    hidden = weights[f"{name}.hidden"]
    bias = _f32(weights[f"{name}.bias"])
    return graph.op(
        "LSTM",
        steps,
        graph.constant(_f32(weights[f"{name}.input"])[None]),
        graph.constant(_f32(hidden)[None]),
        graph.constant(np.concatenate([bias, np.zeros_like(bias)])[None]),
        hidden_size=hidden.shape[1],
        direction=direction,
    )


def _linear(graph: Building, weights: Weights, name: str, value: str) -> str:
    matrix = graph.constant(np.ascontiguousarray(_f32(weights[f"{name}.weight"]).T))
    return graph.op("Add", graph.op("MatMul", value, matrix), graph.constant(_f32(weights[f"{name}.bias"])))


def _root_mean(graph: Building, square: str, seen: str, axes: tuple[int, ...]) -> str:
    over = graph.constant(list(axes))
    total = graph.op("ReduceSum", square, over, keepdims=0)
    count = graph.op("Max", graph.op("ReduceSum", seen, over, keepdims=0), graph.constant(1.0))
    return graph.op("Sqrt", graph.op("Div", total, count))


def _f32(value: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(value, np.float32)
