"""`trueframe status`: how everything is, at a glance and for scripts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.amounts import amount
from trueframe.commands.options import data_option, json_option, show_json
from trueframe.running import Running, find_running
from trueframe.times import show_duration, show_time

if TYPE_CHECKING:
    from broker.client import Load

SERVICES = ("broker", "pixels", "media_center", "event_center", "aggregate")


async def _health(running: Running) -> dict[str, bool]:
    from trueframe.health import is_serving

    paths = {name: Path(running.endpoints[name].removeprefix("unix:")) for name in SERVICES}
    answers = await asyncio.gather(*(is_serving(path, timeout_s=3.0) for path in paths.values()))
    return dict(zip(paths, answers, strict=True))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _load_json(load: Load) -> dict[str, object]:
    names = ("name", "used", "limit", "unit", "warns_at", "degraded", "detail")
    return {name: getattr(load, name) for name in names}


def _load_text(load: Load) -> str:
    name = load.name.replace("_", " ")
    used = amount(load.used, load.unit).removesuffix(f" {name}")
    return (
        f"{name} {used} of {amount(load.limit, load.unit).removesuffix(f' {name}')}" if load.limit else f"{name} {used}"
    )


@click.command("status")
@json_option
@data_option
def command(data: str, as_json: bool) -> None:
    """Say how services, cameras and footage are. Exit code 1 if a service does not answer, 3 if nothing runs."""
    from mesh.errors import PermissionDenied, TrueframeError, Unavailable
    from trueframe.client import Client
    from trueframe.sights import camera_state

    running = find_running(data)
    health = asyncio.run(_health(running))
    states: dict[str, int] = {}
    clocks = {"good": 0, "wrong": 0, "untold": 0}
    wrong_clocks: list[str] = []
    loads: list[Load] = []
    recorded = size = 0
    problems = []
    with Client(running) as tf:
        try:
            for camera in tf.broker.list_cameras():
                state = camera_state(camera.state)
                states[state] = states.get(state, 0) + 1
                if camera.clock.detail:
                    clocks["wrong"] += 1
                    wrong_clocks.append(f"{camera.spec.id}: {camera.clock.detail}")
                else:
                    clocks["good" if camera.clock.source else "untold"] += 1
        except TrueframeError as error:
            problems.append(str(error))
        # Whoever may not look inside is told the rest.
        with contextlib.suppress(PermissionDenied, Unavailable):
            loads = tf.broker.load()
        try:
            for recording in tf.footage.recordings().recordings:
                recorded += recording.frames
                size += recording.size_bytes
        except TrueframeError as error:
            problems.append(str(error))
    if as_json:
        show_json(
            {
                "pid": running.pid,
                "data": running.data,
                "started_ns": running.started_ns,
                "endpoints": running.endpoints,
                "services": health,
                "children": running.children,
                "restarts": running.restarts,
                "cameras": states,
                "clocks": clocks,
                "loads": [_load_json(load) for load in loads],
                "recorded_frames": recorded,
                "recorded_bytes": size,
            }
        )
    else:
        age = show_duration((time.time_ns() - running.started_ns) / 1e9)
        click.echo(f"running since {show_time(running.started_ns)} ({age}), process {running.pid}, data {running.data}")
        for name, is_up in health.items():
            click.echo(f"  {'ok   ' if is_up else 'DOWN '} {name}")
        for name, pid in running.children.items():
            restarts = running.restarts.get(name, 0)
            again = f", restarted {restarts} times" if restarts else ""
            click.echo(f"  {'alive' if _is_alive(pid) else 'DEAD '} {name} (process {pid}{again})")
        cameras = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
        click.echo(f"cameras: {cameras}")
        if states:
            told = ", ".join(f"{count} {name}" for name, count in clocks.items() if count)
            click.echo(f"clocks: {'; '.join([told, *wrong_clocks])}")
        click.echo(f"footage: {recorded} frames, {size / 1e6:.1f} MB")
        if loads:
            click.echo("broker: " + ", ".join(_load_text(load) for load in loads))
        for load in loads:
            if load.degraded:
                click.echo(f"  DEGRADED {load.name}: {load.detail}")
        for problem in problems:
            click.echo(f"trueframe: {problem}", err=True)
    if not all(health.values()):
        raise click.exceptions.Exit(1)
