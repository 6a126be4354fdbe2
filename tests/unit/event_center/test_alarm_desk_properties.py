"""The whole desk under random sequences: told twice, out of order, people, rules, the clock, kills between two writes.

A real store; it fails before or after a write, and then the book is opened anew, as after a kill. What the world told
is kept beside it, and the desk must say the same: no event lost or doubled, no state outside the model, records that
replay, nothing that vanishes unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from event_center.alarm import ALARMS, HOLDING, TRANSITIONS, WAITING, Deed, State, replay
from event_center.book import EventBook
from event_center.event import Event, Kind
from event_center.filters import EventFilter
from event_center.folding import AnomalyReport, CameraReport
from event_center.policy import Policy
from event_center.suppression import Rule, While
from mesh.clocks import ManualClock
from mesh.errors import FailedPrecondition, NotFound, Unavailable
from mesh.ids import FrameId
from mesh.store import Body, Collection, Document, Page, SqliteStore, Where

T = TypeVar("T")
SECOND = 1_000_000_000
START_NS = ManualClock().utc_ns()
CAMERAS = ("yard", "gate")
# What is tried here is order, not disks: a sync of a real one takes most of the time.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
POLICY = Policy(
    longest_shelving_ns=3600 * SECOND, chatter_ns=20 * SECOND, stale_ns=7200 * SECOND, realarm_ns=1800 * SECOND,
    escalate_ns=(1200 * SECOND, 600 * SECOND, 300 * SECOND), site_flood=4, group_flood=3, flood_ends=2,
)  # fmt: skip


class Fails:
    """A collection that fails once, before or after one of its next writes."""

    def __init__(self, collection: Collection, fault: dict[str, int]) -> None:
        self._collection = collection
        self._fault = fault

    @property
    def name(self) -> str:
        return self._collection.name

    async def put(self, document_id: str, body: Body, expected_version: int | None = None) -> Document:
        self._fault["in"] -= 1
        if self._fault["in"] == 0 and not self._fault["after"]:
            raise Unavailable("store", "killed before the write")
        document = await self._collection.put(document_id, body, expected_version)
        if self._fault["in"] == 0:
            raise Unavailable("store", "killed after the write")
        return document

    async def find(self, document_id: str) -> Document | None:
        return await self._collection.find(document_id)

    async def get(self, document_id: str) -> Document:
        return await self._collection.get(document_id)

    async def delete(self, document_id: str, expected_version: int | None = None) -> bool:
        return await self._collection.delete(document_id, expected_version)

    async def query(
        self, where: Where | None = None, *, order: str = "", limit: int = 100, page_token: str = ""
    ) -> Page:
        return await self._collection.query(where, order=order, limit=limit, page_token=page_token)

    async def count(self, where: Where | None = None) -> int:
        return await self._collection.count(where)


class FailingStore(SqliteStore):
    """A store whose collections fail as `fault` says."""

    fault: dict[str, int]

    async def collection(self, name: str, indexes: Sequence[str] = ()) -> Collection:
        return Fails(await super().collection(name, indexes), self.fault)


class AlarmDesk(RuleBasedStateMachine):
    """What the world told and people did."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.fault = {"in": 0, "after": 0}
        self.anomalies: dict[str, list[AnomalyReport]] = {}
        self.told: dict[str, AnomalyReport] = {}
        self.cameras: dict[str, CameraReport] = {}
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def _open(self) -> None:
        self.store = FailingStore(Path(self.folder.name) / "events.sqlite")
        self.store.fault = self.fault
        await self.store.open()
        self.book = await EventBook.open(self.store, self.clock, POLICY)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            try:
                self.run(self._lay_to_rest())
            finally:
                self.run(self.store.close())
                self.runner.close()
                self.folder.cleanup()

    @rule()
    def restart(self) -> None:
        async def again() -> None:
            await self.store.close()
            await self._open()

        self.run(again())

    async def _surely(self, call: Any) -> None:
        """As the bus does it: told again, by a book opened anew, until it is stored."""
        while True:
            try:
                return await call()
            except Unavailable:
                await self.store.close()
                await self._open()

    @rule(number=st.integers(1, 6), after=st.booleans())
    def one_of_the_next_writes_is_killed(self, number: int, after: bool) -> None:
        self.fault.update({"in": number, "after": int(after)})

    @rule(
        camera=st.sampled_from(CAMERAS), gap_s=st.integers(0, 40), length_s=st.integers(0, 30), parts=st.integers(1, 3)
    )
    def an_anomaly_begins(self, camera: str, gap_s: int, length_s: int, parts: int) -> None:
        self.clock.advance(gap_s)
        name = f"a{len(self.anomalies):04d}"
        started_ns = self.clock.utc_ns()
        frame = FrameId(camera, 1, len(self.anomalies))
        first = AnomalyReport(
            name, 1, camera, "", "motion@1", frame, frame, frame, started_ns, started_ns, 0, 0.9, (), ()
        )
        ended_ns = started_ns + length_s * SECOND
        self.anomalies[name] = [
            replace(first, version=n, ended_ns=ended_ns if n == parts else 0) for n in range(1, parts + 1)
        ]
        self._tell(name, 0)

    @rule(data=st.data())
    def something_known_is_told(self, data: st.DataObject) -> None:
        if self.anomalies:
            name = data.draw(st.sampled_from(sorted(self.anomalies)))
            self._tell(name, data.draw(st.integers(0, len(self.anomalies[name]) - 1)))

    def _tell(self, name: str, index: int) -> None:
        report = self.anomalies[name][index]
        known = self.told.get(name)
        if known is None or known.version < report.version:
            self.told[name] = report
        self.run(self._surely(lambda: self.book.tell_anomaly(report)))

    @rule(camera=st.sampled_from(CAMERAS), state=st.sampled_from(["lost", "live", "silent"]), times=st.integers(1, 2))
    def a_camera_changes(self, camera: str, state: str, times: int) -> None:
        self.clock.advance(1)
        self.cameras[camera] = report = CameraReport(camera, "", state, self.clock.utc_ns(), "")
        for _ in range(times):
            self.run(self._surely(lambda: self.book.tell_camera(report)))

    @rule(seconds=st.sampled_from([0, 1, 30, 601, 1801, 3601, 7201]), ticks=st.integers(1, 2))
    def time_passes(self, seconds: int, ticks: int) -> None:
        self.clock.advance(seconds)
        for _ in range(ticks):
            self.run(self._surely(lambda: self.book.tick()))

    @rule(data=st.data(), deed=st.sampled_from(["acknowledge", "comment", "shelve", "once", "unshelve"]))
    def somebody_does(self, data: st.DataObject, deed: str) -> None:
        events = self.run(self._events())
        if not events:
            return
        event_id = data.draw(st.sampled_from(sorted(events)))
        calls = {
            "acknowledge": lambda: self.book.acknowledge(event_id, "anna", ""),
            "comment": lambda: self.book.comment(event_id, "anna", "a fox", "r1"),
            "shelve": lambda: self.book.shelve(event_id, "anna", "painters", 1800 * SECOND),
            "once": lambda: self.book.shelve(event_id, "anna", "painters", 0),
            "unshelve": lambda: self.book.unshelve(event_id, "anna", ""),
        }
        with contextlib.suppress(FailedPrecondition):
            self.run(self._surely(calls[deed]))

    @rule(camera=st.sampled_from(["", *CAMERAS]), detector=st.sampled_from(["", "motion"]), out=st.booleans())
    def service_changes(self, camera: str, detector: str, out: bool) -> None:
        if not camera and not detector:
            return
        with contextlib.suppress(NotFound):
            self.run(
                self._surely(
                    lambda: (
                        self.book.take_out(camera, detector, "maria", "lens")
                        if out
                        else self.book.bring_back(camera, detector, "maria", "")
                    )
                )
            )

    @rule(
        name=st.sampled_from(["r1", "r2"]), camera=st.sampled_from(CAMERAS), is_all=st.booleans(),
        condition=st.sampled_from([While.CAMERA_LOST, While.CAMERA_OUT_OF_SERVICE]), keep=st.booleans(),
    )  # fmt: skip
    def rules_change(self, name: str, camera: str, is_all: bool, condition: While, keep: bool) -> None:
        made = Rule(name, condition, camera, () if is_all else ("yard",), (), "why")
        with contextlib.suppress(NotFound):
            self.run(self._surely(
                lambda: self.book.put_rule(made, "maria") if keep else self.book.delete_rule(name, "maria", "")
            ))  # fmt: skip

    async def _events(self) -> dict[str, Event]:
        events, _ = await self.book.page(EventFilter(), limit=1000)
        return {event.id: event for event in events}

    @invariant()
    def the_desk_says_what_the_world_told(self) -> None:
        if not hasattr(self, "book"):
            return
        events = self.run(self._events())
        anomalies = {name: one for name, one in events.items() if one.kind is Kind.ANOMALY}
        assert set(anomalies) == set(self.told)
        for name, report in self.told.items():
            assert (anomalies[name].source_version, anomalies[name].ended_ns) == (report.version, report.ended_ns)
        for event in events.values():
            self._is_sound(event, events)
        rows = {row.id: (row.state, row.marks) for row in self.book.desk.standing}
        stored = {e.id: (e.alarm.state, e.alarm.marks) for e in events.values()
                  if e.alarm.state in ALARMS - {State.NORMAL} or e.alarm.marks.is_set_aside}  # fmt: skip
        assert rows == stored

    def _is_sound(self, event: Event, events: dict[str, Event]) -> None:
        alarm = event.alarm
        assert replay(alarm.records) == alarm
        for record in alarm.records:
            assert TRANSITIONS[record.before, record.stimulus.deed] is record.after
        deeds = Counter(record.stimulus.deed for record in alarm.records)
        counted = Counter(r.stimulus.reference for r in alarm.records if r.stimulus.deed is Deed.RAISED_AGAIN)
        if event.folded_into:
            assert alarm.state is State.NONE
            leader = events[event.folded_into]
            assert sum(1 for r in leader.alarm.records if r.stimulus.deed is Deed.RAISED_AGAIN
                       and r.stimulus.reference == event.id) == 1  # fmt: skip
            return
        assert alarm.state in ALARMS
        assert alarm.marks.occurrences == 1 + deeds[Deed.RAISED_AGAIN]
        assert max((n for reference, n in counted.items() if reference), default=1) == 1
        members = [one for one in events.values() if one.folded_into == event.id]
        assert (alarm.state in HOLDING) == any(one.ended_ns == 0 for one in (event, *members))
        is_seen = False
        for record in alarm.records:
            if record.after in WAITING:
                is_seen = False
            is_seen = is_seen or record.stimulus.deed is Deed.ACKNOWLEDGED
        assert is_seen == (alarm.state not in WAITING)
        shelf = alarm.marks.shelf
        if shelf is not None:
            assert shelf.until_ns <= self.clock.utc_ns() + POLICY.longest_shelving_ns + SECOND

    async def _lay_to_rest(self) -> None:
        """All conditions end, everything is given back, time passes: then all is in the queue, and can be seen."""
        self.fault.update({"in": 0, "after": 0})
        for versions in self.anomalies.values():
            last = replace(versions[-1], version=99, ended_ns=versions[-1].ended_ns or versions[-1].started_ns)
            await self.book.tell_anomaly(last)
        for camera in self.cameras:
            await self.book.tell_camera(CameraReport(camera, "", "live", self.clock.utc_ns() + 1, ""))
        for entry in list(self.book.rules.situation.entries.values()):
            await self.book.bring_back(entry.camera, entry.detector, "maria", "")
        for name in list(self.book.rules.situation.rules):
            await self.book.delete_rule(name, "maria", "")
        self.clock.advance(3602)
        await self.book.tick()
        unseen = {e.id for e in (await self._events()).values() if e.alarm.state in WAITING}
        assert all(one.alarm.is_in_queue for one in (await self._events()).values() if one.id in unseen)
        for event_id in unseen:
            await self.book.acknowledge(event_id, "anna", "")
        for event in (await self._events()).values():
            if not event.folded_into:
                assert event.alarm.state is State.NORMAL, event
                assert not event.alarm.marks.is_set_aside
        assert not self.book.desk.flood_watch.floods
        assert not len(self.book.desk.standing)


TestAlarmDesk = AlarmDesk.TestCase
TestAlarmDesk.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
