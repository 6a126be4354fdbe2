"""The simulator put together: clips, cameras, RTSP server, control port, truth and logs.

What belongs here: what is asked for (`Plan`) and how it is set up and taken down. What does not: the command line
(`__main__`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator import encode, files, parent
from simulator.auth import Digest
from simulator.camera import Camera, Packetised
from simulator.clip import Clip
from simulator.control import Control
from simulator.rtsp import RtspServer, ServerOptions
from simulator.spec import SceneSpec

_LOOK_FOR_PARENT_EVERY_S = 0.5
_PHASE_STEP = 7  # join points between two cameras that show the same clip


@dataclass(slots=True)
class Plan:
    """What is to be served."""

    log: Path
    scenes: dict[str, SceneSpec] = field(default_factory=dict)
    """Camera id to scene. Cameras with equal specs share one clip, each at another place of its loop."""
    files: dict[str, Path] = field(default_factory=dict)
    """Camera id to H.264 file."""
    cache: Path = field(default_factory=encode.default_cache)
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    login: tuple[str, str] | None = None
    options: ServerOptions = field(default_factory=ServerOptions)
    mtu: int = 1400
    aggregate: bool = False
    pad_bytes: int = 0
    clock_offset_s: float = 0.0


def prepare(plan: Plan) -> dict[str, Camera]:
    """Clips rendered or loaded and cut into packets; writes truth.json. Raises FileError, SpecError or OSError."""
    clips: dict[str, Clip] = {name: files.load(path) for name, path in plan.files.items()}
    clips.update(zip(plan.scenes, encode.cached(list(plan.scenes.values()), plan.cache), strict=True))
    names = [*plan.scenes, *plan.files]
    shows: dict[int, Packetised] = {}
    copies: dict[int, int] = {}
    cameras = {}
    for position, name in enumerate(names):
        clip = clips[name]
        if id(clip) not in shows:
            shows[id(clip)] = Packetised.of(clip, plan.mtu, plan.aggregate, plan.pad_bytes)
        copy = copies[id(clip)] = copies.get(id(clip), -1) + 1
        joins = [index for index, unit in enumerate(clip.units) if unit.joins]
        cameras[name] = Camera(
            name,
            shows[id(clip)],
            plan.log,
            phase=joins[copy * _PHASE_STEP % len(joins)],
            stagger_ns=int(position / len(names) / clip.fps * 1e9),
            clock_offset_ns=int(plan.clock_offset_s * 1e9),
        )
    truth = {name: _truth(camera) for name, camera in cameras.items()}
    (plan.log / "truth.json").write_text(json.dumps({"version": 1, "cameras": truth}, indent=1))
    return cameras


def _truth(camera: Camera) -> dict[str, Any]:
    clip = camera.clip
    return {
        "name": clip.name,
        "width": clip.width,
        "height": clip.height,
        "fps": clip.fps,
        "loop_frames": len(clip.units),
        "first_frame": clip.units[camera.phase].frame,
        **clip.truth,
    }


async def serve(plan: Plan, cameras: dict[str, Camera], ready: Callable[[dict[str, Any]], None]) -> None:
    """Serves until SIGTERM or SIGINT. `ready` gets the ready line.

    Raises OSError when a port cannot be had or a log cannot be written.
    """
    if plan.login:
        plan.options.digest = Digest(*plan.login)
    server = RtspServer(cameras, plan.options)
    control = Control(cameras)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    failures: list[BaseException] = []

    def failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A judge whose log has a hole must not go on judging: whatever a camera cannot do ends the simulator.
        failures.append(context.get("exception") or RuntimeError(context["message"]))
        stop.set()

    loop.set_exception_handler(failed)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await server.start(plan.host, plan.port)
        await control.start(plan.control_port)
        for camera in cameras.values():
            camera.start()
        host = f"[{server.host}]" if ":" in server.host else server.host
        ready(
            {
                "event": "ready",
                "port": server.port,
                "control": control.port,
                "urls": {name: f"rtsp://{host}:{server.port}/{name}" for name in cameras},
                "cameras": list(cameras),
                "scenes": {name: camera.clip.name for name, camera in cameras.items()},
                "log": str(plan.log),
                "truth": str(plan.log / "truth.json"),
            }
        )
        while not stop.is_set() and not parent.is_orphan():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_FOR_PARENT_EVERY_S)
        if failures:
            raise failures[0]
    finally:
        await control.close()
        for camera in cameras.values():
            camera.close()
        await server.close()
