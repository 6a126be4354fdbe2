"""A program in a real pty, and what a terminal would show of it (pyte). Nothing here knows trueframe."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[1]


class Terminal:
    """A terminal of a size, with a program in it."""

    def __init__(
        self, command: list[str], columns: int = 120, lines: int = 30, environment: Mapping[str, str] | None = None
    ) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.written = 0
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={
                **os.environ,
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                "PYTHONPATH": str(ROOT),
                "TRUEFRAME_PARENT_PID": str(os.getpid()),
                **(environment or {}),
            },
            start_new_session=True,
        )
        os.close(slave)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(self.screen.display)

    def colours(self) -> Counter[str]:
        """How many cells show which colour: that of the upper half of half blocks, the background of others."""
        cells = (self.screen.buffer[y][x] for y in range(self.screen.lines) for x in range(self.screen.columns))
        return Counter(cell.fg if cell.data == "▀" else cell.bg for cell in cells)

    def read(self, for_s: float) -> None:
        """Takes what the program writes, for so long."""
        deadline = time.monotonic() + for_s
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                try:
                    data = os.read(self._master, 1 << 16)
                except OSError:
                    return
                self.written += len(data)
                self._stream.feed(data)

    def until(self, text: str, timeout_s: float = 20.0) -> None:
        """Waits until a text stands on the screen."""
        deadline = time.monotonic() + timeout_s
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} never came:\n{self.text}"
            assert self.process.poll() is None, f"the program ended before {text!r} came:\n{self.text}"
            self.read(0.1)

    def press(self, keys: str) -> None:
        """Types."""
        os.write(self._master, keys.encode())

    def close(self, within_s: float = 30.0) -> int:
        """Waits until the program ends, and returns its exit code; kills it, and returns -9, if it does not."""
        deadline = time.monotonic() + within_s
        # A terminal that nobody reads blocks the program's last words.
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        os.close(self._master)
        return code
