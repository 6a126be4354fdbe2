"""`trueframe explain`: why a frame raised an alarm, or why not."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument, NotFound
from mesh.ids import FrameId
from trueframe.commands.options import data_option, json_option, show_json
from trueframe.times import parse_time, show_duration, show_time

if TYPE_CHECKING:
    from trueframe.client import Client

SECOND_NS = 1_000_000_000
# A frame further away than this from the moment asked for is told as another one.
NEAR_NS = SECOND_NS


class _WithMoment(click.Command):
    """A command among whose arguments "-30s" is a time and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ago = [word for word in args if re.fullmatch(r"-\d\S*", word)]
        rest = [word for word in args if word not in ago]
        return super().parse_args(ctx, [*rest, "--", *ago] if ago else rest)


@click.command("explain", cls=_WithMoment)
@click.argument("target", metavar="CAMERA|FRAME_ID")
@click.argument("moment", required=False, metavar="[TIME]")
@json_option
@data_option
def command(data: str, target: str, moment: str | None, as_json: bool) -> None:
    """Explain what every inspection made of the frame FRAME_ID, or of the one that CAMERA gave at TIME.

    For each inspection: the score and the threshold of that time, the anomaly it belongs to, or the reason why there
    is no score. TIME is "12:30:05", "-30s" (ago) or an ISO time.
    """
    from trueframe.client import connect
    from trueframe.commands.records import explanation_record
    from trueframe.times import when

    is_frame = "/" in target
    if is_frame == (moment is not None):
        raise InvalidArgument(
            f'"{target}"',
            "is a frame id and says when already" if is_frame else "says no time",
            "Give a frame id, or a camera and a time: `trueframe explain cam-1 -30s`.",
        )
    at_ns = parse_time(moment, time.time_ns()) if moment is not None else 0
    with connect(data) as tf:
        frame, received_ns = _by_id(tf, FrameId.parse(target)) if is_frame else _at(tf, target, at_ns)
        explanations = tf.ledger.explain(frame, received_ns=received_ns)
    records = [explanation_record(one) for one in explanations]
    away_ns = received_ns - at_ns if at_ns else 0
    if as_json:
        show_json(
            {
                "frame": str(frame),
                "received_ns": received_ns,
                "received": when(received_ns),
                "recorded": bool(received_ns),
                "explanations": records,
            }
        )
        return
    click.echo(f"{frame}  {show_time(received_ns) if received_ns else 'not recorded'}")
    if abs(away_ns) > NEAR_NS:
        side = "after" if away_ns > 0 else "before"
        click.echo(f"  nothing was recorded then: this is the frame {show_duration(abs(away_ns) / 1e9)} {side}")
    for record in records:
        click.echo(f"{record['inspection']}: {str(record['standing']).upper().replace('_', ' ')}. {record['sentence']}")
        for box in record["boxes"]:  # type: ignore[attr-defined]
            click.echo(
                f"  box {box['x']:.2f}, {box['y']:.2f}, {box['width']:.2f} x {box['height']:.2f}  {box['label']}"
            )


def _at(tf: Client, camera: str, at_ns: int) -> tuple[FrameId, int]:
    row = tf.footage.locate(camera, at_ns)
    return FrameId.from_proto(row.id), row.received_ns


def _by_id(tf: Client, frame: FrameId) -> tuple[FrameId, int]:
    """The frame and when it was received; 0 if it is not in the footage: it may have been inspected all the same."""
    from trueframe.v1.footage_pb2 import IndexRow

    try:
        for row in tf.footage.frames(frame.camera, frame, frame):
            if isinstance(row, IndexRow) and FrameId.from_proto(row.id) == frame:
                return frame, row.received_ns
    except NotFound:
        pass
    return frame, 0
