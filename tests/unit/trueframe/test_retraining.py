"""Which models are trained anew, and when what is tried is promoted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aggregate.client import Drift, Inspection, Model
from trueframe.retraining import (
    DAY_NS,
    HOUR_NS,
    SAMPLE_NS,
    SAMPLES,
    beginners,
    is_tried,
    sampled_minutes,
    standings,
    why_due,
)
from trueframe.v1.models_pb2 import ModelVersion, Rollout

NOW = 100 * DAY_NS
SAME = Drift(0.01, 0.02, 5000, 5000)
OTHER = Drift(0.6, 0.4, 5000, 5000)


def inspection(camera: str = "gate", **fields: object) -> Inspection:
    return Inspection(id=f"{camera}.normality", camera=camera, detector="normality", **fields)  # type: ignore[arg-type]


def model(age_days: float = 1.0, shadow: str = "", changed_ns: int = 0, name: str = "gate.normality") -> Model:
    version = ModelVersion(model=name, digest="a" * 64, added_ns=NOW - round(age_days * DAY_NS))
    rollout = Rollout(promoted="a" * 64, shadow=shadow, changed_ns=changed_ns)
    return Model(name=name, versions=[version], rollout=rollout)


def test_only_normality_that_runs_is_looked_at_and_shadows_are_not() -> None:
    others = [
        Inspection(id="gate.motion", camera="gate", detector="motion"),
        inspection("yard", disabled=True),
        inspection("hall", shadow_of="hall.normality"),
        inspection("gate"),
    ]
    assert [one.inspection.id for one in standings(others, [])] == ["gate.normality"]
    assert standings(others, [], "elsewhere") == []


def test_an_inspection_that_runs_somebody_elses_model_is_left_alone() -> None:
    assert standings([inspection(model="shared")], [model(name="shared")]) == []
    assert len(standings([inspection(model="gate.normality")], [model()])) == 1


@pytest.mark.parametrize(
    ("models", "drift", "words"),
    [
        ([], None, "no model yet"),
        ([model(31)], None, "31.0 days old"),
        ([model(31)], SAME, "31.0 days old"),
        ([model(3)], OTHER, "drifted"),
        ([model(3)], SAME, ""),
        ([model(3)], None, ""),
        ([model(31, shadow="b" * 64)], OTHER, ""),
    ],
)
def test_what_is_old_or_has_drifted_is_due_and_what_is_being_tried_is_not(
    models: list[Model], drift: Drift | None, words: str
) -> None:
    (standing,) = standings([inspection()], models)
    why = why_due(standing, drift, NOW, 30 * DAY_NS)
    assert (words in why) if words else not why


def test_a_version_is_promoted_after_its_trial() -> None:
    (long,) = standings([inspection()], [model(shadow="b" * 64, changed_ns=NOW - DAY_NS)])
    (short,) = standings([inspection()], [model(shadow="b" * 64, changed_ns=NOW - HOUR_NS)])
    (none,) = standings([inspection()], [model(changed_ns=NOW - DAY_NS)])
    assert [is_tried(one, NOW, DAY_NS) for one in (long, short, none)] == [True, False, False]


def test_minutes_lie_evenly_over_a_day_and_a_short_range_is_read_whole() -> None:
    minutes = sampled_minutes(NOW - DAY_NS, NOW)
    assert len(minutes) == SAMPLES
    assert (minutes[0][0], minutes[-1][1]) == (NOW - DAY_NS, NOW)
    assert all(last - first == SAMPLE_NS for first, last in minutes)
    assert sampled_minutes(0, 10 * SAMPLE_NS) == [(0, 10 * SAMPLE_NS)]


def test_models_of_little_footage_are_made_anew_sooner() -> None:
    (found,) = standings([inspection()], [model()])
    ages = [replace(found, versions=versions).max_age_ns // DAY_NS for versions in (0, 1, 2, 3, 9)]
    assert found.versions == 1
    assert ages == [1, 1, 7, 30, 30]


def test_only_cameras_that_nobody_decided_about_begin_by_themselves() -> None:
    motion = Inspection(id="yard.motion", camera="yard", detector="motion")
    inspections = [inspection(), inspection("hall", disabled=True), motion]
    assert beginners(["yard", "hall", "gate", "dock"], inspections) == ["dock", "yard"]
