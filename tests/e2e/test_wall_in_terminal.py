"""`trueframe up` in a real terminal: live tiles, an event, its recorded frame with its box, and out again."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

from simulator.testing import running
from tests.support import until
from tests.terminal import Terminal
from trueframe.running import NotRunning, find_running

BOX_COLOUR = "ff3030"


def test_the_wall_is_live_and_enter_on_an_event_shows_its_recorded_frame(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(2, log=tmp_path / "sent") as cameras:
        sources = [f"{camera}={url}" for camera, url in cameras.urls.items()]
        terminal = Terminal(
            [sys.executable, "-m", "trueframe", "up", *sources, "--data", str(data)], columns=140, lines=40
        )
        try:
            terminal.until("2/2 live", 60)
            terminal.until("link ok", 20)
            # Pictures: many colours, and others a moment later.
            until(lambda: terminal.read(0.2) or len(terminal.colours()) > 100, 20, "pictures are shown")
            before = terminal.colours()
            until(lambda: terminal.read(0.2) or terminal.colours() != before, 10, "pictures move")
            terminal.until("going on", 60)
            terminal.press("\t")
            terminal.press("\r")
            terminal.until("frame of the highest score", 20)
            until(lambda: terminal.read(0.2) or terminal.colours()[BOX_COLOUR] > 4, 20, "the box is drawn")
            shows_id_and_time = re.compile(r"^ cam-[12]/\d+/\d+  \d{4}-\d\d-\d\d [\d:.]+[+-]\d\d:\d\d", re.MULTILINE)
            until(lambda: terminal.read(0.2) or shows_id_and_time.search(terminal.text), 10, "which frame it is")
            terminal.press("\x1b")
            terminal.until("2/2 live", 10)
            # A part that dies is an alarm above everything, and not one any more when it is back.
            running_now = find_running(data)
            os.kill(running_now.children["media center"], signal.SIGSTOP)
            terminal.until("▲ ALARM  media center does not answer", 20)
            os.kill(running_now.children["media center"], signal.SIGCONT)
            until(lambda: terminal.read(0.2) or "ALARM" not in terminal.text, 20, "the alarm goes")
            terminal.press("q")
        finally:
            code = terminal.close()
    assert code == 0
    try:
        find_running(data)
    except NotRunning:
        return
    raise AssertionError("it still runs")
