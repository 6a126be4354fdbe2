"""A trained posture model, and how it is written: graph, pose model, `detector.toml`, card and golden frames."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from detector_pool.canvas import RegionMask
from detector_pool.detector import Setup
from detector_pool.golden import write_golden
from detector_pool.models import MANIFEST, ModelFiles, open_model
from detector_pool.picture import Shot
from detector_pool.posture.detector import GRAPH, POSE, SCHEMA, SCORE_SENTENCE, Level, Posture
from detector_pool.posture.pace import FPS
from detector_pool.training.cards import CARD, model_name, runtime_version, shown_utc
from detector_pool.training.trained import Odd, regions_hash


@dataclass(frozen=True, slots=True, eq=False)
class TrainedPosture:
    """What training gives. `write` makes a model folder of it."""

    camera: str
    regions: tuple[RegionMask, ...]
    graph: bytes
    pose: ModelFiles
    """The model that brings the key points."""
    level: Level
    odd: tuple[Odd, ...]
    """Stretches that were not learnt from."""
    from_ns: int
    to_ns: int
    seconds: float
    """People were followed, put together."""
    people: int
    is_provisional: bool
    """There was less than ten minutes of people to learn from."""
    golden: tuple[Shot, ...]
    seed: int

    @property
    def sentence(self) -> str:
        """What it rests on, for people."""
        told = (
            f"Learnt from {self.people} people who were followed for {self.seconds / 60:.1f} minutes altogether by "
            f"camera {self.camera}"
        )
        if self.is_provisional:
            return f"{told}; provisional: ten minutes or more are needed, hours are better."
        return f"{told}."

    def write(self, folder: Path) -> None:
        """Writes the model's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / GRAPH).write_bytes(self.graph)
        (folder / POSE).write_bytes(self.pose.packed())
        (folder / MANIFEST).write_text(self._manifest())
        card = json.dumps(self._card(), indent=1, ensure_ascii=False)
        (folder / CARD).write_text(card + "\n")
        if self.golden:
            write_golden(folder, Posture(Setup(self.camera, {}, open_model(folder))), self.golden)

    def _manifest(self) -> str:
        usual = ", ".join(repr(one) for one in self.level.usual)
        return (
            f'detector = "posture"\nname = "{model_name(self.camera, "posture")}"\nschema = {SCHEMA}\n'
            f"median = {self.level.median!r}\nhigh = {self.level.high!r}\nusual = [{usual}]\n"
        )

    def _card(self) -> dict[str, object]:
        return {
            "camera": self.camera,
            "regions_sha256": regions_hash(self.regions),
            "pose_model": {"name": self.pose.name, "digest": self.pose.digest},
            "fps": FPS,
            "schema": SCHEMA,
            "trained_from": shown_utc(self.from_ns),
            "trained_to": shown_utc(self.to_ns),
            "trained_on": self.sentence,
            "people": self.people,
            "people_seconds": round(self.seconds, 1),
            "is_provisional": self.is_provisional,
            "left_out": [str(one) for one in self.odd],
            "seed": self.seed,
            "score": SCORE_SENTENCE,
            "graph_sha256": hashlib.sha256(self.graph).hexdigest(),
            "levels": {"median": self.level.median, "high": self.level.high},
            "threshold": 0.5,
            "runtime": f"onnxruntime {runtime_version()}, CPUExecutionProvider, 1 thread",
        }
