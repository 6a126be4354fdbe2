"""What a detector says becomes events, each once, whatever is killed on the way.

A real worker with a scripted detector; NATS, broker, aggregate and event center are real processes. What must come out
is computed by the pure judge from the same scores.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aggregate.client import PoolClient
from aggregate.judge import Anomaly, JudgeState, Verdict, judge_all
from aggregate.rules import RULES
from detector_pool.canvas import RegionMask
from detector_pool.detector import DetectorType, FoundBox, Judging, Observation
from detector_pool.picture import Hole, Picture, Shot
from detector_pool.worker import Means, Worker
from event_center.client import EventClient
from mesh.clocks import SystemClock
from mesh.ids import FrameId
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import auntil, until

FPS = 100
EPOCH = 7
START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000


def script(frames: int, seed: int) -> list[float]:
    """Scores with bursts of all lengths."""
    dice = random.Random(seed)
    scores: list[float] = []
    while len(scores) < frames:
        scores += [dice.uniform(0.0, 0.35)] * dice.randint(3, 60)
        scores += [dice.uniform(0.65, 1.0)] * dice.randint(1, 40)
    return [*scores[: frames - 40], *[0.0] * 40]


class Reads:
    """A detector that says what is written in the picture."""

    name = "motion@1"

    def start(self) -> None:
        return None

    def inspect(self, picture: Picture, state: None, regions: tuple[RegionMask, ...]) -> tuple[Observation, None]:
        score = float(picture.y.view(np.float32)[0, 0])
        boxes = (FoundBox(0.25, 0.25, 0.5, 0.5, "motion", score),) if score > 0.5 else ()
        return Observation(score, boxes), None

    def pack(self, state: None) -> bytes:
        return b"nothing"

    def unpack(self, data: bytes) -> None:
        assert data == b"nothing"


class Plays:
    """A source that plays scores, one picture after the other, in real time and never twice."""

    is_behind = False

    def __init__(self, camera: str, scores: list[float]) -> None:
        self._camera = camera
        self._scores = scores
        self._next = 0
        self._started_s = 0.0

    def read(self, timeout_s: float | None = None) -> Shot | Hole | None:
        self._started_s = self._started_s or time.monotonic()
        wait_s = self._started_s + self._next / FPS - time.monotonic()
        if self._next >= len(self._scores):
            time.sleep(timeout_s or 0.1)
            return None
        time.sleep(max(wait_s, 0.0))
        seq, self._next = self._next, self._next + 1
        y = np.array([[self._scores[seq]]], dtype=np.float32).view(np.uint8)
        return Shot(FrameId(self._camera, EPOCH, seq), START_NS + seq * STEP_NS, y)

    def close(self) -> None:
        pass


def expected(scores: list[float], camera: str = "yard") -> dict[str, Anomaly]:
    """What the judge makes of these scores: the last form of each anomaly."""
    verdicts = [
        Verdict(FrameId(camera, EPOCH, seq), START_NS + seq * STEP_NS, float(np.float32(score)))
        for seq, score in enumerate(scores)
    ]
    _, findings = judge_all(JudgeState(), RULES["motion"], f"{camera}.motion", verdicts)
    return {finding.anomaly.id: finding.anomaly for finding in findings}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[InspectionStack]:
    with inspection_stack(tmp_path, "nats", "broker", "event_center", "aggregate") as stack:
        with stack.broker.sync_client() as client:
            client.add_camera("yard", "rtsp://127.0.0.1:9/nobody")
        yield stack


@contextlib.asynccontextmanager
async def scripted_worker(stack: InspectionStack, scores: list[float]):  # type: ignore[no-untyped-def]
    pool = PoolClient(stack.config.aggregate.endpoint, stack.broker.token)
    source = Plays("yard", scores)
    types = {"motion": DetectorType("motion", "1", "Reads.", lambda _setup: Reads(), Judging(0.6, 0.65))}
    worker = Worker("scripted", Means(4), pool, types, lambda _camera, _after: source, SystemClock())
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await pool.close()


async def all_judged(stack: InspectionStack, frames: int) -> None:
    def is_done() -> bool:
        progress = stack.progress("yard.motion")
        return progress is not None and progress["judge"]["last"] == f"yard/{EPOCH}/{frames - 1}"

    await auntil(is_done, 60, "every frame is judged")
    progress = stack.progress("yard.motion")
    assert progress is not None
    assert progress["judge"]["scored"] == frames
    assert progress["judge"]["skipped"] == 0


async def events_are(stack: InspectionStack, scores: list[float]) -> None:
    wanted = expected(scores)
    async with EventClient(stack.config.event_center.endpoint, stack.broker.token) as client:

        async def have() -> bool:
            events = {e.id: e for e in await client.list(limit=1000) if e.detector.startswith("motion")}
            return set(events) == set(wanted) and all(event.ended_ns for event in events.values())

        await auntil(have, 30, "events are those of the judge")
        events = {e.id: e for e in await client.list(limit=1000) if e.detector.startswith("motion")}
    for event_id, anomaly in wanted.items():
        event = events[event_id]
        assert (event.first.seq, event.peak.seq, event.last.seq) == (
            anomaly.first.seq, anomaly.peak.seq, anomaly.last.seq,
        )  # fmt: skip
        assert event.started_ns == anomaly.started_ns
        assert event.summary == "Motion on yard"
    assert stack.anomalies() == {event_id: anomaly.version for event_id, anomaly in wanted.items()}


async def test_scores_become_exactly_the_events_of_the_judge(stack: InspectionStack) -> None:
    scores = script(300, seed=1)
    async with scripted_worker(stack, scores):
        await all_judged(stack, len(scores))
        await events_are(stack, scores)
    assert expected(scores)


@pytest.mark.parametrize("victim", ["event_center", "aggregate", "nats"])
async def test_a_process_killed_again_and_again_loses_and_doubles_nothing(stack: InspectionStack, victim: str) -> None:
    scores = script(500, seed=2)
    async with scripted_worker(stack, scores):
        for _ in range(3):
            await asyncio.sleep(0.8)
            await asyncio.to_thread(getattr(stack, victim).restart)
        await all_judged(stack, len(scores))
        await events_are(stack, scores)


async def test_everything_killed_at_once_loses_and_doubles_nothing(stack: InspectionStack) -> None:
    scores = script(400, seed=3)
    async with scripted_worker(stack, scores):
        await asyncio.sleep(1.5)
        for process in (stack.aggregate, stack.event_center, stack.nats):
            process.end(signal.SIGKILL)
        await asyncio.sleep(1)
        for process in (stack.event_center, stack.aggregate, stack.nats):
            await asyncio.to_thread(process.start)
        await all_judged(stack, len(scores))
        await events_are(stack, scores)


async def test_a_watch_over_a_killed_event_center_tells_each_version_once_and_in_order(stack: InspectionStack) -> None:
    scores = script(400, seed=4)
    told: list[tuple[str, int]] = []

    async def watch() -> None:
        async with EventClient(stack.config.event_center.endpoint, stack.broker.token) as client:
            async for event in client.watch():
                if event.detector.startswith("motion"):
                    told.append((event.id, event.version))  # noqa: PERF401 - as they come

    watching = asyncio.create_task(watch())
    async with scripted_worker(stack, scores):
        await asyncio.sleep(1.5)
        await asyncio.to_thread(stack.event_center.restart)
        await all_judged(stack, len(scores))
        await events_are(stack, scores)
        await auntil(lambda: {e for e, _ in told} == set(expected(scores)), 10, "the watch has told all")
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert len(told) == len(set(told))
    for event_id in {e for e, _ in told}:
        versions = [version for e, version in told if e == event_id]
        assert versions == sorted(versions)


async def test_a_camera_that_cannot_be_reached_is_an_event_until_it_is_removed(stack: InspectionStack) -> None:
    with stack.events() as client:
        events = until(lambda: [e for e in client.list(cameras=["yard"]) if e.detector == "camera-state"], 20, "lost")
        assert "Camera yard" in events[0].summary
        assert events[0].ended_ns == 0
        with stack.broker.sync_client() as broker:
            broker.remove_camera("yard")
        until(lambda: client.get(events[0].id).ended_ns > 0, 20, "the event is over")
        assert len([e for e in client.list(cameras=["yard"]) if e.detector == "camera-state"]) == 1
    with stack.inspections() as inspections:
        until(lambda: not inspections.list(), 10, "no inspection of a removed camera")
