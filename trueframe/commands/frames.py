"""`trueframe frames`: recorded frames one by one, from a place on or back from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument, NotFound
from mesh.ids import FrameId
from trueframe.commands.options import data_option, json_option, show_json
from trueframe.commands.places import PlaceType
from trueframe.times import show_time

if TYPE_CHECKING:
    from media_center.client import SyncFootageClient
    from trueframe.v1.footage_pb2 import IndexRow
    from trueframe.v1.frames_pb2 import Gap


@click.command("frames")
@click.argument("camera", metavar="CAMERA|FRAME_ID")
@click.option(
    "--from", "start", type=PlaceType(), metavar="PLACE", help='A time ("-30s") or a frame id; else the newest.'
)
@click.option("--count", type=int, default=10, show_default=True, help="So many frames; negative goes back.")
@json_option
@data_option
def command(data: str, camera: str, start: FrameId | int | None, count: int, as_json: bool) -> None:
    """List frames of CAMERA that are recorded, with the gaps between them, whatever connection they came over.

    `trueframe frames cam-1 --from 12:30:05 --count 2` shows the frame of that moment and the one behind it; with
    `--count -2` the one before it and itself. `trueframe snapshot FRAME_ID` shows the picture.
    """
    if count == 0:
        raise InvalidArgument("--count", "is 0", "Ask for one frame or more; negative goes back.")
    if "/" in camera:
        if start is not None:
            raise InvalidArgument("--from", "a frame id says where already", "Leave one of both out.")
        start = FrameId.parse(camera)
        camera = start.camera
    from trueframe.client import connect
    from trueframe.commands.records import item_record
    from trueframe.v1.frames_pb2 import Gap

    with connect(data) as tf:
        for item in listed(tf.footage, camera, start, count):
            if as_json:
                show_json(item_record(item) if isinstance(item, Gap) else row_record(item))
            elif isinstance(item, Gap):
                number = f"{item.count}" if item.HasField("count") else "unknown number"
                click.echo(f"{'':4}gap: {number} missing, {item_record(item)['reason']}")
            else:
                click.echo(_line(item))


def listed(
    footage: SyncFootageClient, camera: str, start: FrameId | int | None, count: int
) -> Iterator[IndexRow | Gap]:
    """The rows, in recorded order. Raises NotFound."""
    first = place_of(footage, camera, start)
    last: FrameId | None = None
    if count < 0:
        last = first
        try:
            first = FrameId.from_proto(footage.step(last, count + 1).frame.id)
        except NotFound:
            footage.step(last, 0)  # that frame is there, but not so many before it: all there are
            oldest = footage.recordings([camera]).recordings[0]
            first = FrameId.from_proto(oldest.first)
    left = abs(count)
    for item in footage.frames(camera, start=first, end=last):
        yield item
        left -= item.DESCRIPTOR.name == "IndexRow"
        if not left:
            return


def place_of(footage: SyncFootageClient, camera: str, start: FrameId | int | None) -> FrameId:
    """The frame at a place; the newest for None. Raises NotFound."""
    if isinstance(start, FrameId):
        return FrameId.from_proto(footage.step(start, 0).frame.id)
    if start is not None:
        return FrameId.from_proto(footage.locate(camera, start).id)
    for marks in footage.watch_persisted([camera]):
        for mark in marks:
            return mark
        break
    raise NotFound(f"camera {camera!r}", "was never recorded here", "`trueframe cameras list` shows the cameras.")


def row_record(row: IndexRow) -> dict[str, object]:
    """A row as a JSON object."""
    return {
        "kind": "frame",
        "id": str(FrameId.from_proto(row.id)),
        "received_ns": row.received_ns,
        "received": show_time(row.received_ns),
        "join_point": _JOIN_POINTS.get(row.join_point, "none"),
        "recovers_after": row.recovers_after,
        "damaged": row.damaged,
        "follows_damage": row.follows_damage,
        "size_bytes": row.size_bytes,
        "digest": row.digest.hex(),
    }


_JOIN_POINTS = {2: "exact", 3: "recovers_after"}


def _line(row: IndexRow) -> str:
    notes = [
        {2: "join point", 3: f"exact {row.recovers_after} frames on"}.get(row.join_point, ""),
        "damaged" if row.damaged else "",
        "follows damage" if row.follows_damage else "",
    ]
    told = ", ".join(note for note in notes if note)
    line = f"{FrameId.from_proto(row.id)}  {show_time(row.received_ns)}  {row.size_bytes:>8} B"
    return f"{line}  {told}" if told else line
