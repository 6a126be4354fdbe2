"""A thousand anomalies, ten thousand in the slow form, while NATS, store and event center are killed at random.

The anomalies come out of a real outbox, as the aggregate's do; NATS also loses its whole storage. What must come out:
each anomaly is one event, its alarm is what the pure machine makes of the same sequence, its records are complete, and
the bus has told the newest of each. TRUEFRAME_SEED repeats a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from event_center.alarm import Alarm, Deed, Stimulus, apply
from event_center.client import EventClient
from mesh.bus import Bus, anomaly_subject
from mesh.errors import DeadlineExceeded, NotFound, ResourceExhausted, Unavailable
from mesh.outbox import PENDING_FIELD, OutboxEvent, OutboxPublisher, add_event
from mesh.store import Collection, SqliteStore
from tests.alarm_stories import STATES, deed_of, hearing, played
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.mongodb_server import MongoServer
from tests.real_peers import require
from tests.support import auntil
from trueframe.v1 import events_pb2, frames_pb2, inspection_pb2

pytestmark = pytest.mark.chaos

CAMERAS = tuple(f"cam-{number}" for number in range(20))
START_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
AT_ONCE = 32


@dataclass(frozen=True)
class Plan:
    """What will happen to one anomaly."""

    number: int
    camera: str
    versions: int
    ends: bool
    is_seen: bool

    @property
    def id(self) -> str:
        return f"storm{self.number:06d}"

    def message(self, version: int) -> inspection_pb2.Anomaly:
        started_ns = START_NS + self.number * SECOND
        frames = [frames_pb2.FrameId(camera=self.camera, epoch=1, seq=self.number * 100 + n) for n in (0, version)]
        return inspection_pb2.Anomaly(
            # Each of an inspection of its own: what one raises while it holds would be one alarm.
            id=self.id, version=version, inspection=f"{self.camera}.motion-{self.number}", camera=self.camera,
            detector="motion@1", first=frames[0], peak=frames[0], last=frames[1], started_ns=started_ns,
            peak_ns=started_ns, ended_ns=started_ns + 9 * SECOND if self.ends and version == self.versions else 0,
            score=0.9,
        )  # fmt: skip

    @property
    def alarm(self) -> Alarm:
        """What the pure machine makes of it."""
        deeds = [Deed.RAISED, *([Deed.RETURNED] if self.ends else []), *([Deed.ACKNOWLEDGED] if self.is_seen else [])]
        alarm = Alarm()
        for deed in deeds:
            alarm = apply(alarm, Stimulus(deed, "somebody", 1))
        return alarm


def plans(count: int, dice: random.Random) -> list[Plan]:
    return [
        Plan(n, dice.choice(CAMERAS), dice.randint(1, 3), dice.random() < 0.8, dice.random() < 0.05)
        for n in range(1, count + 1)
    ]


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[InspectionStack, MongoServer | None]]:
    """NATS and an event center on the store that the test names, and that store's server if it has one."""
    server: MongoServer | None = None
    settings: tuple[str, ...] = ()
    if request.param == "mongodb":
        require("mongodb")
        server = MongoServer(tmp_path / "mongodb")
        server.start()
        url_file = tmp_path / "mongodb.url"
        url_file.touch(0o600)
        url_file.write_text(server.url)
        settings = ("store.kind=mongodb", f"store.url_file={url_file}")
    try:
        with inspection_stack(tmp_path, "nats", "event_center", settings=settings) as stack:
            yield stack, server
    finally:
        if server is not None:
            server.kill()


async def tell(anomalies: Collection, publisher: OutboxPublisher, planned: list[Plan]) -> None:
    """As the aggregate does it: each version is written with its message, whatever the bus does."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(plan: Plan) -> None:
        async with at_once:
            body: dict[str, object] = {}
            document = None
            for version in range(1, plan.versions + 1):
                message = OutboxEvent(
                    anomaly_subject(plan.camera), "trueframe.anomaly.updated",
                    plan.message(version).SerializeToString(), f"{plan.id}-{version}",
                )  # fmt: skip
                while True:
                    document = await anomalies.find(plan.id)
                    body = add_event(document.body if document else {}, message)
                    with contextlib.suppress(Exception):
                        await anomalies.put(plan.id, body, document.version if document else 0)
                        break
                publisher.wake()
                # So that the storm lasts as long as the kills do.
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for plan in planned:
            tasks.create_task(one(plan))


async def acknowledge(events: EventClient, planned: list[Plan]) -> None:
    """An operator who repeats what was not answered."""
    for plan in planned:
        if plan.is_seen:

            async def is_over_and_seen(plan: Plan = plan) -> bool:
                with contextlib.suppress(Unavailable, DeadlineExceeded, NotFound, ResourceExhausted):
                    event = await events.get(plan.id, timeout_s=2.0)
                    if bool(event.ended_ns) == plan.ends:
                        await events.acknowledge(plan.id, timeout_s=2.0)
                        return True
                return False

            await auntil(is_over_and_seen, 900, f"{plan.id} is acknowledged")


async def kill_at_random(
    stack: InspectionStack, server: MongoServer | None, kills: int, heard: dict[str, events_pb2.Event], count: int,
    dice: random.Random,
) -> Counter[str]:  # fmt: skip
    """Kills all along the storm, measured by how many events the bus has told of."""
    killed: Counter[str] = Counter()
    ways = ["nats", "event_center", "nats without its storage", *(["store"] if server else [])]
    for number in range(kills):
        goal = count * (number + dice.random()) / (kills + 1)
        await auntil(lambda goal=goal: len(heard) >= goal, 900, f"{goal:.0f} events")  # type: ignore[misc]
        way = ways[number] if number < len(ways) else dice.choice(ways)
        killed[way] += 1
        away_s = dice.uniform(0, 0.5)
        if way == "event_center":
            stack.event_center.end()
            await asyncio.sleep(away_s)
            await asyncio.to_thread(stack.event_center.start)
        elif way == "store" and server is not None:
            server.kill()
            await asyncio.sleep(away_s)
            await asyncio.to_thread(server.start)
        else:
            stack.nats.end()
            if way == "nats without its storage":
                shutil.rmtree(stack.data.parent / "js")
            await asyncio.sleep(away_s)
            await asyncio.to_thread(stack.nats.start)
    return killed


def check(plan: Plan, event: events_pb2.Event, records: list[events_pb2.EventRecord]) -> None:
    """Its alarm is the machine's, and its records are all that led there, each following from the one before."""
    alarm = played(records)
    assert event.alarm_state == STATES[alarm.state] == STATES[plan.alarm.state], plan
    deeds = [deed for deed in map(deed_of, records) if deed is not Deed.GROUPED]
    assert deeds == [record.stimulus.deed for record in plan.alarm.records], plan
    assert all(earlier.at_ns <= later.at_ns for earlier, later in pairwise(records))
    assert (event.occurrences, event.camera, bool(event.ended_ns)) == (1, plan.camera, plan.ends)


SLOW = [pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.mark.parametrize(
    ("site", "count", "kills"),
    [
        pytest.param("sqlite", 1000, 3, marks=pytest.mark.timeout(300)),
        pytest.param("sqlite", 10_000, 25, marks=SLOW),
        pytest.param("mongodb", 1000, 6, marks=SLOW),
        pytest.param("mongodb", 10_000, 25, marks=SLOW),
    ],
    indirect=["site"],
)
async def test_each_anomaly_is_one_event_whatever_is_killed(
    site: tuple[InspectionStack, MongoServer | None], count: int, kills: int, tmp_path: Path
) -> None:
    stack, server = site
    seed = int(os.environ.get("TRUEFRAME_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    print(f"TRUEFRAME_SEED={seed}")
    dice = random.Random(seed)
    planned = plans(count, dice)
    token = stack.broker.mint("anna", "operator")
    started = time.monotonic()
    async with (
        Bus.from_config(stack.config, "aggregate") as bus,
        EventClient(stack.config.event_center.endpoint, token) as events,
        SqliteStore(tmp_path / "aggregate.sqlite") as store,
        hearing(bus, "storm-reader", [events_pb2.EVENT_KIND_ANOMALY]) as heard,
    ):
        await bus.ensure_stream()
        anomalies = await store.collection("anomalies", [PENDING_FIELD])
        async with OutboxPublisher(anomalies, bus) as publisher, asyncio.TaskGroup() as tasks:
            killing = tasks.create_task(kill_at_random(stack, server, kills, heard, count, dice))
            tasks.create_task(tell(anomalies, publisher, planned))
            tasks.create_task(acknowledge(events, planned))

            async def all_told() -> bool:
                return len(heard) >= count and killing.done()

            await auntil(all_told, 2400, "the bus has told of every event")
        assert sum(killing.result().values()) == kills
        print(f"{count} anomalies, {dict(killing.result())}, {time.monotonic() - started:.1f} s")

        async def is_settled() -> bool:
            with contextlib.suppress(Unavailable, DeadlineExceeded, ResourceExhausted):
                found = await everything(events, count)
                return len(found) >= count and all(bool(found[p.id].ended_ns) == p.ends for p in planned)
            return False

        await auntil(is_settled, 300, "every event is as planned")
        found = await everything(events, count)
        assert set(found) == {plan.id for plan in planned}
        for plan in planned:
            check(plan, found[plan.id], await records_of(events, plan.id))
        await auntil(
            lambda: all(event.version <= heard[event_id].version for event_id, event in found.items()),
            60,
            "the bus has told the newest of each event",
        )
        print(f"checked after {time.monotonic() - started:.1f} s")


async def records_of(events: EventClient, event_id: str) -> list[events_pb2.EventRecord]:
    async def answer() -> list[events_pb2.EventRecord]:
        # So many calls are more than one user may make a second.
        with contextlib.suppress(ResourceExhausted, Unavailable):
            return await events.records(event_id)
        return []

    return await auntil(answer, 60, f"records of {event_id}")


async def everything(events: EventClient, count: int) -> dict[str, events_pb2.Event]:
    listed = await events.list(kinds=[events_pb2.EVENT_KIND_ANOMALY], limit=count + 1000, timeout_s=60)
    assert len(listed) == len({event.id for event in listed})
    return {event.id: event for event in listed}
