"""A trained model, and how it is written: graph, `detector.toml`, card and golden frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector_pool.canvas import RegionMask
from detector_pool.detector import Setup
from detector_pool.golden import write_golden
from detector_pool.models import MANIFEST, open_model
from detector_pool.normality.detector import SCHEMA, SCORE_SENTENCE, Normality
from detector_pool.normality.grid import Canvas
from detector_pool.normality.heads import HEADS, Level
from detector_pool.picture import Shot
from detector_pool.training.cards import CARD, model_name, runtime_version, shown_utc

_MERGE_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Odd:
    """A stretch of footage that was not learnt from, and why."""

    from_ns: int
    to_ns: int
    why: str

    def __str__(self) -> str:
        return f"{shown_utc(self.from_ns)} to {shown_utc(self.to_ns)}: {self.why}"


def merged(odd: Iterable[Odd]) -> list[Odd]:
    """Stretches that touch, as one; in the order of time."""
    found: list[Odd] = []
    for one in sorted(odd, key=lambda item: item.from_ns):
        if found and one.from_ns <= found[-1].to_ns + _MERGE_NS:
            last = found[-1]
            why = last.why if one.why in last.why else f"{last.why}; {one.why}"
            found[-1] = Odd(last.from_ns, max(last.to_ns, one.to_ns), why)
        else:
            found.append(one)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class TrainedMode:
    """What was learnt by one light."""

    light: str
    """"day" or "infrared"."""
    noise: float
    """Standard deviation of a pixel, in grey levels."""
    graph: bytes
    levels: tuple[Level, ...]
    """By head: where its score is 0.5."""
    seconds: float
    """Footage that was looked at."""
    frames: int

    def manifest(self, number: int) -> str:
        """Its part of `detector.toml`."""
        heads = "".join(
            f'[[modes.heads]]\nname = "{head.name}"\nnow = {level.now!r}\nevent = {level.event!r}\n\n'
            for head, level in zip(HEADS, self.levels, strict=True)
        )
        return f'[[modes]]\nlight = "{self.light}"\ngraph = "{graph_file(number)}"\n\n{heads}'

    def card(self) -> dict[str, object]:
        """Its part of the card."""
        return {
            "light": self.light,
            "graph_sha256": hashlib.sha256(self.graph).hexdigest(),
            "seconds": round(self.seconds, 1),
            "frames": self.frames,
            "noise": round(self.noise, 4),
            "levels": {
                head.name: {"now": level.now, "event": level.event}
                for head, level in zip(HEADS, self.levels, strict=True)
            },
        }


def graph_file(number: int) -> str:
    """Name of the graph of the mode with that number."""
    return "model.onnx" if number == 0 else f"model-{number}.onnx"


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """What training gives. `write` makes a model folder of it."""

    camera: str
    regions: tuple[RegionMask, ...]
    canvas: Canvas
    fps: float
    interval_ns: float
    modes: tuple[TrainedMode, ...]
    """One or two; that with more footage comes first."""
    odd: tuple[Odd, ...]
    """Stretches that were not learnt from."""
    from_ns: int
    to_ns: int
    is_provisional: bool
    """There was less than ten minutes to learn from."""
    golden: tuple[Shot, ...]

    @property
    def name(self) -> str:
        """As `detector.toml` has it."""
        return model_name(self.camera, "normality")

    @property
    def sentence(self) -> str:
        """What it rests on, for people."""
        parts = " and ".join(f"{one.seconds / 60:.1f} minutes by {one.light}" for one in self.modes)
        told = f"Learnt from {parts} of camera {self.camera}"
        if self.is_provisional:
            return f"{told}; provisional: ten minutes or more are needed, an hour is better."
        return f"{told}."

    def write(self, folder: Path) -> None:
        """Writes the model's folder: `detector.toml`, `model.onnx`, `card.json` and golden frames."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, mode in enumerate(self.modes):
            (folder / graph_file(number)).write_bytes(mode.graph)
        (folder / MANIFEST).write_text(self._manifest())
        card = json.dumps(self._card(), indent=1, ensure_ascii=False)
        (folder / CARD).write_text(card + "\n")
        write_golden(folder, Normality(Setup(self.camera, {}, open_model(folder))), self.golden)

    def _manifest(self) -> str:
        modes = "".join(mode.manifest(number) for number, mode in enumerate(self.modes))
        return (
            f'detector = "normality"\nname = "{self.name}"\nschema = {SCHEMA}\n'
            f"interval_ns = {round(self.interval_ns)}\n"
            f"canvas = [{self.canvas.width}, {self.canvas.height}]\n\n{modes}"
        )

    def _card(self) -> dict[str, object]:
        return {
            "camera": self.camera,
            "regions_sha256": regions_hash(self.regions),
            "canvas": [self.canvas.width, self.canvas.height],
            "fps": round(1e9 / self.interval_ns, 3),
            "camera_fps": self.fps,
            "schema": SCHEMA,
            "trained_from": shown_utc(self.from_ns),
            "trained_to": shown_utc(self.to_ns),
            "trained_on": self.sentence,
            "is_provisional": self.is_provisional,
            "left_out": [str(one) for one in self.odd],
            "score": SCORE_SENTENCE,
            "modes": [mode.card() for mode in self.modes],
            "threshold": 0.5,
            "runtime": f"onnxruntime {runtime_version()}, CPUExecutionProvider, 1 thread",
        }


def regions_hash(regions: Sequence[RegionMask]) -> str:
    """SHA-256 of the regions that a model was trained with."""
    told = [[one.is_ignored, one.is_line, one.name, [list(corner) for corner in one.corners]] for one in regions]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
