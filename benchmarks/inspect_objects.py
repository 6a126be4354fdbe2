"""Objects: packets to boxes through trueframe, over a plain loop of PyAV and onnxruntime on the same packets.

`python -m benchmarks.inspect_objects --json` → {"objects_ratio": …, "objects_ms": …, "objects_peer_ms": …, …}

* Ours: each access unit through the pixel host's decoder, its planes into the shared-memory ring, out of it through a
  reader, to the `objects` detector inside a worker's runner: preparation, graph, decoding, suppression, tracking,
  verdict blocks and checkpoints.
* The peer, as one would write it in an afternoon: decode, swscale to BGR, letterbox, run, decode, suppress. One thread,
  no identity, no ring, no tracks, no state.

The model is yolox_nano, one thread of onnxruntime for both. The two take turns, round by round, in one process; the
figures are CPU time of the process, medians over rounds. `objects_agree`: frames of which both say the same best box
(intersection over union above 0.8, or no box at all).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from benchmarks.harness import machine
from benchmarks.ring import Desk
from broker.pixel.client import Decoded, StreamDecoder, planes_of
from broker.pixel.decode import Outcome
from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, Observation, Setup
from detector_pool.models import open_model
from detector_pool.onnx_models import objects
from detector_pool.picture import Picture, Shot
from detector_pool.pixels import RingSource
from detector_pool.runner import Made, Runner, Task
from mesh.channel import Credentials
from trueframe.v1 import frames_pb2

SHARED = Path(__file__).parents[2] / "shared"
CLIP = SHARED / "footage/one-by-one-person-detection.mp4"
GRAPH = SHARED / "models/yolox_nano.onnx"
TOML = 'detector = "objects"\nname = "yolox-nano"\ndecoder = "yolox"\nlabels = "coco"\nclasses = ["person"]\n'
SIDE = 416
EPOCH = 1
SECOND = 1_000_000_000
LEAD = 40
"""Pictures of an empty place before the first person comes."""
Box = tuple[float, float, float, float]
"""In fractions: left, top, right, bottom."""


class Unit:
    """An access unit as the decoder wants it."""

    recovers_after = 0
    damaged = follows_damage = False

    def __init__(self, seq: int, payload: bytes, is_key: bool) -> None:
        self.seq = seq
        self.payload = payload
        self.received_ns = EPOCH + (seq + 1) * SECOND // 10
        self.monotonic_ns = time.monotonic_ns()
        self.join_point = frames_pb2.JOIN_POINT_EXACT if is_key else frames_pb2.JOIN_POINT_NONE


def packets(clip: Path, count: int) -> list[Unit]:
    """The clip's first access units, in Annex B."""
    units: list[Unit] = []
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        to_annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in container.demux(stream):
            for one in to_annex_b.filter(packet if packet.size else None):
                units.append(Unit(len(units), bytes(one), one.is_keyframe))
                if len(units) == count:
                    return units
    return units


class Ours:
    """Through the pixel host's parts and a worker's runner."""

    def __init__(self, units: list[Unit], desk: Desk, folder: Path) -> None:
        self._units = units
        self._outlet = desk.outlet
        self._model = open_model(folder)
        self._source = RingSource(desk.path, Credentials(desk.token), "bench", None, "bench")
        self._epoch = EPOCH
        self._size = size_of(units)
        self._outlet.begin_epoch(self._epoch, -1, *self._size)
        self._source.read(0.0)
        deadline = time.monotonic() + 30.0
        while self._outlet.readers < 1:
            if time.monotonic() > deadline:
                raise SystemExit("the ring's reader did not come within 30 s")
            time.sleep(0.01)
        self.provider = ""

    def close(self) -> None:
        """Ends the reader."""
        self._source.close()

    def look(self) -> list[Box | None]:
        """Goes once over all packets."""
        detector = objects.make(Setup("bench", {}, self._model))
        watched = Watched(detector)
        runner = Runner(
            Task("bench.objects", "bench", "objects", 0.5, (), None), Made(watched, detector.name, self._model.digest)
        )
        self._epoch += 1
        self._outlet.begin_epoch(self._epoch, -1, *self._size)
        decoder = StreamDecoder(frames_pb2.CODEC_H264)
        for unit in self._units:
            self._show(decoder.feed(unit), runner)
        self._show(decoder.flush(), runner)
        runner.finish()
        return watched.best

    def _show(self, outcomes: Sequence[Outcome], runner: Runner) -> None:
        for outcome in outcomes:
            if not isinstance(outcome, Decoded):
                continue
            self._outlet.picture(
                planes_of(outcome.frame), seq=outcome.seq, received_ns=outcome.received_ns,
                monotonic_ns=outcome.monotonic_ns, inexact=outcome.inexact,
            )  # fmt: skip
            while not isinstance(item := self._source.read(5.0), Shot):
                if item is None:
                    raise SystemExit("the ring gave no picture")
            runner.look(item, outcome.monotonic_ns)


class Watched:
    """A detector whose boxes are noted on the way: what a runner hands on are packed blocks."""

    def __init__(self, detector: Detector[Any]) -> None:
        self._detector = detector
        self.name = detector.name
        self.start, self.pack, self.unpack = detector.start, detector.pack, detector.unpack
        self.best: list[Box | None] = []

    def inspect(self, picture: Picture, state: Any, regions: Sequence[RegionMask]) -> tuple[Observation, Any]:
        """As the detector's, noted."""
        observation, state = self._detector.inspect(picture, state, regions)
        best = max(observation.boxes, key=lambda one: one.score, default=None)
        self.best.append((best.x, best.y, best.x + best.width, best.y + best.height) if best else None)
        return observation, state


class Peer:
    """A loop as one would write it in an afternoon."""

    def __init__(self, units: list[Unit]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(GRAPH), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._units = units
        grids, strides = [], []
        for stride in (8, 16, 32):
            side = SIDE // stride
            x, y = np.meshgrid(np.arange(side), np.arange(side))
            grids.append(np.stack((x, y), 2).reshape(-1, 2))
            strides.append(np.full((side * side, 1), stride))
        self._grid, self._stride = np.concatenate(grids), np.concatenate(strides)

    def look(self) -> list[Box | None]:
        """Goes once over all packets."""
        context: VideoCodecContext = VideoCodecContext.create("h264", "r")
        context.thread_type = "NONE"
        context.thread_count = 1
        found: list[Box | None] = []
        for unit in self._units:
            found += [self._best(frame) for frame in context.decode(av.Packet(unit.payload))]
        found += [self._best(frame) for frame in context.decode(None)]
        return found

    def _best(self, frame: av.VideoFrame) -> Box | None:
        ratio = min(SIDE / frame.width, SIDE / frame.height)
        width, height = round(frame.width * ratio), round(frame.height * ratio)
        picture = np.full((SIDE, SIDE, 3), 114, np.uint8)
        picture[:height, :width] = frame.to_ndarray(width=width, height=height, format="bgr24")
        row = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)[None]
        output = self._session.run(None, {self._input: row})[0][0]
        scores = output[:, 4:5] * output[:, 5:]
        classes, best = scores.argmax(1), scores.max(1)
        chosen = (best > 0.35) & (classes == 0)
        if not chosen.any():
            return None
        centres = (output[chosen, :2] + self._grid[chosen]) * self._stride[chosen]
        sizes = np.exp(output[chosen, 2:4]) * self._stride[chosen]
        corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)
        kept = suppressed(corners, best[chosen])
        left, top, right, bottom = np.clip(corners[kept[0]] / [width, height, width, height], 0, 1).tolist()
        return left, top, right, bottom


def suppressed(corners: NDArray[np.float64], scores: NDArray[np.float32]) -> list[int]:
    """The usual greedy loop."""
    order = scores.argsort()[::-1]
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    kept = []
    while order.size:
        first, rest = order[0], order[1:]
        kept.append(int(first))
        low, high = np.maximum(corners[first, :2], corners[rest, :2]), np.minimum(corners[first, 2:], corners[rest, 2:])
        inside = np.prod(np.maximum(high - low, 0), 1)
        order = rest[inside / (areas[first] + areas[rest] - inside) <= 0.5]
    return kept


def size_of(units: list[Unit]) -> tuple[int, int]:
    """Width and height of the pictures."""
    decoder = StreamDecoder(frames_pb2.CODEC_H264)
    for unit in units:
        for outcome in decoder.feed(unit):
            if isinstance(outcome, Decoded):
                return outcome.frame.width, outcome.frame.height
    raise SystemExit("the clip cannot be decoded")


def agree(ours: Box | None, theirs: Box | None) -> bool:
    """Whether both say the same of a picture."""
    if ours is None or theirs is None:
        return ours is theirs
    across = min(ours[2], theirs[2]) - max(ours[0], theirs[0])
    down = min(ours[3], theirs[3]) - max(ours[1], theirs[1])
    inside = max(across, 0.0) * max(down, 0.0)
    areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (ours, theirs)]
    return inside > 0.8 * (sum(areas) - inside)


def objects_ratio(pictures: int = 100, rounds: int = 7) -> dict[str, Any]:
    """All figures; {} and a reason where model or clip are not at hand."""
    if not GRAPH.exists() or not CLIP.exists():
        return {"objects_skipped": f"{GRAPH.name} or {CLIP.name} is not in {SHARED}"}
    units = packets(CLIP, pictures + LEAD)
    with tempfile.TemporaryDirectory(prefix="tf-") as made:
        folder = Path(made)
        (folder / "model").mkdir()
        (folder / "model/model.onnx").write_bytes(GRAPH.read_bytes())
        (folder / "model/detector.toml").write_text(TOML)
        desk = Desk(folder, 4)
        mine, peer = Ours(units, desk, folder / "model"), Peer(units)
        try:
            boxes = mine.look(), peer.look()
            spent: tuple[list[float], list[float]] = ([], [])
            for turn in range(rounds):
                for which in (0, 1) if turn % 2 else (1, 0):
                    began_ns = time.process_time_ns()
                    told = (mine, peer)[which].look()
                    spent[which].append((time.process_time_ns() - began_ns) / 1e6 / len(told))
        finally:
            mine.close()
            desk.close()
    if len(boxes[0]) != len(boxes[1]):
        raise SystemExit(f"{len(boxes[0])} pictures of ours, {len(boxes[1])} of the peer")
    return {
        "objects_ratio": round(statistics.median(a / b for a, b in zip(*spent, strict=True)), 3),
        "objects_ms": round(statistics.median(spent[0]), 2),
        "objects_peer_ms": round(statistics.median(spent[1]), 2),
        "objects_agree": round(statistics.mean(agree(a, b) for a, b in zip(*boxes, strict=True)), 3),
        "objects_pictures": len(boxes[0]),
        "objects_rounds": rounds,
    }


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pictures", type=int, default=100, help="of each round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    figures = objects_ratio(options.pictures, options.rounds)
    if options.json:
        print(json.dumps(figures | machine()))
        return
    for name, value in figures.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
