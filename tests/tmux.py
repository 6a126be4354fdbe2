"""A program in tmux, as operators run it over SSH: keys in, the text of the pane out. Nothing here knows trueframe."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.real_peers import require

ROOT = Path(__file__).resolve().parents[1]


class Pane:
    """One pane of a tmux server of its own."""

    def __init__(self, server: str) -> None:
        self._server = server

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._server, *arguments], capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout

    @property
    def text(self) -> str:
        """What stands in the pane."""
        return self._tmux("capture-pane", "-p")

    @property
    def ansi(self) -> str:
        """The same with its colours."""
        return self._tmux("capture-pane", "-p", "-e")

    def press(self, *keys: str) -> None:
        """Types, in tmux's names of keys."""
        self._tmux("send-keys", *keys)

    def until(self, text: str, timeout_s: float = 30.0) -> str:
        """Waits until a text stands in the pane; returns all of it."""
        deadline = time.monotonic() + timeout_s
        while text not in (shown := self.text):
            assert time.monotonic() < deadline, f"{text!r} never came:\n{shown}"
            time.sleep(0.02)
        return shown

    def until_gone(self, text: str, timeout_s: float = 30.0) -> str:
        """Waits until a text stands there no more."""
        deadline = time.monotonic() + timeout_s
        while text in (shown := self.text):
            assert time.monotonic() < deadline, f"{text!r} stays:\n{shown}"
            time.sleep(0.02)
        return shown


@contextlib.contextmanager
def in_tmux(command: list[str], columns: int = 150, lines: int = 45) -> Iterator[Pane]:
    """Runs a command in tmux; ends it and its tmux server at the end. Skips the test where there is no tmux."""
    require("tmux")
    server = f"trueframe-test-{uuid.uuid4().hex[:8]}"
    environment = {
        **os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    shell = shlex.join(["env", "COLORTERM=truecolor", *command]) + "; sleep 1000"
    size = ["-x", str(columns), "-y", str(lines)]
    subprocess.run(
        ["tmux", "-L", server, "-f", "/dev/null", "-u", "new-session", "-d", *size, shell],
        env=environment,
        timeout=30,
        check=True,
    )
    try:
        yield Pane(server)
    finally:
        subprocess.run(["tmux", "-L", server, "kill-server"], timeout=30, check=False, capture_output=True)
