"""Measured cost, fair lower rates, GPUs, workers that leave."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aggregate.orders import Order, Priority
from aggregate.rates import LOWEST_FPS, Demand, fair_rates
from aggregate.scheduler import RATES_EVERY_NS, Assign, Scheduler

BOTH = ("motion@1", "signal@1")
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "background")


def order(camera: str, priority: Priority = "normal", model: str = "") -> Order:
    return Order(f"{camera}.motion", camera, "motion", priority=priority, model=model)


demands = st.lists(
    st.builds(
        Demand, st.uuids().map(str), st.floats(1e-4, 0.5), st.floats(0.1, 60), st.sampled_from(PRIORITIES)
    ),
    max_size=20,
)  # fmt: skip


@given(demands, st.floats(0, 8))
def test_rates_fit_the_budget_or_are_the_lowest_and_background_gives_first(wanted: list[Demand], budget: float) -> None:
    rates = fair_rates(wanted, budget)
    given_fps = {demand.inspection: rates.get(demand.inspection, demand.fps) for demand in wanted}
    taken = sum(demand.seconds * given_fps[demand.inspection] for demand in wanted)
    lowest = sum(demand.seconds * demand.lowest for demand in wanted)
    assert taken <= max(budget, lowest) + 1e-6
    for demand in wanted:
        assert given_fps[demand.inspection] >= min(demand.fps, LOWEST_FPS[demand.priority]) - 1e-9
    for above, below in (("high", "normal"), ("normal", "background"), ("high", "background")):
        if any(demand.inspection in rates for demand in wanted if demand.priority == above):
            for demand in wanted:
                if demand.priority == below:
                    assert given_fps[demand.inspection] <= demand.lowest + 1e-6
    for priority in PRIORITIES:
        shares = [
            (given_fps[d.inspection] - d.lowest) / (d.fps - d.lowest)
            for d in wanted
            if d.priority == priority and d.fps - d.lowest > 1e-3 and d.inspection in rates
        ]
        assert not shares or max(shares) - min(shares) < 1e-3, "all of a priority give up the same share"


def loaded(frame_s: float, cameras: str = "abcd", cores: float = 1.0) -> Scheduler:
    scheduler = Scheduler(worker_silent_ns=1 << 60)
    scheduler.worker_joined("w1", BOTH, 48, 0, cores=cores)
    for camera in cameras:
        scheduler.order_put(order(camera, {"a": "high", "d": "background"}.get(camera, "normal")), 0)  # type: ignore[arg-type]
        scheduler.measured(f"{camera}.motion", frame_s, 10.0)
    return scheduler


def test_a_worker_that_cannot_keep_up_looks_less_often_and_no_camera_is_dropped() -> None:
    scheduler = loaded(0.035)
    said = scheduler.tick(RATES_EVERY_NS)
    lowered = scheduler.lowered
    assert set(lowered) == {"b.motion", "c.motion", "d.motion"}
    assert lowered["b.motion"] == lowered["c.motion"] > 1.0
    assert lowered["d.motion"] == LOWEST_FPS["background"]
    assert {one.order.id: one.fps for one in said if isinstance(one, Assign)} == lowered
    assert scheduler.unplaced == ()
    assert scheduler.tick(2 * RATES_EVERY_NS) == [], "nothing changed: nobody is troubled"


def test_rates_come_back_when_there_is_room_again() -> None:
    scheduler = loaded(0.035)
    scheduler.tick(RATES_EVERY_NS)
    for camera in "abcd":
        scheduler.measured(f"{camera}.motion", 0.015, 10.0)
    said = scheduler.tick(2 * RATES_EVERY_NS)
    assert scheduler.lowered == {}
    assert {one.fps for one in said if isinstance(one, Assign)} == {0.0}


def test_a_worker_with_room_is_asked_before_anybody_is_slowed() -> None:
    scheduler = loaded(0.035)
    scheduler.worker_joined("w2", BOTH, 48, 1, cores=1.0)
    scheduler.tick(RATES_EVERY_NS)
    assert scheduler.lowered == {}
    held = {scheduler.seat(f"{camera}.motion").worker for camera in "abcd"}  # type: ignore[union-attr]
    assert held == {"w1", "w2"}


def test_what_an_order_asks_for_is_all_that_it_costs() -> None:
    scheduler = Scheduler(worker_silent_ns=1 << 60)
    scheduler.worker_joined("w1", BOTH, 48, 0, cores=1.0)
    scheduler.order_put(replace(order("a"), max_fps=2.0), 0)
    scheduler.measured("a.motion", 0.2, 25.0)
    assert scheduler.tick(RATES_EVERY_NS) == []
    assert scheduler.room() == (1.0, 0.4)


def test_inspections_with_a_model_prefer_a_gpu_and_go_there_when_one_joins() -> None:
    scheduler = Scheduler(worker_silent_ns=1 << 60)
    scheduler.worker_joined("cpu", BOTH, 4, 0, cores=4.0)
    scheduler.order_put(order("a", model="yolo"), 0)
    scheduler.order_put(order("b"), 0)
    said = scheduler.worker_joined("gpu", BOTH, 4, 1, cores=4.0, providers=("CPU", "CUDA"))
    assert [one.worker for one in said if isinstance(one, Assign)] == ["gpu"]
    scheduler.order_put(order("c", model="yolo"), 2)
    assert {name: scheduler.seat(f"{name}.motion").worker for name in "abc"} == {  # type: ignore[union-attr]
        "a": "gpu", "b": "cpu", "c": "gpu",
    }  # fmt: skip


def test_a_worker_that_leaves_keeps_what_it_has_and_is_given_nothing_new() -> None:
    scheduler = loaded(0.01, "a")
    assert scheduler.worker_leaving("w1") == []
    assert scheduler.order_put(order("x"), 1) == []
    assert scheduler.accepts("w1", "a.motion", 1), "its last words count"
    said = scheduler.worker_joined("w2", BOTH, 4, 2)
    assert [one.order.id for one in said if isinstance(one, Assign)] == ["x.motion"]
    said = scheduler.worker_gone("w1", 3)
    assert [(one.worker, one.order.id) for one in said if isinstance(one, Assign)] == [("w2", "a.motion")]
