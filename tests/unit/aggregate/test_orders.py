"""Orders, regions, and what a camera gets by itself."""

from __future__ import annotations

import pytest

from aggregate.orders import (
    Area,
    Catalogue,
    Order,
    Region,
    order_document,
    order_from_document,
    touched,
)
from mesh.schedule import Window

SQUARE = Region("gate", "inspect", ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)))


def test_a_camera_that_comes_gets_one_inspection_for_each_detector() -> None:
    catalogue = Catalogue()
    assert [order.id for order in catalogue.camera_came("yard", ("motion", "signal"))] == ["yard.motion", "yard.signal"]


def test_a_configured_inspection_stands_in_for_the_default_of_its_detector() -> None:
    catalogue = Catalogue({"x": Order("x", "yard", "motion")})
    assert [order.id for order in catalogue.camera_came("yard", ("motion", "signal"))] == ["yard.signal"]


def test_orders_of_a_camera_that_left_are_not_carried_out_and_not_listed() -> None:
    catalogue = Catalogue()
    for order in catalogue.camera_came("yard", ("motion", "signal")):
        catalogue.orders[order.id] = order
    assert [order.id for order in catalogue.camera_left("yard")] == ["yard.motion", "yard.signal"]
    assert catalogue.visible() == []
    assert not any(catalogue.applies(order) for order in catalogue.orders.values())


def test_a_region_contains_what_is_inside_its_corners() -> None:
    assert SQUARE.contains(0.5, 0.5)
    assert not SQUARE.contains(0.1, 0.5)
    bend = Region("bend", "inspect", ((0, 0), (1, 0), (1, 1), (0.5, 0.2), (0, 1)))
    assert not bend.contains(0.5, 0.8)
    assert bend.contains(0.1, 0.5)


def test_a_box_touches_the_regions_it_stands_in_and_ignored_ones_have_no_name() -> None:
    ignored = Region("tree", "ignore", SQUARE.corners)
    assert touched([SQUARE, ignored], [Area(0.4, 0.1, 0.1, 0.3)]) == ("gate",)
    assert touched([SQUARE, ignored], [Area(0.9, 0.9, 0.05, 0.05)]) == ()


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order("", "yard", "motion"), "1 to 200 printable characters"),
        (Order("x\x1b[2J", "yard", "motion"), "1 to 200 printable characters"),
        (Order("x", "yard", "Smell!"), "no name of a detector"),
        (Order("x", "yard", "motion", model="Über"), "no name of a model"),
        (Order("x", "yard", "motion", options="x" * 70_000), "longer than 64 KiB"),
        (Order("x", "yard", "motion", schedule=(Window((9,), 0, 1),)), "days are 1 (Monday) to 7"),
        (Order("x", "yard", "motion", schedule=(Window((), 0, 1440),)), "outside the day"),
        (Order("x", "yard", "motion", false_alarms_per_hour=-1), "not between 0 and 3600"),
        (Order("x", "yard", "motion", max_fps=float("nan")), "not between 0 and 1000"),
        (Order("x", "yard", "motion", regions=(Region("a", "line", ((0, 0),)),)), "2 to 256"),
        (Order("x", "yard", "motion", threshold=2), "not between 0 and 1"),
        (Order("x", "yard", "motion", regions=(Region("a", "inspect", ((0, 0), (1, 1))),)), "3 to 256"),
        (Order("x", "yard", "motion", regions=(Region("\x1b[2J", "inspect", SQUARE.corners),)), "control characters"),
        (Order("x", "yard", "motion", regions=(Region("a", "inspect", ((0, 0), (1, 1), (7, 0))),)), "fractions"),
    ],
)
def test_an_order_that_cannot_be_carried_out_says_why(order: Order, words: str) -> None:
    assert words in order.problem()


def test_an_order_comes_back_from_its_document_with_all_that_it_says_and_from_one_of_old() -> None:
    order = Order(
        "gate.rules", "gate", "rules", 0.5, (Region("fence", "line", ((0.0, 0.5), (1.0, 0.5))),), options="a = 1",
        model="gate.normality", schedule=(Window((1, 5), 480, 60),), false_alarms_per_hour=0.5, max_fps=5.0,
        priority="high", has_fixed_regions=True,
    )  # fmt: skip
    body = order_document(order)
    assert order_from_document(order.id, body) == order
    old = {key: body[key] for key in ("camera", "detector", "threshold", "regions", "is_disabled")}
    assert order_from_document(order.id, old) == Order("gate.rules", "gate", "rules", 0.5, order.regions)


def test_a_line_is_no_region_that_anything_lies_in() -> None:
    line = Region("fence", "line", ((0.0, 0.5), (1.0, 0.5), (1.0, 0.6)))
    assert touched([line], [Area(0.4, 0.4, 0.2, 0.3)]) == ()


def test_shadows_are_listed_only_while_they_run() -> None:
    shadow = Order("x~shadow", "yard", "motion", shadow_of="x")
    catalogue = Catalogue({"x~shadow": shadow}, {"yard"})
    assert catalogue.visible() == [shadow]
    catalogue.orders["x~shadow"] = Order("x~shadow", "yard", "motion", shadow_of="x", is_disabled=True)
    assert catalogue.visible() == []
