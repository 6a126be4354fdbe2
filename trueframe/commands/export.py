"""`trueframe export`: exact ranges of footage as MP4 files with a signed manifest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.errors import AlreadyExists, InvalidArgument
from mesh.ids import FrameId
from trueframe.commands.options import data_option, json_option, require_folder, show_json
from trueframe.commands.places import PlaceType
from trueframe.commands.progress import bar

if TYPE_CHECKING:
    from media_center.client import Export, Package
    from trueframe.v1.footage_pb2 import FootageRange

Place = FrameId | int | None


@click.command("export")
@click.argument("cameras", nargs=-1, metavar="CAMERA...")
@click.option("--from", "start", type=PlaceType(), metavar="PLACE", help='First frame: a time ("-30s") or a frame id.')
@click.option("--to", "end", type=PlaceType(), metavar="PLACE", help="Last frame, included.")
@click.option(
    "--range",
    "ranges",
    type=(str, PlaceType(), PlaceType()),
    multiple=True,
    metavar="CAMERA FROM TO",
    help="A further range; may be given several times.",
)
@click.option("-o", "--output", default="", metavar="FILE", help="File, or folder for files with telling names.")
@click.option("--purpose", default="", help="Why; stands in the manifest and in the access log.")
@click.option("--viewing", is_flag=True, help="A copy to look at instead: re-encoded, with boxes and time burnt in.")
@json_option
@data_option
def command(
    data: str,
    cameras: tuple[str, ...],
    start: Place,
    end: Place,
    ranges: tuple[tuple[str, FrameId | int, FrameId | int], ...],
    output: str,
    purpose: str,
    viewing: bool,
    as_json: bool,
) -> None:
    """Write footage as MP4 without re-encoding; the first shown frame is exactly the first of the range.

    A signed manifest stands beside it, which `trueframe verify` reads. Several cameras or ranges go into a new folder,
    which is there when everything is. Where a camera's codec changed, there is a file for each: clip-1-h264.mp4.
    """
    wanted: list[tuple[str, Place, Place]] = [*((camera, start, end) for camera in cameras), *ranges]
    if not wanted:
        raise click.UsageError("Name a camera, or a range with --range CAMERA FROM TO.")
    from media_center.client import footage_range
    from trueframe.client import connect

    if viewing:
        from trueframe.commands.viewing import export_viewing_copies

        with connect(data) as tf:
            export_viewing_copies(tf, wanted, output, as_json=as_json)
        return
    folder, file_name = _target(output, several=len(wanted) > 1)
    messages: list[FootageRange] = [footage_range(*one) for one in wanted]
    with connect(data) as tf, bar("exporting", is_shown=not as_json) as shown:

        def progress(name: str, written: int, whole: int) -> None:
            if shown is not None:
                shown(written, whole, name)

        package = tf.footage.export_package(messages, folder, file_name=file_name, purpose=purpose, progress=progress)
    _show(package, as_json=as_json)


def _target(output: str, *, several: bool) -> tuple[Path, str]:
    """The folder that files go to, and the name of the file, empty for telling ones. Raises InvalidArgument."""
    if several:
        path = Path(output or f"export-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        require_folder(str(path))
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()  # made anew when everything is there
        if path.exists():
            raise AlreadyExists(f"folder {path}", "is there already", "Name a new one with -o.")
        return path, ""
    path = Path(output or ".")
    require_folder(str(path))
    if path.is_dir():
        return path, ""
    if path.suffix.lower() not in (".mp4", ".m4v", ".mov"):
        raise InvalidArgument(f"file {path}", "is no name of an MP4 file", "Let it end with .mp4.")
    return path.parent, path.name


def _show(package: Package, *, as_json: bool) -> None:
    if as_json:
        records = [_record(one) | {"manifest": str(package.manifest)} for one in package.files]
        show_json(records[0] if len(records) == 1 else records)
        return
    for one in package.files:
        gaps = f", {len(one.gaps)} gaps inside" if one.gaps else ""
        click.echo(
            f"{one.path}: {one.frames} frames from {one.first} to {one.last} "
            f"({one.lead_in_frames} hidden before them){gaps}, SHA-256 {one.digest.hex()}"
        )
    click.echo(f"{package.manifest}: names {'it' if len(package.files) == 1 else 'them'}, signed")


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
