"""Models are swapped and workers killed while replayed frames are inspected: the ledger equals an undisturbed run's.

Aggregate and workers are real processes; kills are SIGKILL. The reference is one detector after the other in this
process, without a pool, that swaps at the frames at which the ledger says that another version began to speak.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregate.client import LedgerEntry, RolloutStep, SyncInspectionClient, SyncLedgerClient, SyncModelClient
from detector_pool.detector import Setup
from detector_pool.models import opened
from detector_pool.reinspect import recorded_pictures, reinspect
from media_center.client import SyncFootageClient
from mesh.errors import NotFound, TrueframeError
from mesh.files import write_private
from mesh.ids import FrameId
from tests import swap_worker
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.real_peers import shared
from tests.support import until
from trueframe.v1.inspection_pb2 import Inspection, InspectionStatus

CAMERA, INSPECTION, MODEL = swap_worker.CAMERA, "yard.tiny", "yard.tiny"
SETTINGS = ('aggregate.default_detectors=["tiny"]', "aggregate.shadow_s=0")
WEIGHTS = (1.0, 0.75, 0.5, 1.25, 0.9)


def model(weight: float) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in (("detector.toml", f'detector = "tiny"\nname = "{MODEL}"\n'), ("weight.txt", str(weight))):
            archive.writestr(zipfile.ZipInfo(name), text)
    return opened(target.getvalue()).packed()


class Workers:
    """Worker processes, of which there are always two."""

    def __init__(self, stack: InspectionStack, folder: Path, fps: int, media_center: str = "") -> None:
        token_file = folder / "worker.token"
        write_private(token_file, stack.broker.token.encode())
        self._log = (folder / "workers.log").open("ab")
        self._command = [
            sys.executable, "-m", "tests.swap_worker", stack.config.aggregate.endpoint, str(token_file),
            str(folder / "cache"), str(time.time_ns() + 3_000_000_000), str(fps), media_center,
        ]  # fmt: skip
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        child = subprocess.Popen(self._command, stdout=self._log, stderr=self._log, env=environment)
        self._children[f"w{child.pid}"] = child

    def kill(self, name: str) -> None:
        child = self._children.pop(name)
        child.send_signal(signal.SIGKILL)
        child.wait()

    def close(self) -> None:
        for name in list(self._children):
            self.kill(name)
        self._log.close()


class Desk:
    """What the test asks of the aggregate."""

    def __init__(self, stack: InspectionStack) -> None:
        self.endpoint, self.token = stack.config.aggregate.endpoint, stack.broker.token
        self.inspections = SyncInspectionClient(self.endpoint, self.token)
        self.models = SyncModelClient(self.endpoint, self.token)
        self.ledger = SyncLedgerClient(self.endpoint, self.token)

    def status(self) -> InspectionStatus:
        found = [one for one in self.inspections.list() if one.inspection.id == INSPECTION]
        return found[0] if found else InspectionStatus()

    def entries(self) -> list[LedgerEntry]:
        try:
            return [*self.ledger.read(CAMERA, inspection=INSPECTION)]
        except NotFound:
            return []

    def close(self) -> None:
        for client in (self.inspections, self.models, self.ledger):
            client.close()


def speaks(desk: Desk, digest: str) -> bool:
    return desk.status().model_digest == digest


def has_passed(desk: Desk, victim: str) -> bool:
    return desk.status().worker not in ("", victim)


def has_gone_on(desk: Desk, scored: int) -> bool:
    return desk.status().frames_scored > scored


def disturb(desk: Desk, workers: Workers, swaps: int, kills: int, seed: int = 3) -> list[bytes]:
    """Swaps models and kills workers in a random order, each when the one before has taken effect; the models."""
    packed = [model(weight) for weight in WEIGHTS]
    digests = [desk.models.add(data)[0].digest for data in packed]
    desk.models.roll_out(MODEL, RolloutStep.PROMOTE, digests[0])
    until(partial(speaks, desk, digests[0]), 60, "the first version speaks")
    until(lambda: desk.status().frames_scored > 20, 60)
    deeds = ["swap"] * swaps + ["kill"] * kills
    dice = random.Random(seed)
    dice.shuffle(deeds)
    if kills:
        # Before any state was stored: who takes over begins where it was begun.
        deeds.remove("kill")
        deeds.insert(0, "kill")
    present = 0
    for deed in deeds:
        if deed == "swap":
            present = (present + dice.randrange(1, len(digests))) % len(digests)
            desk.models.roll_out(MODEL, RolloutStep.PROMOTE, digests[present], force=True)
            until(partial(speaks, desk, digests[present]), 60, "the other version speaks")
        else:
            victim = until(lambda: desk.status().worker, 60)
            workers.kill(victim)
            workers.start()
            until(partial(has_passed, desk, victim), 60, "somebody else has it")
        until(partial(has_gone_on, desk, desk.status().frames_scored), 60, "it goes on")
    return packed


def stop(desk: Desk) -> list[LedgerEntry]:
    """Ends the inspection; the whole ledger."""
    order = Inspection()
    order.CopyFrom(desk.status().inspection)
    order.disabled = True
    desk.inspections.put(order)
    until(lambda: desk.status().worker == "", 30)

    def at_rest() -> list[LedgerEntry]:
        entries = desk.entries()
        time.sleep(1.0)
        return entries if len(entries) == len(desk.entries()) else []

    entries = until(at_rest, 30, "the last words")
    # With B-frames a stop cuts through pictures that come in another order than their ids: the few that were still to
    # come are told as not decoded, at the very end.
    cut = next((n for n, entry in enumerate(entries) if entry.verdict.reason), len(entries))
    assert cut >= len(entries) - 8
    return entries[:cut]


def equals_an_undisturbed_run(
    entries: list[LedgerEntry],
    packed: list[bytes],
    picture: Callable[[FrameId], Any],
    shown: list[FrameId] | None = None,
) -> int:
    """Frame by frame; how often another version began to speak."""
    detectors = {}
    for data in packed:
        tiny = swap_worker.Tiny(Setup(model=opened(data)))
        detectors[tiny.name] = tiny
    words = {FrameId.from_proto(entry.verdict.id): entry for entry in entries}
    assert len(words) == len(entries), "a frame was judged twice"
    assert [entry.verdict.reason for entry in entries] == [0] * len(entries)
    frames = sorted(words)
    assert [frame.seq for frame in frames] == list(range(frames[0].seq, frames[-1].seq + 1)), "a frame was skipped"
    assert sum(entry.began for entry in entries) == 1
    order = [frame for frame in (shown or frames) if frame in words]
    state, swaps, before = None, 0, ""
    for frame in order:
        name = words[frame].detector
        detector = detectors[name]
        if state is None:
            state = detector.start()
        if name != before:
            state, swaps = detector.unpack(detectors[before].pack(state)) if before else state, swaps + bool(before)
            before = name
        observation, state = detector.inspect(picture(frame), state, ())
        verdict = words[frame].verdict
        assert np.float32(observation.score) == np.float32(verdict.score), f"{frame} by {name}"
        assert [(one.name, one.value) for one in verdict.series] == list(observation.series), frame
    return swaps


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[Desk, Workers]]:
    with inspection_stack(tmp_path, "nats", "broker", "aggregate", settings=SETTINGS) as stack:
        with stack.broker.sync_client() as client:
            client.add_camera(CAMERA, "rtsp://127.0.0.1:9/nobody")
        workers, desk = Workers(stack, tmp_path, 50), Desk(stack)
        try:
            workers.start()
            workers.start()
            yield desk, workers
        finally:
            workers.close()
            desk.close()


def made_shot(frame: FrameId) -> Any:
    return next(swap_worker.made_pictures(frame.seq - 1))


@pytest.mark.timeout(180)
def test_swaps_and_kills_leave_no_trace_in_the_ledger(made: tuple[Desk, Workers]) -> None:
    desk, workers = made
    packed = disturb(desk, workers, swaps=4, kills=2)
    entries = stop(desk)
    assert equals_an_undisturbed_run(entries, packed, made_shot) == 4
    assert len({entry.fence for entry in entries}) > 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_swaps_and_ten_kills_while_footage_is_replayed_leave_no_trace_in_the_ledger(tmp_path: Path) -> None:
    names = ("nats", "broker", "media_center", "aggregate")
    with inspection_stack(tmp_path, *names, settings=SETTINGS) as stack:
        endpoint = stack.config.media_center.endpoint
        footage = SyncFootageClient(endpoint, stack.broker.token)

        def answers() -> bool:
            try:
                footage.recordings([CAMERA])
            except NotFound:
                return True
            except TrueframeError:
                return False
            return True

        until(answers, 30)
        clip = shared("footage/one-by-one-person-detection.mp4")
        footage.import_file(clip, CAMERA, time.time_ns() - 3_600_000_000_000)
        with stack.broker.sync_client() as client:
            client.add_camera(CAMERA, "rtsp://127.0.0.1:9/nobody")
        workers, desk = Workers(stack, tmp_path, 12, endpoint), Desk(stack)
        try:
            workers.start()
            workers.start()
            packed = disturb(desk, workers, swaps=20, kills=10)
            until(partial(has_gone_on, desk, desk.status().frames_scored + 80), 60)
            entries = stop(desk)
            recordings = footage.recordings([CAMERA]).recordings
            first, last = FrameId.from_proto(recordings[0].first), FrameId.from_proto(recordings[-1].last)
            pictures = recorded_pictures(footage, CAMERA, first, last, first)
            shown = {shot.id: shot for shot, _ in pictures}
            assert equals_an_undisturbed_run(entries, packed, shown.__getitem__, list(shown)) >= 20
            again = [*_again(desk, footage, packed, entries)]
            assert len(again) >= 60
            assert all(one.is_equal for one in again)
        finally:
            workers.close()
            desk.close()
            footage.close()


def _again(desk: Desk, footage: SyncFootageClient, packed: list[bytes], entries: list[LedgerEntry]) -> Iterator[Any]:
    """What the version that speaks last says of its frames, from a stored state, in this process."""
    name = entries[-1].detector
    last = [entry for entry in entries if entry.detector == name][-1]
    stretch = list(itertools.takewhile(lambda entry: entry.detector == name, reversed(entries)))
    tiny = next(t for t in (swap_worker.Tiny(Setup(model=opened(data))) for data in packed) if t.name == name)
    from_ns, to_ns = stretch[-1].verdict.received_ns, last.verdict.received_ns
    return reinspect(desk.ledger, footage, CAMERA, INSPECTION, from_ns, to_ns, detector=tiny)
