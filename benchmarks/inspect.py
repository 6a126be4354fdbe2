"""What inspection costs: normality alone, from packets to scores, and object detection beside a plain loop.

`python -m benchmarks.inspect --json` → {"normality_fps_cpu", "end_to_end_fps_core", "objects_ratio", …}

`normality_fps_cpu`: frames per CPU-second of the normality detector at 360x240, stabilised, without decoding; CPU time
of all threads of this process, so that the load of the machine counts little. `end_to_end_fps_core`: the same from
H.264 packets at 640x360, decoded as a worker decodes them. Both are medians of repeats, on a simulated scene of which
the model has learnt a minute and a half. `objects_ratio`: see `inspect_objects`; null where there is no model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import machine
from benchmarks.incident_desks import trained
from detector_pool.decoding import ANSWER, CodedUnit, PlanesDecoder
from detector_pool.detector import Detector, LoadedModel, Setup
from detector_pool.picture import Shot
from detector_pool.registry import detector_types
from mesh.ids import FrameId
from simulator import encode
from simulator.clip import Clip
from simulator.scene import Scene
from simulator.spec import SceneSpec
from trueframe.v1 import frames_pb2

FPS = 10
START_NS = 1_700_000_000_000_000_000
TRAIN_S = 90.0


def drawn(spec: SceneSpec, frames: int) -> list[Shot]:
    """Pictures of a scene, no codec between."""
    scene = Scene(spec)
    return [_shot(number, scene.picture(number)[: spec.height]) for number in range(frames)]


def _shot(number: int, y: Any) -> Shot:
    return Shot(FrameId("bench", 1, number), START_NS + round(number / FPS * 1e9), y)


def model_of(spec: SceneSpec) -> LoadedModel:
    """A normality model of the scene's own traffic."""
    shots = drawn(spec, round(TRAIN_S * FPS))
    return trained(lambda: shots, "bench", FPS)


def normality(model: LoadedModel) -> Detector[Any]:
    """The detector with that model."""
    return detector_types()["normality"].make(Setup("bench", {}, model))


def cpu_rate(work: Callable[[], int]) -> float:
    """Frames per CPU-second of a piece of work that returns how many it did."""
    before_s = time.process_time()
    frames = work()
    return frames / (time.process_time() - before_s)


def looked_at(detector: Detector[Any], shots: Iterable[Shot]) -> int:
    """Shows pictures to a detector; returns how many."""
    state = detector.start()
    count = 0
    for shot in shots:
        _, state = detector.inspect(shot, state, ())
        count += 1
    return count


def decoded(clip: Clip) -> Iterable[Shot]:
    """Pictures out of a clip's packets, as a worker's decoder gives them."""
    decoder = PlanesDecoder(-1, -1)
    for number, unit in enumerate(clip.units):
        payload = b"".join(b"\0\0\0\1" + nal for nal in unit.nals)
        join = frames_pb2.JOIN_POINT_EXACT if unit.joins else frames_pb2.JOIN_POINT_UNSPECIFIED
        coded = CodedUnit(
            frames_pb2.CODEC_H264, 1, number, START_NS + round(number / FPS * 1e9), 0, join, 0, False, False, payload
        )
        yield from _shots(decoder.feed(coded))
    yield from _shots(decoder.finish())


def _shots(answers: Iterable[tuple[bytes, bytes | memoryview]]) -> Iterable[Shot]:
    for head, data in answers:
        _, seq, _, reason, _, width, height, _ = ANSWER.unpack(head)
        if not reason:
            yield _shot(seq, np.frombuffer(data, np.uint8)[: width * height].reshape(height, width))


def objects_ratio() -> tuple[float | None, str]:
    """What `inspect_objects` says, in a process of its own; None and why if it says nothing."""
    command = [sys.executable, "-m", "benchmarks.inspect_objects", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return float(json.loads(done.stdout)["objects_ratio"]), ""
    except (ValueError, KeyError, TypeError):
        return None, (done.stderr.strip().splitlines() or ["it printed no ratio"])[-1]


def result_of(repeats: int, frames: int) -> dict[str, Any]:
    """All measurements."""
    small = SceneSpec("street", seed=940_000, width=360, height=240, fps=FPS, loop_s=TRAIN_S + 60, incidents=())
    large = SceneSpec("street", seed=940_000, width=640, height=360, fps=FPS, loop_s=TRAIN_S, incidents=())
    shots = drawn(small, frames)
    detector = normality(model_of(small))
    alone = [cpu_rate(lambda: looked_at(detector, shots)) for _ in range(repeats)]
    with tempfile.TemporaryDirectory(prefix="inspect-") as folder:
        (clip,) = encode.cached([large], Path(folder))
    detector_large = normality(model_of(large))
    whole = [cpu_rate(lambda: looked_at(detector_large, decoded(clip))) for _ in range(repeats)]
    decoding = [cpu_rate(lambda: sum(1 for _ in decoded(clip))) for _ in range(repeats)]
    ratio, why = objects_ratio()
    return {
        "normality_fps_cpu": round(statistics.median(alone), 1),
        "end_to_end_fps_core": round(statistics.median(whole), 1),
        "objects_ratio": ratio,
        "objects_not_measured": why,
        "decoding_alone_fps_core": round(statistics.median(decoding), 1),
        "normality_spread": _spread(alone),
        "end_to_end_spread": _spread(whole),
        "repeats": repeats,
        "frames": frames,
        "machine": machine(),
    }


def _spread(values: Sequence[float]) -> list[float]:
    return [round(min(values), 1), round(max(values), 1)]


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--frames", type=int, default=600, help="of a repeat, of normality alone")
    options = parser.parse_args()
    result = result_of(options.repeats, options.frames)
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:24} {value}")


if __name__ == "__main__":
    main()
