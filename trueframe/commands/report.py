"""`trueframe report`: what happened in a time, how fast people answered, how much was false, what was watched."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from mesh.errors import InvalidArgument
from trueframe.commands.options import Moment, data_option, require_folder

_DAY_NS = 86_400 * 1_000_000_000


@click.command("report")
@click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help='From: "-7d", a date. [a day before]')
@click.option("--to", "to_ns", type=Moment(), default=0, metavar="TIME", help="To before this time; now if left out.")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--format", "form", type=click.Choice(("text", "html", "csv")), default="text", show_default=True)
@click.option("--title", default="", help="Its heading.")
@click.option("-o", "--output", default="", metavar="FILE", help="Where to; standard output without.")
@data_option
def command(data: str, from_ns: int, to_ns: int, cameras: tuple[str, ...], form: str, title: str, output: str) -> None:
    """Report what happened: alarms, response times, false alarms by labels, downtime and coverage, by camera.

    HTML is one page with its plots inside, to print or to send; CSV has a row a camera.
    """
    from trueframe.client import connect

    to_ns = to_ns or time.time_ns()
    from_ns = from_ns or to_ns - _DAY_NS
    if from_ns >= to_ns:
        raise InvalidArgument("period", "is empty", "Let --from be before --to.")
    if output:
        require_folder(output)
    with connect(data) as tf:
        content = tf.reports.make(from_ns, to_ns, form, cameras=cameras, title=title)
    if not output:
        sys.stdout.write(content.decode())
        return
    Path(output).write_bytes(content)
    click.echo(f"{output}: {len(content)} bytes")
