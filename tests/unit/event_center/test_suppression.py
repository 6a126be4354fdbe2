"""Suppression by rule and out of service: while something is so, and back in the queue afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from event_center.alarm import Alarm, State, follow
from event_center.deeds import MAX_RECORDS, acknowledge
from event_center.event import Event, Kind
from event_center.suppression import Change, Entry, Rule, Situation, While, settled
from event_center.wire_rules import rule_from_proto
from mesh.errors import InvalidArgument
from trueframe.v1.events_pb2 import SuppressionCondition, SuppressionRule

LOST = Rule("gate-lost", While.CAMERA_LOST, "gate", ("yard",), ("motion",), "the gate lights the yard", by="maria")
OUT = Entry("yard", "", "maria", "new lens", 1)


def alarm(camera: str = "yard", detector: str = "motion@1", kind: Kind = Kind.ANOMALY) -> Event:
    event = Event("e1", kind, camera, detector, "Motion", 2, 1, changed_ns=1)
    return replace(event, alarm=follow(Alarm(), holds=True, actor="aggregate", at_ns=1))


def after(event: Event, situation: Situation, now_ns: int = 5) -> Event:
    return settled(event, situation.judge(now_ns), now_ns) or event


def test_a_rule_suppresses_while_its_camera_is_lost_and_no_longer() -> None:
    lost = Situation({LOST.id: LOST}, {}, frozenset({"gate"}))
    event = after(alarm(), lost)
    assert event.alarm.marks.suppressed_by == "gate-lost"
    assert not event.alarm.is_in_queue
    record = event.alarm.records[-1].stimulus
    assert (record.actor, record.text, record.reference) == ("maria", "the gate lights the yard", "gate-lost")
    event = after(event, replace_lost(lost))
    assert event.alarm.is_in_queue
    assert settled(event, replace_lost(lost).judge(6), 6) is None


def replace_lost(situation: Situation) -> Situation:
    return Situation(situation.rules, situation.entries, frozenset(), situation.zone)


@pytest.mark.parametrize(("camera", "detector"), [("hall", "motion@1"), ("yard", "signal@1"), ("", "broker.cpu")])
def test_a_rule_suppresses_only_what_it_names(camera: str, detector: str) -> None:
    situation = Situation({LOST.id: LOST}, {}, frozenset({"gate"}))
    assert settled(alarm(camera, detector), situation.judge(5), 5) is None


def test_that_a_camera_is_lost_is_never_hidden_by_the_rule_that_waits_for_it() -> None:
    everything = Rule("all", While.CAMERA_LOST, "gate", (), (), "gate is down")
    situation = Situation({"all": everything}, {}, frozenset({"gate"}))
    assert settled(alarm("gate", "camera-state", Kind.CAMERA), situation.judge(5), 5) is None
    assert after(alarm("gate"), situation).alarm.marks.suppressed_by == "all"


def test_what_was_seen_under_a_rule_and_holds_waits_again_when_the_rule_ends() -> None:
    lost = Situation({LOST.id: LOST}, {}, frozenset({"gate"}))
    event = after(alarm(), lost)
    event = acknowledge(event, "anna", "", 6) or event
    assert after(event, replace_lost(lost), 7).alarm.state is State.UNACKNOWLEDGED


def test_a_deleted_rule_gives_back_what_it_suppressed_and_says_who_deleted_it() -> None:
    lost = frozenset({"gate"})
    event = after(alarm(), Situation({LOST.id: LOST}, {}, lost))
    deleted = replace(LOST, is_deleted=True, history=(Change(6, "otto", "deleted", "lamp mended"),))
    event = after(event, Situation({LOST.id: deleted}, {}, lost), 7)
    assert event.alarm.is_in_queue
    assert (event.alarm.records[-1].stimulus.actor, event.alarm.records[-1].stimulus.text) == ("otto", "lamp mended")


def test_an_alarm_goes_from_one_rule_to_another_without_being_in_the_queue_between() -> None:
    other = replace(LOST, id="gate-lost-2")
    lost = frozenset({"gate"})
    event = after(alarm(), Situation({LOST.id: LOST}, {}, lost))
    event = after(event, Situation({"gate-lost-2": other}, {}, lost), 6)
    assert [r.stimulus.deed.value for r in event.alarm.records] == ["raised", "suppressed", "suppressed"]
    assert event.alarm.marks.suppressed_by == "gate-lost-2"


def test_a_rule_may_hold_at_times_of_the_week_in_the_zone_of_the_site() -> None:
    zone = ZoneInfo("Europe/Berlin")
    rule = Rule("work", While.SCHEDULE, "mon-fri 08:00-18:00", (), (), "people at work")
    situation = Situation({"work": rule}, {}, frozenset(), zone)
    friday = datetime(2026, 11, 20, 7, 0, tzinfo=UTC)
    assert situation.is_active(rule, round(friday.timestamp() * 1e9))
    assert not situation.is_active(rule, round(friday.replace(hour=6, minute=59).timestamp() * 1e9))
    assert not situation.is_active(rule, round(friday.replace(day=21).timestamp() * 1e9))


def test_a_rule_may_hold_while_a_whole_camera_is_out_of_service() -> None:
    rule = Rule("works", While.CAMERA_OUT_OF_SERVICE, "gate", ("yard",), (), "scaffold")
    entries = {
        Entry("gate", "", "maria", "x", 1): True,
        Entry("gate", "motion", "maria", "x", 1): False,
        Entry("gate", "", "maria", "x", 1, 2): False,
    }
    for entry, is_active in entries.items():
        assert Situation({"works": rule}, {entry.key: entry}).is_active(rule, 5) is is_active


@pytest.mark.parametrize(
    ("entry", "is_out"),
    [(OUT, True), (replace(OUT, detector="motion"), True), (replace(OUT, camera="", detector="motion"), True),
     (replace(OUT, detector="signal"), False), (replace(OUT, camera="hall"), False), (replace(OUT, until_ns=2), False)],
)  # fmt: skip
def test_what_is_out_of_service_is_a_camera_a_detector_or_one_of_one(entry: Entry, is_out: bool) -> None:
    event = after(alarm(), Situation({}, {entry.key: entry}))
    assert bool(event.alarm.marks.out_of_service) == is_out
    assert event.alarm.is_in_queue != is_out


def test_a_camera_that_is_lost_and_found_without_end_does_not_fill_the_records_of_an_alarm() -> None:
    lost = Situation({LOST.id: LOST}, {}, frozenset({"gate"}))
    event = alarm()
    for now_ns in range(MAX_RECORDS):
        event = after(event, lost if now_ns % 2 else replace_lost(lost), 5 + now_ns)
    event = after(event, lost, 5 + MAX_RECORDS)
    assert len(event.alarm.records) <= MAX_RECORDS + 1
    event = after(after(event, replace_lost(lost), MAX_RECORDS + 6), lost, MAX_RECORDS + 7)
    assert event.alarm.is_in_queue, "it is seen rather than hidden"


def test_a_rule_on_the_wire_is_understood_or_refused() -> None:
    condition = SuppressionCondition(schedule="Mon-Fri 8:00-18:00")
    rule = rule_from_proto(SuppressionRule(id="work", active_while=condition, detectors=["motion"], reason="work"))
    assert (rule.condition, rule.subject) == (While.SCHEDULE, "mon,tue,wed,thu,fri 08:00-18:00")
    for wrong in (
        SuppressionRule(id="Work", active_while=condition),
        SuppressionRule(id="work"),
        SuppressionRule(id="work", active_while=SuppressionCondition(schedule="at times")),
        SuppressionRule(id="work", active_while=SuppressionCondition(camera_lost="Ä")),
        SuppressionRule(id="work", active_while=condition, cameras=["Ä"]),
        SuppressionRule(id="work", active_while=condition, detectors=["motion@1"]),
        SuppressionRule(id="work", active_while=condition, cameras=["yard"] * 1001),
    ):
        with pytest.raises(InvalidArgument):
            rule_from_proto(wrong)
