"""Three hundred anomalies, operators at work, and every process between them killed at random: nothing lost or doubled.

The anomalies are published as the aggregate does, each version until the stream has it; operators repeat what was not
answered: acknowledgements, comments, and shelvings that the clock ends. What must come out is what the pure machine
makes of the same deeds. So many alarms are floods as well, with alarms of their own, and every one is a member.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from event_center.alarm import HOLDING, Deed, State
from event_center.client import EventClient
from media_center.client import FootageClient
from mesh.bus import Bus, anomaly_subject
from mesh.errors import DeadlineExceeded, NotFound, ResourceExhausted, Unavailable
from tests.alarm_stories import STATES, deed_of, hearing, played
from tests.inspection_stack import InspectionStack, Process, inspection_stack
from tests.support import auntil
from trueframe.v1 import events_pb2, footage_pb2, frames_pb2, inspection_pb2

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

T = TypeVar("T")
ANOMALIES = 300
CAMERAS = ("yard", "gate", "hall")
START_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
KILLS = 12
SHELVED_S = 3.0
AT_ONCE = 20
"""Anomalies that are under way."""


@dataclass
class Plan:
    """What will happen to one anomaly."""

    number: int
    camera: str
    versions: int
    ends: bool
    is_seen: bool
    is_shelved: bool
    comments: int
    length_s: int
    told: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        return f"anomaly{self.number:06d}"

    @property
    def started_ns(self) -> int:
        return START_NS + self.number * 100 * SECOND

    @property
    def ended_ns(self) -> int:
        return self.started_ns + self.length_s * SECOND if self.ends else 0

    @property
    def held_to_ns(self) -> int:
        return self.started_ns + (self.length_s + 10) * SECOND

    def message(self, version: int) -> inspection_pb2.Anomaly:
        is_last = version == self.versions
        reached_ns = self.started_ns + self.length_s * SECOND * version // self.versions
        frame = frames_pb2.FrameId(camera=self.camera, epoch=1, seq=self.number * 100)
        last = frames_pb2.FrameId(camera=self.camera, epoch=1, seq=self.number * 100 + version)
        return inspection_pb2.Anomaly(
            # Each of an inspection of its own: what one raises while it holds would be one alarm.
            id=self.id, version=version, inspection=f"{self.camera}.motion-{self.number}", camera=self.camera,
            detector="motion@1", first=frame, peak=last, last=last, started_ns=self.started_ns, peak_ns=reached_ns,
            ended_ns=self.ended_ns if is_last else 0, score=0.9,
        )  # fmt: skip

    @property
    def deeds(self) -> Counter[Deed]:
        """Each must be in the records as often, in whatever order the processes took them."""
        return Counter(
            {
                Deed.RAISED: 1,
                Deed.RETURNED: int(self.ends),
                Deed.ACKNOWLEDGED: int(self.is_seen),
                Deed.COMMENTED: self.comments,
                Deed.SHELVED: int(self.is_shelved),
                Deed.UNSHELVED: int(self.is_shelved),
            }
        )


def plans(dice: random.Random) -> list[Plan]:
    return [
        Plan(
            number, dice.choice(CAMERAS), dice.randint(2, 5), dice.random() < 0.8, dice.random() < 0.7,
            dice.random() < 0.2, dice.choice([0, 0, 1, 2]), dice.randint(1, 40),
        )
        for number in range(1, ANOMALIES + 1)
    ]  # fmt: skip


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[InspectionStack]:
    with inspection_stack(tmp_path, "nats", "media_center", "event_center") as stack:
        yield stack


@dataclass
class Work:
    """All that is told and done, and how far it is."""

    planned: list[Plan]
    dice: random.Random
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    asked: int = 0
    answered: int = 0

    @property
    def in_all(self) -> int:
        return sum(plan.versions + plan.comments + plan.is_seen + plan.is_shelved for plan in self.planned)

    async def until_answered(self, call: Callable[[], Awaitable[T]]) -> T:
        """As an operator does it: once more, until it is answered."""

        async def answers() -> list[T]:
            self.asked += 1
            with contextlib.suppress(Unavailable, DeadlineExceeded, NotFound, ResourceExhausted):
                return [await call()]
            return []

        (answer,) = await auntil(answers, 120, "an answer")
        self.answered += 1
        return answer

    async def let_others(self) -> None:
        """Others come between, by chance."""
        for _ in range(self.dice.randint(0, 8)):
            await asyncio.sleep(0)


async def tell(bus: Bus, plan: Plan, work: Work) -> None:
    """As the aggregate's outbox does it: each version until the stream has it, in order."""
    for version in range(1, plan.versions + 1):
        message = plan.message(version)
        subject, payload = anomaly_subject(plan.camera), message.SerializeToString()
        event_id = f"{plan.id}-{version}"
        await work.until_answered(
            lambda s=subject, p=payload, e=event_id: bus.publish(s, p, event_id=e, type="trueframe.anomaly.updated")  # type: ignore[misc]
        )
        plan.told.set()
        await work.let_others()


async def operate(events: EventClient, plan: Plan, work: Work) -> None:
    await plan.told.wait()
    await work.let_others()
    for number in range(plan.comments):
        request_id = f"{plan.id}-{number}"
        await work.until_answered(
            lambda n=number, r=request_id: events.comment(plan.id, f"remark {n}", request_id=r, timeout_s=2.0)  # type: ignore[misc]
        )
    if plan.is_shelved:
        await work.until_answered(lambda: events.shelve(plan.id, "painters", for_s=SHELVED_S, timeout_s=2.0))
    if plan.is_seen:
        await work.until_answered(lambda: events.acknowledge(plan.id, timeout_s=2.0))


async def go_through(bus: Bus, events: EventClient, plan: Plan, work: Work) -> None:
    async with work.at_once, asyncio.TaskGroup() as tasks:
        tasks.create_task(tell(bus, plan, work))
        tasks.create_task(operate(events, plan, work))


async def kill_at_random(stack: InspectionStack, work: Work) -> Counter[str]:
    """Kills all along the work, when some more of it was answered. Who is killed stays away while more is asked."""
    killed: Counter[str] = Counter()
    dice = work.dice
    for number in range(KILLS):
        # Each at least once, then as it comes.
        victims: list[Process] = [stack.event_center, stack.media_center, stack.nats]
        victim = victims[number % 3] if number < 3 else dice.choice(victims)
        goal = work.in_all * (number + dice.random()) / (KILLS + 1)
        await auntil(lambda goal=goal: work.answered >= goal, 120, "more of the work")  # type: ignore[misc]
        victim.end()
        killed[victim.name] += 1
        goal = min(work.asked + dice.randint(0, AT_ONCE), work.in_all)
        await auntil(lambda goal=goal: work.asked >= goal, 120, "more asking")  # type: ignore[misc]
        await asyncio.to_thread(victim.start)
    return killed


@pytest.mark.parametrize("seed", [1])
async def test_three_hundred_alarms_survive_every_kill(stack: InspectionStack, seed: int) -> None:
    dice = random.Random(seed)
    planned = plans(dice)
    token = stack.broker.mint("anna", "operator")
    async with (
        Bus.from_config(stack.config, "aggregate") as bus,
        EventClient(stack.config.event_center.endpoint, token) as events,
        FootageClient(stack.config.media_center.endpoint, token) as footage,
        hearing(bus, "chaos-reader") as heard,
    ):
        await bus.ensure_stream()
        async with asyncio.TaskGroup() as tasks:
            work = Work(planned, dice)
            killing = tasks.create_task(kill_at_random(stack, work))
            for plan in planned:
                tasks.create_task(go_through(bus, events, plan, work))
        assert sum(killing.result().values()) == KILLS
        assert len(killing.result()) == 3

        async def is_settled() -> bool:
            with contextlib.suppress(Unavailable):
                now = {event.id: event for event in await anomalies(events)}
                reach = {hold.id: hold.to_ns for hold in await footage.holds()}
                return len(now) >= ANOMALIES and all(
                    bool(now[p.id].ended_ns) == p.ends
                    and now[p.id].HasField("clip")
                    and now[p.id].clip.confirmed == p.ends
                    and not now[p.id].set_aside
                    and reach.get(f"event:{p.id}") == p.held_to_ns
                    for p in planned
                )
            return False

        await auntil(is_settled, 120, "every event is over, with its clip confirmed, as planned")
        found = {event.id: event for event in await anomalies(events)}
        holds = {hold.id: hold for hold in await footage.holds()}
        assert set(found) == {plan.id for plan in planned}
        assert set(holds) == {f"event:{plan.id}" for plan in planned}
        for plan in planned:
            check(plan, found[plan.id], await events.records(plan.id), holds[f"event:{plan.id}"])
        await auntil(
            lambda: all(
                event_id in heard and heard[event_id].version >= event.version for event_id, event in found.items()
            ),
            30,
            "the bus has told the newest of each event",
        )
        await check_flood(events, set(found))
        for event_id, event in found.items():
            assert (heard[event_id].alarm_state, heard[event_id].clip) == (event.alarm_state, event.clip)


async def anomalies(events: EventClient) -> list[events_pb2.Event]:
    return await events.list(kinds=[events_pb2.EVENT_KIND_ANOMALY], limit=1000)


async def check_flood(events: EventClient, alarms: set[str]) -> None:
    """The alarms are one flood, or one by camera and one of the site, and every one from the first on is a member."""
    floods = await events.list(kinds=[events_pb2.EVENT_KIND_SYSTEM], limit=1000)
    assert floods
    members = [one.id for flood in floods for one in await events.list(flood=flood.id, limit=1000)]
    assert len(members) == len(set(members))
    # Who was alone when it came, before there were too many of its group, is in none.
    assert set(members) <= alarms
    assert len(members) >= len(alarms) - 10 * len(CAMERAS)
    load = await events.load()
    assert {flood.event for flood in load.floods} == {flood.id for flood in floods if not flood.ended_ns}
    assert sum(flood.members for flood in load.floods) == len(members)


def check(plan: Plan, event: events_pb2.Event, records: list[events_pb2.EventRecord], hold: footage_pb2.Hold) -> None:
    """One event is what the plan says."""
    deeds = Counter(map(deed_of, records))
    del deeds[Deed.GROUPED]
    assert deeds == +plan.deeds, plan
    assert event.occurrences == 1
    state = played(records).state
    assert event.alarm_state == STATES[state]
    assert (state in HOLDING) == (not plan.ends)
    came_back = [r for r in records if r.deed == events_pb2.EVENT_DEED_UNSHELVED]
    is_unseen_again = any(r.from_state == STATES[State.ACKNOWLEDGED] for r in came_back)
    assert bool(event.acknowledged_by) == (plan.is_seen and not is_unseen_again)
    assert [comment.text for comment in event.comments] == [f"remark {number}" for number in range(plan.comments)]
    assert all(earlier.at_ns <= later.at_ns for earlier, later in pairwise(records))
    assert hold.from_ns == plan.started_ns - 5 * SECOND
    assert hold.to_ns == plan.held_to_ns
    assert hold.confirmed == plan.ends
    assert (event.clip.from_ns, event.clip.confirmed) == (hold.from_ns, hold.confirmed)
    if plan.ends:
        assert event.clip.to_ns == hold.to_ns
