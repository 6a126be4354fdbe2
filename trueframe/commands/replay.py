"""`trueframe replay`: recorded frames to standard output, byte for byte."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import click

from mesh.errors import DataLoss, InvalidArgument, NotFound
from mesh.ids import FrameId
from trueframe.commands.options import data_option, require_folder, show_json
from trueframe.commands.places import PlaceType


@click.command("replay")
@click.argument("camera")
@click.option("--from", "start", type=PlaceType(), metavar="PLACE", help='First frame: a time ("-30s") or a frame id.')
@click.option("--to", "end", type=PlaceType(), metavar="PLACE", help="Last frame, included.")
@click.option(
    "--speed", type=click.FloatRange(min=0), default=0.0, help="0.1 is slow motion, 1 real time; 0, as fast as it goes."
)
@click.option("--lead-in", is_flag=True, help="Begin at the join point that the first frame needs for decoding.")
@click.option("--follow", is_flag=True, help="Go on with new frames as they are recorded.")
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write the frames; - is standard output.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an item instead of the frames.")
@click.option("--verify", is_flag=True, help="Compare every frame with its digest instead of writing it.")
@data_option
def command(
    data: str,
    camera: str,
    start: FrameId | int | None,
    end: FrameId | int | None,
    speed: float,
    lead_in: bool,
    follow: bool,
    output: str,
    as_json: bool,
    verify: bool,
) -> None:
    """Write recorded frames of CAMERA as an Annex B file, or list them. Players (ffplay -f h264 -) need --lead-in."""
    if not as_json and not verify and output == "-" and sys.stdout.isatty():
        raise InvalidArgument("standard output", "is a terminal", "Write to a file with -o, pipe it, or use --json.")
    require_folder(output)
    from broker.client import WireFrame
    from trueframe.client import connect
    from trueframe.commands.records import item_record
    from trueframe.v1.frames_pb2 import Gap

    frames = different = gaps = size = 0
    file = None
    if not as_json and not verify:
        file = sys.stdout.buffer if output == "-" else Path(output).open("wb")  # noqa: SIM115 (closed below)
    try:
        with connect(data) as tf:
            for item in tf.footage.replay(
                camera, start=start, end=end, speed=speed, with_lead_in=lead_in, follow=follow
            ):
                is_frame = isinstance(item, WireFrame)
                frames += is_frame
                gaps += isinstance(item, Gap)
                same = True
                if isinstance(item, WireFrame):
                    size += len(item.payload)
                    if verify:
                        same = hashlib.sha256(item.payload).digest() == bytes(item.digest)
                        different += not same
                    if file is not None:
                        file.write(item.payload)
                if as_json:
                    record = item_record(item)
                    show_json({**record, "verified": same} if verify and is_frame else record)
                elif verify and not same:
                    click.echo(f"{item_record(item)['id']}: its bytes are not those of its digest")
    finally:
        if file is not None:
            file.flush()
            if file is not sys.stdout.buffer:
                file.close()
    if not frames and not gaps:
        remedy = f"`trueframe coverage {camera}` tells what is recorded."
        raise NotFound(f"footage of {camera!r}", "has no frame in the range", remedy)
    if not as_json:
        verdict = f", {frames - different} equal their digest" if verify else ""
        click.echo(f"{frames} frames, {size} bytes, {gaps} gaps{verdict}", err=not verify)
    if different:
        raise DataLoss(f"footage of {camera}", f"{different} of {frames} frames differ from their digest")
