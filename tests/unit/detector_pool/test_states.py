"""Detectors' states as bytes: a detector that goes on from them says the same, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector_pool.detector import Detector
from detector_pool.motion import Motion
from detector_pool.packing import pack, unpack
from detector_pool.picture import Shot
from detector_pool.signal_health import SignalHealth
from mesh.ids import FrameId

MAKERS: list[Callable[[], Detector[Any]]] = [Motion, SignalHealth]
STEP_NS = 100_000_000


def film(frames: int, seed: int = 1) -> list[Shot]:
    """Noise, a thing that walks through, a pause, a change of light."""
    dice = np.random.default_rng(seed)
    scene = dice.integers(60, 180, (90, 160)).astype(np.float32)
    shots = []
    for seq in range(frames):
        picture = scene * (1.2 if seq > frames * 2 // 3 else 1.0) + dice.normal(0, 2, scene.shape)
        if seq > 30:
            left = (seq * 3) % 140
            picture[40:70, left : left + 15] = 230
        if 50 < seq < 58:
            picture = shots[-1].y.astype(np.float32)
        y = np.clip(picture, 16, 235).astype(np.uint8)
        shots.append(Shot(FrameId("gate", 1, seq), 10**18 + seq * STEP_NS, y))
    return shots


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("at", [0, 5, 19, 24, 60, 110])
def test_a_detector_that_goes_on_from_packed_state_says_the_same(make: Callable[[], Detector[Any]], at: int) -> None:
    detector, state = make(), make().start()
    said = []
    shots = film(130)
    for number, shot in enumerate(shots):
        if number == at:
            packed = detector.pack(state)
        observation, state = detector.inspect(shot, state, ())
        said.append(observation)
    other = make()
    state = other.unpack(packed)
    assert other.pack(state) == packed
    for number in range(at, len(shots)):
        observation, state = other.inspect(shots[number], state, ())
        assert observation == said[number], number
    assert any(one.score > 0 for one in said)


@pytest.mark.parametrize("make", MAKERS)
def test_the_state_of_another_detector_or_a_broken_one_is_refused(make: Callable[[], Detector[Any]]) -> None:
    detector = make()
    packed = detector.pack(detector.inspect(film(1)[0], detector.start(), ())[1])
    for bad in (b"", packed[:9], packed[:-3], b"X" + packed[1:], packed.replace(detector.name.encode(), b"another@12")):
        with pytest.raises(ValueError, match=r"\w"):
            detector.unpack(bad)


@given(
    st.dictionaries(st.text(max_size=9), st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False), max_size=5),
    st.lists(st.sampled_from(["<f4", "<i2", "|b1"]), max_size=4),
    st.data(),
)
def test_numbers_and_arrays_come_back_exactly(numbers: dict[str, float], types: list[str], data: st.DataObject) -> None:
    arrays = {}
    for number, kind in enumerate(types):
        shape = tuple(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=3)))
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        raw = data.draw(st.binary(min_size=size, max_size=size))
        arrays[str(number)] = np.frombuffer(raw, np.uint8 if kind == "|b1" else kind).reshape(shape)
        if kind == "|b1":
            arrays[str(number)] = arrays[str(number)] > 127
    found, back = unpack("a@1", pack("a@1", numbers, arrays))
    assert found == numbers
    assert {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in back.items()} == {
        name: (a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()
    }
