"""A worker with a tiny stateful detector that has a model, on frames that are replayed for whoever asks, losslessly.

`python -m tests.swap_worker AGGREGATE TOKEN_FILE FOLDER STARTED_NS FPS [MEDIA_CENTER]`: frames become available in real
time since STARTED_NS; with MEDIA_CENTER they are recorded ones, otherwise pictures made from their numbers.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregate.client import PoolClient, SyncModelClient
from detector_pool.canvas import RegionMask, cell_means, to_canvas
from detector_pool.detector import Detector, DetectorType, Observation, Setup
from detector_pool.model_cache import ModelCache
from detector_pool.packing import pack, unpack
from detector_pool.picture import Hole, Picture, Shot
from detector_pool.reinspect import recorded_pictures
from detector_pool.worker import Means, Worker
from media_center.client import SyncFootageClient
from mesh.channel import Credentials
from mesh.clocks import SystemClock
from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from mesh.logs import configure

CAMERA = "yard"
EPOCH = 7
STEP_NS = 20_000_000
START_NS = 1_700_000_000_000_000_000

State = dict[str, Any]


class Tiny:
    """Remembers a fading mean of what it saw, weighed by its model; any rounding would show for ever."""

    def __init__(self, setup: Setup) -> None:
        if setup.model is None:
            raise InvalidArgument("detector tiny", "needs a model")
        self._weight = np.float32(float(setup.model.read("weight.txt")))
        self.name = f"tiny@1:{setup.model.digest[:12]}"

    def start(self) -> State:
        return {"seen": 0, "mean": None}

    def inspect(self, picture: Picture, state: State, regions: Sequence[RegionMask]) -> tuple[Observation, State]:
        cells = cell_means(to_canvas(picture.y), 8)
        picture.confirm()
        mean = cells if state["mean"] is None else state["mean"]
        difference = float(np.abs(cells - mean).mean()) * float(self._weight)
        mean = (mean * np.float32(0.9) + cells * (np.float32(0.1) * self._weight)).astype(np.float32)
        score = float(np.float32(difference / (difference + 16.0)))
        return Observation(score, series=(("seen", float(state["seen"] % 1000)),)), {
            "seen": state["seen"] + 1,
            "mean": mean,
        }

    def pack(self, state: State) -> bytes:
        return pack("tiny@1", {"seen": state["seen"]}, {"mean": state["mean"]})

    def unpack(self, data: bytes) -> State:
        numbers, arrays = unpack("tiny@1", data)
        return {"seen": numbers["seen"], "mean": arrays.get("mean")}


def make(setup: Setup) -> Detector[Any]:
    return Tiny(setup)


TINY = DetectorType("tiny", "1", "Remembers all it saw.", make, needs_model=True)


def picture(seq: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seq).integers(0, 255, (36, 64), np.uint8)


def made_pictures(behind: int) -> Iterator[Shot]:
    seq = behind
    while True:
        seq += 1
        yield Shot(FrameId(CAMERA, EPOCH, seq), START_NS + seq * STEP_NS, picture(seq))


class Replayed:
    """Frames behind a given one, each once, not before its time has come."""

    is_behind = False

    def __init__(self, shots: Iterator[Shot], started_ns: int, fps: float) -> None:
        self._shots = shots
        self._started_ns = started_ns
        self._fps = fps
        self._next: Shot | None = None

    def read(self, timeout_s: float | None = None) -> Shot | Hole | None:
        self._next = self._next or next(self._shots, None)
        if self._next is None:
            time.sleep(timeout_s or 0.1)
            return None
        wait_s = (self._started_ns - time.time_ns()) / 1e9 + self._next.id.seq / self._fps
        if wait_s > (timeout_s or 1.0):
            time.sleep(timeout_s or 1.0)
            return None
        time.sleep(max(wait_s, 0.0))
        shot, self._next = self._next, None
        return shot

    def close(self) -> None:
        pass


async def main(aggregate: str, token_file: str, folder: str, started_ns: str, fps: str, media_center: str = "") -> None:
    token = Credentials.from_file(Path(token_file))

    def open_source(camera: str, after: FrameId | None) -> Replayed:
        if media_center:
            footage = SyncFootageClient(media_center, token)
            recordings = footage.recordings([camera]).recordings
            first, last = FrameId.from_proto(recordings[0].first), FrameId.from_proto(recordings[-1].last)
            behind = after or first
            recorded = recorded_pictures(footage, camera, behind, last, behind)
            return Replayed((shot for shot, _ in recorded), int(started_ns), float(fps))
        return Replayed(made_pictures(after.seq if after is not None else 0), int(started_ns), float(fps))

    with SyncModelClient(aggregate, token) as models:
        means = Means(9, models=ModelCache(Path(folder), 1 << 30, models.fetch))
        async with PoolClient(aggregate, token) as pool:
            await Worker(f"w{os.getpid()}", means, pool, {"tiny": TINY}, open_source, SystemClock()).run()


if __name__ == "__main__":
    configure("swap-worker", "debug")
    asyncio.run(main(*sys.argv[1:]))
