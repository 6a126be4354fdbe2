"""Incidents in which people act: they happen where and when the truth says, and nobody else does that."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simulator.scene import LAYOUTS, Scene
from simulator.scene.scene import cut
from simulator.spec import IncidentSpec, SceneSpec

FPS = 4


def played(layout: str, kind: str, start: float, length: float, loop_s: float, seed: int = 3) -> tuple[Scene, Any]:
    """A scene with one incident, drawn once through, and the truth about that."""
    spec = SceneSpec(layout, seed, 192, 108, FPS, loop_s, incidents=(IncidentSpec(kind, start, length),))
    scene = Scene(spec)
    for index in range(spec.frames):
        scene.picture(index)
    (told,) = scene.truth()["incidents"]
    return scene, told


def inside(corners: list[list[float]], x: float, y: float) -> bool:
    is_inside = False
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            is_inside = not is_inside
    return is_inside


def feet(told: dict[str, Any]) -> list[tuple[float, float]]:
    return [((box[0] + box[2]) / 2, box[3]) for box in told["boxes"] if box]


def square_of(scene: Scene) -> list[list[float]]:
    corners: list[list[float]] = scene.places()[0]["corners"]
    return corners


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_square_and_the_line_are_in_the_picture(layout: str) -> None:
    square, line, walk = Scene(SceneSpec(layout, 1, 192, 108, incidents=())).places()
    assert (square["use"], line["use"]) == ("inspect", "line")
    assert len(line["corners"]) == 2
    assert all(0 <= value <= 1 for place in (square, line, walk) for corner in place["corners"] for value in corner)
    xs, ys = zip(*square["corners"], strict=True)
    assert (max(xs) - min(xs)) * (max(ys) - min(ys)) > 0.01


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_bag_is_left_in_the_square_and_taken_again(layout: str) -> None:
    scene, told = played(layout, "left-object", 3, 24, 40)
    assert told["region"] == "square"
    boxes = {tuple(box) for box in told["boxes"]}
    assert len(boxes) == 1
    assert 10 * FPS < told["end"] - told["start"] < 40 * FPS
    ((left, top, right, bottom),) = boxes
    assert inside(square_of(scene), (left + right) / 2, bottom - 0.01)
    around = slice(int(top * 108), int(bottom * 108) + 1), slice(int(left * 192), int(right * 192) + 1)

    def seen(index: int) -> npt.NDArray[np.int64]:
        return scene.picture(index)[:108][around].astype(np.int64)

    there = np.abs(seen((told["start"] + told["end"]) // 2) - seen(0)).mean()
    again = np.abs(seen(scene.spec.frames - 1) - seen(0)).mean()
    assert there > 2.5 * again


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_crowd_gathers_in_the_square_for_as_long_as_the_truth_says(layout: str) -> None:
    scene, told = played(layout, "crowd", 3, 26, 40)
    assert told["region"] == "square"
    assert 5 * FPS <= told["end"] - told["start"] <= 26 * FPS
    x, y = feet(told)[len(feet(told)) // 2]
    xs, ys = zip(*square_of(scene), strict=True)
    assert min(xs) < x < max(xs)
    assert min(ys) < y < max(ys) + 0.02


@pytest.mark.parametrize("layout", LAYOUTS)
def test_somebody_falls_in_the_square_and_gets_up_again(layout: str) -> None:
    scene, told = played(layout, "fall", 3, 20, 40)
    assert told["region"] == "square"
    boxes = [box for box in told["boxes"] if box]
    shapes = [(box[3] - box[1]) * 108 / ((box[2] - box[0]) * 192) for box in boxes]
    assert shapes[0] > 1.3
    assert max(shapes[FPS : 2 * FPS]) < 0.8
    assert shapes[-1] > 1.3
    x, y = feet(told)[0]
    assert inside(square_of(scene), x, y - 0.01)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_somebody_loiters_in_the_square(layout: str) -> None:
    scene, told = played(layout, "loitering", 2, 24, 36)
    assert told["region"] == "square"
    assert 10 * FPS < told["end"] - told["start"] <= 26 * FPS
    assert all(inside(square_of(scene), x, y - 0.005) for x, y in feet(told)[FPS:-FPS])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_the_incident_crosses_the_line_backwards(layout: str) -> None:
    scene, told = played(layout, "wrong-way", 3, 10, 40)
    assert crossings(scene, feet(told)) == [-1]


def crossings(scene: Scene, path: list[tuple[float, float]]) -> list[int]:
    """1 for every time that the path crosses the line forwards, -1 backwards."""
    (ax, ay), (bx, by) = scene.places()[1]["corners"]

    def turn(a: tuple[float, float], b: tuple[float, float], p: tuple[float, float]) -> float:
        return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])

    found = []
    for here, there in pairwise(path):
        before, after = turn((ax, ay), (bx, by), here), turn((ax, ay), (bx, by), there)
        between = (turn(here, there, (ax, ay)) > 0) != (turn(here, there, (bx, by)) > 0)
        if between and (before > 0) != (after > 0):
            found.append(1 if after > 0 else -1)
    return found


def test_equal_specs_give_equal_incidents_and_other_seeds_others() -> None:
    def bag(seed: int) -> list[Any]:
        return list(played("hall", "left-object", 3, 24, 36, seed)[1]["boxes"])

    assert bag(4) == bag(4)
    assert bag(4) != bag(5)


def test_an_incident_leaves_the_rest_of_the_scene_as_it_was() -> None:
    spec = SceneSpec("yard", 3, 160, 90, FPS, 20, incidents=())
    with_fall = SceneSpec("yard", 3, 160, 90, FPS, 20, incidents=(IncidentSpec("fall", 8, 8),))
    assert np.array_equal(Scene(spec).picture(10), Scene(with_fall).picture(10))


def test_a_place_is_cut_at_the_edge_of_the_picture() -> None:
    corners = cut([(-0.5, 0.5), (0.5, 0.5), (0.5, 1.5), (-0.5, 1.5)])
    assert sorted(corners) == [(0.0, 0.5), (0.0, 1.0), (0.5, 0.5), (0.5, 1.0)]
