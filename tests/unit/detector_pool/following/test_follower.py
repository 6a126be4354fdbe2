"""A camera that shakes, is bumped, turned away, covered, and goes over to infrared: where regions are, what is said."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask
from detector_pool.following import Alignment, Follower, FollowerState, moved
from detector_pool.following.geometry import carried
from detector_pool.picture import Shot
from mesh.errors import DataLoss
from mesh.ids import FrameId
from simulator.scene import FilmedScene, Scene, filmed
from simulator.scene.lens import taken
from simulator.spec import IncidentSpec, SceneSpec

Luma = NDArray[np.uint8]
START_NS = 1_700_000_000_000_000_000
FPS = 4
GRID = np.array([(x, y) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)])


@lru_cache(maxsize=4)
def _scene(shake_px: float) -> FilmedScene:
    """A scene of four pictures a second that is bumped for 16 s, 8 s after its beginning."""
    scene = filmed(
        SceneSpec("street", 8, fps=FPS, loop_s=30, incidents=(IncidentSpec("bump", 8, 16),), shake_px=shake_px)
    )
    assert isinstance(scene, FilmedScene)
    return scene


@lru_cache(maxsize=256)
def _picture(shake_px: float, number: int) -> Luma:
    return _scene(shake_px).picture(number)[:360]


def _bumped(shake_px: float, seconds: int = 30) -> tuple[FilmedScene, list[Luma]]:
    return _scene(shake_px), [_picture(shake_px, number) for number in range(seconds * FPS)]


@lru_cache(maxsize=2)
def _rest(layout: str = "yard") -> list[Luma]:
    scene = Scene(SceneSpec(layout, 8, fps=FPS, incidents=()))
    return [scene.picture(number)[:360] for number in range(80)]


def _shot(number: int, picture: Luma, grey: bool | None = None) -> Shot:
    chroma = (
        None
        if grey is None
        else np.full((picture.shape[0] // 2, picture.shape[1] // 2), 128 if grey else 105, np.uint8)
    )
    return Shot(FrameId("gate", 1, number), START_NS + number * 1_000_000_000 // FPS, picture, u=chroma, v=chroma)


def _followed(
    pictures: list[Luma], state: FollowerState | None = None, start: int = 0, grey: bool | None = None
) -> tuple[list[Alignment], FollowerState]:
    follower, alignments = Follower(), []
    state = state or follower.start()
    for number, picture in enumerate(pictures, start):
        alignment, state = follower.step(_shot(number, picture, grey), state)
        alignments.append(alignment)
    return alignments, state


def _error_px(alignment: Alignment, scene: FilmedScene, number: int) -> float:
    truth = scene.alignment(number) @ np.linalg.inv(scene.alignment(0))
    away = (carried(GRID, alignment.matrix) - carried(GRID, truth)) * (640, 360)
    return float(np.hypot(away[:, 0], away[:, 1]).max())


def test_regions_stay_on_their_place_under_shake() -> None:
    scene, pictures = _bumped(3.0, 8)
    alignments, _ = _followed(pictures)
    errors = [_error_px(one, scene, number) for number, one in enumerate(alignments)]
    assert np.mean(np.array(errors[2:]) < 3.0) >= 0.95
    assert not any(one.said or one.is_lost for one in alignments)
    # Without following they would not.
    idle = [_error_px(Alignment(np.eye(3)), scene, number) for number in range(8 * FPS)]
    assert np.mean(np.array(idle) < 3.0) < 0.7


def test_a_bump_is_recovered_and_told_with_what_it_did() -> None:
    scene, pictures = _bumped(1.0)
    alignments, state = _followed(pictures)
    errors = np.array([_error_px(one, scene, number) for number, one in enumerate(alignments)])
    assert np.mean(errors[16 * FPS : 24 * FPS] < 3.0) >= 0.95
    said = alignments[17 * FPS].said
    assert said.startswith("camera was bumped: regions follow by ")
    px, degrees = (int(word) for word in said.replace(" px", "").split() if word.isdigit())
    assert abs(px - 40) <= 4
    assert degrees == 3
    # Pushed back, the first reference is recognised at once.
    assert np.mean(errors[26 * FPS :] < 3.0) >= 0.95
    assert not any(one.is_lost for one in alignments)
    assert len(Follower().pack(state)) < 1 << 20


def test_a_camera_that_was_turned_to_another_scene_is_lost_until_it_comes_back() -> None:
    here, elsewhere = _rest("yard"), _rest("hall")
    _, state = _followed(here[:40])
    away, state = _followed(elsewhere * 3, state, 40)
    assert away[-1].is_lost
    assert away[-1].said == "cannot find the scene again: regions may be wrong"
    assert np.array_equal(away[-1].matrix, np.eye(3))
    assert not any(one.is_lost for one in away[: 20 * FPS])
    back, _ = _followed(here[:40], state, 40 + len(away))
    assert not back[-1].is_lost
    assert "found again" in back[-1].said


def test_what_is_held_before_the_lens_is_no_move() -> None:
    here = _rest()
    _, state = _followed(here[:40])
    covered, state = _followed([np.full_like(one, 40) for one in here] * 3, state, 40)
    assert not any(one.is_lost or one.said for one in covered)
    half = [np.where(np.arange(640) < 400, 60, one).astype(np.uint8) for one in here]
    covered, _ = _followed(half * 2, state, 400)
    assert not any(one.is_lost or one.said for one in covered)


def test_the_switch_to_infrared_is_no_move_and_a_bump_at_night_is_found() -> None:
    scene, pictures = _bumped(1.0, 20)
    _, state = _followed(pictures[: 4 * FPS], grey=False)
    dice = np.random.default_rng(1)

    def night(picture: Luma) -> Luma:
        # Another polarity, as leaves have in infrared: what was dark is bright.
        dim = 16 + (160 - picture.astype(np.float32)) * 0.5 + dice.standard_normal(picture.shape) * 3
        return np.clip(np.rint(dim), 0, 255).astype(np.uint8)

    dark, state = _followed([night(one) for one in pictures[4 * FPS : 8 * FPS]], state, 4 * FPS, grey=True)
    assert not any(one.is_lost or one.said for one in dark)
    assert _error_px(dark[-1], scene, 8 * FPS - 1) < 3.0
    dark, state = _followed([night(one) for one in pictures[8 * FPS : 20 * FPS]], state, 8 * FPS, grey=True)
    assert _error_px(dark[-1], scene, 20 * FPS - 1) < 3.0
    assert "bumped" in dark[-1].said


def test_shifts_do_not_add_up_over_a_long_time() -> None:
    # A camera whose pole leans by half a pixel of the canvas each second, far beyond what one shift can find.
    here, scene = _rest(), []
    for number in range(250):
        pixels = np.array(((1.0, 0.0, number * 0.3), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
        scene.append(taken(here[number % len(here)], np.linalg.inv(pixels), 640, 360))
    alignments, state = _followed(scene)
    # At 75 px it is followed through other references, each aligned with the first or one that was.
    assert alignments[-1].matrix[0, 2] * 640 == pytest.approx(249 * 0.3, abs=3.0)
    assert max(one.depth for one in state.references) <= 4


def test_pictures_of_another_size_are_followed_from_where_the_camera_pointed() -> None:
    scene, pictures = _bumped(1.0)
    _, state = _followed(pictures[: 18 * FPS])
    half = [taken(one, np.diag((2.0, 2.0, 1.0)), 320, 180) for one in pictures[18 * FPS : 20 * FPS]]
    alignments, _ = _followed(half, state, 18 * FPS)
    assert _error_px(alignments[-1], scene, 20 * FPS - 1) < 4.0


@pytest.mark.parametrize("at", [3, 30, 46, 50, 70])
def test_a_follower_that_goes_on_from_packed_state_says_the_same_to_the_bit(at: int) -> None:
    _, pictures = _bumped(1.0)
    pictures = pictures[10:90]
    straight, _ = _followed(pictures)
    first, state = _followed(pictures[:at])
    rest, _ = _followed(pictures[at:], Follower().unpack(Follower().pack(state)), at)
    for one, other in zip(straight, first + rest, strict=True):
        assert np.array_equal(one.matrix, other.matrix)
        assert (one.is_lost, one.said) == (other.is_lost, other.said)


def test_nothing_is_learnt_from_a_picture_that_was_overwritten() -> None:
    follower = Follower()
    _, state = _followed(_rest()[:30])
    packed = follower.pack(state)
    shot = _shot(30, _rest("hall")[0])
    shot.still_valid = lambda: False
    with pytest.raises(DataLoss):
        follower.step(shot, state)
    assert follower.pack(state) == packed


def test_broken_states_are_refused() -> None:
    packed = Follower().pack(_followed(_rest()[:30])[1])
    for data in (packed[: len(packed) // 2], b"", packed.replace(b"follower@1", b"follower@9")):
        with pytest.raises(ValueError, match=r"is|ends|cannot"):
            Follower().unpack(data)


def test_regions_follow_the_alignment() -> None:
    matrix = np.array(((1.0, 0.0, 0.1), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    (seen,) = moved([RegionMask(False, ((0.1, 0.1), (0.2, 0.1), (0.2, 0.2)))], Alignment(matrix))
    assert seen.corners == ((0.2, 0.1), (0.3, 0.1), (0.3, 0.2))
