"""What recording costs: our recorder against one `ffmpeg -c copy` per camera, both fed with the same access units.

    python -m benchmarks.record --json

100 cameras x 15 pictures a second x 30 KB of H.264. Ours gets them as encoded FrameBatches over a local pipe, as a
media center gets them from the broker, and writes, hashes, seals and syncs; the peer gets them as an Annex B stream
over a local pipe a camera, and writes fragmented MP4. CPU time is that of the recording processes alone, from when all
of them write. A run is longer than a segment, so that what a segment costs is in the figures.

    ratio_ffmpeg         CPU time a unit, ours to theirs
    us_per_unit          CPU microseconds a unit, ours
    write_amplification  bytes that our process made the disk write (/proc/PID/io) over bytes of payload
    size_amplification   bytes of segments and indexes over bytes of payload
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.harness import cpu_us_of, machine
from broker.client import encode_frame, encode_item
from broker.core.bitstream import canonical
from trueframe.v1 import frames_pb2

GOP = 30
_PIPE_BYTES = 1 << 20
_WARM_UP_S = 6.0
_EPOCH = 1_800_000_000_000_000_000


def coded_units(size: int) -> list[bytes]:
    """A closed loop of H.264 access units of about `size` bytes each, the first a key frame."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 640, 368, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 15), Fraction(15)
    rate = size * 8 * 15 // 1000
    encoder.options = {
        "preset": "ultrafast",
        "x264-params": f"bitrate={rate}:vbv-maxrate={rate}:vbv-bufsize={rate // 15}:nal-hrd=cbr:keyint={GOP}"
        f":min-keyint={GOP}:scenecut=0:bframes=0:threads=1",
    }
    dice = np.random.default_rng(1)
    packets = []
    for number in range(2 * GOP):
        picture = av.VideoFrame.from_ndarray(dice.integers(0, 255, (552, 640), np.uint8), format="yuv420p")
        picture.pts = number
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    return [canonical(bytes(packet)) for packet in packets[GOP:]]


class Pacer:
    """Says for each camera in turn when its next unit is due: all cameras evenly over the time of a picture."""

    def __init__(self, cameras: int, rate: float) -> None:
        self._began_s = time.monotonic()
        self._spacing_s = 1 / rate / cameras
        self.sent = 0

    def wait(self) -> int:
        """Waits until units are due; returns the number up to which they are."""
        while True:
            due = int((time.monotonic() - self._began_s) / self._spacing_s)
            if due > self.sent:
                return due
            time.sleep(0.004)


def widen(pipe: Any) -> None:
    """Makes a pipe hold more than one picture."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class Counted:
    """CPU time of processes between two moments."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self.begin()

    def begin(self) -> None:
        """From now on."""
        self._cpu_us = {pid: cpu_us_of(pid) for pid in self._pids}

    def cpu_us(self) -> float:
        """Microseconds since then."""
        return sum(cpu_us_of(pid) - before for pid, before in self._cpu_us.items())


def measure(
    send: Callable[[int, int], None], counted: Counted, options: argparse.Namespace, end: Callable[[], None]
) -> dict[str, float]:
    """Sends for the warm-up and the measured time. `send` is told the range of units that are due."""
    pacer = Pacer(options.cameras, options.fps)
    begin_s = time.monotonic() + _WARM_UP_S
    is_measuring = False
    first = 0
    while True:
        due = pacer.wait()
        send(pacer.sent, due)
        pacer.sent = due
        now_s = time.monotonic()
        if not is_measuring and now_s >= begin_s:
            is_measuring, first = True, pacer.sent
            counted.begin()
            begin_s = now_s
        elif is_measuring and now_s >= begin_s + options.seconds:
            break
    units = pacer.sent - first
    cpu_us, took_s = counted.cpu_us(), time.monotonic() - begin_s
    end()
    return {"us_per_unit": cpu_us / units, "units_per_s": units / took_s, "sent": pacer.sent}


def run_ours(units: list[bytes], digests: list[bytes], options: argparse.Namespace) -> dict[str, float]:
    """One run of our recorder."""
    with tempfile.TemporaryDirectory(prefix="trueframe-record-", dir=options.folder) as folder:
        command = [sys.executable, "-m", "benchmarks.record_host", "--folder", folder]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        pipe = process.stdin
        widen(pipe)

        def put(entries: list[bytes]) -> None:
            batch = b"".join(entries)
            pipe.write(len(batch).to_bytes(4, "big") + batch)
            pipe.flush()

        names = [f"cam-{number}" for number in range(options.cameras)]
        began_ns = time.monotonic_ns()
        put(
            [
                encode_item(
                    frames_pb2.EpochStarted(
                        camera=name, epoch=_EPOCH, codec=frames_pb2.CODEC_H264, width=640, height=368,
                        started_ns=_EPOCH, monotonic_ns=began_ns, time_base=frames_pb2.Rational(num=1, den=90_000),
                    )
                )
                for name in names
            ]
        )  # fmt: skip
        payload_bytes = 0

        def send(first: int, end: int) -> None:
            nonlocal payload_bytes
            entries = []
            for number in range(first, end):
                seq, camera = divmod(number, options.cameras)
                at = seq % GOP
                now_ns = time.monotonic_ns()
                payload_bytes += len(units[at])
                join = frames_pb2.JOIN_POINT_EXACT if at == 0 else frames_pb2.JOIN_POINT_NONE
                entries.append(
                    encode_frame(
                        names[camera], _EPOCH, seq, _EPOCH + now_ns - began_ns, now_ns, None, None, seq * 6000, join, 0,
                        False, False, digests[at], units[at],
                    )
                )  # fmt: skip
            put(entries)

        end: dict[str, Any] = {}

        def finish() -> None:
            pipe.close()
            end.update(json.loads(process.stdout.readline()) if process.stdout is not None else {})
            process.wait()

        result = measure(send, Counted([process.pid]), options, finish)
        files = [path for path in Path(folder).rglob("*") if path.is_file() and path.parent.name != "keys"]
        size = sum(path.stat().st_size for path in files)
        if end.get("lost") or end.get("frames") != result["sent"]:
            raise SystemExit(f"the recorder lost frames: {end}, sent {result['sent']}")
        return result | {
            "write_amplification": end["written"] / payload_bytes,
            "size_amplification": size / payload_bytes,
        }


def run_peer(units: list[bytes], options: argparse.Namespace) -> dict[str, float]:
    """One run of ffmpeg, a process a camera."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise SystemExit("ffmpeg: is not installed. Install it: it is what we compare with.")
    with tempfile.TemporaryDirectory(prefix="trueframe-record-", dir=options.folder) as folder:
        processes = []
        for number in range(options.cameras):
            command = [
                program, "-nostdin", "-loglevel", "error", "-probesize", "200000", "-analyzeduration", "1000000",
                "-f", "h264", "-framerate", f"{options.fps:g}", "-i", "pipe:0", "-c", "copy",
                "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", f"{folder}/{number}.mp4",
            ]  # fmt: skip
            process = subprocess.Popen(["sh", "-c", 'exec "$@" <&0', "sh", *command], stdin=subprocess.PIPE)
            widen(process.stdin)
            processes.append(process)
        pipes = [process.stdin for process in processes if process.stdin is not None]

        def send(first: int, end: int) -> None:
            for number in range(first, end):
                seq, camera = divmod(number, options.cameras)
                pipes[camera].write(units[seq % GOP])
                pipes[camera].flush()

        def end() -> None:
            for process in processes:
                if process.poll() is not None:
                    raise SystemExit("an ffmpeg ended early")
            for pipe in pipes:
                pipe.close()
            for process in processes:
                process.wait()

        result = measure(send, Counted([process.pid for process in processes]), options, end)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        if size < 0.9 * result["sent"] * statistics.mean(map(len, units)):
            raise SystemExit("the peer did not record everything")
        return result


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cameras", type=int, default=100)
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--size", type=int, default=30_000, help="bytes of a picture")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured in each run")
    parser.add_argument("--repeats", type=int, default=3, help="runs; every figure is the median of its own")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to write to")
    options = parser.parse_args()
    units = coded_units(options.size)
    digests = [hashlib.sha256(unit).digest() for unit in units]
    at_begin = machine()
    runs = []
    for _ in range(options.repeats):
        ours, peer = run_ours(units, digests, options), run_peer(units, options)
        runs.append(
            {
                "ratio_ffmpeg": ours["us_per_unit"] / peer["us_per_unit"],
                "us_per_unit": ours["us_per_unit"],
                "write_amplification": ours["write_amplification"],
                "size_amplification": ours["size_amplification"],
                "peer_us_per_unit": peer["us_per_unit"],
                "units_per_s": ours["units_per_s"],
                "peer_units_per_s": peer["units_per_s"],
            }
        )
    result: dict[str, Any] = {key: round(statistics.median(run[key] for run in runs), 4) for key in runs[0]}
    result |= {
        "cameras": options.cameras,
        "fps": options.fps,
        "unit_bytes": round(statistics.mean(map(len, units))),
        "seconds": options.seconds,
        "repeats": options.repeats,
        "machine": at_begin,
        "load_1m_at_end": round(os.getloadavg()[0], 2),
    }
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:20} {value}")


if __name__ == "__main__":
    main()
