"""`trueframe inspections`: list, start, stop. Every change is live, from the next frame on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument, NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from trueframe.client import Client
    from trueframe.v1.inspection_pb2 import Inspection, InspectionStatus


@click.group("inspections")
def command() -> None:
    """List, start and stop inspections. They are named CAMERA.DETECTOR."""


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
@json_option
@data_option
def start_inspections(data: str, names: tuple[str, ...], threshold: float | None, as_json: bool) -> None:
    """Start inspections, or new ones; regions and thresholds stay as they were."""

    def started(inspection: Inspection) -> None:
        inspection.disabled = False
        if threshold is not None:
            inspection.threshold = threshold

    _change(data, names, as_json, started, may_create=True)


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
            f"{record['threshold']:.2f}" if record["threshold"] else "default",
            len(status.inspection.regions),
            record["frames_scored"],
            record["frames_skipped"],
            record["last"] or "-",
        )
        for record, status in zip(records, statuses, strict=True)
    ]
    show_table(("ID", "STATE", "WORKER", "THRESHOLD", "REGIONS", "SCORED", "NOT SCORED", "LAST FRAME"), rows)
