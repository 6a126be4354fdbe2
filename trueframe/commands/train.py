"""`trueframe train`: a model of what is normal for a camera, from its own recorded footage."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesh.errors import InvalidArgument
from trueframe.commands.options import Moment, data_option, json_option, show_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from detector_pool.client import FootageModel, LoadedModel
    from trueframe.client import Client

DETECTOR = "normality"


@click.command("train")
@click.argument("camera")
@click.option("--from", "from_ns", type=Moment(), required=True, metavar="TIME", help='From: "-1h", "08:00".')
@click.option("--to", "to_ns", type=Moment(), required=True, metavar="TIME", help="To this time, included.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="PATH", help="Folder or .zip. [CAMERA-normality]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same footage and seed, same model.")
@json_option
@data_option
def command(data: str, camera: str, from_ns: int, to_ns: int, output: Path | None, seed: int, as_json: bool) -> None:
    """Learn what is normal for CAMERA from its recorded frames, and write the model.

    Take ordinary traffic: ten minutes at least, an hour or a day is better. What stands out most in it is shown and not
    learnt from. Regions are those of the camera's normality inspection, if there is one.
    """
    from trueframe.client import connect

    if from_ns >= min(to_ns, time.time_ns()):
        raise InvalidArgument("range", "is empty, or still to come", "Let --from be before --to.")
    place = free_place(output or Path(f"{camera}-{DETECTOR}"))
    with connect(data) as tf:
        made = trained(tf, camera, from_ns, to_ns, seed, is_shown=not as_json)
        loaded = write_model(made, place)
    card = json.loads(loaded.read("card.json"))
    if as_json:
        show_json({"model": str(place), "digest": loaded.digest, **_counts(made), "card": card})
        return
    show_card(made, card)
    click.echo(f"model: {place}, {loaded.digest[:12]}")
    click.echo(f"publish it: trueframe models publish {place} --model {camera}.{DETECTOR}")


def trained(tf: Client, camera: str, from_ns: int, to_ns: int, seed: int, *, is_shown: bool) -> FootageModel:
    """A model of the frames received in a range, with a bar for whoever looks at it."""
    from detector_pool.client import train_from_footage

    like = next(
        (
            one.inspection
            for one in tf.inspections.list()
            if one.inspection.camera == camera and one.inspection.detector == DETECTOR
        ),
        None,
    )
    with _bar(f"training on {camera}", is_shown=is_shown) as progress:
        return train_from_footage(tf.footage, camera, from_ns, to_ns, like=like, seed=seed, progress=progress)


def write_model(made: FootageModel, place: Path) -> LoadedModel:
    """Writes a model as a folder, or as a zip if the name ends so."""
    from detector_pool.client import packed

    if place.suffix != ".zip":
        return made.write(place)
    with tempfile.TemporaryDirectory(prefix="trueframe-train-") as folder:
        loaded = made.write(Path(folder))
        place.write_bytes(packed(Path(folder)))
    return loaded


def show_card(made: FootageModel, card: dict[str, Any]) -> None:
    """What the model rests on, and what was dropped, for people."""
    click.echo(str(card.get("trained_on", made.trained.sentence)))
    if made.left_out:
        click.echo(f"{made.left_out} damaged frames were left out.")
    for one in made.trained.odd:
        click.echo(f"  dropped: {one}")
    for name in ("trained_from", "trained_to", "canvas", "fps", "noise", "threshold"):
        if name in card:
            click.echo(f"  {name.replace('_', ' ')}: {card[name]}")


def free_place(place: Path) -> Path:
    """A place for a model, before any work. Raises InvalidArgument."""
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InvalidArgument(f"{place}", "exists already", "Name another place with -o.")
    if not place.absolute().parent.is_dir():
        raise InvalidArgument(f"{place}", f"there is no folder {place.parent}", "Make it first.")
    return place


def _counts(made: FootageModel) -> dict[str, object]:
    return {
        "frames": made.pictures,
        "damaged_left_out": made.left_out,
        "dropped": [{"from_ns": one.from_ns, "to_ns": one.to_ns, "why": one.why} for one in made.trained.odd],
    }


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
