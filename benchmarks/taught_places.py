"""Models of normality of simulated places, taught as a camera there is seen: coded, decoded, with its counter burnt in.

What belongs here: the footage that they learn from, and where they are kept between runs. What does not: pictures as
they were drawn (`incident_scenes`), with which nothing that a simulated camera sends may be judged.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from aggregate.calibration import calibrate
from benchmarks.incident_desks import Desk, Order, trained
from benchmarks.incident_scenes import CALIBRATION, START_NS, TRAINING
from detector_pool.models import ModelFiles, opened
from detector_pool.normality.detector import SCHEMA
from detector_pool.picture import Shot
from detector_pool.registry import detector_types
from mesh.ids import FrameId
from simulator import encode
from simulator.clip import Clip
from simulator.spec import SceneSpec

MINUTES = 2.0
"""Ordinary traffic that is learnt from."""
CALIBRATION_MINUTES = 5.0
"""Other traffic that thresholds are calibrated on."""
PER_HOUR = 1.0
"""False alarms that they are calibrated to; so few minutes give a provisional one."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A place's model, as a zip, and the threshold that goes with it."""

    packed: bytes
    threshold: float


def taught(layouts: Iterable[str], fps: int, folder: Path, minutes: float = MINUTES) -> dict[str, Taught]:
    """By layout; those that the folder has as they are. Raises InvalidArgument: too few minutes to learn from."""
    folder.mkdir(parents=True, exist_ok=True)
    return {layout: _taught(layout, fps, folder, minutes) for layout in dict.fromkeys(layouts)}


def _taught(layout: str, fps: int, folder: Path, minutes: float) -> Taught:
    spec = SceneSpec(layout, seed=TRAINING, fps=fps, loop_s=minutes * 60, incidents=())
    model = folder / f"{spec.key()}-{_code_hash()}.zip"
    threshold = model.with_suffix(".threshold")
    if not model.exists():
        with tempfile.TemporaryDirectory(prefix="taught-") as made:
            _put(model, trained(partial(shots, _clip(spec), layout), layout, fps, Path(made)).packed())
    if not threshold.exists():
        other = replace(spec, seed=CALIBRATION, loop_s=CALIBRATION_MINUTES * 60)
        _put(threshold, repr(_threshold(opened(model.read_bytes()), _clip(other), layout)).encode())
    return Taught(model.read_bytes(), float(threshold.read_text()))


def _threshold(model: ModelFiles, clip: Clip, camera: str) -> float:
    """As a calibrated inspection would have it: not below the detector's own where there is little footage."""
    desk = Desk(camera, Order("normality", model=model))
    for shot in shots(clip, camera):
        desk.look(shot)
    found = calibrate(desk.scores, desk.times_ns, PER_HOUR)
    return max(found.threshold, detector_types()["normality"].judging.threshold if found.is_provisional else 0.0)


def _clip(spec: SceneSpec) -> Clip:
    return encode.cached([spec], encode.default_cache())[0]


def _put(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


def shots(clip: Clip, camera: str) -> Iterator[Shot]:
    """Pictures of one loop, decoded from its own bytes (H.264 without B-frames), with their chroma."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets: list[Any] = [av.Packet(b"".join(b"\0\0\0\1" + nal for nal in unit.nals)) for unit in clip.units]
    number = 0
    for packet in [*packets, None]:
        for frame in decoder.decode(packet):
            planes = frame.to_ndarray(format="yuv420p").astype(np.uint8, copy=False)
            u, v = planes[clip.height :].reshape(2, clip.height // 2, clip.width // 2)
            received_ns = START_NS + round(number / clip.fps * 1e9)
            yield Shot(FrameId(camera, 1, number), received_ns, planes[: clip.height], u=u, v=v)
            number += 1


def _code_hash() -> str:
    """Changes whenever the code that looks or learns does, so that a model of other code is never taken."""
    import detector_pool

    digest = hashlib.sha256(str(SCHEMA).encode())
    root = Path(detector_pool.__file__).parent
    for name in ("normality", "training"):
        for path in sorted((root / name).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
