"""What a shell sees of the command before any service is asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.errors import InvalidArgument, NotFound, PermissionDenied
from trueframe.__main__ import COMMANDS, exit_code_of
from trueframe.running import NotRunning


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_help_names_every_command_and_imports_nothing_slow() -> None:
    done = run("--help")
    assert all(name in done.stdout for name in COMMANDS)
    program = "import sys; from trueframe.__main__ import cli; cli(['--help'], standalone_mode=False)"
    code = f"{program}; assert 'grpc' not in sys.modules and 'numpy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_supervisor_imports_no_grpc() -> None:
    code = "import sys, trueframe.supervisor; assert 'grpc' not in sys.modules, sorted(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize("arguments", [(), ("cameras",), ("events",), ("inspections",)])
def test_a_command_without_its_subcommand_shows_its_help(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")
    assert "\nCommands:\n" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("snapshot", "cam-1"), ("export", "cam-1"), ("replay", "cam-1"), ("token", "create", "eve")],
    ids=lambda arguments: arguments[0],
)
def test_a_file_in_no_folder_is_refused_before_any_work(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, "-o", "/nowhere/at/all")
    said = "trueframe: file /nowhere/at/all: there is no folder /nowhere/at. Make it, or name another with -o.\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize("mistake", ["--scenes=moon", "--port=99999", "--bogus", "--file=x=/no/such.mp4"])
def test_a_mistake_in_simulate_is_one_line(mistake: str) -> None:
    done = run("simulate", mistake)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("simulator: ")
    assert done.stderr.endswith("--help` tells more.\n")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str) -> None:
    assert run(name, "--help").returncode == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    assert "_TRUEFRAME_COMPLETE" in run("completion", shell).stdout


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    for arguments, said in {
        ("bogus",): "No such command",
        ("up", "--simulate", "x"): "--simulate",
        ("up", "nowhere.mp4"): "no such file",
        ("up", "--for", "soon"): 'duration "soon"',
        ("up", "--config", str(tmp_path / "none.toml")): "does not exist",
        ("up", "--set", "broker.ring_secnds=3", "--headless"): "Did you mean 'ring_seconds'?",
    }.items():
        done = run(*arguments, TRUEFRAME_DATA=str(tmp_path / "data"))
        assert done.returncode == 2, (arguments, done)
        assert done.stderr.startswith("trueframe: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_reader_of_a_pipe_may_leave() -> None:
    done = subprocess.run(
        f"{sys.executable} -m trueframe --help | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_exit_codes_tell_errors_apart() -> None:
    assert exit_code_of(InvalidArgument("x", "y")) == 2
    assert exit_code_of(NotRunning("x", "y")) == 3
    assert exit_code_of(NotFound("x", "y")) == 4
    assert exit_code_of(PermissionDenied("x", "y")) == 1
