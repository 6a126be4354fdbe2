"""A real media center, killed again and again at random while it records."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import pytest

import simulator.testing
from broker.client import WireFrame
from mesh.ids import FrameId
from tests.support import until
from trueframe.v1 import frames_pb2

KILLS = int(os.environ.get("TRUEFRAME_FOOTAGE_KILLS", "30"))
SEED = int(os.environ.get("TRUEFRAME_CUTS_SEED", "1"))

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(1800)]


def watermarks(instance: Any) -> dict[str, FrameId]:
    """The last frame of each camera that is confirmed on disk."""
    with instance.footage() as footage:
        return {mark.camera: mark for mark in next(footage.watch_persisted())}


def frames_of(instance: Any, camera: str) -> tuple[list[WireFrame], list[frames_pb2.Gap]]:
    with instance.footage() as footage:
        items = list(footage.replay(camera))
    return (
        [item for item in items if isinstance(item, WireFrame)],
        [item for item in items if isinstance(item, frames_pb2.Gap)],
    )


def kill_and_start(instance: Any, *modules: str) -> None:
    for module in modules:
        instance.processes[module].send_signal(signal.SIGKILL)
    for module in modules:
        instance.end(module, signal.SIGKILL)
    for module in modules:
        instance.start(module)
        instance.wait_ready(module)


def test_a_media_center_killed_at_random_serves_everything_confirmed_and_loses_nothing(instance: Any) -> None:
    dice = random.Random(SEED)
    with simulator.testing.running(3, fps=25) as sim, instance.broker() as broker:
        for camera, url in sim.urls.items():
            broker.add_camera(camera, url)
        until(lambda: len(watermarks(instance)) == 3, 30)
        for _ in range(KILLS):
            time.sleep(dice.uniform(0, 1.5))
            confirmed = watermarks(instance)
            time.sleep(dice.uniform(0, 0.3))
            kill_and_start(instance, "media_center")
            assert {camera: mark for camera, mark in watermarks(instance).items() if mark < confirmed[camera]} == {}
        goal = {camera: len(sim.log(camera)) for camera in sim.urls}
        until(lambda: all(watermarks(instance)[camera].seq + 60 > goal[camera] for camera in sim.urls), 60)
        sent = {camera: [unit.digest for unit in sim.log(camera)] for camera in sim.urls}
    for camera, digests in sent.items():
        frames, gaps = frames_of(instance, camera)
        assert gaps == []
        assert [frame.seq for frame in frames] == list(range(len(frames)))
        first = digests.index(frames[0].digest)
        assert [frame.digest for frame in frames] == digests[first : first + len(frames)]


def test_power_cuts_at_random_cost_at_most_two_seconds_each(instance: Any) -> None:
    dice = random.Random(SEED + 1)
    worst_ns = 0
    with simulator.testing.running(2, fps=25) as sim, instance.broker() as broker:
        for camera, url in sim.urls.items():
            broker.add_camera(camera, url)
        for _ in range(max(1, KILLS // 6)):
            before = {camera: len(frames_of(instance, camera)[0]) for camera in watermarks(instance)}
            until(
                lambda before=before: (
                    (marks := watermarks(instance))
                    and len(marks) == 2
                    and all(len(frames_of(instance, camera)[0]) > before.get(camera, 0) + 50 for camera in marks)
                ),
                60,
            )
            time.sleep(dice.uniform(0, 1.5))
            newest = dict.fromkeys(sim.urls, 0)
            killed_ns = time.time_ns()
            epochs = {camera: mark.epoch for camera, mark in watermarks(instance).items()}
            kill_and_start(instance, "broker", "media_center")  # neither ring nor recorder is left
            for camera in sim.urls:
                frames = [frame for frame in frames_of(instance, camera)[0] if frame.epoch <= epochs[camera]]
                newest[camera] = frames[-1].received_ns
                sent = [unit.digest for unit in sim.log(camera)]
                begun = [frame for frame in frames if frame.epoch == epochs[camera]]
                first = sent.index(begun[0].digest)
                assert [frame.digest for frame in begun] == sent[first : first + len(begun)]
            worst_ns = max(worst_ns, *(killed_ns - one for one in newest.values()))
    assert worst_ns < 2_000_000_000
