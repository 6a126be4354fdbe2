"""The simulator as a child of the supervisor: its command, and what it says once it serves.

What should not be in this module: scenes, RTSP.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from trueframe.children import ChildSpec
from trueframe.enrolment import Region
from trueframe.layout import Layout
from trueframe.preflight import free_port
from trueframe.running import Running
from trueframe.sources import NamedSource


class SimulatedCameras:
    """N simulated cameras, on the same ports as in the run before if those are free."""

    def __init__(self, count: int, layout: Layout, earlier: Running | None) -> None:
        self._count = count
        self._folder = layout.data / "simulator"
        before = earlier.simulator if earlier else {}
        self._port = free_port(_port(before.get("port")))
        self._control = free_port(_port(before.get("control")))
        self._urls: dict[str, str] = {}

    def spec(self, environment: Mapping[str, str]) -> ChildSpec:
        """What to run. Ports are fixed here, so that a simulator started again serves the same URLs."""
        command = (
            sys.executable, "-m", "simulator", "serve",
            "--port", str(self._port), "--control", str(self._control), "--cameras", str(self._count),
            "--log", str(self._folder / "log"),
        )  # fmt: skip
        return ChildSpec("simulator", command, environment, self._serves, self._read_line, ready_within_s=180.0)

    async def _serves(self) -> bool:
        return bool(self._urls)

    def _read_line(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        if isinstance(said, dict) and said.get("event") == "ready":
            self._urls = {str(camera): str(url) for camera, url in said["urls"].items()}

    def sources(self) -> list[NamedSource]:
        """The cameras it serves; empty until it is ready."""
        return [NamedSource(camera, url, camera) for camera, url in self._urls.items()]

    def regions(self) -> dict[str, list[Region]]:
        """The regions that belong to its scenes, by camera: where their incidents are to be looked for."""
        try:
            truth = json.loads((self._folder / "log" / "truth.json").read_bytes())
            return {str(camera): list(scene["regions"]) for camera, scene in truth["cameras"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def facts(self) -> dict[str, object]:
        """For run.json: tests and people send faults to the control port."""
        return {
            "port": self._port,
            "control": self._control,
            "log": str(self._folder / "log"),
            "urls": dict(self._urls),
        }


def _port(value: object) -> int | None:
    return value if isinstance(value, int) and 0 < value < 65536 else None
