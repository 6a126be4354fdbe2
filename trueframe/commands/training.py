"""What training commands share: a model made of footage with a bar, written, checked and published."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesh.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from aggregate.client import Inspection
    from detector_pool.client import ModelFiles, Odd
    from trueframe.client import Client

SHORT = 12


@dataclass(frozen=True, slots=True)
class Made:
    """A model, and the footage it is made of."""

    camera: str
    files: ModelFiles
    pictures: int
    left_out: int
    odd: Sequence[Odd]

    @property
    def digest(self) -> str:
        """SHA-256 of its content."""
        return self.files.digest

    @property
    def card(self) -> dict[str, Any]:
        """`card.json`."""
        card: dict[str, Any] = json.loads(self.files.read("card.json"))
        return card


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a version that was published."""

    model: str
    digest: str
    speaks: bool
    instead_of: str
    """The version that goes on speaking while this one is tried; empty if this one speaks."""

    @property
    def sentence(self) -> str:
        """For people."""
        short = self.digest[:SHORT]
        if self.speaks:
            return f"{self.model}: {short} speaks from the next frame on."
        told = f"{self.model}: {short} runs in the shadow of {self.instead_of[:SHORT]}"
        commands = (
            f"`trueframe models diff {self.model}` compares, `trueframe models promote {self.model}` lets it speak"
        )
        return f"{told}; {commands}."

    def record(self) -> dict[str, object]:
        """As a JSON object."""
        return {"model": self.model, "digest": self.digest, "speaks": self.speaks}


def trained(
    tf: Client,
    camera: str,
    from_ns: int,
    to_ns: int,
    seed: int,
    *,
    like: Inspection | None,
    is_shown: bool,
    pose: ModelFiles | None = None,
) -> Made:
    """A model of the frames received in a range, with a bar for whoever looks at it: of posture with the model `pose`,
    else of normality."""
    from detector_pool.client import open_files, train_from_footage

    with _bar(f"training on {camera}", is_shown=is_shown) as progress:
        made = train_from_footage(
            tf.footage, camera, from_ns, to_ns, like=like, pose=pose, seed=seed, progress=progress
        )
    with tempfile.TemporaryDirectory(prefix="trueframe-train-") as folder:
        made.write(Path(folder))
        files = open_files(Path(folder))
    return Made(camera, files, made.pictures, made.left_out, made.trained.odd)


def write_model(made: Made, place: Path) -> None:
    """Writes a model as a folder, or as a zip if the name ends so."""
    if place.suffix == ".zip":
        place.write_bytes(made.files.packed())
        return
    for name, content in made.files.files.items():
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def publish(tf: Client, made: Made) -> Published:
    """Publishes a model that was just made: the first of its camera speaks, a later one is tried in the shadow.

    Raises InvalidArgument: it does not pass its own golden frames.
    """
    from aggregate.client import RolloutStep
    from detector_pool.client import check_model

    check_model(made.files)
    name = f"{made.camera}.{made.files.detector}"
    version, _ = tf.models.add(made.files.packed(), model=name)
    promoted = next((one.rollout.promoted for one in tf.models.list() if one.name == name), "")
    if promoted == version.digest:
        return Published(name, version.digest, True, "")
    step = RolloutStep.SHADOW if promoted else RolloutStep.PROMOTE
    tf.models.roll_out(name, step, version.digest)
    return Published(name, version.digest, not promoted, promoted)


def free_place(place: Path) -> Path:
    """A place for a model, before any work. Raises InvalidArgument."""
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InvalidArgument(f"{place}", "exists already", "Name another place with -o.")
    if not place.absolute().parent.is_dir():
        raise InvalidArgument(f"{place}", f"there is no folder {place.parent}", "Make it first.")
    return place


@contextmanager
def _bar(label: str, *, is_shown: bool) -> Iterator[Callable[[str, float], None] | None]:
    """A bar of which reading is the first half and fitting the other."""
    if not is_shown or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1000, label=label, file=sys.stderr) as bar:

        def progress(stage: str, share: float) -> None:
            at = round(500 * share) + (0 if stage == "reading" else 500)
            bar.update(min(at, 1000) - bar.pos)

        yield progress
