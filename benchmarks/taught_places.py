"""Models of normality of simulated places, taught as a camera there is seen: coded, decoded, with its counter burnt in.

What belongs here: the footage that they learn from, and where they are kept between runs. What does not: pictures as
they were drawn (`incident_scenes`), with which nothing that a simulated camera sends may be judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.incident_desks import trained
from benchmarks.incident_scenes import START_NS, TRAINING
from detector_pool.normality.detector import SCHEMA
from detector_pool.picture import Shot
from mesh.ids import FrameId
from simulator import encode
from simulator.clip import Clip
from simulator.spec import SceneSpec

MINUTES = 2.0


def taught(layouts: Iterable[str], fps: int, folder: Path, minutes: float = MINUTES) -> dict[str, bytes]:
    """Models as zips, by layout, each of so many minutes of ordinary traffic; those that the folder has as they are.

    Raises InvalidArgument: too few minutes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for layout in dict.fromkeys(layouts):
        spec = SceneSpec(layout, seed=TRAINING, fps=fps, loop_s=minutes * 60, incidents=())
        kept = folder / f"{spec.key()}-{_code_hash()}.zip"
        if not kept.exists():
            (clip,) = encode.cached([spec], encode.default_cache())
            made = trained(partial(shots, clip, layout), layout, fps).packed()
            part = kept.with_suffix(".part")
            part.write_bytes(made)
            part.replace(kept)
        found[layout] = kept.read_bytes()
    return found


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
