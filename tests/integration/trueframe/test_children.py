"""Real processes kept running."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mesh.errors import FailedPrecondition
from mesh.process import child_environment
from tests.support import auntil
from trueframe.children import Child, ChildSpec, error_in

SLEEPER = "import time; print('here', flush=True); time.sleep(600)"


@asynccontextmanager
async def child(program: str, folder: Path, said: list[str], **options: object) -> AsyncIterator[Child]:
    command = (sys.executable, "-c", program)
    spec = ChildSpec("sleeper", command, child_environment(), **options)  # type: ignore[arg-type]
    kept = Child(spec, folder / "sleeper.log", lambda level, text: said.append(f"{level}: {text}"))
    kept.start()
    try:
        yield kept
    finally:
        await kept.stop()


async def test_a_child_that_dies_is_started_again_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    async with child(SLEEPER, tmp_path, said) as kept:
        await kept.wait_ready()
        first = kept.pid
        assert first
        os.kill(first, 9)
        await auntil(lambda: kept.pid not in (None, first) and kept.is_ready)
        assert said[0].startswith("warning: sleeper was killed by SIGKILL after ")
        assert said[1] == "info: sleeper is back"
        assert kept.restarts.count == 1
        last = kept.pid
    assert last
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


async def test_a_child_that_refuses_its_input_is_not_tried_again_and_its_words_are_told(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    said: list[str] = []
    program = "import sys; sys.exit(sys.stderr.write('port 5: is taken\\n') and 2)"
    async with child(program, tmp_path, said, is_ready=never) as kept:
        with pytest.raises(FailedPrecondition, match="exit code 2: port 5: is taken") as failed:
            await kept.wait_ready()
    assert "sleeper.log" in failed.value.remedy
    assert said == []


async def test_a_child_that_never_becomes_ready_is_told_after_a_while(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with child(SLEEPER, tmp_path, [], is_ready=never, ready_within_s=0.5) as kept:
        with pytest.raises(FailedPrecondition, match=r"not ready after [01] s"):
            await kept.wait_ready()


async def test_a_child_that_does_not_stop_when_asked_is_killed(tmp_path: Path) -> None:
    said: list[str] = []
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('here', flush=True); time.sleep(600)"
    async with child(stubborn, tmp_path, said, stop_within_s=0.5) as kept:
        await auntil(lambda: "here" in (tmp_path / "sleeper.log").read_text())
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert "did not stop within 0 s; killed" in said[-1]
    assert kept.pid is None


async def test_lines_of_any_length_reach_the_log_and_never_block_the_child(tmp_path: Path) -> None:
    seen: list[str] = []
    program = "import time; print('x' * 300_000); print('short', flush=True); time.sleep(600)"
    async with child(program, tmp_path, [], on_line=seen.append):
        await auntil(lambda: seen and seen[-1] == "short")
    assert "short" in (tmp_path / "sleeper.log").read_text()


async def test_errors_that_a_service_logs_are_told_and_not_more_than_one_in_ten_seconds(tmp_path: Path) -> None:
    program = """
import time
from mesh import logs
for as_json in (False, True):
    logs.configure("broker", as_json=as_json)
    log = logs.get_logger("broker.store")
    log.info("all is well")
    log.warning("no error here")
    log.error("disk is full", folder="/data")
time.sleep(600)
"""
    said: list[str] = []
    async with child(program, tmp_path, said):
        await auntil(lambda: (tmp_path / "sleeper.log").read_text().count("disk is full") == 2)
        await auntil(lambda: said)
    assert said == ["error: sleeper: broker.store: disk is full folder=/data"]


def test_both_forms_of_logs_are_read_for_errors() -> None:
    assert error_in('{"level": "error", "message": "disk is full"}') == "disk is full"
    assert error_in('{"level": "info", "message": "an error that is none"}') == ""
    assert (
        error_in("2026-11-20T05:49:24.123Z error   broker broker.x: disk is full a=1") == "broker.x: disk is full a=1"
    )
    for line in ("2026-11-20T05:49:24.123Z info    broker x: error y", "Traceback", "{", "", "an error occurred"):
        assert error_in(line) == ""


async def test_stopping_twice_or_before_the_start_does_nothing(tmp_path: Path) -> None:
    kept = Child(ChildSpec("x", ("true",), {}), tmp_path / "x.log", lambda level, text: None)
    await kept.stop()
    async with child(SLEEPER, tmp_path, []) as other:
        await asyncio.sleep(0)
        await other.stop()
