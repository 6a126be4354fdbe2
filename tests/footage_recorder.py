"""A process that records made-up streams through the real writer, to be cut off and killed: see tests/footage_cuts.py.

    python -m tests.footage_recorder FOLDER SEED          records a whole story, stopping and starting once
    python -m tests.footage_recorder FOLDER SEED --slow   the same over a disk that takes seconds for a sync
    python -m tests.footage_recorder FOLDER SEED --fork   waits for lines "go"; each forks a child that records on

FOLDER/media is the footage, FOLDER/keys holds the signing key, FOLDER/acks one JSON object a commit: how far each
camera is confirmed. What was told as confirmed must be there whatever happens next.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from media_center.cutter import Cutter, Limits, StreamItem
from media_center.folder_notes import FolderNotes
from media_center.keys import FootageSigner
from media_center.lane import Commit
from media_center.recovery import recover
from media_center.writer import FootageWriter
from mesh.clocks import SystemClock
from mesh.files import durable_folder
from tests.footage import EPOCH, EXACT, NONE, SECOND, Script, unit

CAMERAS = ("door", "gate", "yard")
QUICK, SLOW = (1, 40), (120, 260)
"""Items of all cameras between two syncs: of a disk that keeps up, and of one that takes seconds for each."""
_SYNC_S = 0.002
_DEADLINE_S = 60.0
LIMITS = Limits(fragment_ns=SECOND // 2, segment_ns=3 * SECOND, max_segment_ns=5 * SECOND)


def story(seed: int, frames: int = 100) -> dict[str, Script]:
    """What the cameras send: frames of every size, gaps, new epochs, clocks that are set back."""
    scripts = {}
    for number, camera in enumerate(CAMERAS):
        dice = random.Random(seed * 10 + number)
        script = Script(camera, EPOCH + seed * SECOND).start()
        for _ in range(frames):
            happens = dice.random()
            if happens < 0.04:
                script.gap(count=dice.randint(1, 9))
            elif happens < 0.06:
                script.end().start(script.epoch + dice.randint(1, 50))
            elif happens < 0.07:
                script.end().start(script.epoch + 1, started_ns=EPOCH - 3600 * SECOND)
            size = int(min(60_000, dice.lognormvariate(7.5, 1.3))) + 8
            join = EXACT if script.seq % 10 == 0 else NONE
            script.frame(unit(dice.getrandbits(60), size), join=join, step_s=dice.choice((0.04, 0.1, 0.1, 0.3)))
        scripts[camera] = script
    return scripts


def signer_of(folder: Path) -> FootageSigner:
    """The key of a folder, made if there is none."""
    return FootageSigner.of_folder(folder / "keys", time.time_ns())


class Recording:
    """Writer and cutters over a folder, going on behind what is in it."""

    def __init__(self, folder: Path, sync_s: float) -> None:
        root = folder / "media"
        durable_folder(root)
        signer = signer_of(folder)
        notes = FolderNotes(root)
        recovered = recover(root, signer, notes)
        self._clock = SystemClock()
        self._acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        lanes = {camera: found.lane for camera, found in recovered.items()}
        self.writer = FootageWriter(root, lanes, self._tell, self._clock, sync_s=sync_s, signer=signer, notes=notes)
        self._cutters = {camera: Cutter(camera, LIMITS, found.resumption) for camera, found in recovered.items()}
        self.last = {camera: cutter.last for camera, cutter in self._cutters.items()}
        self.writer.start()

    def _tell(self, commits: list[Commit]) -> None:
        marks = {one.camera: [one.watermark.epoch, one.watermark.seq] for one in commits if one.watermark is not None}
        os.write(self._acks, json.dumps(marks).encode() + b"\n")

    def take(self, item: StreamItem) -> None:
        """Records an item."""
        cutter = self._cutters.setdefault(item.camera, Cutter(item.camera, LIMITS))
        for fragment in cutter.take(item, self._clock.monotonic_ns()):
            self.writer.submit(fragment)

    def take_all(self, items: Sequence[StreamItem], dice: random.Random, between: tuple[int, int]) -> None:
        """Records items, from `between[0]` to `between[1]` of them in each round of the writer."""
        at = 0
        while at < len(items):
            stop = at + dice.randint(*between)
            held = threading.Event()
            round_begins = self.writer.between_rounds(lambda _, held=held: _wait(held))  # type: ignore[misc]
            for item in items[at:stop]:
                self.take(item)
            held.set()
            round_begins.result(_DEADLINE_S)
            at = stop

    def stop(self) -> None:
        """Everything taken is on disk."""
        for cutter in self._cutters.values():
            for fragment in cutter.flush():
                self.writer.submit(fragment)
        if not self.writer.stop():
            raise SystemExit("the writer did not stop")
        os.close(self._acks)


def _wait(held: threading.Event) -> None:
    assert held.wait(_DEADLINE_S)


def merged(scripts: dict[str, Script]) -> list[StreamItem]:
    """All cameras' items, one after the other."""
    streams = [script.items for script in scripts.values()]
    return [
        stream[position]
        for position in range(max(map(len, streams)))
        for stream in streams
        if position < len(stream)
    ]  # fmt: skip


def behind(scripts: dict[str, Script], recording: Recording) -> list[StreamItem]:
    """What a broker would tell: of each camera the epoch again, then everything behind the last frame on disk."""
    rest = {}
    for camera, script in scripts.items():
        items = script.items
        last = recording.last.get(camera)
        if last is not None:
            at = next(i for i, item in enumerate(items) if getattr(item, "id", None) == last)
            began = max(i for i in range(at) if type(items[i]).__name__ == "EpochStarted")
            items = [items[began], *items[at + 1 :]]
        rest[camera] = items
    streams = list(rest.values())
    longest = max(map(len, streams))
    return [stream[i] for i in range(longest) for stream in streams if i < len(stream)]


def record_story(folder: Path, seed: int, between: tuple[int, int]) -> None:
    """A whole story, with an orderly stop and a start in the middle."""
    dice = random.Random(seed)
    items = merged(story(seed))
    half = len(items) // 2
    for part in (items[:half], None):
        recording = Recording(folder, _SYNC_S)
        recording.take_all(part if part is not None else behind(story(seed), recording), dice, between)
        recording.stop()


def record_until_killed(folder: Path, seed: int) -> None:
    """Goes on with an endless story."""
    recording = Recording(folder, _SYNC_S)
    recording.take_all(behind(story(seed, frames=600), recording), random.Random(), QUICK)
    recording.stop()


def main() -> None:
    """Records."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--fork", action="store_true")
    options = parser.parse_args()
    if not options.fork:
        record_story(options.folder, options.seed, SLOW if options.slow else QUICK)
        return
    story(options.seed, frames=600)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            record_until_killed(options.folder, options.seed)
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()
