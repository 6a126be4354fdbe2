"""Seek: how long a place in a day of footage takes to be found, to send its first packet and to become a picture.

`python -m benchmarks.seek --json` → {"locate_p99_ms", "first_packet_p99_ms", "picture_p99_ms", "picture_1080_p99_ms",
"open_s", …}. Against the shipped media center, over gRPC from this process, at random places, one after the other:

* locate: `LocateFrame` of a moment.
* first_packet: from asking `Replay` from a moment on (at full speed, lead-in included) to holding the first frame.
* picture: `GetSnapshot` of a frame, full size, as PNG. `picture_1080` is the same of a camera of 1920x1080.
* bare_picture: the same work, decoding from the join point and packing a PNG, in this process with nothing around it,
  measured right after: on a busy machine the ratio tells more than the milliseconds.
* open: from starting the process over a catalogue of many cameras and days to the answer to the first question, less
  the same over an empty folder (interpreter, imports, gRPC: `open_empty_s`); medians. `open_stopped_s` behind a stop in
  order, `open_crashed_s` behind SIGKILL, `open_s` the slower of the two; `open_listed_s` is what it takes once if
  nothing tells how the folders were left, and every name is looked at. Every segment and index has its name in its
  folder, as hard links in a tmpfs of its own (`unshare -m -r`): eight million names.
  `open_locate_ms` is the first question about a camera's footage, while the catalogues are being read: median.

The day is made of one recorded minute (`seek_footage`), H.264, GOP 30, 15 frames a second, coded so small that a day is
under a gigabyte; the JSON says how small. Files lie in the page cache: what is measured is not the disk.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Child, Instance, instance, machine, percentile
from benchmarks.seek_footage import (
    DAY_SEGMENTS,
    FPS,
    GOP,
    SECOND,
    SEGMENT_S,
    Clip,
    clip,
    make_long,
    record_minute,
    repeat,
)
from broker.client import WireFrame
from media_center.client import SyncFootageClient
from media_center.decoding import decode_exactly, encode_png
from mesh.errors import TrueframeError
from mesh.ids import FrameId

BEGIN_NS = 1_760_000_000 * SECOND


def milliseconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def first_packet(footage: SyncFootageClient, camera: str, from_ns: int) -> None:
    """Replays until the first frame is there."""
    replay = footage.replay(camera, start=from_ns, with_lead_in=True)
    for item in replay:
        if isinstance(item, WireFrame):
            break
    else:
        raise SystemExit(f"nothing to replay from {from_ns}")
    replay.close()  # type: ignore[attr-defined]


def serving(made: Instance) -> tuple[Child, SyncFootageClient, float]:
    """A media center that answers, its client, and how long that took in seconds."""
    began = time.perf_counter()
    child = made.start_service("media_center")
    endpoint = made.endpoint("media_center")
    footage = SyncFootageClient(endpoint, made.token)
    while True:
        made.wait_for_socket(endpoint, child, 600)
        try:
            footage.locate("nowhere", 1)
        except TrueframeError as error:
            if type(error).__name__ == "NotFound":
                return child, footage, time.perf_counter() - began


def bare_picture(source: Clip, units: int) -> None:
    """Decodes so many pictures from a join point on and packs the last as PNG."""
    picture = decode_exactly(1, [(seq, payload) for seq, (payload, _) in enumerate(source.units[:units])])
    if picture is None or not encode_png(picture, 0):
        raise SystemExit("the clip does not decode")


def measure_seeks(made: Instance, seeks: int, segments: int, seed: int) -> dict[str, Any]:
    """Percentiles of seeks in a day, and what the footage is."""
    media = Path(made.folder) / "data" / "media"
    small, large = clip(640, 360), clip(1920, 1080, 2 * GOP, crf=23)
    record = record_minute(media, "day", small, BEGIN_NS)
    repeat(media / "day", record, segments)
    large_segments = min(10, segments)
    repeat(media / "large", record_minute(media, "large", large, BEGIN_NS), large_segments)
    child, footage, _ = serving(made)
    chance = random.Random(seed)

    def moment(count: int) -> int:
        return BEGIN_NS + chance.randrange(count * SEGMENT_S * SECOND)

    def frame(camera: str, count: int) -> FrameId:
        return FrameId(camera, BEGIN_NS, chance.randrange(count * SEGMENT_S * FPS))

    asks: dict[str, Callable[[], object]] = {
        "locate": lambda: footage.locate("day", moment(segments)),
        "first_packet": lambda: first_packet(footage, "day", moment(segments)),
        "picture": lambda: footage.snapshot(frame("day", segments)),
        "picture_1080": lambda: footage.snapshot(frame("large", large_segments)),
    }
    figures: dict[str, Any] = {}
    try:
        for name, ask in asks.items():
            # The first connects, and starts what starts with the first question.
            figures[f"{name}_first_ms"] = round(milliseconds(ask), 1)
            times = [milliseconds(ask) for _ in range(seeks // 4 if name == "picture_1080" else seeks)]
            figures[f"{name}_p50_ms"] = round(percentile(times, 0.5), 1)
            figures[f"{name}_p99_ms"] = round(percentile(times, 0.99), 1)
        for name, source in (("bare_picture", small), ("bare_picture_1080", large)):
            times = [milliseconds(partial(bare_picture, source, chance.randrange(GOP) + 1)) for _ in range(seeks // 4)]
            figures[f"{name}_p50_ms"] = round(percentile(times, 0.5), 1)
            figures[f"{name}_p99_ms"] = round(percentile(times, 0.99), 1)
    finally:
        footage.close()
        child.stop()
        made.children.remove(child)
    sizes = [len(payload) for payload, _ in small.units]
    return figures | {
        "seeks": seeks,
        "segments": segments,
        "frames": segments * SEGMENT_S * FPS,
        "bytes_per_frame": round(statistics.mean(sizes)),
        "bytes_per_frame_1080": round(statistics.mean(len(payload) for payload, _ in large.units)),
        "minutes_1080": large_segments,
        "footage_bytes": segments * record.size,
    }


def measure_open(made: Instance, cameras: int, days: int, runs: int) -> dict[str, Any]:
    """How long a media center needs until it answers, over many cameras and days."""
    media = Path(made.folder) / "data" / "media"
    empty = statistics.median(open_and_stop(made) for _ in range(runs))
    picture = clip(640, 360)
    segments = days * DAY_SEGMENTS
    left = {}
    for number in range(cameras):
        left[f"cam-{number}"] = make_long(media, f"cam-{number}", picture, BEGIN_NS, segments)
    listed = open_and_stop(made)
    times = [open_and_stop(made) for _ in range(runs)]
    open_and_stop(made, signal.SIGKILL)
    crashed = [open_and_stop(made, signal.SIGKILL) for _ in range(runs)]
    child, footage, _ = serving(made)
    begin_ns = BEGIN_NS + SEGMENT_S * SECOND // 2
    locate_ms = [milliseconds(partial(footage.locate, camera, begin_ns)) for camera in left]
    footage.close()
    child.stop()
    made.children.remove(child)
    return {
        "open_s": round(max(0.0, *(statistics.median(one) - empty for one in (times, crashed))), 2),
        "open_stopped_s": round(statistics.median(times) - empty, 2),
        "open_crashed_s": round(statistics.median(crashed) - empty, 2),
        "open_listed_s": round(listed - empty, 2),
        "open_empty_s": round(empty, 2),
        "open_locate_ms": round(percentile(locate_ms, 0.5), 1),
        "open_cameras": cameras,
        "open_days": days,
        "open_segments": cameras * segments,
        "open_names": sum(1 for camera in left for _ in (media / camera).iterdir()),
    }


def open_and_stop(made: Instance, number: signal.Signals = signal.SIGTERM) -> float:
    """Seconds until a media center answers; it is stopped again in order, or killed."""
    child, footage, seconds = serving(made)
    footage.close()
    if number is signal.SIGKILL:
        child.process.kill()
    child.stop()
    made.children.remove(child)
    return seconds


def measure_open_apart(cameras: int, days: int, runs: int) -> dict[str, Any]:
    """`measure_open` in a process whose temporary folder is a tmpfs of its own, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="trueframe-open-") as folder:
        command = ["unshare", "-m", "-r", sys.executable, "-m", "benchmarks.seek", "--open-in", folder]
        command += ["--cameras", str(cameras), "--days", str(days), "--runs", str(runs)]
        found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        return found


def open_in(folder: str, cameras: int, days: int, runs: int) -> dict[str, Any]:
    """In a mount namespace of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=0,size=50%", "tmpfs", folder], check=True)
    tempfile.tempdir = folder
    made = Instance(Path(tempfile.mkdtemp()))  # not removed name by name: the tmpfs goes with this process
    made.configure({}, media_center={"min_free_bytes": 0, "scrub_days": 0})
    try:
        return measure_open(made, cameras, days, runs)
    finally:
        for child in made.children:
            child.stop()


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seek", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--seeks", type=int, default=200)
    parser.add_argument("--hours", type=int, default=24, help="footage of one camera")
    parser.add_argument("--cameras", type=int, default=100, help="in the catalogue that is opened; 0 leaves that out")
    parser.add_argument("--days", type=int, default=30, help="of each of them")
    parser.add_argument("--runs", type=int, default=3, help="openings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--open-in", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open_in:
        print(json.dumps(open_in(options.open_in, options.cameras, options.days, options.runs)))
        return
    figures: dict[str, Any] = {}
    with instance() as made:
        made.configure({}, media_center={"min_free_bytes": 0})
        figures |= measure_seeks(made, options.seeks, options.hours * 60, options.seed)
    if options.cameras:
        figures |= measure_open_apart(options.cameras, options.days, options.runs)
    figures["machine"] = machine()
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
