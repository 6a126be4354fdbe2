"""Incidents on demand: a camera shows, once round, a loop in which something happens that its own does not have.

The clip is drawn by a process of its own, with the same traffic and noise, so that nothing but the incident differs;
the camera goes over to it at a join point and back at the end of the loop. What belongs here: when, and what is written
into truth.json. What does not: what an incident is (`scene`), how a camera changes clips (`camera`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator import clip, encode, parent
from simulator.camera import Camera, Guest
from simulator.scene.scene import incidents_of
from simulator.show import Show
from simulator.spec import INCIDENT_KINDS, IncidentSpec, SceneSpec, SpecError
from simulator.traits import Traits

LENGTHS_S = {"left-object": 30.0, "crowd": 25.0, "loitering": 35.0, "fall": 12.0}
"""How long what takes its time lasts unless told otherwise; all others take 8 s."""
_SLOT_S = 5.0
"""Incidents begin at multiples of this, so that what was drawn once is there the next time."""
_FIRST_GUESS_S = 15.0


class Incidents:
    """Lets incidents happen in cameras that show scenes."""

    def __init__(
        self,
        scenes: Mapping[str, SceneSpec],
        traits: Mapping[str, Traits],
        cameras: Mapping[str, Camera],
        cache: Path,
        truth: Path,
    ) -> None:
        self._scenes = scenes
        self._traits = traits
        self._cameras = cameras
        self._cache = cache
        self._truth = truth
        self._pool: ProcessPoolExecutor | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._drawing_s = _FIRST_GUESS_S

    async def close(self) -> None:
        """Gives up what has not begun."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def trigger(self, camera: str, kind: str, length_s: float = 0.0) -> float:
        """Lets it happen once; gives in how many seconds, if drawing it takes no longer than the last time.

        Raises SpecError: no such kind, no scene, the loop is too short, or one is on its way already.
        """
        spec = self._scenes.get(camera)
        if spec is None:
            raise SpecError(f"camera {camera} shows a file: nothing can happen in it")
        if kind not in INCIDENT_KINDS:
            raise SpecError(f"incident {kind!r} is unknown; kinds are {', '.join(INCIDENT_KINDS)}")
        if camera in self._tasks and not self._tasks[camera].done():
            raise SpecError(f"camera {camera} has an incident on its way; wait for that")
        length_s = length_s if length_s > 0 else LENGTHS_S.get(kind, 8.0)
        now_s = self._cameras[camera].index / spec.fps
        start_s = self._slot(now_s + self._drawing_s + spec.gop_s, length_s, spec)
        given = incidents_of(spec)
        wanted = replace(spec, incidents=(*given, IncidentSpec(kind, start_s, length_s)))
        self._tasks[camera] = asyncio.get_running_loop().create_task(self._happen(camera, wanted, len(given)))
        return (start_s - now_s) % spec.loop_s

    def _slot(self, earliest_s: float, length_s: float, spec: SceneSpec) -> float:
        slot = -(-earliest_s // _SLOT_S) * _SLOT_S
        if slot + length_s + _SLOT_S <= spec.loop_s:
            return slot
        if _SLOT_S + length_s > spec.loop_s:
            raise SpecError(
                f"{length_s:g} s do not fit into a loop of {spec.loop_s:g} s; take less, or a longer --loop-s"
            )
        return _SLOT_S

    async def _happen(self, camera: str, spec: SceneSpec, number: int) -> None:
        path = self._cache / f"{spec.key()}.clip"
        loop, began = asyncio.get_running_loop(), time.monotonic()
        if not path.exists():
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, context, parent.die_with_parent)
            await loop.run_in_executor(self._pool, encode.render_into, spec, self._cache)
            self._drawing_s = time.monotonic() - began
        loaded = await loop.run_in_executor(None, clip.load, path)
        show = await loop.run_in_executor(None, Show.of, loaded, self._traits.get(camera, Traits()))
        incident = loaded.truth["incidents"][number]
        begun: asyncio.Future[int] = loop.create_future()
        before = max(0, round(spec.incidents[number].start_s * spec.fps) - 1) if spec.incidents else 0
        try:
            self._cameras[camera].invite(Guest(show, before, begun.set_result))
        except ValueError:
            return  # It was given another codec meanwhile.
        self._tell(camera, {**incident, "first_number": await begun})

    def _tell(self, camera: str, incident: dict[str, Any]) -> None:
        """Adds it to truth.json: `first_number` is the running number of the loop's first unit."""
        truth = json.loads(self._truth.read_text())
        truth["cameras"][camera].setdefault("triggered", []).append(incident)
        partial = self._truth.with_suffix(".part")
        with contextlib.suppress(OSError):
            partial.write_text(json.dumps(truth, indent=1))
            partial.replace(self._truth)
