"""The first minute with the simulated cameras, as `make run ARGS="--headless --for 60s"` shows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.client import FrameId, WireFrame
from simulator import sei, testing
from simulator.log import SentUnit
from simulator.truth import Box, Found, is_due, occurrences
from tests.embedded import Embedded, embedded
from tests.support import until
from trueframe.client import Client
from trueframe.v1.events_pb2 import EVENT_KIND_ANOMALY, Event

MINUTE_UNITS = 600
PATIENCE_UNITS = 20
"""Before the minute ends, an incident has been over for this long, or nobody can be blamed for not having told it."""


@pytest.mark.timeout(240)
def test_the_scripted_incidents_of_the_first_minute_are_told_and_hardly_anything_else(tmp_path: Path) -> None:
    with embedded(tmp_path / "data", "--simulate", "4") as instance:
        assert_minute(instance, instance.truth(), instance.sent)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_other_minutes_are_told_as_well(tmp_path: Path, seed: int) -> None:
    arguments = ("--seed", str(seed))
    with testing.running(4, size="640x360", loop_s=60.0, gop_s=2.0, log=tmp_path / "sent", arguments=arguments) as sim:
        truth = {camera: sim.truth(camera) for camera in sim.urls}
        config = tmp_path / "inspections.toml"
        config.write_text("".join(inspection_of(camera, told["regions"]) for camera, told in truth.items()))
        sources = [f"{camera}={url}" for camera, url in sim.urls.items()]
        with embedded(tmp_path / "data", "--config", str(config), *sources) as instance:
            assert_minute(instance, truth, sim.log)


def assert_minute(instance: Embedded, truth: dict[str, Any], sent: Callable[[str], list[SentUnit]]) -> None:
    """A minute after all parts run: incidents are anomalies that overlap them in time and place; at most two more."""
    until(lambda: all(sent(camera) for camera in truth), 30, "every camera sends")
    begun = {camera: sent(camera)[-1].number for camera in truth}
    until(lambda: all(sent(c)[-1].number >= begun[c] + MINUTE_UNITS for c in truth), 90, "a minute is over")
    with instance.client() as client:
        events = [event for event in client.events.list(limit=1000) if event.kind == EVENT_KIND_ANOMALY]
        claims = {event.id: as_found(client, event) for event in events}
    explained: set[str] = set()
    kinds: set[str] = set()
    for camera, told in truth.items():
        units = sent(camera)
        for incident in occurrences(camera, told, units):
            seconds = (incident.last - incident.first + 1) / told["fps"]
            if not any(is_due(incident.kind, name, seconds) for name in ("motion", "signal")):
                continue
            told_of = [e.id for e in events if e.camera == camera and incident.overlap(claims[e.id]) > 0]
            explained.update(told_of)
            if incident.first >= begun[camera] + PATIENCE_UNITS and incident.last <= units[-1].number - PATIENCE_UNITS:
                assert told_of, f"nobody told of {incident.kind} on {camera}: {incident.first} to {incident.last}"
                kinds.add(incident.kind)
    # A minute is a loop: what its beginning and end do not cut in two has happened once.
    assert len(kinds) >= 2
    others = [f"{e.camera} {e.detector} {claims[e.id]}" for e in events if e.id not in explained]
    assert len(others) <= 2, others


def as_found(client: Client, event: Event) -> Found:
    """An event in the camera's running numbers."""
    first, peak, last = (number_of(client, FrameId.from_proto(f)) for f in (event.first, event.peak, event.last))
    boxes: tuple[Box, ...] = tuple((b.x, b.y, b.x + b.width, b.y + b.height) for b in event.boxes)
    return Found(event.detector, first, peak, last, boxes)


def number_of(client: Client, frame: FrameId) -> int:
    """Identity leads from a frame to its recorded bytes, and these carry the simulator's stamp."""

    def recorded() -> list[bytes]:
        items = client.footage.replay(frame.camera, start=frame, end=frame)
        return [bytes(item.payload) for item in items if isinstance(item, WireFrame) and item.id == frame]

    return sei.read(until(recorded, 10, f"{frame} is recorded")[0])[0]


def inspection_of(camera: str, regions: list[dict[str, Any]]) -> str:
    """The motion inspection of a scene, as configuration."""
    listed = ", ".join(
        f"{{name = {json.dumps(r['name'])}, use = {json.dumps(r['use'])}, corners = {r['corners']}}}" for r in regions
    )
    return f'[[inspections]]\nid = "{camera}.motion"\ncamera = "{camera}"\nthreshold = 0.0\nregions = [{listed}]\n'


@pytest.mark.timeout(120)
def test_headless_prints_a_status_line_a_second_and_a_summary_and_exits_with_0(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trueframe", "up", "--simulate", "2", "--headless", "--for", "8s"]
    command += ["--data", str(tmp_path / "data")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert finished.returncode == 0, finished.stderr
    status = re.findall(r"cameras 2/2 live  fps [\d.]+", finished.stdout)
    assert 5 <= len(status) <= 9
    assert re.search(r"summary: .*2 of 2 cameras were live", finished.stdout.splitlines()[-1])
