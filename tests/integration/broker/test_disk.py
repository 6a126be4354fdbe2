"""A broker whose disk takes nothing more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.broker_process import BrokerProcess


def run(broker: BrokerProcess, *, is_disk_full: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a broker that is expected to end by itself. A limit on the size of files stands for the full disk."""
    settings = (f"run.data_dir={broker.data}", f"run.run_dir={broker.run_dir}")
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    command = [sys.executable, "-m", "broker", *arguments]
    if is_disk_full:
        command = ["sh", "-c", 'ulimit -f 0 && exec "$@"', "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_full_disk_at_start_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path / "data")
    done = run(broker, is_disk_full=True)
    broker.close()
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("broker:")]
    assert "broker.db" in line
    assert "Check the disk" in line
    assert "Traceback" not in done.stderr


def test_an_endpoint_that_is_in_use_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    first = BrokerProcess(tmp_path / "data")
    first.start()
    try:
        # Another instance's data, the same endpoint.
        second = BrokerProcess(tmp_path / "other")
        second.run_dir.rmdir()
        second.run_dir = first.run_dir
        done = run(second)
    finally:
        first.close()
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("broker:")]
    assert "another process serves there" in line
    assert "Traceback" not in done.stderr
