"""Static: what stands, what moves, and what was left behind by somebody who went away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask
from detector_pool.detector import FoundBox, NoScore, Observation, Setup
from detector_pool.picture import Shot
from detector_pool.static_objects import LEFT_LABEL, STATIC, StaticObjects
from detector_pool.static_settings import StaticSettings
from mesh.errors import DataLoss, InvalidArgument
from mesh.ids import FrameId

FPS = 5
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
Picture = NDArray[np.uint8]
Painted = Callable[[Picture, float], None]


def film(paint: Painted, seconds: float, *, noise: float = 2.0) -> Iterator[Shot]:
    """A room with edges and noise, painted upon by `paint(picture, seconds)`."""
    rng = np.random.default_rng(5)
    ground = np.full((180, 320), 110, np.float32) + 14 * np.sin(np.arange(320) / 9)[None, :]
    for index in range(round(seconds * FPS)):
        picture = ground + rng.normal(0, noise, ground.shape)
        luma = np.clip(picture, 16, 235).astype(np.uint8)
        paint(luma, index / FPS)
        yield Shot(FrameId("cam-1", 1, index), START + index * SECOND // FPS, luma)


def person(picture: Picture, x: float, level: int = 40) -> None:
    picture[70:134, max(0, int(x)) : max(0, int(x) + 22)] = level


def bag(picture: Picture, level: int = 215) -> None:
    picture[118:136, 150:172] = level


def brings(picture: Picture, t: float) -> None:
    """Comes at 5 s, stops at 8 s, puts a bag down, goes at 10 s and is out of sight at 14 s."""
    if t >= 9:
        bag(picture)
    if 5 <= t < 8:
        person(picture, (t - 5) * 50)
    elif 8 <= t < 10:
        person(picture, 150)
    elif 10 <= t < 14:
        person(picture, 150 + (t - 10) * 45)


def watched(shots: Iterator[Shot], *regions: RegionMask, after_s: float = 8.0) -> list[Observation]:
    static = StaticObjects(StaticSettings(after_s=after_s))
    state, said = static.start(), []
    for shot in shots:
        observation, state = static.inspect(shot, state, regions)
        said.append(observation)
    return said


def left(one: Observation) -> list[FoundBox]:
    return [box for box in one.boxes if box.label == LEFT_LABEL]


def test_a_bag_that_somebody_puts_down_and_leaves_is_told_after_the_time() -> None:
    said = watched(film(brings, 26))
    assert all(one.reason is NoScore.WARMING_UP for one in said[: 3 * FPS])
    assert all(not left(one) for one in said[: 10 * FPS])
    (box,) = left(said[15 * FPS])
    assert (box.x, box.y) == (pytest.approx(150 / 320, abs=0.02), pytest.approx(118 / 180, abs=0.03))
    at = next(index for index, one in enumerate(said) if one.score >= 0.5)
    assert 17 * FPS <= at <= 20 * FPS
    assert {one.track for index in range(at, len(said)) for one in left(said[index])} == {box.track}


def test_somebody_who_stands_still_is_a_thing_and_was_not_left() -> None:
    def stands(picture: Picture, t: float) -> None:
        if t >= 5:
            person(picture, min((t - 5) * 50, 150))

    said = watched(film(stands, 30))
    assert not any(left(one) for one in said)
    last = [box for box in said[-1].boxes if box.label == "object"]
    assert len(last) == 1
    assert last[0].height == pytest.approx(64 / 180, abs=0.03)


def test_a_thing_that_was_taken_away_was_not_left() -> None:
    def takes(picture: Picture, t: float) -> None:
        if t < 9:
            bag(picture)
        brings(picture, t) if t < 9 else None
        if 9 <= t < 10:
            person(picture, 150)
        elif 10 <= t < 14:
            person(picture, 150 + (t - 10) * 45)

    assert not any(left(one) for one in watched(film(takes, 26)))


def test_a_change_of_light_brings_nothing() -> None:
    def darker(picture: Picture, t: float) -> None:
        picture[:] = (picture * (1.0 if t < 6 else max(0.7, 1.0 - (t - 6) * 0.1))).astype(np.uint8)

    said = watched(film(darker, 20))
    assert not any(one.boxes for one in said)
    assert max(one.score for one in said) == 0.0


def test_a_black_picture_shows_nothing_and_is_not_learned() -> None:
    def goes_black(picture: Picture, t: float) -> None:
        bag(picture)
        if 6 <= t < 14:
            picture[:] = 16

    said = watched(film(goes_black, 20))
    assert {one.reason for one in said[6 * FPS : 14 * FPS]} == {NoScore.WARMING_UP}
    assert not any(one.boxes or one.reason for one in said[14 * FPS :])


def test_a_scene_whose_lights_stay_out_is_learned_as_it_is_then() -> None:
    def lights_go_out_and_on(picture: Picture, t: float) -> None:
        edges = picture.astype(np.float32) - 110
        picture[:] = np.clip(24 + 0.5 * edges if 6 <= t < 85 else 110 + 4 * edges, 0, 255).astype(np.uint8)
        if 75 <= t < 80 or 95 <= t < 100:
            person(picture, (t % 5) * 60, 50 if t < 80 else 230)

    said = watched(film(lights_go_out_and_on, 102, noise=0.5))
    assert {one.reason for one in said[7 * FPS : 65 * FPS]} == {NoScore.WARMING_UP}
    assert any(one.boxes for one in said[76 * FPS : 80 * FPS])
    assert not any(one.boxes or one.reason for one in said[90 * FPS : 95 * FPS])
    assert any(one.boxes for one in said[96 * FPS : 100 * FPS])


def test_a_picture_that_stays_black_is_not_learned_however_long() -> None:
    def goes_black(picture: Picture, t: float) -> None:
        bag(picture)
        if 6 <= t < 80:
            picture[:] = 16

    said = watched(film(goes_black, 86))
    assert {one.reason for one in said[6 * FPS : 80 * FPS]} == {NoScore.WARMING_UP}
    assert not any(one.boxes or one.reason for one in said[80 * FPS :])


def test_who_stood_there_as_the_scene_was_learned_is_not_seen_for_ever_where_they_were() -> None:
    def goes(picture: Picture, t: float) -> None:
        if t < 6:
            person(picture, 150)
        elif t < 9:
            person(picture, 150 + (t - 6) * 60)
        elif 11 <= t < 15:
            person(picture, (t - 11) * 85, 60)

    said = watched(film(goes, 28))
    assert any(one.boxes for one in said[9 * FPS : 16 * FPS])
    assert not any(one.boxes for one in said[25 * FPS :])


def pool_of_light(picture: Picture, x: float, peak: float = 70.0) -> None:
    """A headlight's: brightest in the middle and gently fading, over the ground as it is."""
    y0, x0 = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    share = np.clip(1 - ((x0 - x) / 70) ** 2 - ((y0 - 120) / 34) ** 2, 0, 1)
    picture[:] = np.clip(picture + peak * share**2, 0, 255).astype(np.uint8)


def test_a_pool_of_light_that_sweeps_over_the_ground_is_no_thing() -> None:
    def sweeps(picture: Picture, t: float) -> None:
        if 6 <= t < 10:
            pool_of_light(picture, (t - 6) * 80)

    assert not any(one.boxes for one in watched(film(sweeps, 14)))


def test_who_walks_in_a_pool_of_light_is_seen_and_no_larger_than_they_are() -> None:
    def walks(picture: Picture, t: float) -> None:
        if 6 <= t < 10:
            pool_of_light(picture, (t - 6) * 80)
            person(picture, (t - 6) * 80)

    (box,) = watched(film(walks, 14))[8 * FPS].boxes
    assert (box.width, box.height) == (pytest.approx(22 / 320, abs=0.03), pytest.approx(64 / 180, abs=0.05))


def test_somebody_in_white_is_as_bright_as_light_and_has_edges() -> None:
    def walks(picture: Picture, t: float) -> None:
        if 6 <= t < 10:
            picture[60:150, int((t - 6) * 50) + 20 : int((t - 6) * 50) + 80] = 215

    (box,) = watched(film(walks, 14))[8 * FPS].boxes
    assert (box.width, box.height) == (pytest.approx(60 / 320, abs=0.02), pytest.approx(90 / 180, abs=0.03))


def test_who_walks_before_it_does_not_end_it() -> None:
    def passes(picture: Picture, t: float) -> None:
        brings(picture, t)
        if 20 <= t < 26:
            person(picture, (t - 20) * 50, 60)

    said = watched(film(passes, 32))
    tracks = [{box.track for box in left(one)} for one in said[16 * FPS :]]
    assert all(one == tracks[0] for one in tracks)
    assert said[-1].score > said[19 * FPS].score


def test_a_bag_that_is_taken_again_is_gone_within_seconds() -> None:
    def fetched(picture: Picture, t: float) -> None:
        if t < 24:
            brings(picture, t)

    said = watched(film(fetched, 30))
    assert left(said[24 * FPS - 1])
    assert not left(said[27 * FPS])


def test_only_what_stands_in_an_inspected_region_scores() -> None:
    elsewhere = RegionMask(False, ((0.6, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 1.0)), "right")
    ignored = RegionMask(True, ((0.4, 0.5), (0.6, 0.5), (0.6, 1.0), (0.4, 1.0)), "mask")
    assert max(one.score for one in watched(film(brings, 22), elsewhere)) == 0.0
    assert not any(left(one) for one in watched(film(brings, 22), ignored))


def test_a_state_goes_on_elsewhere_to_the_bit() -> None:
    static = StaticObjects(StaticSettings(after_s=5.0))
    state, other = static.start(), static.start()
    for index, shot in enumerate(film(brings, 16)):
        one, state = static.inspect(shot, state, ())
        if index % 9 == 4:
            data = static.pack(other)
            assert len(data) < 2 << 20
            other = StaticObjects().unpack(data)
        two, other = static.inspect(shot, other, ())
        assert one == two
    assert static.pack(state) == static.pack(other)
    with pytest.raises(ValueError, match="cannot be read"):
        static.unpack(b"TFDS")


def test_an_overwritten_picture_is_not_learnt() -> None:
    static, shots = StaticObjects(), list(film(brings, 6))
    state = static.start()
    for shot in shots[:-1]:
        _, state = static.inspect(shot, state, ())
    before = static.pack(state)
    shots[-1].still_valid = lambda: False
    with pytest.raises(DataLoss):
        static.inspect(shots[-1], state, ())
    assert static.pack(state) == before


def test_its_options_are_checked() -> None:
    assert STATIC.make(Setup(options={"after_s": 30})).name == "static@1"
    with pytest.raises(InvalidArgument, match="at least 2"):
        STATIC.make(Setup(options={"after_s": 0.5}))
