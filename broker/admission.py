"""Whether one more camera or subscription can be carried. Pure: what is there goes in, ResourceExhausted comes out.

Belongs here: refusals, each with the thing, the number and the remedy. Does not belong here: measuring (`load_watch`),
ill-formed input (`registry`, `subscriptions`), and giving things up once they are carried: what was admitted stays.

Rules: a number of cameras and of subscriptions; descriptors that are left once every camera is connected; rings that
hold all cameras, as they send now, for `min_ring_s`; and for cameras, an event loop that has time left. A subscription
is not refused for want of processor time: that would keep the recorder out exactly when the broker restarts under load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mesh.amounts import amount
from mesh.errors import ResourceExhausted

# Control connection, RTP and RTCP.
_DESCRIPTORS_PER_CAMERA = 3
_DESCRIPTORS_PER_SUBSCRIPTION = 1
# For the bus, the store, health checks and whoever asks for the list of cameras.
_RESERVED_DESCRIPTORS = 24
_FULL_LOOP = 0.95


@dataclass(frozen=True, slots=True)
class Capacity:
    """What there is. 0 for no limit of `memory_bytes` and `descriptors`."""

    max_cameras: int
    max_subscriptions: int
    memory_bytes: int = 0
    min_ring_s: float = 0.0
    descriptors: int = 0


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What is used."""

    cameras: int = 0
    unconnected_cameras: int = 0
    subscriptions: int = 0
    bit_rates: Sequence[float] = ()
    """Of the cameras that send now, in bits a second."""
    descriptors: int = 0
    loop_cpu: float = 0.0
    """Share of one core that the event loop's thread uses, over some seconds."""
    is_loop_full: bool = False
    """It is degraded by that, hysteresis included."""


def admit_camera(camera: str, used: Occupancy, capacity: Capacity) -> None:
    """Returns if it can be carried. Raises ResourceExhausted."""
    thing = f"camera {camera!r}"
    if used.cameras >= capacity.max_cameras:
        raise ResourceExhausted(
            thing,
            f"would be one more than the {capacity.max_cameras} this broker accepts",
            "Raise broker.max_cameras, or remove a camera.",
        )
    _admit_descriptors(thing, _DESCRIPTORS_PER_CAMERA, used, capacity)
    _admit_memory(thing, used, capacity)
    if used.is_loop_full and used.loop_cpu >= _FULL_LOOP:
        raise ResourceExhausted(
            thing,
            f"cannot be carried: {used.cameras} cameras take {used.loop_cpu:.2f} of the one core that the loop has",
            "Move cameras or subscribers to another broker, or lower frame rates.",
        )


def admit_subscription(used: Occupancy, capacity: Capacity) -> None:
    """Returns if one more can be carried. Raises ResourceExhausted."""
    if used.subscriptions >= capacity.max_subscriptions:
        raise ResourceExhausted(
            "subscription",
            f"would be one more than the {capacity.max_subscriptions} this broker accepts",
            "Raise broker.max_subscribers, or end another.",
        )
    _admit_descriptors("subscription", _DESCRIPTORS_PER_SUBSCRIPTION, used, capacity)


def _admit_descriptors(thing: str, more: int, used: Occupancy, capacity: Capacity) -> None:
    if not capacity.descriptors:
        return
    # A camera that is away comes back without asking: what it will need is spoken for.
    spoken_for = used.descriptors + used.unconnected_cameras * _DESCRIPTORS_PER_CAMERA
    if spoken_for + more + _RESERVED_DESCRIPTORS > capacity.descriptors:
        raise ResourceExhausted(
            thing,
            f"needs {more} of the {capacity.descriptors} files this process may open, of which {spoken_for} are spoken "
            f"for and {_RESERVED_DESCRIPTORS} kept back",
            "Raise the limit of open files (ulimit -n, LimitNOFILE=), or remove cameras.",
        )


def _admit_memory(thing: str, used: Occupancy, capacity: Capacity) -> None:
    if not capacity.memory_bytes or not used.bit_rates:
        return
    usual = sum(used.bit_rates) / len(used.bit_rates)
    # Those that do not send now, and the new one, are taken as what the others are on average.
    needed = usual * (used.cameras + 1) / 8 * capacity.min_ring_s
    if needed > capacity.memory_bytes:
        raise ResourceExhausted(
            thing,
            f"cannot be carried: {used.cameras + 1} cameras of {usual / 1e6:.1f} Mbit/s need {amount(needed, 'bytes')} "
            f"for {capacity.min_ring_s:g} s each, and there are {amount(capacity.memory_bytes, 'bytes')}",
            "Raise broker.memory_bytes, or lower broker.min_ring_seconds or the cameras' bit rates.",
        )
