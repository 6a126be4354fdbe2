"""The detector of picture health: what it says, when, and what it does not call a fault."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.health import _blurred, _covered, _moved
from detector_pool.detector import NoScore, Observation, Setup
from detector_pool.evaluation.metrics import roc_auc
from detector_pool.health.detector import SERIES, TYPE, Health, HealthState
from detector_pool.picture import Shot
from detector_pool.signal_health import SignalHealth
from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from simulator.scene import Scene
from simulator.spec import SceneSpec

Luma = NDArray[np.uint8]
START_NS = 1_700_000_000_000_000_000
STEP_NS = 250_000_000
LEARNT = 48


@lru_cache(maxsize=2)
def _film(layout: str) -> list[Luma]:
    scene = Scene(SceneSpec(layout, 4, 320, 180, incidents=()))
    return [scene.picture((5 * k) // 2)[:180] for k in range(120)]


def _lit(picture: Luma, gain: float, noise: float, seed: int) -> Luma:
    seen = (picture.astype(np.float32) - 16) * gain + 16
    seen += np.random.default_rng(seed).standard_normal(picture.shape, np.float32) * noise
    lit: Luma = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return lit


def _shot(number: int, picture: Luma, *, grey: bool | None = None, at_ns: int = START_NS) -> Shot:
    chroma = None if grey is None else np.full((90, 160), 128 if grey else 110, np.uint8)
    return Shot(FrameId("gate", 1, number), at_ns + number * STEP_NS, picture, u=chroma, v=chroma)


def _shown(
    film: list[Luma], state: HealthState, start: int, count: int, change: Callable[[Luma, int], Luma], **more: bool
) -> tuple[list[Observation], HealthState]:
    detector, said = Health(every_s=0.0), []
    for number in range(start, start + count):
        observation, state = detector.inspect(
            _shot(number, change(film[number % len(film)], number), **more), state, []
        )
        said.append(observation)
    return said, state


def _as_it_is(picture: Luma, _: int) -> Luma:
    return picture


@lru_cache(maxsize=2)
def _learnt(layout: str) -> bytes:
    detector = Health(every_s=0.0)
    return detector.pack(_shown(_film(layout), detector.start(), 0, LEARNT, _as_it_is)[1])


def _told(change: Callable[[Luma, int], Luma], count: int = 80, layout: str = "yard") -> list[Observation]:
    return _shown(_film(layout), Health().unpack(_learnt(layout)), LEARNT, count, change)[0]


FAULTS: dict[str, tuple[Callable[[Luma, int], Luma], str, str]] = {
    "blur": (lambda p, _: _blurred(2.0)(p), "blur", "blurred"),
    "cover": (lambda p, _: _covered(0.8, False)(p), "covered", "before the lens"),
    "bump": (lambda p, _: _moved(40, 13, 3)(p), "moved", "elsewhere"),
    "dark": (lambda p, _: _lit(p, 0.35, 0.0, 0), "exposure", "exposed"),
    "glare": (lambda p, _: _lit(p, 2.4, 0.0, 0), "exposure", "exposed"),
    "noise": (lambda p, n: _lit(p, 1.0, 9.0, n), "noise", "noisier"),
    "freeze": (lambda p, _: _film("yard")[LEARNT], "freeze", "stands still"),
}


def test_an_ordinary_picture_is_healthy() -> None:
    said = _told(_as_it_is)
    assert max(one.score for one in said) < 0.25
    assert min(dict(one.series)["quality"] for one in said) > 0.65
    assert not any(one.said or one.boxes for one in said)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_in_words_once_it_has_lasted(name: str) -> None:
    change, label, words = FAULTS[name]
    said = _told(change)
    first = next(at for at, one in enumerate(said) if one.score >= 0.5)
    assert first * STEP_NS >= 4.5e9
    assert words in said[first].said
    assert said[first].boxes[0].label == label
    assert dict(said[-1].series)["quality"] < 0.5
    assert tuple(name for name, _ in said[-1].series) == SERIES


@pytest.mark.parametrize("name", FAULTS)
def test_an_inspection_leaves_a_still_picture_to_signal_and_tells_the_others(name: str) -> None:
    detector, state = TYPE.make(Setup()), Health().unpack(_learnt("yard"))
    change, label, _ = FAULTS[name]
    told = []
    for number in range(LEARNT, LEARNT + 80):
        shot = _shot(number, change(_film("yard")[number % 120], number))
        observation, state = detector.inspect(shot, state, [])
        told += [box.label for box in observation.boxes if observation.score >= 0.5]
    assert (label in told) == (name != "freeze")


@pytest.mark.parametrize("level", [16, 120, 235])
def test_a_picture_that_shows_nothing_is_told_by_signal_alone_and_by_health_alone_if_asked(level: int) -> None:
    film, signal = _film("yard"), SignalHealth()
    kinds = [TYPE.make(Setup()), TYPE.make(Setup("", {"faults": ["covered", "exposure", "blank"]})), signal]
    states = [detector.start() for detector in kinds]
    most = [0.0, 0.0, 0.0]
    for number in range(160):
        # It comes, stays for 15 s, and goes.
        picture = np.full_like(film[0], level) if 60 <= number < 120 else film[number % len(film)]
        shot = _shot(number, picture)
        for at, detector in enumerate(kinds):
            observation, states[at] = detector.inspect(shot, states[at], [])
            most[at] = max(most[at], observation.score)
    assert most[0] < 0.5
    assert most[1] >= 0.5
    assert most[2] >= 0.7


def test_faults_that_are_not_known_are_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidArgument, match="must be one of covered, moved, freeze"):
        TYPE.make(Setup("", {"faults": ["rust"]}))


def test_a_fault_of_two_seconds_is_none() -> None:
    cover = _covered(0.8, False)
    said = _told(lambda p, n: cover(p) if n < LEARNT + 8 else p)
    assert max(one.score for one in said) < 0.5


def test_steps_of_auto_exposure_are_no_fault() -> None:
    said = _told(lambda p, n: _lit(p, (0.8, 1.2)[n // 12 % 2], 0.0, n))
    assert max(one.score for one in said) < 0.5


def test_rain_and_wind_of_a_second_are_no_fault() -> None:
    # Streaks: bright columns at random places, in every picture others.
    def rain(picture: Luma, number: int) -> Luma:
        dice, out = np.random.default_rng(number), picture.copy()
        for x, y in zip(dice.integers(0, 319, 120), dice.integers(0, 160, 120), strict=True):
            out[y : y + 14, x] = np.minimum(out[y : y + 14, x].astype(int) + 25, 235)
        return out

    assert max(one.score for one in _told(rain)) < 0.5


def test_the_switch_to_infrared_begins_a_background_of_its_own() -> None:
    film, detector = _film("yard"), Health(every_s=0.0)
    state = _shown(film, detector.start(), 0, LEARNT, _as_it_is, grey=False)[1]
    said, state = _shown(film, state, LEARNT, 120, lambda p, n: _lit(p, 0.45, 5.0, n), grey=True)
    assert max(one.score for one in said) < 0.5
    assert any(one.reason is NoScore.WARMING_UP for one in said[:12])
    said, state = _shown(film, state, LEARNT + 120, 60, _as_it_is, grey=False)
    assert max(one.score for one in said) < 0.5
    # What is held before the lens has no colour either, and is no night.
    said, _ = _shown(film, state, LEARNT + 180, 60, lambda p, n: np.full_like(p, 30), grey=True)
    assert said[-1].score >= 0.5
    assert "before the lens" in said[-1].said


def test_dusk_is_followed_though_no_other_day_is_known() -> None:
    film, detector = _film("hall"), Health(every_s=0.0)
    state = detector.unpack(_learnt("hall"))
    worst = 0.0
    for number in range(400):
        # Forty minutes in steps of six seconds, down to a third of the light.
        picture = _lit(film[number % len(film)], 1.0 - 0.67 * number / 400, 1.0 + number / 100, number)
        shot = Shot(FrameId("gate", 1, number), START_NS + LEARNT * STEP_NS + number * 4_900_000_000, picture)
        observation, state = detector.inspect(shot, state, [])
        worst = max(worst, observation.score)
    assert worst < 0.5


def test_frames_between_two_that_are_measured_keep_what_was_said() -> None:
    detector = Health(every_s=0.5)
    state = detector.start()
    film, said = _film("yard"), []
    for number in range(60):
        observation, state = detector.inspect(_shot(number, film[number]), state, [])
        said.append(observation)
    assert all(one == other for one, other in zip(said[20::2], said[21::2], strict=True))
    assert any(one != other for one, other in zip(said[20::2], said[22::2], strict=False))


def test_nothing_is_learnt_while_something_is_wrong() -> None:
    cover = _covered(0.8, False)
    said, state = _shown(_film("yard"), Health().unpack(_learnt("yard")), LEARNT, 400, lambda p, _: cover(p))
    assert said[-1].score >= 0.5
    said, _ = _shown(_film("yard"), state, LEARNT + 400, 60, _as_it_is)
    assert said[-1].score < 0.5


def test_half_a_state_and_another_detectors_are_refused() -> None:
    packed = _learnt("yard")
    for data in (packed[: len(packed) // 2], b"", packed.replace(b"health@2", b"health@9")):
        with pytest.raises(ValueError, match=r"is|ends|cannot"):
            Health().unpack(data)


def test_a_detector_that_goes_on_from_packed_state_says_the_same_to_the_bit() -> None:
    film = _film("yard")
    straight, _ = _shown(film, Health().unpack(_learnt("yard")), LEARNT, 40, lambda p, n: _lit(p, 1.0, 3.0, n))
    state, resumed = Health().unpack(_learnt("yard")), []
    for at in range(LEARNT, LEARNT + 40, 8):
        said, state = _shown(film, state, at, 8, lambda p, n: _lit(p, 1.0, 3.0, n))
        packed = Health().pack(state)
        assert len(packed) < 1 << 20
        state = Health().unpack(packed)
        resumed += said
    assert resumed == straight


def test_options_are_checked() -> None:
    with pytest.raises(InvalidArgument, match="every_s"):
        TYPE.make(Setup("gate", {"every_s": 60.0}))


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("blur", lambda p, _: _blurred(1.0)(p)),
        ("covered", lambda p, _: _covered(0.4, True)(p)),
        ("moved", lambda p, _: _moved(20, 10, 1)(p)),
        ("exposure", lambda p, _: _lit(p, 0.5, 0.0, 0)),
        ("noise", lambda p, n: _lit(p, 1.0, 5.0, n)),
        ("freeze", None),
    ],
)
def test_faults_stand_out_from_healthy_pictures_of_any_brightness_and_noise(
    fault: str, change: Callable[[Luma, int], Luma] | None
) -> None:
    # benchmarks/health.py does this at length; here two scenes in two lights each.
    scores, labels = [], []
    for layout, gain, noise in (("yard", 0.4, 4.0), ("hall", 1.0, 0.0), ("hall", 1.3, 3.0)):
        film = _film(layout)

        def seen(picture: Luma, number: int, gain: float = gain, noise: float = noise) -> Luma:
            return _lit(picture, gain, noise, number)

        def spoilt(picture: Luma, number: int, layout: str = layout, gain: float = gain, noise: float = noise) -> Luma:
            if change is None:
                return _lit(_film(layout)[LEARNT], gain, noise, 1)
            if fault in ("exposure", "noise"):
                return change(seen(picture, number), number)
            return seen(change(picture, number), number)

        packed = Health().pack(_shown(film, Health().start(), 0, LEARNT, seen)[1])
        for is_spoilt, pictures in ((False, seen), (True, spoilt)):
            said, _ = _shown(film, Health().unpack(packed), LEARNT, 24, pictures)
            scores += [dict(one.series)[fault] for one in said[-10:]]
            labels += [is_spoilt] * 10
    area = roc_auc(np.array(scores), np.array(labels))
    assert area is not None
    assert area >= 0.95
