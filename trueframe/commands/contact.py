"""`trueframe contact`: stills of an event, or of a stretch of footage, on one picture."""

from __future__ import annotations

from pathlib import Path

import click

from mesh.errors import FailedPrecondition, InvalidArgument
from trueframe.commands.options import Moment, data_option, json_option, require_folder, show_json
from trueframe.commands.progress import bar
from trueframe.times import show_time


@click.command("contact")
@click.argument("event", required=False, default="")
@click.option("--camera", default="", help="Instead of an event: stills of this camera, with --from and --to.")
@click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help='Beginning: "-10m", "12:30".')
@click.option("--to", "to_ns", type=Moment(), default=0, metavar="TIME", help="End; now if it is left out.")
@click.option("--stills", type=click.IntRange(1, 100), default=12, show_default=True, help="At most so many, evenly.")
@click.option("--columns", type=click.IntRange(1, 20), default=4, show_default=True, help="Stills side by side.")
@click.option("--width", type=click.IntRange(64, 3840), default=480, show_default=True, help="Of a still, in pixels.")
@click.option("-o", "--output", default="", metavar="FILE", help="PNG file; without it a telling name here.")
@json_option
@data_option
def command(
    data: str,
    event: str,
    camera: str,
    from_ns: int,
    to_ns: int,
    stills: int,
    columns: int,
    width: int,
    output: str,
    as_json: bool,
) -> None:
    """Put stills of EVENT's clip, or of --camera from --from to --to, on one picture with their times and boxes.

    It is for orientation: stills are scaled and drawn on. Each names its frame; `trueframe snapshot` gives it exactly.
    """
    if bool(event) == bool(camera):
        raise click.UsageError("Name an event, or a camera with --camera.")
    if camera and not from_ns:
        raise click.UsageError("--camera needs --from.")
    require_folder(output or ".")
    import time

    from trueframe.client import connect
    from trueframe.contact_sheet import contact_sheet

    with connect(data) as tf, bar("taking stills", is_shown=not as_json) as progress:
        found = tf.events.get(event) if event else None
        if found is not None:
            if not found.camera or not found.HasField("peak"):
                raise FailedPrecondition(f"event {event}", "concerns no frames", "Only anomalies have stills.")
            camera = found.camera
            clip = found.clip if found.HasField("clip") else None
            from_ns = clip.from_ns if clip is not None else found.started_ns
            to_ns = clip.to_ns if clip is not None else found.ended_ns or time.time_ns()
        to_ns = to_ns or time.time_ns()
        if to_ns <= from_ns:
            raise InvalidArgument("range", "ends before it begins", "Swap --from and --to.")
        sheet = contact_sheet(
            tf, camera, from_ns, to_ns, event=found, stills=stills, width=width, columns=columns, progress=progress
        )
    path = Path(output or (f"contact-{event}.png" if event else f"contact-{camera}-{from_ns}.png"))
    path.write_bytes(sheet.png)
    if as_json:
        frames = [
            {
                "id": str(one.id),
                "received_ns": one.received_ns,
                "received": show_time(one.received_ns),
                "boxes": one.boxes,
                "peak": one.is_peak,
                "inexact": one.inexact,
            }
            for one in sheet.stills
        ]
        show_json({"file": str(path), "event": event or None, "stills": frames, "problem": sheet.problem or None})
        return
    click.echo(f"{path}: {len(sheet.stills)} stills from {sheet.stills[0].id} to {sheet.stills[-1].id}")
    if sheet.problem:
        click.echo(sheet.problem, err=True)
