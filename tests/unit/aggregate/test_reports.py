"""What ails an inspection is an alarm of its own, told when it begins and when it is over."""

from __future__ import annotations

from dataclasses import replace

from aggregate.orders import Order
from aggregate.reports import Reports, condition_word
from mesh.conditions import condition_payload
from trueframe.v1.inspection_pb2 import InspectionReport

ORDER = Order("gate.rules", "gate", "rules")


class Told:
    """Remembers what holds, as the bus would hear it."""

    def __init__(self) -> None:
        self.holding: dict[str, str] = {}
        self.priorities: dict[str, int] = {}

    def tell(
        self, condition: str, *, holds: bool, summary: str, camera: str = "", priority: int = 3,
        facts: dict[str, object] | None = None,
    ) -> bool:  # fmt: skip
        condition_payload(
            "aggregate", condition, holds=holds, since_ns=1, summary=summary, camera=camera, priority=priority,
            facts=facts,
        )  # fmt: skip
        self.priorities[condition] = priority
        if holds:
            self.holding[condition] = summary
        else:
            self.holding.pop(condition, None)
        return True


def report(**fields: object) -> InspectionReport:
    return InspectionReport(**{"inspection": ORDER.id, **fields})  # type: ignore[arg-type]


def test_a_detector_that_fails_is_an_alarm_until_it_is_mended() -> None:
    told = Told()
    reports = Reports(told)
    reports.heard(ORDER, report(problem="rules@1 failed on 5 frames in a row"))
    assert told.holding == {"failed-rules": "Inspection gate.rules fails: rules@1 failed on 5 frames in a row"}
    reports.heard(ORDER, report(running="rules@1", cost_us=1500.0, model="abc"))
    assert told.holding == {}
    assert reports.cost_us("abc") == 1500.0


def test_lost_regions_and_lowered_rates_are_alarms_too_and_end_with_the_inspection() -> None:
    told = Told()
    reports = Reports(told)
    reports.heard(ORDER, report(view_lost="cannot find the scene again"))
    reports.lowered(ORDER, 3.5)
    assert set(told.holding) == {"view-lost", "slowed-rules"}
    assert "3.5 frames a second" in told.holding["slowed-rules"]
    reports.ended(ORDER)
    assert told.holding == {}
    assert reports.of(ORDER.id) is None


def test_a_bump_is_one_alarm_of_the_camera_whichever_inspections_have_regions() -> None:
    told = Told()
    reports, motion = Reports(told), Order("gate.motion", "gate", "motion")
    said = "camera was bumped: regions follow by 40 px and 3 degrees"
    reports.heard(ORDER, report(view_moved=said))
    assert told.holding == {"view-moved": "Camera was bumped: regions follow by 40 px and 3 degrees (gate.rules)"}
    assert told.priorities["view-moved"] == 3
    reports.heard(motion, report(inspection=motion.id, view_moved=said))
    reports.heard(ORDER, report())
    assert set(told.holding) == {"view-moved"}
    reports.heard(motion, report(view_lost="cannot find the scene again: regions may be wrong"))
    assert told.holding == {
        "view-lost": "Regions are lost: cannot find the scene again: regions may be wrong (gate.motion)"
    }
    assert told.priorities["view-lost"] == 2
    reports.ended(ORDER)
    assert set(told.holding) == {"view-lost"}
    reports.ended(motion)
    assert told.holding == {}


def test_a_version_on_trial_and_background_work_get_nobody_out_of_bed() -> None:
    told = Told()
    reports = Reports(told)
    reports.heard(replace(ORDER, id="gate.rules~shadow", shadow_of=ORDER.id), report(problem="fails"))
    reports.lowered(replace(ORDER, priority="background"), 0.2)
    assert told.holding == {}


def test_two_inspections_of_one_detector_have_conditions_of_their_own() -> None:
    other = replace(ORDER, id="gate.rules.night with a very long name that is no word at all")
    words = {condition_word("failed", order) for order in (ORDER, other, replace(other, detector="x" * 40))}
    assert len(words) == 2
    assert all(len(word) <= 40 for word in words)
