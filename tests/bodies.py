"""People whose posture can be said beforehand: a pose model of a few kilobytes, and weights made by hand.

The pose model finds one person; the brighter the picture, the further they swing their arms; in a white one
nobody is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from detector_pool.models import ModelFiles
from detector_pool.picture import Shot
from detector_pool.posture.body import PLACES
from detector_pool.posture.detector import GRAPH, POSE, SCHEMA, Level
from detector_pool.posture.graph import WIDTH, Weights, posture_graph
from tests.tiny_models import SIDE, model_of, saved, shot, tensor

POSE_TOML = 'detector = "pose"\nname = "poses"\ndecoder = "movenet"\n'
BOX = (0.2, 0.4, 0.8, 0.6)
"""Top, left, bottom, right."""
# x and y of each point, in fractions of the picture.
STANDING = np.array(
    [(0.50, 0.25), (0.51, 0.24), (0.49, 0.24), (0.52, 0.25), (0.48, 0.25), (0.54, 0.32), (0.46, 0.32), (0.56, 0.42),
     (0.44, 0.42), (0.57, 0.51), (0.43, 0.51), (0.53, 0.51), (0.47, 0.51), (0.53, 0.64), (0.47, 0.64), (0.53, 0.77),
     (0.47, 0.77)]
)  # fmt: skip
ARMS, LEGS = (7, 8, 9, 10), (13, 14, 15, 16)
LEVEL = Level(0.1, 1.1, (1.0,) * PLACES)
SWING = 0.1
ODD, WHITE = 230, 255
"""Brightness: with arms that are further out than anything learnt, and with nobody there."""
"""To the right of the picture, in fractions of it, if the picture were white."""


def person(points: np.ndarray = STANDING) -> np.ndarray:
    """MoveNet's output for one person, (1, 6, 56)."""
    found = np.zeros((1, 6, 56), np.float32)
    found[0, 0, :51] = np.concatenate([points[:, 1::-1], np.full((17, 1), 0.9)], axis=1).ravel()
    found[0, 0, 51:] = [*BOX, 0.9]
    return found


def swinging_pose(folder: Path) -> ModelFiles:
    """The pose model: brightness swings the arms."""
    moved = STANDING.copy()
    moved[list(ARMS), 0] += SWING
    weights = {
        "still": person(), "swung": person(moved) - person(), "full": np.array(255.0, np.float32),
        "flat": np.array([1, 1, 1], np.int64), "white": np.array(WHITE / 255 - 0.5 / 255, np.float32),
        "gone": -person() * (np.arange(56) == 55),
    }  # fmt: skip
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "full"], ["share"]),
        helper.make_node("Reshape", ["share", "flat"], ["by"]),
        helper.make_node("Mul", ["swung", "by"], ["off"]),
        helper.make_node("Add", ["still", "off"], ["there"]),
        helper.make_node("GreaterOrEqual", ["share", "white"], ["is_white"]),
        helper.make_node("Cast", ["is_white"], ["white_by"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["gone", "white_by"], ["less"]),
        helper.make_node("Add", ["there", "less"], ["out"]),
    ]
    return model_of(
        folder, POSE_TOML, saved(nodes, [tensor("images", 1, 3, SIDE, SIDE)], [tensor("out", 1, 6, 56)], weights)
    )


def lit(index: int, level: int, fps: float = 10.0) -> Shot:
    """A picture of one brightness."""
    one = shot(index, fps=fps)
    one.y[:] = level
    return one


def walks(count: int, first: int = 0) -> Iterator[Shot]:
    """Arms that swing once a second, and a pause every ten seconds."""
    for index in range(count):
        if index % 100 < 97:
            yield lit(first + index, round(60 + 50 * np.sin(2 * np.pi * index / 10)))


def nothing_learnt(mean: np.ndarray) -> Weights:
    """Weights that tell back `mean`, (2 P,), whatever they are shown; a deviation is a hundredth of a body's height."""
    return {
        "mean": mean, "deviation": np.full(WIDTH, 0.01),
        "encoder.input": np.zeros((8, WIDTH + PLACES)), "encoder.hidden": np.zeros((8, 2)), "encoder.bias": np.zeros(8),
        "decoder.input": np.zeros((8, 3)), "decoder.hidden": np.zeros((8, 2)), "decoder.bias": np.zeros(8),
        "code.weight": np.zeros((3, 2)), "code.bias": np.zeros(3),
        "told.weight": np.zeros((WIDTH, 2)), "told.bias": np.zeros(WIDTH),
    }  # fmt: skip


def by_chance(seed: int, hidden: int = 6, code: int = 3) -> Weights:
    """Weights that mean nothing and use every part of the graph."""
    rng = np.random.default_rng(seed)
    shapes = {
        "mean": (WIDTH,), "encoder.input": (4 * hidden, WIDTH + PLACES), "encoder.hidden": (4 * hidden, hidden),
        "encoder.bias": (4 * hidden,), "code.weight": (code, hidden), "code.bias": (code,),
        "decoder.input": (4 * hidden, code), "decoder.hidden": (4 * hidden, hidden), "decoder.bias": (4 * hidden,),
        "told.weight": (WIDTH, hidden), "told.bias": (WIDTH,),
    }  # fmt: skip
    weights = {name: rng.normal(0.0, 0.5, shape) for name, shape in shapes.items()}
    return weights | {"deviation": np.full(WIDTH, 0.5)}


def posture_model(folder: Path, weights: Weights, pose: ModelFiles, level: Level) -> ModelFiles:
    """A model's folder as training writes it, without golden frames."""
    usual = ", ".join(map(repr, level.usual))
    toml = (
        f'detector = "posture"\nname = "gate.posture"\nschema = {SCHEMA}\n'
        f"median = {level.median!r}\nhigh = {level.high!r}\nusual = [{usual}]\n"
    )
    files = {POSE.replace(".", "__"): pose.packed()}
    assert GRAPH == "model.onnx"
    return model_of(folder, toml, posture_graph(weights), **files)
