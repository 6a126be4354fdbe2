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
            terminal.until(" unacknowledged", 60)
            terminal.press("\t")
            terminal.press("\r")
            terminal.until("e explain", 20)
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
            until(lambda: terminal.read(0.2) or "▲ ALARM" not in terminal.text, 20, "the alarm goes")
            terminal.press("q")
        finally:
            code = terminal.close()
    assert code == 0
    try:
        find_running(data)
    except NotRunning:
        return
    raise AssertionError("it still runs")


def test_a_wall_that_dies_is_opened_again_and_a_killed_supervisor_leaves_a_usable_terminal(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(1, log=tmp_path / "sent") as cameras:
        terminal = Terminal(
            [sys.executable, "-m", "trueframe", "up", cameras.urls["cam-1"], "--data", str(data)], columns=100, lines=30
        )
        try:
            terminal.until("1/1 live", 60)
            children = list(find_running(data).children.values())
            (wall,) = [pid for pid in children_of(terminal.process.pid) if pid not in children]
            os.kill(wall, signal.SIGKILL)
            until(lambda: terminal.read(0.2) or [p for p in children_of(terminal.process.pid) if p not in children], 20)
            terminal.screen.reset()
            terminal.until("1/1 live", 30)
            everyone = children_of(terminal.process.pid)
            terminal.process.kill()
            until(lambda: terminal.read(0.2) or not any(map(is_alive, everyone)), 20, "nothing is left")
            # The wall put the terminal in order as it went: the cursor is shown again.
            assert not terminal.screen.cursor.hidden
        finally:
            terminal.close()


def children_of(pid: int) -> list[int]:
    """Processes whose parent is this one, zombies left out."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(status.parent.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether it runs; whoever waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
