"""The simulator put together: clips, cameras, servers, control port, truth and logs.

What belongs here: what is asked for (`Plan`) and how it is set up and taken down. What does not: the command line
(`__main__`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simulator import encode, files, parent, tls
from simulator.camera import Camera
from simulator.clip import Clip
from simulator.control import Control
from simulator.http_server import HttpPorts, HttpServer
from simulator.incidents import Incidents
from simulator.jpeg import ORDINARY
from simulator.rtsp import Ports, RtspServer
from simulator.show import Show
from simulator.spec import SceneSpec, SpecError
from simulator.traits import Traits

_LOOK_FOR_PARENT_EVERY_S = 0.5
_PHASE_STEP = 7  # join points between two cameras that show the same clip


@dataclass(slots=True)
class Plan:
    """What is to be served."""

    log: Path
    scenes: dict[str, SceneSpec] = field(default_factory=dict)
    """Camera id to scene; its codec, size and pace are those of the camera's traits. Cameras with equal specs share one
    clip, each at another place of its loop."""
    files: dict[str, Path] = field(default_factory=dict)
    """Camera id to H.264 or H.265 file."""
    traits: Mapping[str, Traits] = field(default_factory=dict)
    """Camera id to traits; those that are not named are ordinary."""
    cache: Path = field(default_factory=encode.default_cache)
    host: str = "127.0.0.1"
    ports: Ports = field(default_factory=Ports)
    """Wanted ports; 0 takes a free one."""
    http_ports: HttpPorts = field(default_factory=HttpPorts)
    control_port: int = 0
    login: tuple[str, str] | None = None

    def traits_of(self, camera: str) -> Traits:
        """The camera's traits."""
        return self.traits.get(camera, Traits())


def scene_of(spec: SceneSpec, traits: Traits) -> SceneSpec:
    """The scene as a camera of these traits codes it. Raises SpecError for a picture that nobody can draw."""
    width, height = traits.size.split("x")
    return replace(
        spec,
        width=int(width),
        height=int(height),
        fps=traits.fps,
        gop_s=traits.gop_s,
        bframes=traits.bframes,
        shake_px=traits.shake_px,
        codec=traits.codec,
        form=traits.form if traits.codec == "mjpeg" else ORDINARY,
    )


def prepare(plan: Plan) -> dict[str, Camera]:
    """Clips rendered or loaded and cut into packets; writes truth.json. Raises FileError, SpecError or OSError."""
    filmed = {name: [files.load(path)] for name, path in plan.files.items()}
    wanted: dict[str, list[SceneSpec]] = {}
    for name, spec in plan.scenes.items():
        both = [plan.traits_of(name), plan.traits_of(name).changed()]
        wanted[name] = [scene_of(spec, side) for side in both if side]
    every = [one for specs in wanted.values() for one in specs]
    rendered = dict(zip(every, encode.cached(every, plan.cache), strict=True))
    clips: dict[str, list[Clip]] = {name: [rendered[one] for one in specs] for name, specs in wanted.items()}
    clips |= filmed
    shows: dict[tuple[int, Traits], Show] = {}
    copies: dict[int, int] = {}
    cameras = {}
    for position, (name, sides) in enumerate(clips.items()):
        traits, clip = plan.traits_of(name), sides[0]
        copy = copies[id(clip)] = copies.get(id(clip), -1) + 1
        joins = [index for index, unit in enumerate(clip.units) if unit.joins]
        cameras[name] = Camera(
            name,
            _show(shows, clip, traits),
            plan.log,
            traits,
            other=_show(shows, sides[1], traits) if len(sides) > 1 else None,
            phase=joins[copy * _PHASE_STEP % len(joins)],
            stagger_ns=int(position / len(clips) / clip.fps * 1e9),
        )
    truth = {name: _truth(camera) for name, camera in cameras.items()}
    (plan.log / "truth.json").write_text(json.dumps({"version": 1, "cameras": truth}, indent=1))
    return cameras


def _show(shows: dict[tuple[int, Traits], Show], clip: Clip, traits: Traits) -> Show:
    # What decides no byte of a packet does not keep cameras from sharing theirs.
    key = (
        id(clip),
        Traits(
            codec=traits.codec,
            scheme=traits.scheme if traits.is_http else "rtsp",
            sets=traits.sets,
            mtu=traits.mtu,
            aggregate=traits.aggregate,
            pad_bytes=traits.pad_bytes,
            marker=traits.marker,
            onvif=traits.onvif,
        ),
    )
    if key not in shows:
        try:
            shows[key] = Show.of(clip, traits)
        except ValueError as error:
            raise SpecError(f"{clip.name} cannot be sent as {clip.codec}: {error}") from error
    return shows[key]


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
    rtsp, http = RtspServer(cameras, plan.login), HttpServer(cameras, plan.login)
    scenes = {name: scene_of(spec, plan.traits_of(name)) for name, spec in plan.scenes.items()}
    incidents = Incidents(scenes, plan.traits, cameras, plan.cache, plan.log / "truth.json")
    control = Control(cameras, incidents)
    secure = tls.prepare(plan.log) if any(_needs_tls(camera.traits) for camera in cameras.values()) else None
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
        await rtsp.start(plan.host, plan.ports, secure[0] if secure else None)
        await http.start(plan.host, plan.http_ports, secure[0] if secure else None)
        await control.start(plan.control_port)
        for camera in cameras.values():
            camera.start()
        urls = {name: (http if one.traits.is_http else rtsp).told_url(one) for name, one in cameras.items()}
        ready(
            {
                "event": "ready",
                "port": rtsp.ports.plain,
                "tls_port": rtsp.ports.tls,
                "http_port": http.ports.plain,
                "https_port": http.ports.tls,
                "certificate": str(secure[1]) if secure else "",
                "tls_sha256": secure[2] if secure else "",
                "control": control.port,
                "urls": urls,
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
        await incidents.close()
        for camera in cameras.values():
            camera.close()
        await rtsp.close()
        await http.close()


def _needs_tls(traits: Traits) -> bool:
    return traits.told_secure or traits.plays_secure
