"""The control port: faults, stop and start, status; one line of JSON in, one out.

What belongs here: the requests and their refusals. Loopback only. Requests:

    {"camera": "cam-1", "fault": "lose", "share": 0.01, "seed": 7}    any kind of `faults.KINDS`; camera "*" means all
    {"camera": "cam-1", "fault": "stall", "for_s": 3}                 heals by itself
    {"camera": "cam-1", "fault": "jump", "by_s": -5}                  what has a length
    {"camera": "cam-1", "incident": "fall", "length_s": 12}           happens once, in half a minute or so
    {"command": "status"}                                             counters of every camera
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from simulator.camera import Camera
from simulator.faults import Fault, FaultError
from simulator.incidents import Incidents
from simulator.spec import SpecError


class ControlError(ValueError):
    """A request that cannot be done; the message says why."""


class Control:
    """Answers control requests for these cameras."""

    def __init__(self, cameras: dict[str, Camera], incidents: Incidents | None = None) -> None:
        self._cameras = cameras
        self._incidents = incidents
        self._server: asyncio.Server | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.port = 0

    async def start(self, port: int) -> None:
        """Begins to listen on loopback. Raises OSError when it cannot."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=65_536)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stops listening."""
        for timer in self._timers.values():
            timer.cancel()
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            pass  # gone, or a line over the limit
        finally:
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ControlError("a request is a JSON object")
            return {"ok": True, **self.act(request)}
        except (FaultError, ControlError, SpecError, TypeError, ValueError) as error:
            return {"ok": False, "error": str(error)}

    def act(self, request: dict[str, Any]) -> dict[str, Any]:
        """Does what the request says. Raises ControlError, FaultError or SpecError, and then has done nothing."""
        if request.get("command") == "status":
            return {"cameras": {name: camera.status() for name, camera in self._cameras.items()}}
        if "incident" in request:
            return self._trigger(request)
        if "fault" not in request:
            raise ControlError('a request has a "fault", an "incident" or {"command": "status"}')
        unknown = set(request) - {"camera", "fault", "share", "seed", "for_s", "by_s"}
        if unknown:
            raise ControlError(
                f"{', '.join(sorted(unknown))}: unknown; there are camera, fault, share, seed, for_s, by_s"
            )
        name = request.get("camera", "*")
        if name != "*" and name not in self._cameras:
            raise ControlError(f"camera {name!r} is unknown; there are {', '.join(self._cameras)}")
        fault = Fault(
            str(request["fault"]),
            float(request.get("share", 0.01)),
            int(request.get("seed", 1)),
            float(request.get("by_s", 0.0)),
        )
        for_s = float(request.get("for_s", 0))
        chosen = list(self._cameras) if name == "*" else [name]
        for camera in chosen:
            self._cameras[camera].set_fault(fault)
            if timer := self._timers.pop(camera, None):
                timer.cancel()
            if for_s > 0:
                heal = self._cameras[camera].set_fault
                self._timers[camera] = asyncio.get_running_loop().call_later(for_s, heal, Fault())
        return {"cameras": {camera: self._cameras[camera].status() for camera in chosen}}

    def _trigger(self, request: dict[str, Any]) -> dict[str, Any]:
        unknown = set(request) - {"camera", "incident", "length_s"}
        if unknown:
            raise ControlError(f"{', '.join(sorted(unknown))}: unknown; there are camera, incident, length_s")
        name = request.get("camera", "")
        if name not in self._cameras or self._incidents is None:
            raise ControlError(f"camera {name!r} is unknown; there are {', '.join(self._cameras)}")
        starts_in_s = self._incidents.trigger(name, str(request["incident"]), float(request.get("length_s", 0)))
        return {"camera": name, "starts_in_s": round(starts_in_s, 1)}
