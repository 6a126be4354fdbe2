"""What cannot be carried is refused with the thing, the number and the remedy; what can be carried is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.admission import Capacity, Occupancy, admit_camera, admit_subscription
from mesh.errors import ResourceExhausted

PLENTY = Capacity(256, 64, 1 << 31, 5.0, 1024)


def test_cameras_are_admitted_while_there_is_room() -> None:
    admit_camera("gate", Occupancy(), PLENTY)
    used = Occupancy(
        cameras=99, unconnected_cameras=3, subscriptions=8, bit_rates=[4e6] * 96, descriptors=150, loop_cpu=0.6
    )
    admit_camera("gate", used, PLENTY)
    admit_subscription(used, PLENTY)


@pytest.mark.parametrize(
    ("used", "capacity", "number", "remedy"),
    [
        (Occupancy(cameras=256), PLENTY, "one more than the 256", "broker.max_cameras"),
        (Occupancy(cameras=90, descriptors=1000), PLENTY, "1024 files this process may open", "ulimit -n"),
        (Occupancy(cameras=90, unconnected_cameras=300, descriptors=110), PLENTY, "1010 are spoken for", "LimitNOFILE"),
        (
            Occupancy(cameras=99, bit_rates=[40e6] * 50),
            PLENTY,
            "100 cameras of 40.0 Mbit/s need 2.5 GB for 5 s each, and there are 2.15 GB",
            "broker.memory_bytes",
        ),
        (Occupancy(cameras=9, loop_cpu=0.99, is_loop_full=True), PLENTY, "9 cameras take 0.99", "another broker"),
    ],
)
def test_a_camera_that_cannot_be_carried_is_refused_with_its_id_the_number_and_the_remedy(
    used: Occupancy, capacity: Capacity, number: str, remedy: str
) -> None:
    with pytest.raises(ResourceExhausted) as caught:
        admit_camera("gate", used, capacity)
    error = caught.value
    assert error.thing == "camera 'gate'"
    assert number in error.reason
    assert remedy in error.remedy


def test_a_busy_loop_refuses_no_camera_before_it_was_busy_for_a_while() -> None:
    admit_camera("gate", Occupancy(cameras=9, loop_cpu=1.0), PLENTY)


def test_a_full_loop_refuses_no_subscription() -> None:
    admit_subscription(Occupancy(loop_cpu=1.0, is_loop_full=True), PLENTY)


@pytest.mark.parametrize(
    ("used", "number"),
    [(Occupancy(subscriptions=64), "one more than the 64"), (Occupancy(descriptors=1000), "1024 files")],
)
def test_a_subscription_that_cannot_be_carried_is_refused(used: Occupancy, number: str) -> None:
    with pytest.raises(ResourceExhausted) as caught:
        admit_subscription(used, PLENTY)
    assert caught.value.thing == "subscription"
    assert number in caught.value.reason
    assert caught.value.remedy


@given(st.integers(0, 300), st.floats(0.1, 100), st.floats(0.1, 60))
def test_rings_of_those_admitted_hold_every_camera_for_the_promised_time(cameras: int, mbits: float, s: float) -> None:
    capacity = Capacity(1000, 64, 1 << 30, s)
    used = Occupancy(cameras=cameras, bit_rates=[mbits * 1e6] * cameras)
    try:
        admit_camera("gate", used, capacity)
    except ResourceExhausted:
        assert (cameras + 1) * mbits * 1e6 / 8 * s > 1 << 30
    else:
        assert not cameras or (cameras + 1) * mbits * 1e6 / 8 * s <= (1 << 30) * 1.0001
