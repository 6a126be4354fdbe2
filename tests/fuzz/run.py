"""Fuzzes everything that reads what comes from outside: `python -m tests.fuzz.run --inputs 10000000 --workers 2`.

Structure-aware mutations of a committed corpus; what must hold for any input is checked, not only that nothing breaks.
Meant to run under AddressSanitizer (`make fuzz`), where a read or write out of bounds ends a worker: its case is made
again from its seed, stored, and the run goes on behind it. Exit code 1 if anything was found.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.fuzz.cases import write_case
from tests.fuzz.targets import all_targets
from tests.fuzz.worker import PLACE, batch_target, case_at, quotas_of

_MAX_FINDINGS = 25
# Compiled code does not hear the alarm of a worker.
_SILENT_FOR_S = 120.0
_SHOW_EVERY_S = 30.0


@dataclass
class Finding:
    """A case that broke something."""

    target: str
    batch: int
    number: int
    error: str
    file: str = ""


@dataclass
class Worker:
    """A worker process, the file that says where it is, and the thread that hears it."""

    process: subprocess.Popen[str]
    place: Path
    listener: threading.Thread
    last_heard: float = field(default_factory=time.monotonic)


class Run:
    """A whole run: workers, what they report, what was found."""

    def __init__(self, inputs: int, seconds: float, seed: int, workers: int, findings: Path) -> None:
        self.inputs, self.seconds, self.seed, self.workers = inputs, seconds, seed, workers
        self.folder = findings
        self.targets = {
            name: {"inputs": 0, "cases": 0, "seconds": 0.0, "corpus": len(target.corpus)}
            for name, target in all_targets().items()
        }
        self.findings: list[Finding] = []
        self._reports: queue.Queue[tuple[int, str | None]] = queue.Queue()
        self._alive: dict[int, Worker] = {}
        self._began = time.monotonic()
        self._logs = tempfile.TemporaryDirectory(prefix="trueframe-fuzz-")

    @property
    def done(self) -> int:
        """Inputs until now."""
        return int(sum(row["inputs"] for row in self.targets.values()))

    @property
    def elapsed_s(self) -> float:
        """Wall time until now."""
        return time.monotonic() - self._began

    def run(self) -> None:
        """Until there were enough inputs, the time is over, or too much was found."""
        alive = self._alive
        alive |= {number: self._start(number, number) for number in range(self.workers)}
        shown = 0.0
        try:
            while alive:
                try:
                    number, line = self._reports.get(timeout=5)
                except queue.Empty:
                    self._end_silent(alive)
                    continue
                worker = alive.get(number)
                if worker is None:
                    continue
                worker.last_heard = time.monotonic()
                if line is not None:
                    self._take(line)
                else:
                    alive.pop(number)
                    following = self._ended(worker)
                    if following is not None and len(self.findings) < _MAX_FINDINGS:
                        alive[number] = self._start(number, following)
                if self.elapsed_s - shown > _SHOW_EVERY_S:
                    shown = self.elapsed_s
                    rate = self.done / shown
                    sys.stderr.write(f"{self.done} inputs, {rate:.0f} a second, {len(self.findings)} findings\n")
                if len(self.findings) >= _MAX_FINDINGS:
                    break
        finally:
            for worker in alive.values():
                worker.process.kill()
                worker.process.wait()
                worker.listener.join()
            self._logs.cleanup()

    @property
    def pids(self) -> list[int]:
        """Of the workers that run."""
        return [worker.process.pid for worker in list(self._alive.values())]

    def report(self) -> dict[str, object]:
        """The result."""
        maps = Path("/proc/self/maps").read_text()
        return {
            "inputs": self.done,
            "seconds": round(self.elapsed_s, 1),
            "inputs_per_second": round(self.done / self.elapsed_s),
            "seed": self.seed,
            "commit": os.environ.get("TRUEFRAME_COMMIT", ""),
            "workers": self.workers,
            "sanitizer": "address" if "libasan" in maps else "none",
            "targets": {
                name: {**row, "seconds": round(row["seconds"], 1)} for name, row in sorted(self.targets.items())
            },
            "findings": [
                {"target": one.target, "batch": one.batch, "case": one.number, "error": one.error, "file": one.file}
                for one in self.findings
            ],
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        }

    def _start(self, number: int, first: int) -> Worker:
        folder = Path(self._logs.name)
        place = folder / f"place-{number}"
        place.write_bytes(bytes(PLACE.size))
        left = max(0, self.inputs - self.done) // self.workers + 1
        options = {
            "seed": self.seed, "first": first, "step": self.workers, "inputs": left,
            "seconds": max(0.0, self.seconds - self.elapsed_s), "place": place,
        }  # fmt: skip
        with (folder / f"stderr-{number}").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", *(f"--{name}={value}" for name, value in options.items())],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

        def listen() -> None:
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    self._reports.put((number, line))
            self._reports.put((number, None))

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        return Worker(process, place, listener)

    def _take(self, line: str) -> None:
        report = json.loads(line)
        row = self.targets[report["target"]]
        row["inputs"] += report["inputs"]
        row["cases"] += report["cases"]
        row["seconds"] += report["seconds"]
        if report["error"]:
            self._found(Finding(report["target"], report["batch"], report["cases"] - 1, report["error"]))

    def _ended(self, worker: Worker) -> int | None:
        """The batch to go on with, if the worker did not end by itself."""
        code = worker.process.wait()
        worker.listener.join()
        if code == 0:
            return None
        batch, number = PLACE.unpack(worker.place.read_bytes())
        log = (worker.place.parent / worker.place.name.replace("place", "stderr")).read_text(errors="replace")
        self._found(Finding(self._target_of(batch), batch, number, f"the process ended with {code}\n{log[:4000]}"))
        return int(batch) + self.workers

    def _end_silent(self, alive: dict[int, Worker]) -> None:
        for worker in alive.values():
            if time.monotonic() - worker.last_heard > _SILENT_FOR_S:
                worker.process.kill()

    def _target_of(self, batch: int) -> str:
        targets = all_targets()
        return batch_target(batch, targets, quotas_of(targets)).name

    def _found(self, finding: Finding) -> None:
        path = self.folder / f"{finding.target}-{self.seed}-{finding.batch}-{finding.number}.parts"
        write_case(path, case_at(all_targets()[finding.target], self.seed, finding.batch, finding.number))
        finding.file = path.name
        self.findings.append(finding)
        sys.stderr.write(f"found: {finding.target}, {path}\n{finding.error}\n")


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--inputs", type=int, default=1_000_000_000)
    arguments.add_argument(
        "--seconds", type=float, default=1e9, help="end after so long, however many inputs there were"
    )
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--findings", type=Path, default=Path("build/fuzz-findings"), help="folder of broken cases")
    arguments.add_argument("--json", type=Path, help="where the result is written too")
    options = arguments.parse_args()
    run = Run(options.inputs, options.seconds, options.seed, options.workers, options.findings)
    run.run()
    text = json.dumps(run.report(), indent=1)
    if options.json:
        options.json.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    sys.exit(1 if run.findings else 0)


if __name__ == "__main__":
    main()
