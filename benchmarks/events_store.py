"""A store of very many events for `benchmarks.events`: made once, kept in a folder, given back as it was.

Each event is what the shipped code makes of its anomaly and of what people did with it, and is written by the adapter's
own bulk way (`load`, as a site is moved); the event center's own opening then makes the indexes. A year of a hundred
cameras: nearly all events are over and seen, a thousand alarms stand or wait. One in a hundred has a remark of its own.
What does not belong here: a measurement.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from event_center import deeds
from event_center.book import SCHEMA, EventBook
from event_center.documents import to_document
from event_center.event import Box, Clip, Event
from event_center.folding import AnomalyReport, HoldReport, fold_anomaly, fold_hold
from event_center.searching import words
from event_center.tidings import tidings
from mesh.clocks import ManualClock
from mesh.ids import FrameId
from mesh.outbox import PENDING_FIELD, add_event
from mesh.store import Between, Document, SchemaStore, SqliteStore
from mesh.store_open import store_file

SECOND = 1_000_000_000
FIRST_NS = 1_730_000_000 * SECOND
YEAR_NS = 365 * 24 * 3600 * SECOND
END_NS = FIRST_NS + YEAR_NS
CAMERAS = 100
STANDING = 1000
_BATCH = 2000
_CACHE_KIB = 1 << 20
_DETECTORS = ("motion@1", "health@1", "objects@1", "intrusion@1", "fall@1", "things@1", "signal@1", "normality@1")
_REGIONS = ("entrance", "loading ramp", "정문", "입구", "卸货区", "围墙", "parking", "server room")
_REMARKS = (
    "a fox again", "cleaning staff, known", "delivery at the ramp", "바람에 흔들리는 나무", "정문에 사람이 서 있음",
    "围墙边有人", "送货卡车", "Regen auf der Linse", "painters, until Friday", "false alarm: headlights",
)  # fmt: skip
_TEMPLATES = 4000


def camera_id(number: int) -> str:
    """Of the hundred."""
    return f"cam-{number:03d}"


async def make_or_take(folder: Path, count: int) -> tuple[Path, float]:
    """The data folder with a store of so many events, and how long making it took (0 if it was there)."""
    data, told = folder / "data", folder / "made.json"
    wanted = {"events": count, "schema": SCHEMA.number, "loader": 1}
    if told.is_file() and json.loads(told.read_text()) == wanted:
        return data, 0.0
    shutil.rmtree(data, ignore_errors=True)
    file = store_file(data, "event-center")
    file.parent.mkdir(parents=True, mode=0o700)
    started = time.monotonic()
    async with SqliteStore(file) as store:
        await store.write(_with_large_cache)
        # First without indexes: made at the end, they are sorted once.
        await SchemaStore(store).collection("events", (), SCHEMA)
        events = await store.collection("events")
        batch: list[Document] = []
        for number, document in enumerate(documents(count), 1):
            batch.append(document)
            if len(batch) == _BATCH or number == count:
                await events.load(batch)
                batch = []
            if number % 100_000 == 0:
                print(f"{number:,} events, {time.monotonic() - started:.0f} s", file=sys.stderr)
        await EventBook.open(store)
    told.write_text(json.dumps(wanted))
    return data, time.monotonic() - started


async def give_back(data: Path) -> int:
    """Takes out what a measurement added; returns how much."""
    async with SqliteStore(store_file(data, "event-center")) as store:
        book = await EventBook.open(store)
        removed = 0
        while True:
            page = await book.events.query({"started_ns": Between(END_NS + 1, None)}, limit=1000)
            for document in page.documents:
                removed += await book.events.delete(document.id)
            if not page.next_page_token:
                return removed


def documents(count: int) -> Iterator[Document]:
    """The events in the order of their beginning, the same each time."""
    dice = random.Random(7)
    templates = [_template(number, dice) for number in range(_TEMPLATES)]
    open_ones = [_template(number, dice, is_over=number % 2 == 0, is_seen=number % 5 == 1) for number in range(100)]
    step_ns = YEAR_NS // count
    first_standing = count - STANDING
    for number in range(count):
        is_standing = number >= first_standing
        body = dice.choice(open_ones if is_standing else templates)
        moved = _moved(body, FIRST_NS + number * step_ns)
        if number % 100 == 0:
            moved = _with_remark(moved, f"case {number} of patrol {dice.randrange(10_000)}")
        yield Document(f"bench{number:09d}", 3, SCHEMA.stamped(moved))


def _template(number: int, dice: random.Random, *, is_over: bool = True, is_seen: bool = True) -> dict[str, Any]:
    camera, detector = camera_id(dice.randrange(CAMERAS)), dice.choice(_DETECTORS)
    clock = ManualClock()
    at_ns = clock.utc_ns()

    def told(version: int, ended_ns: int) -> AnomalyReport:
        first = FrameId(camera, at_ns, 100)
        last = FrameId(camera, at_ns, 100 + 10 * version)
        box = Box(0.1, 0.2, 0.3, 0.4, dice.choice(("person", "car", "dog")), 0.8, 3)
        return AnomalyReport(
            "template", version, camera, f"Camera {camera}", detector, first, first, last, at_ns, at_ns + SECOND,
            ended_ns, round(dice.random(), 3), (box,), (dice.choice(_REGIONS),), f"{camera}.{detector}",
        )  # fmt: skip

    event = _made(fold_anomaly(None, told(1, 0), None, at_ns))
    if is_over:
        event = _made(fold_anomaly(event, told(2, at_ns + 20 * SECOND), None, at_ns + 21 * SECOND))
    clip = Clip(at_ns - 5 * SECOND, at_ns + 30 * SECOND, is_over, 2)
    event = _made(fold_hold(event, HoldReport("template", camera, clip), at_ns + 22 * SECOND))
    if number % 3 == 0:
        event = _made(deeds.comment(event, "anna", dice.choice(_REMARKS), "", at_ns + 40 * SECOND))
    if is_seen:
        event = _made(deeds.acknowledge(event, dice.choice(("anna", "bo", "지민")), "", at_ns + 60 * SECOND))
    event = replace(event, is_confirmed=True, priority=1 + number % 4)
    body = add_event(to_document(event) | {"awaits_footage": 0}, tidings(None, event), clock)
    body["outbox"][0] |= {"sent_ns": at_ns + 61 * SECOND, "into_ns": 1}
    return {**body, "based_ns": at_ns}


def _made(event: Event | None) -> Event:
    assert event is not None
    return event


def _moved(template: dict[str, Any], at_ns: int) -> dict[str, Any]:
    """The template at another time: every time in it that is one."""
    by_ns = at_ns - template["based_ns"]
    body = {key: value for key, value in template.items() if key != "based_ns"}
    for key in ("started_ns", "ended_ns", "peak_ns", "changed_ns", "acknowledged_ns", "raised_ns"):
        if body.get(key):
            body[key] += by_ns
    body["records"] = [[*one[:2], one[2] + by_ns, *one[3:]] for one in body["records"]]
    body["clip"] = [body["clip"][0] + by_ns, body["clip"][1] + by_ns, *body["clip"][2:]]
    marks = {**body["marks"]}
    for key in ("raised_ns", "standing_ns", "waiting_ns"):
        if marks.get(key):
            marks[key] += by_ns
    body["marks"] = marks
    entry = dict(body["outbox"][0])
    body["outbox"] = [entry | {"queued_ns": entry["queued_ns"] + by_ns, "sent_ns": entry["sent_ns"] + by_ns}]
    body[PENDING_FIELD] = -(body["outbox"][0]["sent_ns"] // SECOND)
    return body


def _with_remark(body: dict[str, Any], text: str) -> dict[str, Any]:
    from event_center.documents import from_document

    body = copy.copy(body)
    event = from_document("bench", body)
    commented = _made(deeds.comment(event, "anna", text, "", event.changed_ns + SECOND))
    kept = {key: body[key] for key in ("outbox", PENDING_FIELD, "awaits_footage")}
    return {**to_document(commented), **kept, "words": words(commented)}


def _with_large_cache(connection: Any) -> None:
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
