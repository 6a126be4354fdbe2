"""Cameras that shake and are bumped, and pictures that are spoilt, each with its truth."""

from __future__ import annotations

import numpy as np
import pytest

from detector_pool.stabilise import shift_between
from simulator.scene import FilmedScene, Scene, filmed
from simulator.scene.lens import blurred, taken
from simulator.spec import IncidentSpec, SceneSpec, SpecError

WIDTH, HEIGHT = 320, 180


def _filmed(kind: str, layout: str = "yard", shake_px: float = 0.0) -> FilmedScene:
    incidents = (IncidentSpec(kind, 2.0, 4.0),) if kind else ()
    scene = filmed(SceneSpec(layout, 3, WIDTH, HEIGHT, loop_s=8.0, incidents=incidents, shake_px=shake_px))
    assert isinstance(scene, FilmedScene)
    return scene


def _luma(scene: Scene | FilmedScene, index: int) -> np.ndarray:
    return scene.picture(index)[:HEIGHT].astype(np.float32)


def test_a_scene_without_faults_is_drawn_as_it_was() -> None:
    assert isinstance(filmed(SceneSpec("yard", 3, WIDTH, HEIGHT, incidents=(IncidentSpec("intrusion", 2, 4),))), Scene)


def test_the_truth_of_a_shaking_camera_says_where_it_points() -> None:
    scene = _filmed("", shake_px=4.0)
    told = scene.truth()["alignment"]
    rest = blurred(taken(_luma(_still(), 0).astype(np.uint8), np.eye(3), WIDTH, HEIGHT), 0.7)
    for index in (5, 23, 61):
        shift = shift_between(rest, blurred(_luma(scene, index), 0.7))
        matrix = np.array(told[index]).reshape(3, 3)
        assert abs(shift.dx - matrix[0, 2] * WIDTH) < 0.4
        assert abs(shift.dy - matrix[1, 2] * HEIGHT) < 0.4


def _still() -> Scene:
    return Scene(SceneSpec("yard", 3, WIDTH, HEIGHT, loop_s=8.0, incidents=()))


def test_a_bump_turns_the_picture_about_its_middle_as_the_truth_says_and_is_over_in_time() -> None:
    scene = _filmed("bump")
    bump = scene.truth()["incidents"][0]
    matrix = np.array(bump["alignment"][3]).reshape(3, 3)
    scale = np.diag((WIDTH, HEIGHT, 1.0))
    pixels = scale @ matrix @ np.linalg.inv(scale)
    assert np.hypot(*((pixels @ (WIDTH / 2, HEIGHT / 2, 1))[:2] - (WIDTH / 2, HEIGHT / 2))) == pytest.approx(
        20, abs=0.1
    )
    assert abs(np.degrees(np.arctan2(pixels[1, 0], pixels[0, 0]))) == pytest.approx(3.0, abs=0.01)
    # Taken back by the matrix, the bumped picture lies upon that at rest.
    back = taken(scene.picture(30)[:HEIGHT], pixels, WIDTH, HEIGHT).astype(np.float32)
    moved, returned = (shift_between(_luma(scene, 5), picture) for picture in (_luma(scene, 30), back))
    assert abs(returned.dx) < 0.5
    assert abs(returned.dy) < 0.5
    assert returned.peak > 2 * moved.peak
    assert np.allclose(scene.alignment(70), np.eye(3))


def test_truth_of_persons_follows_a_camera_that_sways() -> None:
    incidents = (IncidentSpec("intrusion", 2, 5),)
    rest = Scene(SceneSpec("yard", 3, WIDTH, HEIGHT, loop_s=8.0, incidents=incidents))
    scene = FilmedScene(SceneSpec("yard", 3, WIDTH, HEIGHT, loop_s=8.0, incidents=incidents, shake_px=3.0))
    for index in range(80):
        rest.picture(index)
        scene.picture(index)
    one, other = rest.truth()["incidents"][0], scene.truth()["incidents"][0]
    index = (one["start"] + one["end"]) // 2
    a, b = one["boxes"][index - one["start"]], other["boxes"][index - other["start"]]
    shift = scene.alignment(index)[:2, 2]
    assert a[0] + shift[0] == pytest.approx(b[0], abs=0.01)
    assert a[1] + shift[1] == pytest.approx(b[1], abs=0.01)


@pytest.mark.parametrize(
    ("kind", "measure", "grows"),
    [
        ("blur", lambda y: float(np.abs(np.diff(y, axis=1)).mean()), False),
        ("noise", lambda y: float(np.abs(np.diff(y, axis=1)).mean()), True),
        ("dark", lambda y: float(y.mean()), False),
        ("glare", lambda y: float(y.mean()), True),
    ],
)
def test_a_spoilt_picture_is_spoilt_only_while_its_incident_lasts(kind, measure, grows) -> None:  # type: ignore[no-untyped-def]
    scene = _filmed(kind, "hall")
    before, during, after = (measure(_luma(scene, index)) for index in (10, 45, 70))
    assert (during > 1.2 * before) if grows else (during < 0.8 * before)
    assert after == pytest.approx(before, rel=0.1)


def test_what_is_held_before_the_lens_hides_most_of_the_picture() -> None:
    scene = _filmed("cover", "hall")
    before, during = _luma(scene, 10), _luma(scene, 45)
    assert 0.6 < float((np.abs(during - before) > 12).mean()) < 0.9


def test_more_sway_than_the_scene_is_drawn_for_is_refused() -> None:
    with pytest.raises(SpecError, match="fortieth"):
        SceneSpec("yard", shake_px=20.0)
