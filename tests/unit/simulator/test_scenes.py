"""Scenes: what they promise about pictures and truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from simulator.scene import LAYOUTS, Scene
from simulator.spec import IncidentSpec, SceneSpec


def inside(corners: list[tuple[float, float]], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Pixels whose centre lies in the polygon."""
    y, x = np.mgrid[0:height, 0:width]
    x, y = (x + 0.5) / width, (y + 0.5) / height
    mask = np.zeros((height, width), bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if ay != by:
            mask ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return mask


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ordinary_traffic_never_touches_the_restricted_area(layout: str) -> None:
    for seed in (1, 2, 7):
        scene = Scene(SceneSpec(layout, seed, 320, 180, incidents=()))
        mask = inside(scene.region(), 180, 320)
        assert mask.mean() > 0.02
        empty = np.median([scene.picture(index)[:180] for index in range(0, 600, 60)], axis=0)
        for index in range(0, 600, 5):
            moved = np.abs(scene.picture(index)[:180] - empty) > 40
            assert not moved[mask].any(), f"seed {seed}, frame {index}: {np.argwhere(moved & mask)[:3]}"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_intrusion_shows_inside_its_boxes_and_overlaps_the_area(layout: str) -> None:
    spec = SceneSpec(layout, 1, 320, 180, loop_s=20, incidents=(IncidentSpec("intrusion", 6, 8),))
    scene, ordinary = Scene(spec), Scene(SceneSpec(layout, 1, 320, 180, loop_s=20, incidents=()))
    changed = [np.abs(scene.picture(i)[:180].astype(int) - ordinary.picture(i)[:180]) > 30 for i in range(spec.frames)]
    (incident,) = scene.truth()["incidents"]
    start, end = incident["start"], incident["end"]
    assert 55 <= start <= 70
    assert 60 <= end - start <= 110
    assert len(incident["boxes"]) == end - start
    mask = inside(scene.region(), 180, 320)
    for index in range(spec.frames):
        if not start <= index < end:
            assert not (changed[index] & mask).any(), f"frame {index}"
    middle = (start + end) // 2
    left, top, right, bottom = incident["boxes"][middle - start]
    box = np.zeros_like(mask)
    box[int(top * 180) : int(bottom * 180) + 1, int(left * 320) : int(right * 320) + 1] = True
    seen = changed[middle]
    assert (seen & box).sum() > 20
    assert (seen & box & mask).sum() > 0.8 * (seen & box).sum()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_runner_is_faster_than_anybody_else(layout: str) -> None:
    spec = SceneSpec(layout, 1, 320, 180, loop_s=20, incidents=(IncidentSpec("running", 6, 8),))
    scene = Scene(spec)
    for index in range(spec.frames):
        scene.picture(index)
    (incident,) = scene.truth()["incidents"]
    assert 55 <= incident["start"] <= 70
    boxes = [box for box in incident["boxes"] if box]
    assert len(boxes) >= 20
    centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
    assert max(abs(a - b) for a in (c[0] for c in centres) for b in (c[0] for c in centres)) > 0.15


def test_equal_specs_give_equal_pictures_in_any_order() -> None:
    spec = SceneSpec("street", 3, 160, 90, loop_s=6)
    one, other = Scene(spec), Scene(spec)
    forward = [one.picture(index) for index in range(10)]
    backward = [other.picture(index) for index in reversed(range(10))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))


def test_another_seed_gives_another_scene() -> None:
    one, other = (Scene(SceneSpec("yard", seed, 160, 90, loop_s=6)) for seed in (1, 2))
    assert not np.array_equal(one.picture(30), other.picture(30))


def test_the_loop_has_no_seam() -> None:
    scene = Scene(SceneSpec("street", 1, 320, 180, incidents=()))
    steps = [
        np.abs(scene.picture(a % 600)[:180].astype(int) - scene.picture((a + 1) % 600)[:180]).mean()
        for a in range(590, 605)
    ]
    assert max(steps) < 1.5 * float(np.median(steps))


def test_a_frozen_picture_stays_to_the_last_bit_and_then_goes_on() -> None:
    scene = Scene(SceneSpec("hall", 1, 160, 90, loop_s=10, incidents=(IncidentSpec("freeze", 4, 3),)))
    (incident,) = scene.truth()["incidents"]
    pictures = [scene.picture(index) for index in range(38, 72)]
    frozen = pictures[incident["start"] - 38 : incident["end"] - 38]
    assert all(np.array_equal(frozen[0], picture) for picture in frozen)
    assert not np.array_equal(pictures[incident["end"] - 38], frozen[0])
    assert not np.array_equal(pictures[incident["start"] - 39], frozen[0])


def test_a_lost_signal_is_black() -> None:
    scene = Scene(SceneSpec("carpark", 1, 160, 90, loop_s=10, incidents=(IncidentSpec("signal-lost", 4, 3),)))
    assert (scene.picture(45)[:90] == 16).all()
    assert scene.picture(39)[:90].std() > 5
    assert scene.picture(70)[:90].std() > 5


def test_silence_is_a_span_of_frames_that_are_not_sent() -> None:
    scene = Scene(SceneSpec("gate", 1, 160, 90, loop_s=10, incidents=(IncidentSpec("silence", 4, 3),)))
    assert scene.silent_frames() == frozenset(range(40, 70))


@pytest.mark.parametrize(("width", "height"), [(128, 72), (352, 288), (640, 360), (720, 576), (1920, 1080)])
def test_any_size_can_be_drawn(width: int, height: int) -> None:
    scene = Scene(SceneSpec("platform", 1, width, height, loop_s=6))
    picture = scene.picture(10)
    assert picture.shape == (height * 3 // 2, width)
    assert picture.dtype == np.uint8
    assert all(0 <= value <= 1 for corner in scene.region() for value in corner)
