"""What the shipped detectors and the judge make of simulated scenes, seed by seed: found, missed and false.

`python -m benchmarks.detection --json` → {"incidents", "found", "false_per_camera_hour", "missed", "false", …}

Scenes are rendered, coded as H.264 and decoded again, then shown to the detectors frame by frame, judged with the
shipped rules and set against their ground truth; no processes, so that many seeds can be looked at. The scene's own
region is inspected, as `trueframe up --simulate` does. The first loop includes the detectors' warm-up.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from aggregate.judge import Anomaly, Finding, JudgeState, Verdict, end, judge
from aggregate.orders import Area
from aggregate.rules import RULES
from detector_pool.canvas import RegionMask
from detector_pool.motion import Motion
from detector_pool.picture import Shot
from detector_pool.signal_health import SignalHealth
from mesh.ids import FrameId
from simulator import encode, truth
from simulator.clip import Clip
from simulator.log import SentUnit
from simulator.spec import SceneSpec

DEFAULT_CAMERAS = ("yard", "street", "hall", "carpark")
"""The scenes of `trueframe up --simulate 4`."""
START_NS = 1_700_000_000_000_000_000


@dataclass(slots=True)
class Tally:
    """What was found in some scenes."""

    incidents: int = 0
    found: int = 0
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    false_by_seed: dict[int, int] = field(default_factory=dict)
    camera_hours: float = 0.0


def pictures(clip: Clip) -> Iterator[NDArray[np.uint8]]:
    """Luma of one loop, decoded from its own bytes."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets: list[Any] = [av.Packet(b"".join(b"\0\0\0\1" + nal for nal in unit.nals)) for unit in clip.units]
    for packet in [*packets, None]:
        for frame in decoder.decode(packet):
            yield frame.to_ndarray(format="gray").astype(np.uint8, copy=False)


def anomalies(clip: Clip, loops: int) -> list[tuple[str, Anomaly]]:
    """All anomalies of some rounds of a clip, as they stood when they were over; frame n of the film has seq n."""
    told = [
        RegionMask(r["use"] == "ignore", tuple((x, y) for x, y in r["corners"])) for r in clip.truth["regions"]
    ]  # fmt: skip
    film = list(pictures(clip))
    silent = [unit.silent for unit in sorted(clip.units, key=lambda unit: unit.frame)]
    found: list[tuple[str, Anomaly]] = []
    for detector, regions in ((Motion(), told), (SignalHealth(), [])):
        name = detector.name.partition("@")[0]
        memory: Any = detector.start()
        state, findings = JudgeState(), list[Finding]()
        for number in range(loops * len(film)):
            if silent[number % len(film)]:
                continue
            received_ns = START_NS + round(number / clip.fps * 1e9)
            shot = Shot(FrameId(clip.name, 1, number), received_ns, film[number % len(film)])
            seen, memory = detector.inspect(shot, memory, regions)
            areas = tuple(Area(b.x, b.y, b.width, b.height, b.label, b.score) for b in seen.boxes)
            verdict = Verdict(shot.id, received_ns, seen.score, areas, 0 if seen.reason is None else 1)
            state, said = judge(state, RULES[name], f"{clip.name}.{name}", verdict)
            findings += said
        findings += end(state, START_NS + round(loops * len(film) / clip.fps * 1e9))[1]
        last = {finding.anomaly.id: finding.anomaly for finding in findings}
        found += [(detector.name, anomaly) for anomaly in last.values()]
    return found


def tally(into: Tally, clip: Clip, seed: int, loops: int) -> None:
    """Sets the anomalies of a clip against its truth."""
    length = len(clip.units)
    sent = [SentUnit(n, 0, 0, b"", n % length, 1, 0, 1) for n in range(loops * length)]
    told = {**clip.truth, "loop_frames": length}
    happened = [one for one in truth.occurrences(clip.name, told, sent) if is_due(one, clip.fps)]
    explained: set[str] = set()
    claims = [(as_found(detector, anomaly), anomaly) for detector, anomaly in anomalies(clip, loops)]
    for occurrence in happened:
        told_of = [anomaly.id for claim, anomaly in claims if occurrence.overlap(claim) > 0]
        explained.update(told_of)
        into.incidents += 1
        into.found += bool(told_of)
        if not told_of:
            into.missed.append(f"seed {seed} {clip.name} {occurrence.kind} at {occurrence.first / clip.fps:.1f} s")
    for claim, anomaly in claims:
        if anomaly.id not in explained:
            span = f"{claim.first / clip.fps:.1f} to {claim.last / clip.fps:.1f} s"
            boxes = [tuple(round(side, 2) for side in box) for box in claim.boxes[:1]]
            into.false.append(f"seed {seed} {clip.name} {claim.detector} {span} score {anomaly.score:.2f} {boxes}")
            into.false_by_seed[seed] = into.false_by_seed.get(seed, 0) + 1
    into.camera_hours += loops * length / clip.fps / 3600


def is_due(one: truth.Occurrence, fps: float) -> bool:
    """Whether an incident is the business of one of the detectors that look here."""
    return any(truth.is_due(one.kind, name, (one.last - one.first + 1) / fps) for name in ("motion", "signal"))


def as_found(detector: str, anomaly: Anomaly) -> truth.Found:
    """The anomaly as the truth's judge wants it."""
    boxes = tuple((b.x, b.y, b.x + b.width, b.y + b.height) for b in anomaly.boxes)
    return truth.Found(detector, anomaly.first.seq, anomaly.peak.seq, anomaly.last.seq, boxes)


def look(seeds: range, layouts: tuple[str, ...], loops: int, cache: Path) -> Tally:
    """All scenes of all seeds."""
    found = Tally(false_by_seed=dict.fromkeys(seeds, 0))
    for seed in seeds:
        for clip in encode.cached([SceneSpec(layout=name, seed=seed) for name in layouts], cache):
            tally(found, clip, seed, loops)
    return found


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds")
    parser.add_argument("--layouts", default=",".join(DEFAULT_CAMERAS), help="scenes, one camera each")
    parser.add_argument("--loops", type=int, default=1, help="minutes of each scene")
    parser.add_argument("--cache", type=Path, default=encode.default_cache())
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found = look(seeds, tuple(options.layouts.split(",")), options.loops, options.cache)
    result = {
        "incidents": found.incidents,
        "found": found.found,
        "false_per_camera_hour": round(len(found.false) / found.camera_hours, 2),
        "most_false_of_a_seed": max(found.false_by_seed.values()),
        "missed": found.missed,
        "false": found.false,
        "camera_hours": round(found.camera_hours, 3),
    }
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:22} {value}")


if __name__ == "__main__":
    main()
