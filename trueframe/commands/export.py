"""`trueframe export`: an exact range of footage as an MP4 file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mesh.ids import FrameId
from trueframe.commands.options import data_option, json_option, require_folder, show_json
from trueframe.commands.places import PlaceType


@click.command("export")
@click.argument("camera")
@click.option("--from", "start", type=PlaceType(), metavar="PLACE", help='First frame: a time ("-30s") or a frame id.')
@click.option("--to", "end", type=PlaceType(), metavar="PLACE", help="Last frame, included.")
@click.option("-o", "--output", default=".", metavar="FILE", help="File, or folder for a file with a telling name.")
@json_option
@data_option
def command(
    data: str, camera: str, start: FrameId | int | None, end: FrameId | int | None, output: str, as_json: bool
) -> None:
    """Write footage of CAMERA as MP4 without re-encoding; the first shown frame is exactly the first of the range."""
    require_folder(output)
    from trueframe.client import connect
    from trueframe.commands.records import gap_record

    with connect(data) as tf:
        if as_json or not sys.stderr.isatty():
            done = tf.footage.export(camera, Path(output), start=start, end=end)
        else:
            with click.progressbar(length=1, label=f"exporting {camera}", file=sys.stderr) as bar:

                def progress(written: int, whole: int) -> None:
                    bar.length = max(whole, 1)
                    bar.update(written - bar.pos)

                done = tf.footage.export(camera, Path(output), start=start, end=end, progress=progress)
    if as_json:
        show_json(
            {
                "file": str(done.path),
                "first": str(done.first),
                "last": str(done.last),
                "frames": done.frames,
                "lead_in_frames": done.lead_in_frames,
                "size_bytes": done.size_bytes,
                "sha256": done.digest.hex(),
                "gaps": [gap_record(gap) for gap in done.gaps],
            }
        )
        return
    gaps = f", {len(done.gaps)} gaps inside" if done.gaps else ""
    click.echo(
        f"{done.path}: {done.frames} frames from {done.first} to {done.last} "
        f"({done.lead_in_frames} hidden before them){gaps}, SHA-256 {done.digest.hex()}"
    )
