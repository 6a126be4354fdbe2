"""Models of a few kilobytes, made on the spot: what they find can be said beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from detector_pool.models import ModelFiles, open_files
from detector_pool.picture import Shot
from mesh.ids import FrameId

SIDE = 64
TINY_TOML = 'detector = "objects"\nname = "tiny"\ndecoder = "yolox"\nlabels = ["bright", "dark"]\n'
CLIP_TOML = 'detector = "clip"\nname = "tiny-clip"\ndecoder = "score"\n\n[input]\nrange = [0, 1]\nfps = 10\n'
START_NS = 1_800_000_000_000_000_000


def saved(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], weights: dict[str, np.ndarray]) -> bytes:
    """A graph as bytes."""
    named = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(list(nodes), "tiny", list(inputs), list(outputs), named)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def tensor(name: str, *sides: int | str) -> Any:
    """A declaration of floats."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(sides))


def bright_finder(batch: int | str = "batch") -> bytes:
    """Finds bright squares of 8 pixels ("bright", sure as they are bright) in YOLOX's form: (batch, 84, 7).

    Takes (batch, 3, 64, 64) of 0 to 255; three strides of 8, 16, 32 give 64 + 16 + 4 cells.
    """
    weights: dict[str, np.ndarray] = {
        # x, y, width, height: nothing of the picture; objectness: a third of each colour; classes: always the first.
        "kernel": np.zeros((7, 3, 1, 1), np.float32),
        "bias": np.array([0.5, 0.5, 0, 0, 0, 1.0, 0.0], np.float32),
        "shape": np.array([0, 7, -1], np.int64),
    }
    weights["kernel"][4] = 1 / (3 * 255)
    nodes, parts = [], []
    for stride in (8, 16, 32):
        nodes += [
            helper.make_node(
                "AveragePool", ["images"], [f"pool{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2
            ),
            helper.make_node("Conv", [f"pool{stride}", "kernel", "bias"], [f"conv{stride}"]),
            helper.make_node("Reshape", [f"conv{stride}", "shape"], [f"flat{stride}"]),
            helper.make_node("Transpose", [f"flat{stride}"], [f"part{stride}"], perm=[0, 2, 1]),
        ]
        parts.append(f"part{stride}")
    nodes.append(helper.make_node("Concat", parts, ["output"], axis=1))
    return saved(nodes, [tensor("images", batch, 3, SIDE, SIDE)], [tensor("output", batch, 84, 7)], weights)


def change_scorer(frames: int = 4) -> bytes:
    """Scores a clip (1, 3, frames, 16, 16) of 0 to 1 by how much brighter its last frame is than its first: (1, 1)."""
    weights = {
        "first": np.array([0], np.int64), "second": np.array([1], np.int64),
        "last": np.array([frames - 1], np.int64), "end": np.array([frames], np.int64),
        "axis": np.array([2], np.int64), "flat": np.array([1, 1], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Slice", ["clip", "first", "second", "axis"], ["then"]),
        helper.make_node("Slice", ["clip", "last", "end", "axis"], ["now"]),
        helper.make_node("Sub", ["now", "then"], ["change"]),
        helper.make_node("ReduceMean", ["change"], ["mean"], keepdims=0),
        helper.make_node("Clip", ["mean"], ["bounded"]),
        helper.make_node("Abs", ["bounded"], ["size"]),
        helper.make_node("Reshape", ["size", "flat"], ["score"]),
    ]
    return saved(nodes, [tensor("clip", 1, 3, frames, 16, 16)], [tensor("score", 1, 1)], weights)


def constant_graph(outputs: Sequence[np.ndarray], sides: Sequence[int] = (3, SIDE, SIDE)) -> bytes:
    """Takes (1, *sides) and puts out what it is told, whatever it sees."""
    nodes = [helper.make_node("Identity", [f"value{i}"], [f"out{i}"]) for i in range(len(outputs))]
    declared = [
        helper.make_tensor_value_info(f"out{i}", helper.np_dtype_to_tensor_dtype(one.dtype), list(one.shape))
        for i, one in enumerate(outputs)
    ]
    weights = {f"value{i}": one for i, one in enumerate(outputs)}
    return saved(nodes, [tensor("images", 1, *sides)], declared, weights)


def model_of(folder: Path, toml: str, graph: bytes, **files: bytes) -> ModelFiles:
    """A model's folder, opened."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detector.toml").write_text(toml)
    (folder / "model.onnx").write_bytes(graph)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return open_files(folder)


def shot(
    index: int, bright: Sequence[tuple[int, int]] = (), *, level: int = 255, size: int = SIDE, fps: float = 10.0
) -> Shot:
    """A black picture with bright squares of 8 pixels at these cells (column, row), in full range."""
    y = np.zeros((size, size), np.uint8)
    for column, row in bright:
        y[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = level
    u, v = (np.full((size // 2, size // 2), 128, np.uint8) for _ in range(2))
    at_ns = START_NS + round(index * 1e9 / fps)
    return Shot(FrameId("gate", 1, index), at_ns, y, u=u, v=v, full_range=True)
