"""Who inspects what, stimulus by stimulus."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aggregate.orders import Order
from aggregate.rules import SECOND
from aggregate.scheduler import Assign, Disconnect, Instruction, Revoke, Scheduler
from mesh.ids import FrameId

BOTH = ("motion@1", "signal@1")


def order(camera: str, detector: str = "motion") -> Order:
    return Order(f"{camera}.{detector}", camera, detector)


def test_an_inspection_goes_to_a_worker_when_one_joins() -> None:
    scheduler = Scheduler()
    assert scheduler.order_put(order("yard"), 0) == []
    assert scheduler.unplaced == ("yard.motion",)
    assert scheduler.worker_joined("w1", BOTH, 4, 0) == [Assign("w1", order("yard"), 1, None)]
    assert scheduler.accepts("w1", "yard.motion", 1)
    assert scheduler.unplaced == ()


def test_inspections_of_one_camera_stay_on_one_worker_and_cameras_spread() -> None:
    scheduler = Scheduler()
    scheduler.worker_joined("w1", BOTH, 4, 0)
    scheduler.worker_joined("w2", BOTH, 4, 0)
    for camera in ("a", "b"):
        for detector in ("motion", "signal"):
            scheduler.order_put(order(camera, detector), 0)
    held = {
        name: seat.worker for name in ("a.motion", "a.signal", "b.motion", "b.signal") if (seat := scheduler.seat(name))
    }
    assert held["a.motion"] == held["a.signal"] != held["b.motion"] == held["b.signal"]


def test_when_a_worker_goes_another_takes_over_behind_the_last_judged_frame_under_a_greater_fence() -> None:
    scheduler = Scheduler()
    scheduler.worker_joined("w1", BOTH, 4, 0)
    scheduler.order_put(order("yard"), 0)
    scheduler.worker_joined("w2", BOTH, 4, 0)
    scheduler.judged("yard.motion", FrameId("yard", 5, 77))
    assert scheduler.worker_gone("w1", 1) == [Assign("w2", order("yard"), 2, FrameId("yard", 5, 77))]
    assert not scheduler.accepts("w1", "yard.motion", 1)
    assert scheduler.accepts("w2", "yard.motion", 2)


def test_a_silent_worker_is_disconnected_and_loses_its_inspections() -> None:
    scheduler = Scheduler(worker_silent_ns=6 * SECOND)
    scheduler.worker_joined("w1", BOTH, 4, 0)
    scheduler.order_put(order("yard"), 0)
    scheduler.worker_heard("w1", 4 * SECOND)
    assert scheduler.tick(10 * SECOND) == []
    assert scheduler.tick(11 * SECOND) == [Disconnect("w1")]
    assert scheduler.unplaced == ("yard.motion",)


def test_after_a_restart_the_worker_that_had_it_goes_on_under_its_old_fence() -> None:
    scheduler = Scheduler()
    assert scheduler.restored(order("yard"), 7, "w1", FrameId("yard", 5, 9), 0) == []
    assert scheduler.worker_joined("w2", BOTH, 4, SECOND) == []
    assert scheduler.worker_joined("w1", BOTH, 4, SECOND) == [Assign("w1", order("yard"), 7, FrameId("yard", 5, 9))]


def test_after_a_restart_another_worker_takes_over_when_the_old_one_does_not_come_back() -> None:
    scheduler = Scheduler(reclaim_ns=3 * SECOND)
    scheduler.restored(order("yard"), 7, "w1", FrameId("yard", 5, 9), 0)
    scheduler.worker_joined("w2", BOTH, 4, SECOND)
    assert scheduler.tick(4 * SECOND) == [Assign("w2", order("yard"), 8, FrameId("yard", 5, 9))]
    assert Assign("w1", order("yard"), 7, None) not in scheduler.worker_joined("w1", BOTH, 4, 5 * SECOND)


def test_a_changed_order_goes_to_the_same_worker_under_a_new_fence() -> None:
    scheduler = Scheduler()
    scheduler.worker_joined("w1", BOTH, 4, 0)
    scheduler.order_put(order("yard"), 0)
    changed = replace(order("yard"), threshold=0.8)
    assert scheduler.order_put(changed, 0) == [Assign("w1", changed, 2, None)]
    assert scheduler.order_put(changed, 0) == []


def test_a_withdrawn_order_is_revoked_and_should_it_apply_again_its_fence_is_greater() -> None:
    scheduler = Scheduler()
    scheduler.worker_joined("w1", BOTH, 1, 0)
    scheduler.order_put(order("a"), 0)
    assert scheduler.order_withdrawn("a.motion") == [Revoke("w1", "a.motion", 1)]
    assert scheduler.order_put(order("a"), 0) == [Assign("w1", order("a"), 2, None)]


def test_when_all_workers_are_full_they_carry_more_until_one_with_room_joins() -> None:
    scheduler = Scheduler()
    scheduler.worker_joined("w1", BOTH, 1, 0)
    scheduler.order_put(order("a"), 0)
    assert scheduler.order_put(order("b"), 0) == [Assign("w1", order("b"), 1, None)]
    assert scheduler.unplaced == ()
    assert scheduler.worker_joined("w2", BOTH, 4, 0) == [Revoke("w1", "b.motion", 1), Assign("w2", order("b"), 2, None)]


def test_a_worker_is_given_only_what_it_can_run() -> None:
    scheduler = Scheduler()
    scheduler.worker_joined("w1", ("signal@1",), 4, 0)
    assert scheduler.order_put(order("yard", "motion"), 0) == []
    assert scheduler.order_put(order("yard", "signal"), 0) != []


steps = st.lists(
    st.tuples(
        st.sampled_from(["join", "gone", "put", "change", "withdraw", "tick", "heard"]),
        st.integers(0, 3),
    ),
    max_size=60,
)


@given(steps)
def test_whatever_happens_each_inspection_has_one_worker_within_capacity_and_fences_only_grow(
    story: list[tuple[str, int]],
) -> None:
    scheduler = Scheduler()
    now = 0
    fences: dict[str, int] = {}
    present: dict[str, int] = {}
    wanted: set[str] = set()
    for step, number in story:
        now += SECOND
        worker, wish = f"w{number}", order(f"c{number}")
        said: list[Instruction] = []
        match step:
            case "join":
                said = scheduler.worker_joined(worker, BOTH, 2, now) if worker not in present else []
                present[worker] = 2
            case "gone":
                said = scheduler.worker_gone(worker, now)
                present.pop(worker, None)
            case "put":
                said = scheduler.order_put(wish, now)
                wanted.add(wish.id)
            case "change":
                said = scheduler.order_put(replace(wish, threshold=now / 1e15), now)
                wanted.add(wish.id)
            case "withdraw":
                said = scheduler.order_withdrawn(wish.id)
                wanted.discard(wish.id)
            case "heard":
                said = scheduler.worker_heard(worker, now)
            case _:
                said = scheduler.tick(now)
        for instruction in said:
            if isinstance(instruction, Disconnect):
                present.pop(instruction.worker, None)
            if isinstance(instruction, Assign):
                assert instruction.fence > fences.get(instruction.order.id, 0)
                fences[instruction.order.id] = instruction.fence
        assert set(scheduler.workers) == set(present)
        seats = {name: seat for name in wanted if (seat := scheduler.seat(name))}
        assert set(seats) == wanted
        held = {worker: sum(seat.worker == worker for seat in seats.values()) for worker in present}
        if present:
            assert scheduler.unplaced == ()
        if any(count > 2 for count in held.values()):
            assert all(count >= 2 for count in held.values())
