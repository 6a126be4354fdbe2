from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.clocks import ManualClock, SystemClock
from mesh.errors import InvalidArgument
from mesh.ids import FrameId, new_event_id, validate_camera_id

cameras = st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True)
numbers = st.integers(0, (1 << 63) - 1)


@given(cameras, numbers, numbers)
def test_an_id_survives_text_and_wire(camera: str, epoch: int, seq: int) -> None:
    one = FrameId(camera, epoch, seq)
    assert FrameId.parse(str(one)) == one
    assert FrameId.from_proto(one.to_proto()) == one


@given(st.text(max_size=100))
def test_any_other_text_is_refused(text: str) -> None:
    try:
        one = FrameId.parse(text)
    except InvalidArgument:
        return
    assert str(FrameId.parse(str(one))) == str(one)


@pytest.mark.parametrize(
    "text", ["", "gate", "gate/1", "gate/1/2/3", "gate/-1/2", "gate/1/x", "Gate/1/2", "gate/9223372036854775808/0",
             "/1/2", "gate/1/" + "9" * 5000, "gate/²/1", "gate/1_0/1"],
)  # fmt: skip
def test_ill_formed_ids_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        FrameId.parse(text)


def test_ids_of_a_camera_order_as_they_were_decoded() -> None:
    ids = [FrameId("gate", 2, 0), FrameId("gate", 1, 10), FrameId("gate", 1, 9)]
    assert sorted(ids) == ids[::-1]


@pytest.mark.parametrize("text", ["", "Gate", "tür", "a" * 64, "a b", "gate\n", "../x", "a.b", "*", ">"])
def test_ill_formed_camera_ids_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="camera id"):
        validate_camera_id(text)
    with pytest.raises(ValueError, match="camera id"):
        validate_camera_id(text)


def test_event_ids_are_unique_and_sort_by_time() -> None:
    ids = [new_event_id() for _ in range(2000)]
    assert ids == sorted(set(ids))


def test_a_manual_clock_moves_only_by_hand() -> None:
    clock = ManualClock(utc_ns=100, monotonic_ns=5)
    clock.advance(ns=7)
    clock.step_utc(-50)
    assert (clock.utc_ns(), clock.monotonic_ns()) == (57, 12)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_the_systems_clocks_run_forward() -> None:
    clock = SystemClock()
    first = clock.monotonic_ns()
    assert clock.monotonic_ns() >= first
    assert clock.utc_ns() > 1_700_000_000_000_000_000
