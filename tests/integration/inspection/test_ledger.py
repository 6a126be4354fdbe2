"""The ledger with real processes: every frame has a word, each can be explained and repeated, whatever is killed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregate.archive import Archive
from aggregate.client import FrameExplanation, LedgerEntry, SyncLedgerClient
from aggregate.judge import Finding
from aggregate.rejudge import rejudge
from aggregate.wire import UNSEEN_REASONS
from broker.client import WireFrame
from mesh.errors import NotFound, PermissionDenied
from mesh.ids import FrameId
from mesh.store import SqliteStore
from simulator.testing import Simulator, running
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import until
from trueframe.v1 import inspection_pb2
from trueframe.v1.inspection_pb2 import (
    Anomaly,
)

CAMERAS = ("cam-1", "cam-2")
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    incidents = ("--incident", "cam-1=intrusion@6+6", "--incident", "cam-2=freeze@8+7")
    with running(2, fps=10, size="640x360", loop_s=20.0, arguments=("--scenes", "yard,hall", *incidents)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def stack(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectionStack]:
    region = sim.truth("cam-1")["regions"][0]
    toml = (
        '[[inspections]]\nid = "cam-1.motion"\ncamera = "cam-1"\ndetector = "motion"\nthreshold = 0.0\n'
        f'regions = [{{name = "restricted area", use = "inspect", corners = {json.dumps(region["corners"])}}}]\n'
    )
    with inspection_stack(tmp_path_factory.mktemp("ledger"), toml=toml) as stack:
        with stack.broker.sync_client() as client:
            for camera, url in sim.urls.items():
                client.add_camera(camera, url)
        yield stack


class Ids:
    """All frames that the broker gave out, by camera."""

    def __init__(self, stack: InspectionStack) -> None:
        self.frames: dict[str, list[tuple[FrameId, int]]] = {camera: [] for camera in CAMERAS}
        self._client = stack.broker.sync_client()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for item in self._client.stream(CAMERAS, subscriber="ids"):
            if isinstance(item, WireFrame):
                self.frames[item.camera].append((FrameId(item.camera, item.epoch, item.seq), item.received_ns))

    def newest(self, camera: str) -> FrameId:
        return self.frames[camera][-1][0]


@pytest.fixture(scope="module")
def ids(stack: InspectionStack) -> Ids:
    return Ids(stack)


@pytest.fixture
def ledger(stack: InspectionStack) -> Iterator[SyncLedgerClient]:
    with SyncLedgerClient(stack.config.aggregate.endpoint, stack.broker.token) as client:
        yield client


def spoken(ledger: SyncLedgerClient, inspection: str) -> dict[FrameId, LedgerEntry]:
    """What the ledger says of each frame; fails if it says two things of one."""
    words: dict[FrameId, LedgerEntry] = {}
    for entry in ledger.read(inspection.partition(".")[0], inspection=inspection):
        first = FrameId.from_proto(entry.verdict.id)
        for offset in range(max(entry.verdict.count, 1)):
            frame = FrameId(first.camera, first.epoch, first.seq + offset)
            assert frame not in words
            assert not words or frame > next(reversed(words))
            words[frame] = entry
    return words


def explained(ledger: SyncLedgerClient, inspection: str, frame: FrameId, received_ns: int = 0) -> FrameExplanation:
    return next(e for e in ledger.explain(frame, received_ns=received_ns) if e.inspection == inspection)


def test_frames_that_fired_and_did_not_are_explained(
    stack: InspectionStack, ledger: SyncLedgerClient, ids: Ids
) -> None:
    with stack.events() as events:
        found = until(
            lambda: [e for e in events.list(limit=100) if e.summary.startswith("Motion in restricted") and e.ended_ns],
            60, "an intrusion is over",
        )[0]  # fmt: skip
    peak = explained(ledger, "cam-1.motion", FrameId.from_proto(found.peak))
    assert peak.standing == inspection_pb2.FRAME_STANDING_FIRED
    assert peak.anomaly == found.id
    assert found.id in peak.sentence
    assert peak.verdict.boxes
    assert peak.verdict.score == pytest.approx(found.score)
    later = FrameId(found.last.camera, found.last.epoch, found.last.seq + 45)
    until(lambda: later in spoken(ledger, "cam-1.motion"), 20, "a frame behind it has its word")
    quiet = explained(ledger, "cam-1.motion", later)
    assert quiet.standing == inspection_pb2.FRAME_STANDING_NORMAL
    assert not quiet.anomaly
    assert "below the threshold" in quiet.sentence


def test_coverage_is_the_sum_of_the_ledger(ledger: SyncLedgerClient, ids: Ids) -> None:
    to_ns = time.time_ns()
    entries = list(ledger.read("cam-1", to_ns=to_ns))
    for bucket_s in (0, 60):
        rows = ledger.coverage("cam-1", to_ns=to_ns, bucket_s=bucket_s)
        for inspection in ("cam-1.motion", "cam-1.signal"):
            of_it = [entry.verdict for entry in entries if entry.inspection == inspection]
            reasons: Counter[int] = Counter()
            for row in rows:
                if row.inspection == inspection:
                    reasons.update({count.reason: count.frames for count in row.not_scored})
            assert sum(r.scored for r in rows if r.inspection == inspection) == sum(not v.reason for v in of_it)
            assert reasons == Counter(v.reason for v in of_it for _ in range(max(v.count, 1)) if v.reason)


def test_who_may_not_see_a_camera_reads_nothing_of_it(stack: InspectionStack, ledger: SyncLedgerClient) -> None:
    token = stack.broker.mint("eve", "viewer", ["cam-2"])
    with SyncLedgerClient(stack.config.aggregate.endpoint, token) as other:
        for ask in (
            lambda: list(other.read("cam-1")),
            lambda: other.explain(FrameId("cam-1", 1, 0)),
            lambda: other.coverage("cam-1"),
            lambda: other.checkpoint("cam-2.motion", FrameId("cam-2", 1, 0)),
        ):
            with pytest.raises(PermissionDenied):
                ask()
        until(lambda: other.coverage("cam-2"), 30, "coverage of a camera that may be seen")
    with pytest.raises(NotFound):
        list(ledger.read("nobody"))


@pytest.mark.parametrize("victim", ["worker", "pixels", "aggregate"])
@pytest.mark.timeout(150)
def test_every_id_of_the_broker_has_its_word_when_a_process_is_killed(
    stack: InspectionStack, ledger: SyncLedgerClient, ids: Ids, victim: str
) -> None:
    until(lambda: all(len(ids.frames[camera]) > 150 for camera in CAMERAS), 60, "a checkpoint may have been taken")
    killed_ns = time.time_ns()
    process = getattr(stack, victim)
    if victim == "pixels":
        stack.pixels.end(9)
    else:
        process.end()
    time.sleep(2.0)
    process.start()
    marks = {camera: ids.newest(camera) for camera in CAMERAS}
    for camera in CAMERAS:
        for detector in ("motion", "signal"):
            inspection = f"{camera}.{detector}"
            until(lambda i=inspection, c=camera: marks[c] in spoken(ledger, i), 40, f"{inspection} has caught up")
            words = spoken(ledger, inspection)
            first = next(iter(words))
            unspoken = [
                frame for frame, _ in ids.frames[camera] if first <= frame <= marks[camera] and frame not in words
            ]
            assert unspoken == []
            # They are not only spoken of: somebody looked at the frames that came while nobody was there.
            late = [frame for frame, at_ns in ids.frames[camera] if killed_ns < at_ns < killed_ns + 2 * SECOND]
            assert len(late) > 10
            assert [frame for frame in late if words[frame].verdict.reason] == []
            told = explained(ledger, inspection, late[0])
            assert told.standing in (inspection_pb2.FRAME_STANDING_FIRED, inspection_pb2.FRAME_STANDING_NORMAL)
            assert told.sentence.startswith("Scored")
            begun = {entry.verdict.id.seq for entry in words.values() if entry.began}
            assert begun == {first.seq}, "it went on from a checkpoint"


def test_recorded_frames_inspected_again_give_the_same_scores_in_another_process(
    stack: InspectionStack, ledger: SyncLedgerClient, ids: Ids, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(stack.broker.token)
    until(lambda: all(len(ids.frames[camera]) > 200 for camera in CAMERAS), 60)
    to_ns = time.time_ns() - 4 * SECOND
    for camera in CAMERAS:
        mark = ids.newest(camera)
        for detector in ("motion", "signal"):
            until(lambda m=mark, i=f"{camera}.{detector}": m in spoken(ledger, i), 20, "all of the range was judged")
    for camera, detector in (("cam-1", "motion"), ("cam-2", "signal"), ("cam-2", "motion")):
        done = subprocess.run(
            [sys.executable, "-m", "tests.reinspect_in_process", stack.config.aggregate.endpoint,
             stack.config.media_center.endpoint, str(token), camera, f"{camera}.{detector}",
             str(to_ns - 12 * SECOND), str(to_ns)],
            capture_output=True, text=True, timeout=120, check=True,
            env={**os.environ, "PYTHONHASHSEED": "7"},
        )  # fmt: skip
        answer = json.loads(done.stdout)
        range_ = {"from_ns": to_ns - 12 * SECOND, "to_ns": to_ns}
        said = [e.verdict for e in ledger.read(camera, inspection=f"{camera}.{detector}", **range_)]
        unseen = [(v.id.seq, max(v.count, 1), v.reason) for v in said if v.reason in UNSEEN_REASONS]
        # A machine with more to do than it can leaves pictures out, and says so: all others are looked at again.
        assert answer["frames"] == sum(max(v.count, 1) for v in said) - sum(count for _, count, _ in unseen), unseen
        assert answer["scored"] >= 50
        assert (answer["different"], answer["examples"]) == (0, [])


def test_stopping_and_starting_is_live_and_told_by_name(
    stack: InspectionStack, ledger: SyncLedgerClient, ids: Ids
) -> None:
    with stack.inspections() as inspections:
        status = next(s for s in inspections.list() if s.inspection.id == "cam-2.motion")
        order = status.inspection
        order.disabled = True
        inspections.put(order)
        stopped_ns = time.time_ns()
        until(lambda: ids.frames["cam-2"][-1][1] > stopped_ns + 3 * SECOND, 20, "frames pass by")
        order.disabled = False
        inspections.put(order)
        started_ns = time.time_ns()
        until(lambda: max(spoken(ledger, "cam-2.motion")) > at(ids, started_ns + SECOND), 20, "it is inspected again")
    words = spoken(ledger, "cam-2.motion")
    while_stopped = [f for f, at_ns in ids.frames["cam-2"] if stopped_ns + SECOND < at_ns < started_ns - SECOND // 2]
    assert len(while_stopped) > 5
    assert not any(frame in words for frame in while_stopped)
    for frame in (while_stopped[0], while_stopped[-1]):
        told = explained(ledger, "cam-2.motion", frame)
        assert told.standing == inspection_pb2.FRAME_STANDING_NOT_INSPECTED
        assert told.changed_by == "test"
        assert abs(told.changed_ns - stopped_ns) < SECOND
        assert "stopped by test at" in told.sentence
        other = explained(ledger, "cam-2.signal", frame)
        assert other.standing in (inspection_pb2.FRAME_STANDING_NORMAL, inspection_pb2.FRAME_STANDING_FIRED)
    # All up to the stop was still said: the worker does not take its last words with it.
    before = [f for f, at_ns in ids.frames["cam-2"] if stopped_ns - 2 * SECOND < at_ns < stopped_ns - SECOND // 2]
    assert before
    assert all(frame in words for frame in before)


def at(ids: Ids, received_ns: int) -> FrameId:
    return next((f for f, at_ns in ids.frames["cam-2"] if at_ns >= received_ns), FrameId("cam-2", 2**62, 0))


def test_the_judge_run_again_over_the_ledger_finds_the_same_anomalies(
    stack: InspectionStack, ids: Ids, tmp_path: Path
) -> None:
    stack.worker.end()
    stack.aggregate.end()
    folder = stack.data / "aggregate"
    shutil.copytree(folder, tmp_path / "copy")
    stack.aggregate.start()
    stack.worker.start()
    found, stored = asyncio.run(judged_again(tmp_path / "copy" / "aggregate.sqlite"))
    assert found
    newest = {finding.anomaly.id: finding for finding in found}
    assert set(newest) == set(stored)
    for anomaly_id, finding in newest.items():
        anomaly, told = finding.anomaly, stored[anomaly_id]
        assert anomaly.version >= told.version
        if anomaly.version > told.version:
            continue  # the ledger is ahead of what was published when it was killed
        assert (anomaly.first.to_proto(), anomaly.peak.to_proto(), anomaly.last.to_proto()) == (
            told.first, told.peak, told.last,
        )  # fmt: skip
        assert told.score == pytest.approx(anomaly.score, abs=0)
        assert [(b.x, b.y, b.width, b.height) for b in told.boxes] == [
            (b.x, b.y, b.width, b.height) for b in anomaly.boxes
        ]


async def judged_again(path: Path) -> tuple[list[Finding], dict[str, Anomaly]]:
    async with SqliteStore(path) as store:
        archive = await Archive.open(store)
        orders = [order async for order in archive.orders()]
        found = [finding for order in orders for finding in await rejudge(archive.ledger, order)]
        stored = {}
        for document in (await archive.anomalies.query(limit=1000)).documents:
            entries = document.body["outbox"]
            stored[document.id] = Anomaly.FromString(base64.b64decode(entries[-1]["payload"]))
    return found, stored
