"""Events: how fast a full store answers, and how fast new anomalies become events that people see.

`python -m benchmarks.events --json` → {"events_per_s_core", "watch_p99_ms", "query_p99_ms", "search_p99_ms", …}.
Against the shipped event center on SQLite with a million events in its store (`events_store`; made once, in minutes,
5 GB, kept in --data), and a real nats-server:

* query: `ListEvents` of a hundred events over gRPC, one after the other, in turn as people ask: the newest; of a
  camera; of a priority; what waits; what waits on a camera; an hour of a camera; seen ones of three cameras before a
  time. `query_p99_ms` is over all of them; `queries` has each by itself.
* search: the same with a query: a word that one in a hundred thousand has, a frequent one, two, a beginning, Korean,
  Chinese, one word on one camera.
* watch: anomalies published at 50 a second; from publishing to the event at a watching client.
* events_per_s_core: a burst of anomalies, until the last is at the watching client, by the event center's CPU time.

Ceilings, measured in the same run: `raw_select_p99_ms` is the newest hundred documents by the same index with sqlite3
in this process; `raw_insert_per_s_core` inserts of the same documents into a bare table, each with a commit of its own
and the same durability. A busy machine moves both: trust the ratios, and `query_cpu_ms` and `search_cpu_ms`, the event
center's CPU time for a question on average. Each is repeated; medians are told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import events_store
from benchmarks.events_store import END_NS, FIRST_NS, SECOND, YEAR_NS, camera_id
from benchmarks.harness import Child, Instance, instance, machine, percentile
from event_center.client import EventClient
from mesh.bus import Bus, anomaly_subject
from mesh.store_open import store_file
from trueframe.v1 import events_pb2, frames_pb2, inspection_pb2

PAGE = 100
HOUR_NS = 3600 * SECOND
WAITING = (events_pb2.ALARM_STATE_UNACKNOWLEDGED, events_pb2.ALARM_STATE_RETURNED_UNACKNOWLEDGED)
DEFAULT_DATA = Path.home() / ".cache" / "trueframe" / "events-bench"
Filters = dict[str, Any]


def query_shapes(dice: random.Random) -> dict[str, Filters]:
    """One of each that people ask."""
    at_ns = FIRST_NS + dice.randrange(YEAR_NS - HOUR_NS)
    return {
        "newest": {},
        "camera": {"cameras": [camera_id(dice.randrange(100))]},
        "priority": {"priorities": [dice.randint(1, 4)]},
        "waiting": {"alarm_states": WAITING},
        "waiting_on_camera": {"alarm_states": WAITING, "cameras": [camera_id(dice.randrange(100))]},
        "hour_of_camera": {"cameras": [camera_id(dice.randrange(100))], "from_ns": at_ns, "to_ns": at_ns + HOUR_NS},
        "seen_on_three_before": {
            "alarm_states": [events_pb2.ALARM_STATE_NORMAL],
            "cameras": [camera_id(dice.randrange(100)) for _ in range(3)],
            "to_ns": at_ns,
        },
    }


def search_shapes(dice: random.Random) -> dict[str, Filters]:
    """One of each that people type."""
    return {
        "rare": {"query": f"patrol {dice.randrange(10_000)}"},
        "frequent": {"query": "motion"},
        "two_words": {"query": "cleaning entrance"},
        "beginning": {"query": "deliv"},
        "korean": {"query": "정문에"},
        "chinese": {"query": "围墙"},
        "word_on_camera": {"query": "painters", "cameras": [camera_id(dice.randrange(100))]},
        "nothing": {"query": "zeppelin"},
    }


async def timed_shapes(
    events: EventClient, shapes: Callable[[random.Random], dict[str, Filters]], rounds: int, dice: random.Random
) -> dict[str, list[float]]:
    """Milliseconds of each kind of question, `rounds` of each, in turn."""
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, filters in shapes(dice).items():
            begun = time.perf_counter()
            await events.list(limit=PAGE, timeout_s=60.0, **filters)
            taken.setdefault(name, []).append((time.perf_counter() - begun) * 1000)
    return taken


def anomaly(number: int, begun_ns: int) -> inspection_pb2.Anomaly:
    """Of an inspection of its own, begun after all that the store holds."""
    camera = camera_id(number % 100)
    frame = frames_pb2.FrameId(camera=camera, epoch=1, seq=number)
    return inspection_pb2.Anomaly(
        id=f"new{begun_ns}{number:06d}", version=1, inspection=f"{camera}.motion-{number}", camera=camera,
        detector="motion@1", first=frame, peak=frame, last=frame, started_ns=begun_ns, peak_ns=begun_ns,
        ended_ns=begun_ns + SECOND, score=0.9,
    )  # fmt: skip


class Heard:
    """When a watching client had each event for the first time."""

    def __init__(self, events: EventClient) -> None:
        self._events = events
        self.at_s: dict[str, float] = {}

    async def run(self) -> None:
        """Watches until it is cancelled."""
        async for event in self._events.watch():
            self.at_s.setdefault(event.id, time.perf_counter())

    async def until(self, ids: list[str], within_s: float) -> None:
        """Returns when all of these were heard of."""
        deadline = time.monotonic() + within_s
        while any(one not in self.at_s for one in ids):
            if time.monotonic() > deadline:
                raise SystemExit(f"{sum(one not in self.at_s for one in ids)} events were not told in {within_s} s")
            await asyncio.sleep(0.005)


async def watched(bus: Bus, heard: Heard, count: int, per_s: float) -> list[float]:
    """Milliseconds from publishing to the watching client, of anomalies that come one by one."""
    begun_s, published = time.perf_counter(), {}
    begun_ns = max(time.time_ns(), END_NS + 1)
    for number in range(count):
        await asyncio.sleep(max(0.0, begun_s + number / per_s - time.perf_counter()))
        one = anomaly(number, begun_ns)
        published[one.id] = time.perf_counter()
        await publish(bus, one)
    await heard.until(list(published), 60)
    return [(heard.at_s[one] - at_s) * 1000 for one, at_s in published.items()]


async def burst(bus: Bus, heard: Heard, center: Child, count: int) -> dict[str, float]:
    """Anomalies as fast as they come: events per second of CPU time of the event center, and of wall time."""
    begun_ns = max(time.time_ns(), END_NS + 1)
    every = [anomaly(number, begun_ns) for number in range(count)]
    at_once = asyncio.Semaphore(64)

    async def one(message: inspection_pb2.Anomaly) -> None:
        async with at_once:
            await publish(bus, message)

    cpu_us, begun_s = center.cpu_us(), time.perf_counter()
    await asyncio.gather(*(one(message) for message in every))
    await heard.until([message.id for message in every], 300)
    wall_s = time.perf_counter() - begun_s
    return {"per_s_core": count / ((center.cpu_us() - cpu_us) / 1e6), "per_s": count / wall_s}


async def publish(bus: Bus, message: inspection_pb2.Anomaly) -> None:
    """As the aggregate does."""
    subject, payload = anomaly_subject(message.camera), message.SerializeToString()
    await bus.publish(subject, payload, event_id=f"{message.id}-1", type="trueframe.anomaly.opened")


def raw_select_ms(file: Path, times: int) -> list[float]:
    """The newest documents by their index, without anything around: the ceiling of queries."""
    sql = (
        "SELECT id, version, body, json_extract(body, '$.started_ns') FROM events "
        "ORDER BY json_extract(body, '$.started_ns') DESC, id DESC LIMIT ?"
    )
    taken = []
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        for _ in range(times):
            begun = time.perf_counter()
            connection.execute(sql, (PAGE,)).fetchall()
            taken.append((time.perf_counter() - begun) * 1000)
    return taken


def raw_insert_per_s_core(file: Path, folder: Path, count: int) -> float:
    """The same documents into a bare table, a durable commit each, by CPU time: the ceiling of storing."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT id, version, body FROM events LIMIT ?", (count,)).fetchall()
    with contextlib.closing(sqlite3.connect(folder / "raw.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE events (id TEXT PRIMARY KEY, version INTEGER, body TEXT) STRICT")
        begun = time.thread_time()
        for row in rows:
            connection.execute("INSERT INTO events VALUES (?, ?, ?)", row)
        return count / (time.thread_time() - begun)


@contextlib.contextmanager
def nats(folder: Path) -> Iterator[str]:
    """A real nats-server with JetStream; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "nats-server"), "-a", "127.0.0.1", "-p", str(port), "-js"]
    with (folder / "nats.log").open("wb") as log:
        server = subprocess.Popen([*command, "-sd", str(folder / "js")], stdout=log, stderr=log)
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


async def measured(made: Instance, file: Path, arguments: argparse.Namespace, url: str) -> dict[str, Any]:
    """All figures, with the event center running over the store."""
    begun = time.monotonic()
    center = made.start_service("event_center")
    made.wait_for_socket(made.endpoint("event_center"), center, 120.0)
    dice = random.Random(arguments.seed)
    result: dict[str, Any] = {}
    async with EventClient(made.endpoint("event_center"), made.token) as events, Bus(url, name="aggregate") as bus:
        await events.list(limit=1, timeout_s=60.0)
        result["open_s"] = round(time.monotonic() - begun, 2)
        await timed_shapes(events, query_shapes, 2, dice)
        await timed_shapes(events, search_shapes, 2, dice)
        kinds: list[tuple[str, str, Callable[[random.Random], dict[str, Filters]]]] = [
            ("query", "queries", query_shapes),
            ("search", "searches", search_shapes),
        ]
        raw = [raw_select_ms(file, arguments.rounds) for _ in range(arguments.repeats)]
        result["raw_select_p99_ms"] = round(statistics.median(percentile(one, 0.99) for one in raw), 2)
        for kind, shapes_name, shapes in kinds:
            cpu_us = center.cpu_us()
            runs = [await timed_shapes(events, shapes, arguments.rounds, dice) for _ in range(arguments.repeats)]
            asked = arguments.repeats * arguments.rounds * len(shapes(dice))
            result[f"{kind}_cpu_ms"] = round((center.cpu_us() - cpu_us) / 1000 / asked, 2)
            result |= _told(kind, shapes_name, runs)
        heard = Heard(events)
        watching = asyncio.create_task(heard.run())
        try:
            await bus.ensure_stream()
            await until_told(bus, heard)
            per_s = arguments.per_s
            waits = [await watched(bus, heard, arguments.watched, per_s) for _ in range(arguments.repeats)]
            bursts = [await burst(bus, heard, center, arguments.burst) for _ in range(arguments.repeats)]
        finally:
            watching.cancel()
    result["watch_p50_ms"] = round(statistics.median(percentile(one, 0.5) for one in waits), 2)
    result["watch_p99_ms"] = round(statistics.median(percentile(one, 0.99) for one in waits), 2)
    result["events_per_s_core"] = round(statistics.median(one["per_s_core"] for one in bursts), 1)
    result["events_per_s"] = round(statistics.median(one["per_s"] for one in bursts), 1)
    center.stop()
    return result


async def until_told(bus: Bus, heard: Heard) -> None:
    """Readers stand when the first anomaly has come through."""
    one = anomaly(999_999, max(time.time_ns(), END_NS + 1))
    await publish(bus, one)
    await heard.until([one.id], 60)


def _told(kind: str, shapes_name: str, runs: list[dict[str, list[float]]]) -> dict[str, Any]:
    every = [[value for values in run.values() for value in values] for run in runs]
    return {
        f"{kind}_p50_ms": round(statistics.median(percentile(one, 0.5) for one in every), 2),
        f"{kind}_p99_ms": round(statistics.median(percentile(one, 0.99) for one in every), 2),
        shapes_name: {
            name: {
                "p50_ms": round(statistics.median(percentile(run[name], 0.5) for run in runs), 2),
                "p99_ms": round(statistics.median(percentile(run[name], 0.99) for run in runs), 2),
            }
            for name in runs[0]
        },
    }


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The benchmark."""
    folder: Path = arguments.data
    data, made_s = await events_store.make_or_take(folder, arguments.events)
    await events_store.give_back(data)
    file = store_file(data, "event-center")
    try:
        with instance() as made, nats(made.folder) as url:
            _use(made, data)
            made.configure({}, nats={"url": url})
            result = await measured(made, file, arguments, url)
            insert = raw_insert_per_s_core(file, made.folder, arguments.burst)
    finally:
        await events_store.give_back(data)
    per_s_core = result["events_per_s_core"]
    return {
        **{key: result.pop(key) for key in ("events_per_s_core", "watch_p99_ms", "query_p99_ms", "search_p99_ms")},
        **result,
        "raw_insert_per_s_core": round(insert, 1),
        "insert_ratio": round(per_s_core / insert, 4),
        "events": arguments.events,
        "repeats": arguments.repeats,
        "rounds": arguments.rounds,
        "store_bytes": file.stat().st_size,
        "made_s": round(made_s, 1),
        "machine": machine(),
    }


def _use(made: Instance, data: Path) -> None:
    """The instance's event center opens the kept store, with this instance's keys."""
    shutil.rmtree(data / "keys", ignore_errors=True)
    shutil.copytree(made.folder / "data" / "keys", data / "keys")
    run_dir = made.folder / "data" / "run"
    made.settings = {**made.settings, "run": {**made.settings["run"], "data_dir": str(data), "run_dir": str(run_dir)}}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help=f"where the store is kept ({DEFAULT_DATA})")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=100, help="of each kind of question, a repeat")
    parser.add_argument("--watched", type=int, default=500)
    parser.add_argument("--per-s", type=float, default=50.0)
    parser.add_argument("--burst", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    arguments.data.mkdir(parents=True, exist_ok=True)
    result = asyncio.run(run(arguments))
    print(json.dumps(result, indent=None if "--json" in sys.argv else 2))


if __name__ == "__main__":
    main()
