"""The wall through a real pty, replayed by pyte: guards what `tui.strips` knows of Textual's inside (FACTS 8)."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import asyncio, time
from mesh.ids import FrameId
from trueframe.situation import CameraSight, Picture, Situation
from tui.app import WallApp

situation = Situation()
for camera in ("cam-1", "cam-2"):
    situation.camera_told(CameraSight(camera, camera, "live", last_received_ns=time.time_ns()))
size = []

async def feed():
    seq = 0
    while True:
        await asyncio.sleep(0.05)
        for camera, colour in (("cam-1", (200, 10, 20)), ("cam-2", (10, 20, 200))):
            if size:
                width, height = size[-1]
                # The left half changes with every picture, the right half stays.
                left = bytes((seq * 16 % 256, 255, 0)) * (width // 2)
                row = left + bytes(colour) * (width - width // 2)
                picture = Picture(FrameId(camera, 1, seq), time.time_ns(), width, height, row * height, False, 1)
                situation.picture_arrived(picture)
        seq += 1

async def fetch(frame):
    raise AssertionError

WallApp(situation, fetch, feed, lambda w, h: size.append((w, h)), "op", true_colour=True).run()
"""
COLUMNS, LINES = 120, 30


class Terminal:
    """A program in a pty and what a terminal would show of it."""

    def __init__(self, command: list[str]) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=ROOT, start_new_session=True
        )
        os.close(slave)

    def read(self, for_s: float) -> None:
        deadline = time.monotonic() + for_s
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                try:
                    self._stream.feed(os.read(self._master, 1 << 16))
                except OSError:
                    return

    def until(self, text: str, timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in "\n".join(self.screen.display):
            assert time.monotonic() < deadline, f"{text!r} never came:\n" + "\n".join(self.screen.display)
            self.read(0.1)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def close(self) -> int:
        try:
            deadline = time.monotonic() + 10
            # A terminal that is not read blocks the program's last words.
            while self.process.poll() is None and time.monotonic() < deadline:
                self.read(0.1)
            return self.process.poll() if self.process.poll() is not None else -1
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            os.close(self._master)


def test_a_terminal_shows_the_pictures_cell_by_cell_before_and_after_help_lay_over_them() -> None:
    terminal = Terminal([sys.executable, "-c", PROGRAM])
    try:
        terminal.until("cam-2")
        terminal.until("lag")
        terminal.read(1.0)
        for _ in range(2):
            cells = [terminal.screen.buffer[y][x] for y in range(LINES) for x in range(COLUMNS)]
            shown = Counter(cell.fg if cell.data == "▀" else cell.bg for cell in cells)
            # Each picture has a right half of one colour, many cells large.
            assert shown["c80a14"] > 100, shown
            assert shown["0a14c8"] > 100, shown
            terminal.press("?")
            terminal.until("this camera large")
            terminal.press("\x1b")
            terminal.until("cam-1")
            terminal.read(1.0)
        terminal.press("q")
    finally:
        code = terminal.close()
    assert code == 0
