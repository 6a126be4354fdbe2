"""An operator at the desk, in tmux: live tiles, an alarm, its frame, steps, acknowledging, rights, sixteen cameras."""

from __future__ import annotations

import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.errors import PermissionDenied
from tests.embedded import Embedded, embedded
from tests.real_peers import require
from tests.support import until
from tests.tmux import Pane, in_tmux
from trueframe.client import connect
from trueframe.v1.events_pb2 import ALARM_STATE_ACKNOWLEDGED, ALARM_STATE_NORMAL

FRAME = re.compile(r"^ (cam-\d+)/(\d+)/(\d+)  \d{4}-\d\d-\d\d [\d:.]+", re.MULTILINE)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    require("tmux")
    with embedded(tmp_path_factory.mktemp("desk") / "data", "--simulate", "4") as started:
        with started.client() as client:
            # The script of the simulated scenes raises the first ones within its first minute.
            until(lambda: client.events.list(limit=1), 90, "an alarm")
        yield started


def view(instance: Embedded, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tui", "--data", str(instance.data), *arguments]


def shown_seq(pane: Pane) -> int:
    found = FRAME.search(pane.text)
    return int(found[3]) if found else -1


def test_an_alarm_appears_enter_shows_its_frame_keys_step_and_a_acknowledges_it(instance: Embedded) -> None:
    with in_tmux(view(instance)) as pane, instance.client() as client:
        pane.until("4/4 live", 60)
        pane.until("link ok")
        first = pane.until("<1 s")
        assert sum("● LIVE" in line for line in first.splitlines()) == 2
        # Live: pictures change.
        before = pane.ansi
        until(lambda: pane.ansi != before, 10, "pictures move")
        pane.until("unacknowledged")
        pane.until(" RTN ", 60)
        pane.press("Tab")
        pane.press("Down")
        pane.press("Enter")
        until(lambda: shown_seq(pane) >= 0, 30, "the recorded frame")
        peak = shown_seq(pane)
        assert re.search(r"score \d\.\d\d", pane.text)
        assert "255;48;48" in pane.ansi
        pane.press(",")
        until(lambda: shown_seq(pane) == peak - 1, 20, "the frame before")
        pane.press(".", ".")
        until(lambda: shown_seq(pane) == peak + 1, 20, "the frame after")
        pane.press("<")
        until(lambda: 80 <= peak + 1 - shown_seq(pane) <= 120 or shown_seq(pane) == 0, 20, "ten seconds back")
        pane.press("p")
        until(lambda: shown_seq(pane) == peak, 20, "the highest frame again")
        pane.press("e")
        pane.until("FIRED  Scored")
        pane.press("a")
        pane.until("acknowledged: ")
        pane.until("acknowledged by")
        states = (ALARM_STATE_ACKNOWLEDGED, ALARM_STATE_NORMAL)
        (event,) = [one for one in client.events.list(alarm_states=states) if one.peak.seq == peak]
        assert event.acknowledged_by
        pane.press("c")
        pane.until("Comment on:")
        pane.press("a fox", "Enter")
        pane.until("comment kept")
        assert [one.text for one in client.events.get(event.id).comments] == ["a fox"]
        pane.until(": a fox")
        pane.press("r")
        pane.until(f"ALARMS OF {event.camera}")
        pane.press("?")
        pane.until("acknowledge: you have seen it")
        pane.press("Escape")
        pane.until_gone("acknowledge: you have seen it")


def test_a_viewer_sees_everything_and_may_not_acknowledge(instance: Embedded, tmp_path: Path) -> None:
    token = tmp_path / "viewer.token"
    made = [sys.executable, "-m", "trueframe", "token", "create", "eve", "--data", str(instance.data), "-o", str(token)]
    assert os.spawnv(os.P_WAIT, sys.executable, made) == 0
    assert token.stat().st_mode & 0o077 == 0
    with in_tmux(view(instance, "--token", str(token))) as pane:
        pane.until("eve (viewer)", 60)
        pane.until("4/4 live", 60)
        pane.until("unacknowledged")
        pane.press("Tab", "Down", "a")
        pane.until("a: needs the role operator; you are viewer")
        pane.press("Enter")
        until(lambda: shown_seq(pane) >= 0, 30, "a viewer sees the recorded frame")
        assert "a ack: needs the role operator; you are viewer" in pane.text
    with connect(instance.data, token) as client:
        event = client.events.list(limit=1)[0]
        with pytest.raises(PermissionDenied):
            client.events.acknowledge(event.id)
        with pytest.raises(PermissionDenied):
            client.inspections.put(client.inspections.list()[0].inspection)


def test_the_view_outlives_every_service_and_takes_up_again(instance: Embedded) -> None:
    with in_tmux(view(instance)) as pane:
        pane.until("4/4 live", 60)
        pane.until("link ok")
        for part, name in (
            ("event center", "event center"),
            ("media center", "media center"),
            ("aggregate", "aggregate"),
            ("pixel host", "pixel host"),
            ("broker", "broker"),
        ):
            old = instance.children[part]
            os.kill(old, signal.SIGKILL)
            pane.press("?")
            pane.until("this help", 5)
            pane.press("Escape")
            pane.until_gone("this help", 5)
            until(lambda: instance.children.get(part, old) != old, 60, f"{name} is back")  # noqa: B023 - called at once
            pane.until("link ok", 60)
        pane.until("4/4 live", 60)
        pane.press("Tab", "Down", "Enter")
        until(lambda: shown_seq(pane) >= 0, 30, "a recorded frame")


@pytest.mark.slow
def test_sixteen_cameras_stream_and_every_key_is_answered(tmp_path: Path) -> None:
    with (
        embedded(tmp_path / "data", "--simulate", "16") as instance,
        in_tmux(view(instance), columns=200, lines=55) as pane,
    ):
        pane.until("16/16 live", 120)
        until(lambda: pane.text.count("● ") >= 16, 30, "sixteen tiles")
        took = []
        for _ in range(20):
            started = time.monotonic()
            pane.press("?")
            pane.until("this help", 5)
            took.append(time.monotonic() - started)
            pane.press("Escape")
            pane.until_gone("this help", 5)
        # tmux, its capture and this test included.
        assert statistics.median(took) < 0.5, took
        print(f"sixteen cameras: help is there after {1000 * statistics.median(took):.0f} ms, median of {len(took)}")
        pane.press("Enter")
        pane.until("ALARMS OF cam-1")
        pane.press("Escape")
        pane.until("cam-16")
        # One of the scenes shows a frozen picture for a while.
        assert re.search(r" 1[3-6]/16 live", pane.text)
