"""A real media center killed while it records: is everything confirmed served afterwards, and what does a kill cost?

    python -m tests.footage_cuts --media-center-kills 30 --result docs/results/cuts.json

A kill: the media center alone, again and again; the broker's ring has what it missed. A power cut: broker and media
center at once, so that neither ring nor recorder is left. Judged by the simulator's own log of what its cameras sent.
"""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import simulator.testing
from broker.client import WireFrame
from mesh.ids import FrameId
from simulator.testing import Simulator
from tests.footage_instance import Instance
from tests.support import until
from trueframe.v1 import frames_pb2

FPS = 25
BOUND_S = 2.0
"""What a power cut may cost of each camera, as it is configured."""


@dataclass
class Killed:
    """What came out."""

    kills: int = 0
    power_cuts: int = 0
    lost_confirmed: int = 0
    """Watermarks that were told and are behind what is served after a kill."""
    lost_after_kills: int = 0
    """Frames that cameras sent and that are not served although the broker lived."""
    false_frames: int = 0
    """Frames that are served in another order than sent, or were never sent."""
    worst_power_cut_s: float = 0.0
    """How long before a power cut the last frame served was received, at most."""
    bound_s: float = BOUND_S
    failures: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost or false, and no power cut cost more than it may."""
        lost = self.lost_confirmed or self.lost_after_kills or self.false_frames or self.failures
        return not lost and self.worst_power_cut_s < self.bound_s


def watermarks(instance: Instance) -> dict[str, FrameId]:
    """The last frame of each camera that is confirmed on disk."""
    with instance.footage() as footage:
        return {mark.camera: mark for mark in next(footage.watch_persisted())}


def frames_of(instance: Instance, camera: str) -> tuple[list[WireFrame], list[frames_pb2.Gap]]:
    """All that is served of a camera."""
    with instance.footage() as footage:
        items = list(footage.replay(camera))
    return (
        [item for item in items if isinstance(item, WireFrame)],
        [item for item in items if isinstance(item, frames_pb2.Gap)],
    )


def kill_and_start(instance: Instance, *modules: str) -> None:
    """Kills processes at once, and starts them again."""
    for module in modules:
        instance.processes[module].send_signal(signal.SIGKILL)
    for module in modules:
        instance.end(module, signal.SIGKILL)
    for module in modules:
        instance.start(module)
        instance.wait_ready(module)


def wait_for_frames(sim: Simulator, frames: int) -> None:
    """Waits until the first camera has sent so many more."""
    camera = next(iter(sim.urls))
    goal = len(sim.log(camera)) + frames
    until(lambda: len(sim.log(camera)) >= goal, 60, f"{frames} frames")


def kill_recorders(instance: Instance, kills: int, seed: int, tally: Killed) -> None:
    """Kills the media center at random while three cameras send; then compares all of it with what was sent."""
    dice = random.Random(seed)
    with simulator.testing.running(3, fps=FPS) as sim, instance.broker() as broker:
        for camera, url in sim.urls.items():
            broker.add_camera(camera, url)
        until(lambda: len(watermarks(instance)) == len(sim.urls), 30, "footage of every camera")
        for _ in range(kills):
            wait_for_frames(sim, dice.randint(0, FPS * 3 // 2))
            confirmed = watermarks(instance)
            wait_for_frames(sim, dice.randint(0, FPS // 3))
            kill_and_start(instance, "media_center")
            tally.kills += 1
            behind = {camera: mark for camera, mark in watermarks(instance).items() if mark < confirmed[camera]}
            tally.lost_confirmed += len(behind)
            if behind:
                tally.failures.append(f"kill {tally.kills}: confirmed {confirmed}, and then {behind}")
        goal = {camera: len(sim.log(camera)) for camera in sim.urls}
        until(lambda: all(watermarks(instance)[camera].seq + 60 > goal[camera] for camera in sim.urls), 60)
        sent = {camera: [unit.digest for unit in sim.log(camera)] for camera in sim.urls}
    for camera, digests in sent.items():
        frames, gaps = frames_of(instance, camera)
        tally.lost_after_kills += sum(gap.count if gap.HasField("count") else 1 for gap in gaps)
        is_whole = [frame.seq for frame in frames] == list(range(len(frames)))
        if gaps or not is_whole:
            tally.failures.append(f"{camera}: gaps {[str(gap) for gap in gaps]}, ids without a hole: {is_whole}")
        _compare(camera, frames, digests, tally)


def cut_power(instance: Instance, cuts: int, seed: int, tally: Killed) -> None:
    """Kills broker and media center at once, again and again."""
    dice = random.Random(seed)
    with simulator.testing.running(2, fps=FPS) as sim, instance.broker() as broker:
        for camera, url in sim.urls.items():
            broker.add_camera(camera, url)
        for _ in range(cuts):
            _wait_for_footage(instance, len(sim.urls))
            wait_for_frames(sim, dice.randint(0, FPS * 3 // 2))
            epochs = {camera: mark.epoch for camera, mark in watermarks(instance).items()}
            killed_ns = time.time_ns()
            kill_and_start(instance, "broker", "media_center")
            tally.power_cuts += 1
            for camera in sim.urls:
                frames = [frame for frame in frames_of(instance, camera)[0] if frame.epoch <= epochs[camera]]
                cost_s = (killed_ns - frames[-1].received_ns) / 1e9
                tally.worst_power_cut_s = max(tally.worst_power_cut_s, round(cost_s, 3))
                begun = [frame for frame in frames if frame.epoch == epochs[camera]]
                _compare(camera, begun, [unit.digest for unit in sim.log(camera)], tally)


def _wait_for_footage(instance: Instance, cameras: int) -> None:
    """Waits until two seconds more of each camera are served."""
    before = {camera: len(frames_of(instance, camera)[0]) for camera in watermarks(instance)}

    def has_more() -> bool:
        marks = watermarks(instance)
        return len(marks) == cameras and all(
            len(frames_of(instance, camera)[0]) > before.get(camera, 0) + 2 * FPS for camera in marks
        )

    until(has_more, 60, "two seconds of footage")


def _compare(camera: str, frames: list[WireFrame], sent: list[bytes], tally: Killed) -> None:
    """Frames of one epoch are those that were sent, in a row."""
    first = sent.index(bytes(frames[0].digest)) if frames and bytes(frames[0].digest) in sent else 0
    false = sum(
        frame.digest != digest for frame, digest in zip(frames, sent[first : first + len(frames)], strict=False)
    )
    false += max(0, len(frames) - len(sent) + first)
    tally.false_frames += false
    if false:
        tally.failures.append(f"{camera}: {false} of {len(frames)} frames are not those that were sent")


def run(folder: Path, kills: int, power_cuts: int, seed: int) -> Killed:
    """The whole of it, each part over an instance of its own."""
    tally = Killed()
    for number, (part, count) in enumerate(((kill_recorders, kills), (cut_power, power_cuts))):
        instance = Instance(folder / f"data-{number}")
        try:
            instance.up()
            part(instance, count, seed + number, tally)
        finally:
            instance.stop()
    return tally
