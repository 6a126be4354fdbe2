"""A service process from outside: how it starts, refuses, reports and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.process import PARENT_PID_VARIABLE, child_environment
from tests.support import until

ROOT = Path(__file__).parents[3]

SERVICE = textwrap.dedent(
    """
    import asyncio, os, sys
    from mesh.errors import PortInUse
    from mesh.server import run_service

    async def main(config):
        conduct = os.environ.get("CONDUCT", "")
        if conduct == "refuse":
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(refuse())
        if conduct == "fail":
            raise RuntimeError("cannot open rtsp://admin:secret@cam")
        print("up", flush=True)
        try:
            await asyncio.sleep(60)
        finally:
            if conduct == "hang":
                import time
                time.sleep(60)
            await asyncio.sleep(0.05)
            print("put in order", flush=True)

    async def refuse():
        raise PortInUse("endpoint unix:/x", "another process serves there", "Stop it.")

    run_service(main, "example", stop_within_s=1.0)
    """
)


@contextlib.contextmanager
def service(tmp_path: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    program = tmp_path / "example.py"
    program.write_text(SERVICE)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TRUEFRAME_")}
    process = subprocess.Popen(
        [sys.executable, str(program), "--set", f"run.data_dir={tmp_path}/data", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def up(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_service_put_things_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with service(tmp_path) as process:
        up(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "put in order\n")
    assert f"stopping signal={number.name}" in err


def test_a_service_that_hangs_is_ended_in_its_time(tmp_path: Path) -> None:
    with service(tmp_path, CONDUCT="hang") as process:
        up(process)
        started_s = time.monotonic()
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert time.monotonic() - started_s < 5
    assert "did not stop in time" in err


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--set", "broker.ring_second=1"], 2,
         "example: --set broker.ring_second: section [broker] has no key 'ring_second'. Did you mean 'ring_seconds'?"),
        (["--config", "/no/such.toml"], 2, "example: configuration file /no/such.toml: does not exist"),
        (["--nonsense"], 2, "error: unrecognized arguments: --nonsense"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], code: int, line: str) -> None:
    with service(tmp_path, *arguments) as process:
        _, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert err.splitlines()[-1].endswith(line)
    assert "Traceback" not in err


def test_a_known_error_inside_a_task_group_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    with service(tmp_path, CONDUCT="refuse") as process:
        _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert err == "example: endpoint unix:/x: another process serves there. Stop it.\n"


def test_an_unknown_error_leaves_a_traceback_without_credentials(tmp_path: Path) -> None:
    with service(tmp_path, CONDUCT="fail") as process:
        _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "Traceback" in err
    assert err.splitlines()[-1] == "example: failed: RuntimeError('cannot open rtsp://cam')"
    assert "secret" not in err


def test_metrics_are_served_where_the_run_folder_says(tmp_path: Path) -> None:
    with service(tmp_path, "--set", "run.metrics=true") as process:
        up(process)
        url_file = tmp_path / "data" / "run" / "example.metrics"
        with urllib.request.urlopen(url_file.read_text().strip(), timeout=5) as answer:
            text = answer.read().decode()
        assert "process_cpu_seconds_total" in text
        process.terminate()
        process.communicate(timeout=10)
        assert not url_file.exists()


PARENT = textwrap.dedent(
    """
    import subprocess, sys, time
    from mesh.process import child_environment

    child = subprocess.Popen(sys.argv[1:], env=child_environment())
    print(child.pid, flush=True)
    time.sleep(60)
    """
)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("kind", ["service", "wrapped command"])
def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path, kind: str) -> None:
    program = tmp_path / "example.py"
    program.write_text(SERVICE)
    marker = tmp_path / "marker"
    command = {
        "service": [sys.executable, str(program), "--set", f"run.data_dir={tmp_path}/data"],
        "wrapped command": [
            sys.executable,
            "-m",
            "mesh.process",
            "sh",
            "-c",
            f"echo up; echo > {marker}; exec sleep 60",
        ],
    }[kind]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert parent.stdout.readline() == "up\n"
    assert alive(child)
    parent.kill()
    parent.wait()
    until(lambda: not alive(child), 10, "the child ends")
    parent.stdout.close()


def test_a_child_whose_parent_is_gone_before_it_begins_ends_at_once(tmp_path: Path) -> None:
    with service(tmp_path, **{PARENT_PID_VARIABLE: "999999"}) as process:
        out, _ = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "")


def test_the_environment_of_a_child_names_this_process() -> None:
    assert child_environment(X="1") == {**os.environ, PARENT_PID_VARIABLE: str(os.getpid()), "X": "1"}
