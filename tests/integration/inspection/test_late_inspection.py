"""Frames that came while nobody inspected, older than the broker's ring: looked at late, out of the archive."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from aggregate.client import LedgerEntry, SyncLedgerClient
from media_center.client import SyncFootageClient
from mesh.errors import NotFound, Unavailable
from mesh.ids import FrameId
from simulator.testing import Simulator, running
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import until
from trueframe.v1 import footage_pb2

RING_S = 3


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with running(1, fps=10, size="640x360", loop_s=20.0, arguments=("--scenes", "yard")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def stack(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectionStack]:
    with inspection_stack(tmp_path_factory.mktemp("late"), settings=(f"broker.ring_seconds={RING_S}",)) as stack:
        with stack.broker.sync_client() as client:
            client.add_camera("cam-1", sim.urls["cam-1"])
        yield stack


@pytest.fixture
def ledger(stack: InspectionStack) -> Iterator[SyncLedgerClient]:
    with SyncLedgerClient(stack.config.aggregate.endpoint, stack.broker.token) as client:
        yield client


@pytest.fixture
def footage(stack: InspectionStack) -> Iterator[SyncFootageClient]:
    with SyncFootageClient(stack.config.media_center.endpoint, stack.broker.token) as client:
        yield client


def spoken(ledger: SyncLedgerClient, inspection: str) -> dict[FrameId, LedgerEntry]:
    words = {}
    for entry in ledger.read("cam-1", inspection=inspection):
        first = FrameId.from_proto(entry.verdict.id)
        for offset in range(max(entry.verdict.count, 1)):
            words[FrameId(first.camera, first.epoch, first.seq + offset)] = entry
    return words


def recorded(footage: SyncFootageClient) -> list[FrameId]:
    with contextlib.suppress(NotFound, Unavailable):
        return [FrameId.from_proto(r.id) for r in footage.frames("cam-1") if isinstance(r, footage_pb2.IndexRow)]
    return []


def all_spoken(
    ledger: SyncLedgerClient, footage: SyncFootageClient, until_: FrameId
) -> dict[str, dict[FrameId, LedgerEntry]]:
    found = {}
    for inspection in ("cam-1.motion", "cam-1.signal"):
        until(lambda i=inspection: max(spoken(ledger, i)) > until_, 60, f"{inspection} has caught up")
        words = found[inspection] = spoken(ledger, inspection)
        first = min(words)
        assert [frame for frame in recorded(footage) if first <= frame <= until_ and frame not in words] == []
    return found


@pytest.mark.timeout(150)
def test_an_outage_longer_than_the_brokers_ring_leaves_no_frame_without_a_score(
    stack: InspectionStack, ledger: SyncLedgerClient, footage: SyncFootageClient
) -> None:
    until(lambda: len(recorded(footage)) > 150, 60, "checkpoints were taken")
    stack.worker.end()
    gone = recorded(footage)[-1]
    time.sleep(3 * RING_S)
    stack.worker.start()
    back = recorded(footage)[-1]
    assert back.seq - gone.seq > 50
    for words in all_spoken(ledger, footage, back).values():
        missed = [words[FrameId("cam-1", gone.epoch, seq)] for seq in range(gone.seq, back.seq)]
        assert [entry.verdict.id.seq for entry in missed if entry.verdict.reason] == []
        assert len({entry.verdict.id.seq for entry in words.values() if entry.began}) == 1


@pytest.mark.timeout(150)
def test_the_tail_of_an_epoch_that_ended_while_nobody_looked_has_its_word(
    stack: InspectionStack, ledger: SyncLedgerClient, footage: SyncFootageClient
) -> None:
    until(lambda: len(recorded(footage)) > 150, 60)
    stack.worker.end()
    gone = recorded(footage)[-1]
    until(lambda: recorded(footage)[-1].seq > gone.seq + 30, 30, "frames that nobody looks at")
    stack.broker.kill()
    stack.broker.start()
    until(lambda: recorded(footage)[-1].epoch > gone.epoch and recorded(footage)[-1].seq > 20, 60, "the next epoch")
    stack.worker.start()
    back = recorded(footage)[-1]
    for words in all_spoken(ledger, footage, back).values():
        missed = [frame for frame in recorded(footage) if gone < frame <= back]
        assert {frame.epoch for frame in missed} == {gone.epoch, back.epoch}
        scored = [frame for frame in missed if not words[frame].verdict.reason]
        assert len(scored) > 0.9 * len(missed)
