"""A command as a channel: what it is given, what its end means, and that it is ended."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mesh.config_notifications import NotificationChannel
from tests.notified import Notified, config, notified
from tests.support import auntil


def script(folder: Path, text: str, **fields: object) -> NotificationChannel:
    path = folder / "tell"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    settings = {"longest_wait_s": 0.1, "timeout_s": 5.0} | fields
    return NotificationChannel("program", "command", argv=(str(path), "$(id)", "; rm -rf /"), **settings)  # type: ignore[arg-type]


async def _ended(site: Notified, progress: str) -> bool:
    found = await site.progress()
    return bool(found) and set(found) == {progress}


async def test_a_command_gets_the_alarm_as_json_and_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEFRAME_TOKEN_FILE", "/somewhere/secret")
    text = f'cat > {tmp_path}/stdin; env > {tmp_path}/env; echo "$@" > {tmp_path}/argv; printf "\\033]0;told"'
    async with notified(tmp_path, config(script(tmp_path, text))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: _ended(site, "sent"), what="it ran")
        assert (await site.deliveries())[0].reason == "]0;told"
    assert json.loads((tmp_path / "stdin").read_text())["id"] == "a00001.1.raise.program"
    environment = (tmp_path / "env").read_text()
    assert "TRUEFRAME_CAMERA=yard" in environment
    assert "TOKEN_FILE" not in environment
    assert (tmp_path / "argv").read_text() == "$(id) ; rm -rf /\n"


async def test_a_command_that_fails_is_run_again_and_one_that_says_it_is_in_vain_is_not(tmp_path: Path) -> None:
    text = f"echo x >> {tmp_path}/runs; [ $(wc -l < {tmp_path}/runs) -lt 3 ] && exit 1; exit 65"
    async with notified(tmp_path, config(script(tmp_path, text))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: _ended(site, "refused"), what="it is refused")
        assert (await site.deliveries())[0].attempts == 3


async def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    text = f"sleep 600 & echo $! > {tmp_path}/child; yes | head -c 1000000; wait"
    async with notified(tmp_path, config(script(tmp_path, text, timeout_s=0.5))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: site.conditions.holds("channel_program"), what="it is an alarm")
        assert "did not end within 0.5 s" in (await site.deliveries())[0].reason
    child = int((tmp_path / "child").read_text())
    await auntil(lambda: not _runs(child), what="its child is ended")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
