"""Isolation: what others notice of a stalled subscriber, a killed one, a flapping camera and one that sends garbage.

`python -m benchmarks.isolation --json` → {"p99_ratio": …, "p99_added_ms": …, "lost": …, "different": …, …}.

Twenty cameras through the shipped broker. Three subscribers read the eighteen healthy ones all the time and compare
every unit with the sender's log. Quiet and disturbed windows take turns, and so does which comes first. In a disturbed
window:

    stalled     a subscriber of all cameras opens its stream and reads nothing
    killed      a subscriber of all cameras comes and is killed with SIGKILL, twice a second
    flapping    one camera cuts its connections twice a second
    garbage     one camera sends random bytes in place of pictures

Figures: p99 of the age of units in the hands of the three (pooled; from the sender's log, one monotonic clock),
disturbed against quiet, as the median over pairs. The aim is at most a tenth more, or at most a millisecond.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Child, Instance, Simulation, instance, machine, percentile

WARM_UP_S = 3.0
READERS = 3
FLAPPING, GARBAGE = "cam-1", "cam-2"
_TURN_S = 0.5
# What a disturbance leaves behind (a camera that connects again) does not belong to the next quiet window.
_REST_S = 2.0
# Starting the processes of a window takes so long at most.
_START_S = 5.0


class Disturbance:
    """Everything at once, for the time of a block."""

    def __init__(self, made: Instance, cameras: Simulation) -> None:
        self._made = made
        self._cameras = cameras
        self._stalled: list[Child] = []
        self._victims: list[Child] = []
        self.kills = self.cuts = 0

    def _subscribers(self, kind: str, count: int) -> list[Child]:
        """Processes that are ready to subscribe."""
        endpoint, token = self._made.endpoint("broker"), str(self._made.token_file)
        command = [sys.executable, "-m", "benchmarks.victim", endpoint, token, kind]
        children = [
            Child(kind, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) for _ in range(count)
        ]
        self._made.children.extend(children)
        for child in children:
            _expect(child, b"ready\n")
        return children

    def _fault(self, camera: str, kind: str) -> None:
        with socket.create_connection(("127.0.0.1", self._cameras.control_port), timeout=10) as connection:
            connection.sendall(json.dumps({"camera": camera, "fault": kind}).encode() + b"\n")
            answer = connection.makefile().readline()
        if not json.loads(answer)["ok"]:
            raise SystemExit(f"the simulator refuses the fault {kind!r}: {answer}")

    def prepare(self, seconds: float) -> None:
        """Starts what the next window of so many seconds needs; it waits."""
        self._stalled = self._subscribers("stalled", 1)
        self._victims = self._subscribers("killed", round(seconds / _TURN_S))

    def act(self, seconds: float) -> None:
        """Disturbs for so long."""
        _tell(self._stalled[0])
        self._fault(GARBAGE, "garbage")
        begin_s = time.monotonic()
        for turn, victim in enumerate(self._victims, 1):
            _tell(victim)
            self._fault(FLAPPING, "drop")
            self.cuts += 1
            time.sleep(max(0.0, begin_s + turn * _TURN_S - time.monotonic()))
            _expect(victim, b"open\n")
            victim.process.kill()
            self.kills += 1
        self._fault(GARBAGE, "none")

    def clear(self) -> None:
        """Ends what is left."""
        for child in (*self._stalled, *self._victims):
            child.process.kill()
            child.process.wait()


def _tell(child: Child) -> None:
    assert child.process.stdin is not None
    child.process.stdin.write(b"\n")
    child.process.stdin.flush()


def _expect(child: Child, line: bytes) -> None:
    assert child.process.stdout is not None
    said = child.process.stdout.readline()
    if said != line:
        raise SystemExit(f"{child.name} ended with status {child.process.wait()}")


def readers(made: Instance, cameras: Simulation, healthy: list[str], seconds: float) -> list[tuple[Child, Path]]:
    """Starts the subscribers that are measured; returns when each has opened its stream."""
    started = []
    for number in range(READERS):
        ages = made.folder / f"ages-{number}.json"
        command = [
            sys.executable, "-m", "benchmarks.reader", "--endpoint", made.endpoint("broker"),
            "--token-file", str(made.token_file), "--logs", str(cameras.log_dir),
            "--warm-up", str(WARM_UP_S), "--seconds", str(seconds), "--ages", str(ages),
            *(word for camera in healthy for word in ("--camera", camera)),
        ]  # fmt: skip
        child = Child(f"reader-{number}", subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        made.children.append(child)
        started.append((child, ages))
    for child, _ in started:
        assert child.process.stdout is not None
        child.process.stdout.readline()
    return started


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All pairs in one instance."""
    with instance() as made:
        cameras = made.start_cameras("--cameras", str(options.cameras), "--fps", str(options.fps))
        made.configure(cameras.urls)
        broker = made.start_service("broker")
        made.wait_for_socket(made.endpoint("broker"), broker)
        healthy = [camera for camera in cameras.urls if camera not in (FLAPPING, GARBAGE)]
        total_s = options.pairs * 2 * (options.seconds + 2 * _REST_S) + options.pairs * _START_S
        started = readers(made, cameras, healthy, total_s)
        time.sleep(WARM_UP_S)
        disturbance = Disturbance(made, cameras)
        windows: list[tuple[bool, int, int]] = []
        for pair in range(options.pairs):
            for is_disturbed in (False, True) if pair % 2 else (True, False):
                if is_disturbed:
                    disturbance.prepare(options.seconds)
                    time.sleep(_REST_S)
                begin_ns = time.monotonic_ns()
                if is_disturbed:
                    disturbance.act(options.seconds)
                else:
                    time.sleep(options.seconds)
                windows.append((is_disturbed, begin_ns, time.monotonic_ns()))
                if is_disturbed:
                    disturbance.clear()
                time.sleep(_REST_S)
        for child, _ in started:
            if child.process.poll() is not None:
                raise SystemExit("a reader ended before the last window: give it more time")
        reports = [json.loads(child.process.communicate(timeout=total_s + 60)[0]) for child, _ in started]
        ages = [(sent_ns, age_ms) for _, path in started for sent_ns, age_ms in json.loads(path.read_text())]
    figures = [
        (is_disturbed, percentile([age_ms for sent_ns, age_ms in ages if begin_ns <= sent_ns <= end_ns], 0.99))
        for is_disturbed, begin_ns, end_ns in windows
    ]
    quiet = [p99 for is_disturbed, p99 in figures if not is_disturbed]
    disturbed = [p99 for is_disturbed, p99 in figures if is_disturbed]
    pairs = list(zip(quiet, disturbed, strict=True))
    return {
        "p99_ratio": round(statistics.median(after / before for before, after in pairs), 4),
        "p99_added_ms": round(statistics.median(after - before for before, after in pairs), 4),
        "quiet_p99_ms": round(statistics.median(quiet), 4),
        "disturbed_p99_ms": round(statistics.median(disturbed), 4),
        "lost": sum(r["lost"] + r["holes"] for r in reports),
        "different": sum(r["different"] + r["mismatched"] for r in reports),
        "units": sum(r["sent"] for r in reports),
        "subscribers_killed": disturbance.kills,
        "connections_cut": disturbance.cuts,
    }


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cameras", type=int, default=20)
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each window")
    parser.add_argument("--pairs", type=int, default=9)
    options = parser.parse_args()
    result = run(options)
    result |= {key: value for key, value in vars(options).items() if key != "json"}
    result["machine"] = machine()
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:20} {value}")


if __name__ == "__main__":
    main()
