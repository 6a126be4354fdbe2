"""Who watches the watchers: a part that stands still (SIGSTOP) is an alarm, by whoever is left to raise it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from simulator.testing import Simulator, running
from tests.embedded import Embedded, embedded
from tests.support import until

QUICK = ("--set", "event_center.silent_after_s=2")


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(1, log=tmp_path_factory.mktemp("sent")) as simulator:
        yield simulator


@contextlib.contextmanager
def standing_still(pids: Iterable[int]) -> Iterator[None]:
    stopped = list(pids)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def standing(instance: Embedded, beginning: str) -> set[str]:
    """Conditions that hold at this moment, by the event center."""
    with instance.client() as client:
        events = client.events.list(limit=100)
    return {event.detector for event in events if event.detector.startswith(beginning) and not event.ended_ns}


def test_every_part_that_stands_still_is_an_alarm_of_the_event_center_and_returns(
    cameras: Simulator, tmp_path: Path
) -> None:
    source = [f"{camera}={url}" for camera, url in cameras.urls.items()]
    with embedded(tmp_path / "data", *source, *QUICK) as instance:
        children = instance.children
        parts = {"broker", "pixel host", "media center", "aggregate", "nats"}
        wanted = {f"event-center.silent_{part}" for part in ("broker", "pixels", "media_center", "aggregate", "bus")}
        assert standing(instance, "event-center.silent_") == set()
        with standing_still(children[part] for part in parts):
            until(lambda: standing(instance, "event-center.silent_") == wanted, 30, "an alarm of each")
            with instance.client() as client:
                alarms = [e for e in client.events.list(limit=100) if e.detector in wanted]
            assert {alarm.priority for alarm in alarms} == {1}
            assert "The media center does not answer: nothing is recorded." in {alarm.summary for alarm in alarms}
        until(lambda: standing(instance, "event-center.silent_") == set(), 40, "all have returned")


@pytest.mark.slow
def test_the_event_center_that_stands_still_is_told_by_supervisor_view_and_command(
    cameras: Simulator, tmp_path: Path
) -> None:
    source = [f"{camera}={url}" for camera, url in cameras.urls.items()]
    with embedded(tmp_path / "data", *source) as instance:
        told = tmp_path / "told"
        with told.open("wb") as errors:
            watch = subprocess.Popen(
                [sys.executable, "-m", "trueframe", "events", "watch", "--data", str(instance.data)],
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        try:
            with standing_still([instance.children["event center"]]):
                until(lambda: "ALARM  event center does not answer" in told.read_text(), 40, "the command's alarm")
                until(lambda: "ALARM  event center does not answer" in instance.said, 30, "the view's alarm")
                until(lambda: "runs and does not answer" in instance.said, 30, "the supervisor's")
            until(lambda: "event center answers again" in told.read_text(), 30, "it is back")
        finally:
            watch.kill()
            watch.wait()


@pytest.mark.slow
def test_inspections_whose_worker_stands_still_are_an_alarm_and_return(cameras: Simulator, tmp_path: Path) -> None:
    source = [f"{camera}={url}" for camera, url in cameras.urls.items()]
    with embedded(tmp_path / "data", *source) as instance:
        with instance.client() as client:
            until(lambda: any(one.worker for one in client.inspections.list()), 60, "inspections are carried out")
        with standing_still([instance.children["worker"]]):
            until(lambda: standing(instance, "aggregate.unplaced") == {"aggregate.unplaced"}, 60, "an alarm")
        until(lambda: standing(instance, "aggregate.unplaced") == set(), 60, "it has returned")
