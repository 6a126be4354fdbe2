"""`trueframe export --viewing`: a copy to look at, with boxes and time burnt in, marked as one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument, PermissionDenied
from mesh.ids import FrameId
from trueframe.commands.options import require_folder, show_json
from trueframe.commands.progress import bar

if TYPE_CHECKING:
    from trueframe.client import Client
    from trueframe.viewing_copy import ViewingCopy

Place = FrameId | int | None
SUFFIX = "-viewing"
# An event of that age may have its peak in the range.
_EVENT_NS = 3_600_000_000_000


def viewing_copy(tf: Client, camera: str, start: Place, end: Place, output: str, *, is_shown: bool) -> ViewingCopy:
    """Writes the viewing copy of a range. The name of the file says that it is one. Raises as the services do."""
    from trueframe.frame_boxes import boxes_in
    from trueframe.masked_pictures import masked_pictures
    from trueframe.viewing_copy import write_pictures, write_viewing_copy

    first_ns, last_ns = _span(tf, camera, start, end)
    path = _path(output, camera, first_ns)
    events = tf.events.list(cameras=[camera], from_ns=max(first_ns - _EVENT_NS, 0), to_ns=last_ns, limit=1000)
    boxes, problem = boxes_in(tf, camera, first_ns, last_ns, events)
    if problem:
        click.echo(problem, err=True)
    items = tf.footage.replay(camera, start=start, end=end, with_lead_in=True)
    with bar("drawing", is_shown=is_shown) as shown:

        def progress(received_ns: int) -> None:
            if shown is not None:
                shown(received_ns - first_ns, max(last_ns - first_ns, 1), "")

        try:
            return write_viewing_copy(items, path, boxes, _asked(start), progress)
        except PermissionDenied as error:
            if not tf.broker.get_camera(camera).masks:
                raise
            click.echo(f"{error.thing}: privacy masks are covered; that takes longer", err=True)
            return write_pictures(masked_pictures(tf.footage, camera, start, end), path, boxes, progress)


def export_viewing_copies(
    tf: Client, wanted: Iterable[tuple[str, Place, Place]], output: str, *, as_json: bool
) -> None:
    """Writes and tells the viewing copies of ranges."""
    ranges = list(wanted)
    if len(ranges) > 1 and output and not Path(output).is_dir():
        raise InvalidArgument(f"output {output}", "is no folder for several viewing copies", "Make it first.")
    require_folder(output or ".")
    for camera, start, end in ranges:
        done = viewing_copy(tf, camera, start, end, output, is_shown=not as_json and sys.stderr.isatty())
        if as_json:
            show_json(
                {
                    "file": str(done.path),
                    "viewing": True,
                    "first": str(done.first),
                    "last": str(done.last),
                    "frames": done.frames,
                    "gaps": done.gaps,
                    "boxes": done.boxes,
                }
            )
        else:
            click.echo(
                f"{done.path}: viewing copy of {done.frames} frames from {done.first} to {done.last}, "
                f"{done.boxes} boxes, {done.gaps} gaps; not evidence"
            )


def _asked(start: Place) -> Callable[[FrameId, int], bool]:
    """Whether a frame belongs to the range, rather than to the way to its first frame."""
    if isinstance(start, FrameId):
        return lambda frame, _: frame >= start
    if start is not None:
        return lambda _, received_ns: received_ns >= start
    return lambda *_: True


def _span(tf: Client, camera: str, start: Place, end: Place) -> tuple[int, int]:
    """Beginning and end of a range as times, as far as it is recorded."""
    recordings = tf.footage.recordings([camera]).recordings
    oldest = min((one.first_ns for one in recordings), default=0)
    newest = max((one.last_ns for one in recordings), default=0)
    times = [
        tf.footage.step(place, 0).frame.received_ns if isinstance(place, FrameId) else place for place in (start, end)
    ]
    first_ns, last_ns = times
    return oldest if first_ns is None else max(first_ns, oldest), newest if last_ns is None else min(last_ns, newest)


def _path(output: str, camera: str, first_ns: int) -> Path:
    """The file; its name says that it is a viewing copy, whatever was asked for."""
    path = Path(output or ".")
    if path.is_dir():
        return path / f"{camera}_{first_ns}{SUFFIX}.mp4"
    if path.suffix.lower() != ".mp4":
        raise InvalidArgument(f"file {path}", "is no name of an MP4 file", "Let it end with .mp4.")
    return path if path.stem.endswith(SUFFIX) else path.with_stem(path.stem + SUFFIX)
