"""`trueframe inspections regions`: what parts of the picture an inspection looks at: shown, drawn, cleared."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

import click

from mesh.errors import InvalidArgument, NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.region_text import USES, DrawnRegion, changed, read_file, read_text

if TYPE_CHECKING:
    from trueframe.v1.inspection_pb2 import Inspection, InspectionStatus


@click.command("regions")
@click.argument("names", nargs=-1, required=True, metavar="CAMERA.DETECTOR...")
@click.option("--inspect", multiple=True, metavar='"NAME: X,Y X,Y …"', help="Look there; may be given several times.")
@click.option("--ignore", multiple=True, metavar='"NAME: X,Y X,Y …"', help="Do not look there.")
@click.option("--line", multiple=True, metavar='"NAME: X,Y X,Y"', help="A line that rules ask about, with a direction.")
@click.option("--file", "file", type=click.File(encoding="utf-8"), help='All regions: a TOML or JSON file, or "-".')
@click.option("--remove", multiple=True, metavar="NAME", help="Take one away.")
@click.option("--turn", multiple=True, metavar="NAME", help="Turn the direction of a line round.")
@click.option("--clear", is_flag=True, help="Take all away: the whole picture is inspected.")
@json_option
@data_option
def command(
    data: str,
    names: tuple[str, ...],
    inspect: tuple[str, ...],
    ignore: tuple[str, ...],
    line: tuple[str, ...],
    file: TextIO | None,
    remove: tuple[str, ...],
    turn: tuple[str, ...],
    clear: bool,
    as_json: bool,
) -> None:
    """Show the regions of inspections, or change them, live.

    Corners are fractions of the picture, x from the left and y from the top. A region of a name that is there already
    is drawn anew. Who crosses a line forwards goes from the left to the right of somebody who looks along it. With
    --file nothing but what the file says is left; --json shows regions in the form of that file.
    """
    from trueframe.client import connect

    drawn = [read_text(use, text) for use, texts in zip(USES, (inspect, ignore, line), strict=True) for text in texts]
    if file is not None and (drawn or remove or turn or clear):
        raise InvalidArgument("--file", "says all regions there are", "Give it alone.")
    if file is not None:
        drawn = read_file(file.read(), "-" if file is sys.stdin else file.name)
    is_all = clear or file is not None
    is_change = bool(is_all or drawn or remove or turn)
    with connect(data) as tf:
        known = {one.inspection.id: one for one in tf.inspections.list()}
        for name in names:
            if name not in known:
                there_are = f"There are: {', '.join(sorted(known)[:12])}." if known else "There are none yet."
                raise NotFound(f"inspection {name}", "does not exist", there_are)
        # All are worked out before anything is changed: a mistake in the last one changes nothing.
        wanted = {
            name: changed(drawn_of(known[name].inspection), drawn, removed=remove, turned=turn, is_all=is_all)
            for name in dict.fromkeys(names)
        }
        for name, regions in wanted.items():
            if is_change:
                known[name] = tf.inspections.put(with_regions(known[name].inspection, regions))
    _show([known[name] for name in wanted], as_json)


def drawn_of(inspection: Inspection) -> list[DrawnRegion]:
    """The regions of an inspection."""
    from trueframe.v1 import inspection_pb2

    return [
        DrawnRegion(
            region.name,
            inspection_pb2.RegionUse.Name(region.use).removeprefix("REGION_USE_").lower(),
            # As they were typed: on the wire they are single precision.
            tuple((round(corner.x, 6), round(corner.y, 6)) for corner in region.corners),
        )
        for region in inspection.regions
    ]


def with_regions(inspection: Inspection, regions: list[DrawnRegion]) -> Inspection:
    """The inspection with these regions and no others."""
    from trueframe.v1 import inspection_pb2

    del inspection.regions[:]
    for region in regions:
        added = inspection.regions.add(
            name=region.name, use=inspection_pb2.RegionUse.Value(f"REGION_USE_{region.use.upper()}")
        )
        for x, y in region.corners:
            added.corners.add(x=x, y=y)
    return inspection


def _show(statuses: list[InspectionStatus], as_json: bool) -> None:
    rows = []
    for status in statuses:
        regions = drawn_of(status.inspection)
        if as_json:
            show_json({"inspection": status.inspection.id, "regions": [region.document() for region in regions]})
        for region in regions:
            way = f"forwards goes {region.direction}" if region.direction else "-"
            corners = " ".join(f"{x:g},{y:g}" for x, y in region.corners)
            rows.append((status.inspection.id, region.name, region.use, way, corners))
        if not regions:
            rows.append((status.inspection.id, "-", "inspect", "-", "the whole picture"))
    if not as_json:
        show_table(("ID", "REGION", "USE", "DIRECTION", "CORNERS"), rows)
        for status in statuses:
            if status.problem:
                click.echo(f"{status.inspection.id}: {status.problem}")
