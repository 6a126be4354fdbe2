"""`trueframe inspections`: list, start, stop, change. Every change is live, from the next frame on."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, TextIO

import click

from mesh.errors import InvalidArgument, NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.commands.regions import command as regions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trueframe.client import Client
    from trueframe.v1.inspection_pb2 import Inspection, InspectionStatus


@click.group("inspections")
def command() -> None:
    """List, start, stop and change inspections. They are named CAMERA.DETECTOR."""


command.add_command(regions)


@command.command("list")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@json_option
@data_option
def list_inspections(data: str, cameras: tuple[str, ...], as_json: bool) -> None:
    """List inspections, who carries them out and how far they are."""
    from trueframe.client import connect

    with connect(data) as tf:
        found = [one for one in tf.inspections.list() if not cameras or one.inspection.camera in cameras]
    _show(found, as_json)


@command.command("start")
@click.argument("names", nargs=-1, required=True, metavar="CAMERA.DETECTOR...")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Score at which an anomaly begins; 0 is the detector's own."
)
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Option of the detector, as TOML.")
@click.option("--options-file", type=click.File(encoding="utf-8"), help="All options of the detector: a TOML file.")
@click.option("--model", help='Published model to run; "" for CAMERA.DETECTOR.')
@click.option(
    "--schedule", multiple=True, help='Only then: "mon-fri 08:00-18:00"; may be given several times; "always" ends it.'
)
@click.option("--false-alarms", "rate", type=click.FloatRange(0, 3600), help="An hour, to calibrate to; 0 for none.")
@click.option("--max-fps", type=click.FloatRange(0, 1000), help="Frames a second to look at, at most; 0 for all.")
@click.option("--priority", type=click.Choice(("high", "normal", "background")), help="When there is too much to do.")
@click.option("--fixed-regions/--follow-regions", "fixed", default=None, help="Whether regions stay put when it moves.")
@json_option
@data_option
def start_inspections(
    data: str,
    names: tuple[str, ...],
    threshold: float | None,
    options: tuple[str, ...],
    options_file: TextIO | None,
    model: str | None,
    schedule: tuple[str, ...],
    rate: float | None,
    max_fps: float | None,
    priority: str | None,
    fixed: bool | None,
    as_json: bool,
) -> None:
    """Start inspections, or new ones, or change them; what is not named stays as it was."""
    from aggregate.client import parse_window

    document = options_file.read() if options_file is not None else None
    windows = [parse_window(text) for text in schedule if text != "always"]

    def started(inspection: Inspection) -> None:
        from trueframe.v1 import inspection_pb2

        inspection.disabled = False
        wanted = {
            "threshold": threshold, "model": model, "false_alarms_per_hour": rate, "max_fps": max_fps,
            "fixed_regions": fixed, "options": document,
        }  # fmt: skip
        for field, value in wanted.items():
            if value is not None:
                setattr(inspection, field, value)
        if options:
            inspection.options = with_options(inspection.options, options)
        if priority is not None:
            inspection.priority = inspection_pb2.InspectionPriority.Value(f"INSPECTION_PRIORITY_{priority.upper()}")
        if schedule:
            del inspection.schedule[:]
            for one in windows:
                inspection.schedule.add(days=one.days, from_minute=one.from_minute, to_minute=one.to_minute)

    _change(data, names, as_json, started, may_create=True)


def with_options(document: str, changes: Sequence[str]) -> str:
    """A TOML document with some of its options changed; "NAME=" takes one away. Raises InvalidArgument."""
    values = tomllib.loads(document)
    for change in changes:
        name, equals, text = change.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InvalidArgument(f"option {change!r}", "is not NAME=VALUE", "For example --option sensitivity=0.7.")
        if not text.strip():
            values.pop(name, None)
            continue
        try:
            values[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            # A plain word is a text; people do not write quotation marks for the sake of a shell.
            values[name] = text.strip()
    return "".join(f"{_key(name)} = {_toml(value)}\n" for name, value in values.items())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


@command.command("stop")
@click.argument("names", nargs=-1, required=True, metavar="CAMERA.DETECTOR...")
@json_option
@data_option
def stop_inspections(data: str, names: tuple[str, ...], as_json: bool) -> None:
    """Stop inspections. What they said stays, and `explain` tells who stopped them."""

    def stopped(inspection: Inspection) -> None:
        inspection.disabled = True

    _change(data, names, as_json, stopped, may_create=False)


def _change(
    data: str, names: tuple[str, ...], as_json: bool, change: Callable[[Inspection], None], *, may_create: bool
) -> None:
    from trueframe.client import connect

    changed = []
    with connect(data) as tf:
        known = {one.inspection.id: one.inspection for one in tf.inspections.list()}
        # All names are looked up before anything is changed: a mistake in the last one changes nothing.
        wanted = [known.get(name) or _new(tf, name, sorted(known), may_create) for name in dict.fromkeys(names)]
        for inspection in wanted:
            change(inspection)
            changed.append(tf.inspections.put(inspection))
    _show(changed, as_json)


def _new(tf: Client, name: str, known: list[str], may_create: bool) -> Inspection:
    from trueframe.v1.inspection_pb2 import Inspection

    camera, dot, detector = name.rpartition(".")
    if not may_create:
        raise NotFound(f"inspection {name}", "does not exist", _there_are(known))
    if not dot:
        raise InvalidArgument(f"inspection {name!r}", "is not CAMERA.DETECTOR", _there_are(known))
    # The aggregate takes an order for a camera that is still to come; a user who types one means one that is there.
    tf.broker.get_camera(camera)
    return Inspection(id=name, camera=camera, detector=detector)


def _there_are(known: list[str]) -> str:
    return f"There are: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}." if known else "There are none yet."


def _show(statuses: list[InspectionStatus], as_json: bool) -> None:
    from trueframe.commands.records import inspection_record

    records = [inspection_record(status) for status in statuses]
    if as_json:
        for record in records:
            show_json(record)
        return
    rows = [
        (
            record["id"],
            record["state"],
            record["worker"] or "-",
            f"{record['threshold_now']:.2f}{' ?' if record['threshold_is_provisional'] else ''}",
            len(status.inspection.regions),
            record["frames_scored"],
            record["frames_skipped"],
            record["last"] or "-",
            record["problem"] or "-",
        )
        for record, status in zip(records, statuses, strict=True)
    ]
    show_table(("ID", "STATE", "WORKER", "THRESHOLD", "REGIONS", "SCORED", "NOT SCORED", "LAST FRAME", "PROBLEM"), rows)
