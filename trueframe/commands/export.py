"""`trueframe export`: an exact range of footage as an MP4 file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.ids import FrameId
from trueframe.commands.options import data_option, json_option, require_folder, show_json
from trueframe.commands.places import PlaceType

if TYPE_CHECKING:
    from media_center.client import Export, Part, SyncFootageClient


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
    """Write footage of CAMERA as MP4 without re-encoding; the first shown frame is exactly the first of the range.

    Where the camera's codec changed within the range, one file is written for each: clip-1-h264.mp4, clip-2-h265.mp4.
    """
    require_folder(output)
    from media_center.client import export_parts
    from trueframe.client import connect

    with connect(data) as tf:
        recordings = tf.footage.recordings(
            [camera], start if isinstance(start, int) else 0, end if isinstance(end, int) else 0
        ).recordings
        parts = export_parts(recordings, start, end, Path(output))
        done = [_export(tf.footage, camera, part, is_shown=not as_json and sys.stderr.isatty()) for part in parts]
    if as_json:
        records = [_record(one) for one in done]
        show_json(records[0] if len(records) == 1 else records)
        return
    for one in done:
        gaps = f", {len(one.gaps)} gaps inside" if one.gaps else ""
        click.echo(
            f"{one.path}: {one.frames} frames from {one.first} to {one.last} "
            f"({one.lead_in_frames} hidden before them){gaps}, SHA-256 {one.digest.hex()}"
        )


def _export(footage: SyncFootageClient, camera: str, part: Part, *, is_shown: bool) -> Export:
    """Exports a part, with its progress if a human sees it."""
    if not is_shown:
        return footage.export(camera, part.path, start=part.start, end=part.end)
    with click.progressbar(length=1, label=f"exporting {camera}", file=sys.stderr) as bar:

        def progress(written: int, whole: int) -> None:
            bar.length = max(whole, 1)
            bar.update(written - bar.pos)

        return footage.export(camera, part.path, start=part.start, end=part.end, progress=progress)


def _record(done: Export) -> dict[str, object]:
    from trueframe.commands.records import gap_record

    return {
        "file": str(done.path),
        "first": str(done.first),
        "last": str(done.last),
        "frames": done.frames,
        "lead_in_frames": done.lead_in_frames,
        "size_bytes": done.size_bytes,
        "sha256": done.digest.hex(),
        "gaps": [gap_record(gap) for gap in done.gaps],
    }
