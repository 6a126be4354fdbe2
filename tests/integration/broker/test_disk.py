"""A broker whose disk takes nothing more."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

from tests.broker_process import BrokerProcess


def run(broker: BrokerProcess, *, largest_file: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a broker that is expected to end by itself. `largest_file` in bytes stands for the end of the disk."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    settings = (f"run.data_dir={broker.data}", f"run.run_dir={broker.run_dir}")
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    return subprocess.run(
        [sys.executable, "-m", "broker", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        preexec_fn=limit,
    )


def test_a_full_disk_at_start_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    done = run(BrokerProcess(tmp_path / "data"), largest_file=0)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("broker:")]
    assert "broker.db" in line
    assert "Check the disk" in line
    assert "Traceback" not in done.stderr


def test_an_endpoint_that_is_in_use_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    first = BrokerProcess(tmp_path / "data")
    first.start()
    try:
        done = run(first)
    finally:
        first.stop()
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("broker:")]
    assert "another process serves there" in line
    assert "Traceback" not in done.stderr
