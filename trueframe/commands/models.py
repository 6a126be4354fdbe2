"""`trueframe models`: list, add, publish, try, promote, roll back and compare versions of models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.errors import DataLoss, InvalidArgument, NotFound
from trueframe.commands.options import Moment, data_option, json_option, show_json, show_table
from trueframe.times import show_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aggregate.client import Gate, Model, ModelVersion
    from trueframe.client import Client

SHORT = 12


@click.group("models")
def command() -> None:
    """Versions of models: what runs, what is tried beside it, and the way back.

    A version is named by the SHA-256 of its content; its first eight digits or more will do. A new one is added, run in
    the shadow of the promoted one, compared, and promoted if it passes its gates.
    """


@command.command("list")
@json_option
@data_option
def list_models(data: str, as_json: bool) -> None:
    """List models, their versions, and which of them speaks."""
    from trueframe.client import connect

    with connect(data) as tf:
        models = tf.models.list()
    if as_json:
        for model in models:
            show_json(model_record(model))
        return
    rows = [
        (model.name, model.detector, version.digest[:SHORT], _standing(model, version), f"{version.size:,}",
         show_time(version.added_ns)[:19], version.added_by)
        for model in models
        for version in model.versions
    ]  # fmt: skip
    show_table(("MODEL", "DETECTOR", "VERSION", "STANDING", "BYTES", "ADDED", "BY"), rows)


@command.command("add")
@click.argument("source", metavar="PATH|URL")
@click.option("--sha256", default="", help="SHA-256 that the file, or the downloaded one, must have.")
@json_option
@data_option
def add(data: str, source: str, sha256: str, as_json: bool) -> None:
    """Check a model (a folder, a zip, or a URL of a zip) and add it as a version. It speaks nowhere yet."""
    from trueframe.client import connect

    with connect(data) as tf:
        version, was_known = _add(tf, source, sha256)
    _tell_added(version, was_known, as_json)


@command.command("publish")
@click.argument("source", metavar="PATH|URL")
@click.option("--sha256", default="", help="SHA-256 that the file, or the downloaded one, must have.")
@json_option
@data_option
def publish(data: str, source: str, sha256: str, as_json: bool) -> None:
    """Add a model, and let it speak if no version of it does yet."""
    from aggregate.client import RolloutStep
    from trueframe.client import connect

    with connect(data) as tf:
        version, was_known = _add(tf, source, sha256)
        model = _model(tf, version.model)
        is_first = not model.rollout.promoted
        if is_first:
            model, _ = tf.models.roll_out(version.model, RolloutStep.PROMOTE, version.digest)
    _tell_added(version, was_known, as_json)
    if as_json:
        return
    if is_first:
        click.echo(f"It speaks from the next frame on, wherever inspections name {version.model}.")
    elif model.rollout.promoted != version.digest:
        speaks = model.rollout.promoted[:SHORT]
        next_step = f"`trueframe models shadow {version.model} {version.digest[:SHORT]}` tries this one beside it"
        click.echo(f"Version {speaks} goes on speaking; {next_step}.")


@command.command("shadow")
@click.argument("model")
@click.argument("version", default="")
@json_option
@data_option
def shadow(data: str, model: str, version: str, as_json: bool) -> None:
    """Run VERSION (the newest if none is named) silently beside the promoted one. "end" ends trials."""
    from aggregate.client import RolloutStep

    if version == "end":
        _roll_out(data, model, RolloutStep.END_TRIAL, "", as_json)
        return
    _roll_out(data, model, RolloutStep.SHADOW, version, as_json)


@command.command("promote")
@click.argument("model")
@click.argument("version", default="")
@click.option("--camera", "cameras", multiple=True, help="Only on this camera for now; may be given several times.")
@click.option("--force", is_flag=True, help="Though a gate is not passed.")
@json_option
@data_option
def promote(data: str, model: str, version: str, cameras: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Let VERSION (the one on trial if none is named) speak from the next frame on. The one before stays warm."""
    from aggregate.client import RolloutStep

    step = RolloutStep.CANARY if cameras else RolloutStep.PROMOTE
    _roll_out(data, model, step, version, as_json, cameras=cameras, force=force)


@command.command("rollback")
@click.argument("model")
@json_option
@data_option
def rollback(data: str, model: str, as_json: bool) -> None:
    """Let the version before speak again, from the next frame on."""
    from aggregate.client import RolloutStep

    _roll_out(data, model, RolloutStep.ROLL_BACK, "", as_json)


@command.command("diff")
@click.argument("model")
@click.argument("version", default="")
@click.option("--than", default="", help="The other version; the promoted one if none is named.")
@click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help="From: an hour ago if none.")
@click.option("--to", "to_ns", type=Moment(), default=0, metavar="TIME", help="To this time; now if left out.")
@json_option
@data_option
def diff(data: str, model: str, version: str, than: str, from_ns: int, to_ns: int, as_json: bool) -> None:
    """Compare what two versions said of the same frames: scores, alarms an hour judged alike, cost."""
    from trueframe.client import connect

    with connect(data) as tf:
        rollout = _model(tf, model).rollout
        one = version or rollout.shadow or rollout.canary
        found = tf.models.diff(model, one, than=than, from_ns=from_ns, to_ns=to_ns)
    if as_json:
        for each in found:
            show_json({field.name: getattr(each, field.name) for field in each.DESCRIPTOR.fields})
        return
    show_table(
        ("CAMERA", "FRAMES", "EQUAL", "MEAN DIFF", "GREATEST", "AT", "ALARMS/H", "THAN", "COST US", "THAN"),
        [
            (d.camera, d.frames, d.equal, f"{d.mean_difference:.5f}", f"{d.greatest_difference:.5f}",
             d.greatest_at or "-", f"{d.anomalies_per_hour:.2f}", f"{d.than_per_hour:.2f}",
             f"{d.cost_us:.0f}" if d.cost_us else "-", f"{d.than_cost_us:.0f}" if d.than_cost_us else "-")
            for d in found
        ],
    )  # fmt: skip


def model_record(model: Model) -> dict[str, object]:
    """A model as JSON."""
    rollout = model.rollout
    return {
        "model": model.name,
        "detector": model.detector,
        "promoted": rollout.promoted or None,
        "previous": rollout.previous or None,
        "shadow": rollout.shadow or None,
        "canary": rollout.canary or None,
        "canary_cameras": list(rollout.canary_cameras),
        "changed_ns": rollout.changed_ns,
        "changed_by": rollout.changed_by,
        "versions": [
            {
                "digest": version.digest,
                "size_bytes": version.size,
                "added_ns": version.added_ns,
                "added_by": version.added_by,
            }
            for version in model.versions
        ],
    }


def _add(tf: Client, source: str, sha256: str) -> tuple[ModelVersion, bool]:
    """Looks at a model as a worker will, here and not in the service, and hands it over."""
    from detector_pool.client import check_model, open_files, opened_files

    if "://" in source:
        model = opened_files(_downloaded(source, sha256), source)
    else:
        path = Path(source)
        model = open_files(path)
        if sha256:
            _verify(path.read_bytes() if path.is_file() else model.packed(), sha256, source)
    checked = check_model(model)
    return tf.models.add(model.packed(), model=checked.name)


def _downloaded(url: str, sha256: str) -> bytes:
    """A file from a server. Raises what `fetch_model` raises."""
    from tempfile import TemporaryDirectory

    from detector_pool.client import fetch_model

    if not sha256:
        remedy = "Give --sha256 as whoever offers the model names it: what comes over a network may be anything."
        raise InvalidArgument(f"URL {url[:200]}", "has no pinned hash", remedy)
    with TemporaryDirectory(prefix="tf-") as folder:
        return fetch_model(url, sha256, Path(folder)).read_bytes()


def _verify(data: bytes, sha256: str, source: str) -> None:
    from hashlib import sha256 as digest_of

    got = digest_of(data).hexdigest()
    if got != sha256.lower():
        remedy = "It is another file than the one that was pinned. Nothing was added."
        raise DataLoss(f"model {source[:200]}", f"has the SHA-256 {got}, not {sha256.lower()[:80]}", remedy)


def _roll_out(
    data: str,
    model: str,
    step: object,
    version: str,
    as_json: bool,
    *,
    cameras: Sequence[str] = (),
    force: bool = False,
) -> None:
    from aggregate.client import RolloutStep
    from trueframe.client import connect

    assert isinstance(step, RolloutStep)
    with connect(data) as tf:
        moved, gates = tf.models.roll_out(model, step, version, cameras=cameras, force=force)
    if as_json:
        record = model_record(moved)
        show_json(record | {"gates": [_gate_record(gate) for gate in gates]})
        return
    for gate in gates:
        click.echo(f"{gate.name}: {'passed' if gate.is_passed else 'not passed'}: {gate.sentence}")
    rollout = moved.rollout
    told = [f"{model}: {rollout.promoted[:SHORT] or 'no version'} speaks"]
    if rollout.canary:
        told.append(f"{rollout.canary[:SHORT]} on {', '.join(rollout.canary_cameras)}")
    if rollout.shadow:
        told.append(f"{rollout.shadow[:SHORT]} runs beside it silently")
    if rollout.previous:
        told.append(f"{rollout.previous[:SHORT]} stays warm")
    click.echo("; ".join(told) + ".")


def _gate_record(gate: Gate) -> dict[str, object]:
    return {"gate": gate.name, "is_passed": gate.is_passed, "sentence": gate.sentence}


def _model(tf: Client, name: str) -> Model:
    models = tf.models.list()
    found = next((model for model in models if model.name == name), None)
    if found is None:
        there_are = f"There are: {', '.join(model.name for model in models)}." if models else "There are none yet."
        raise NotFound(f"model {name}", "does not exist", there_are)
    return found


def _standing(model: Model, version: ModelVersion) -> str:
    rollout, digest = model.rollout, version.digest
    words = [
        word
        for word, which in (
            ("promoted", rollout.promoted), ("previous", rollout.previous), ("shadow", rollout.shadow),
            (f"canary on {', '.join(rollout.canary_cameras)}", rollout.canary),
        )
        if which == digest
    ]  # fmt: skip
    return ", ".join(words) or "-"


def _tell_added(version: ModelVersion, was_known: bool, as_json: bool) -> None:
    if as_json:
        show_json({"model": version.model, "digest": version.digest, "detector": version.detector,
                   "size_bytes": version.size, "was_known": was_known})  # fmt: skip
        return
    how = "was there already" if was_known else "is added"
    click.echo(f"Version {version.digest[:SHORT]} of {version.model} ({version.detector}) {how}.")
