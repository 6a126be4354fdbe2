"""The wall through a real pty, replayed by pyte: guards what `tui.strips` knows of Textual's inside (FACTS 8)."""

import sys

from tests.terminal import Terminal

PROGRAM = """
import asyncio, time
from mesh.ids import FrameId
from trueframe.situation import CameraSight, Picture, Situation
from tests.desk_by_hand import DeskByHand
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

WallApp(situation, DeskByHand(), feed, lambda w, h, cameras: size.append((w, h)), true_colour=True).run()
"""


def test_a_terminal_shows_the_pictures_cell_by_cell_before_and_after_help_lay_over_them() -> None:
    terminal = Terminal([sys.executable, "-c", PROGRAM])
    try:
        terminal.until("cam-2")
        terminal.until("lag")
        terminal.read(1.0)
        for _ in range(2):
            # Each picture has a right half of one colour, many cells large.
            shown = terminal.colours()
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
