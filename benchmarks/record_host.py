"""The recorder of a benchmark, as a process of its own: cutter, writer and seals as in a media center.

Reads encoded FrameBatches from standard input, each behind its length as four bytes, and records them. Prints one JSON
object when standard input ends. What it does not have is gRPC: neither has what it is compared with.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, cast

from broker.client import BatchReader
from media_center.cutter import Limits
from media_center.folder_notes import FolderNotes
from media_center.keys import FootageSigner
from media_center.recorder import Recorder
from media_center.writer import FootageWriter
from mesh.allocator import tune_malloc
from mesh.clocks import SystemClock

_TICK_S = 0.05


def main() -> None:
    """Records until the pipe ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--plain-malloc", action="store_true", help="as with media_center.tune_malloc = false")
    options = parser.parse_args()
    if not options.plain_malloc:
        tune_malloc()
    root = options.folder / "media"
    root.mkdir()
    clock = SystemClock()
    signer = FootageSigner.of_folder(options.folder / "keys", clock.utc_ns())
    writer = FootageWriter(root, {}, lambda _: None, clock, signer=signer, notes=FolderNotes(root))
    # It only ever asks its client for a subscription, and here the pipe is one.
    recorder = Recorder(cast(Any, None), writer, Limits(), clock, {})
    writer.start()
    ticked_s = 0.0
    pipe = sys.stdin.buffer
    while head := pipe.read(4):
        batch = pipe.read(int.from_bytes(head, "big"))
        for item in BatchReader(batch):
            recorder.take(item)
        now_s = time.monotonic()
        if now_s - ticked_s > _TICK_S:
            ticked_s = now_s
            recorder.tick()
    stopped = recorder.stop()
    report = {"frames": recorder.frames, "lost": writer.lost_frames, "stopped": stopped, "written": written_bytes()}
    print(json.dumps(report))


def written_bytes() -> int:
    """Bytes that this process made the disk write, from its start on."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


if __name__ == "__main__":
    main()
