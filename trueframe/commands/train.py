"""`trueframe train`: a model of what is normal for a camera, from its own recorded footage."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesh.errors import InvalidArgument
from trueframe.commands.options import Moment, data_option, json_option, show_json
from trueframe.commands.training import Made, free_place, publish, trained, write_model
from trueframe.retraining import DETECTOR
from trueframe.times import parse_duration

if TYPE_CHECKING:
    from aggregate.client import Inspection
    from detector_pool.client import ModelFiles
    from trueframe.client import Client

POSTURE = "posture"


class Length(click.ParamType[float]):
    """A length of time, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Reads "30d", "12h". Raises InvalidArgument."""
        return value if isinstance(value, float) else parse_duration(str(value))


@click.command("train")
@click.argument("camera", required=False)
@click.option("--kind", type=click.Choice([DETECTOR, POSTURE]), default=DETECTOR, show_default=True,
              help="What is learnt: how things move, or how people hold themselves.")  # fmt: skip
@click.option("--pose", metavar="MODEL", help="With --kind posture: the pose model. [that of CAMERA's inspection pose]")
@click.option("--from", "from_ns", type=Moment(), metavar="TIME", help='From: "-1h", "08:00".')
@click.option("--to", "to_ns", type=Moment(), metavar="TIME", help="To this time, included.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="PATH", help="Folder or .zip. [CAMERA-KIND]")
@click.option(
    "--publish", "is_published", is_flag=True, help="Publish it: the first speaks, a later one is tried first."
)
@click.option("--due", "only_due", is_flag=True, help="What is older than --max-age, or whose scores have drifted.")
@click.option("--max-age", type=Length(), default="30d", show_default=True, metavar="DURATION", help="With --due.")
@click.option("--trial", type=Length(), default="1d", show_default=True, metavar="DURATION",
              help="With --due: what ran in the shadow for so long is promoted, if its gates let it.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Same footage and seed, same model.")
@json_option
@data_option
def command(
    data: str,
    camera: str | None,
    kind: str,
    pose: str | None,
    from_ns: int | None,
    to_ns: int | None,
    output: Path | None,
    is_published: bool,
    only_due: bool,
    max_age: float,
    trial: float,
    seed: int,
    as_json: bool,
) -> None:
    """Learn what is normal for CAMERA from its recorded frames, and write the model.

    Take ordinary traffic: ten minutes at least, an hour or a day is better; of more than an hour, 24 stretches are
    looked at. What stands out most in it is shown and not learnt from. Regions are those of the camera's inspection of
    that kind, if there is one. Posture needs a pose model and torch: pip install 'trueframe[train]'.

    With --due, for a timer: models of all cameras, or of CAMERA, are trained anew from the last day where that is due,
    and published.
    """
    if only_due:
        if kind != DETECTOR:
            raise InvalidArgument("--due", f"is for {DETECTOR}", f"Train {kind} with --from and --to.")
        if from_ns is not None or to_ns is not None or output is not None:
            raise InvalidArgument("--due", "takes the last day and writes no files", "Leave out --from, --to and -o.")
        from trueframe.commands.train_due import train_due

        train_due(data, camera or "", max_age, trial, seed, as_json=as_json)
        return
    if camera is None:
        raise InvalidArgument("train", "names no camera", "Give one, or --due for all whose models are due.")
    if from_ns is None or to_ns is None:
        raise InvalidArgument("train", "says no time", "Give --from and --to: --from -1h --to now.")
    if pose is not None and kind != POSTURE:
        raise InvalidArgument("--pose", f"is for --kind {POSTURE}", "Leave it out.")
    _train(data, camera, kind, pose, from_ns, to_ns, output, seed, is_published=is_published, as_json=as_json)


def _train(
    data: str,
    camera: str,
    kind: str,
    pose: str | None,
    from_ns: int,
    to_ns: int,
    output: Path | None,
    seed: int,
    *,
    is_published: bool,
    as_json: bool,
) -> None:
    from trueframe.client import connect

    if from_ns >= min(to_ns, time.time_ns()):
        raise InvalidArgument("range", "is empty, or still to come", "Let --from be before --to.")
    if kind == POSTURE:
        from detector_pool.client import require_torch

        require_torch()
    # What is published need not lie in a file as well.
    place = free_place(output or Path(f"{camera}-{kind}")) if output or not is_published else None
    with connect(data) as tf:
        inspections = [one.inspection for one in tf.inspections.list() if one.inspection.camera == camera]
        like = next((one for one in inspections if one.detector == kind), None)
        found = pose_model(tf, camera, pose, inspections) if kind == POSTURE else None
        made = trained(tf, camera, from_ns, to_ns, seed, like=like, is_shown=not as_json, pose=found)
        if place is not None:
            write_model(made, place)
        told = publish(tf, made) if is_published else None
    if as_json:
        record = {"model": str(place) if place is not None else None, "digest": made.digest, **_counts(made)}
        show_json(record | {"card": made.card, "published": told.record() if told is not None else None})
        return
    show_card(made)
    if place is not None:
        click.echo(f"model: {place}, {made.digest[:12]}")
    click.echo(told.sentence if told is not None else f"publish it: trueframe models publish {place}")
    if is_published and (like is None or like.model not in ("", f"{camera}.{kind}")):
        click.echo(f"inspect with it: trueframe inspections start {camera}.{kind} --model {camera}.{kind}")


def pose_model(tf: Client, camera: str, named: str | None, inspections: Sequence[Inspection]) -> ModelFiles:
    """The pose model that posture is to be learnt with: the one named, else that of the camera's inspection by pose.

    Raises InvalidArgument: there is none, or it is for another detector.
    """
    from trueframe.commands.which_model import opened_model

    like = next((one for one in inspections if one.detector == "pose"), None)
    if named is None and like is None:
        remedy = (
            "Name one with --pose: a folder, a zip, or a published model; docs/guide/models.md tells how to have one."
        )
        raise InvalidArgument(
            f"training {POSTURE} on {camera}", "needs a pose model, and no inspection has one", remedy
        )
    model = opened_model(tf, named or (like.model if like is not None and like.model else f"{camera}.pose"))
    if model.detector != "pose":
        raise InvalidArgument(f"model {model.name}", f"is for the detector {model.detector}", "Name one for pose.")
    return model


def show_card(made: Made) -> None:
    """What the model rests on, and what was dropped, for people."""
    card: dict[str, Any] = made.card
    click.echo(str(card["trained_on"]))
    if made.left_out:
        click.echo(f"{made.left_out} damaged frames were left out.")
    for one in made.odd:
        click.echo(f"  dropped: {one}")
    for name in ("trained_from", "trained_to", "canvas", "fps", "noise", "threshold"):
        if name in card:
            shown = card[name] if isinstance(card[name], str | float | int) else json.dumps(card[name])
            click.echo(f"  {name.replace('_', ' ')}: {shown}")


def _counts(made: Made) -> dict[str, object]:
    return {
        "frames": made.pictures,
        "damaged_left_out": made.left_out,
        "dropped": [{"from_ns": one.from_ns, "to_ns": one.to_ns, "why": one.why} for one in made.odd],
    }
