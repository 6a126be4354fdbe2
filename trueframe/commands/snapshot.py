"""`trueframe snapshot`: one picture as a PNG file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from trueframe.commands.options import Moment, data_option, json_option, require_folder, show_json
from trueframe.times import show_time


@click.command("snapshot")
@click.argument("target", metavar="CAMERA|FRAME_ID")
@click.option("--at", "at_ns", type=Moment(), metavar="TIME", help='The recorded frame of then: "-30s", "12:30".')
@click.option("-o", "--output", default="", metavar="FILE", help="Where to write it; - is standard output.")
@click.option("--width", type=click.IntRange(0, 16384), default=0, help="Scale down to this width; 0 is full size.")
@json_option
@data_option
def command(data: str, target: str, at_ns: int | None, output: str, width: int, as_json: bool) -> None:
    """Save the live picture of CAMERA, its recorded one of a moment (--at), or exactly the frame FRAME_ID.

    Beside a recorded one NAME.proof.json is written, which `trueframe verify NAME.png` reads.
    """
    from trueframe.client import connect

    if output == "-" and sys.stdout.isatty():
        raise InvalidArgument("standard output", "is a terminal", "Name a file with -o.")
    require_folder(output)
    frame = FrameId.parse(target) if "/" in target else None
    if frame is not None and at_ns is not None:
        raise InvalidArgument("--at", "a frame id says when already", "Leave one of both out.")
    with connect(data) as tf:
        if frame is None and at_ns is not None:
            frame = FrameId.from_proto(tf.footage.locate(target, at_ns).id)
        if frame is not None:
            recorded = tf.footage.snapshot(frame, width)
            png, shown = recorded.png, FrameId.from_proto(recorded.frame.id)
            received_ns, inexact, proof = recorded.frame.received_ns, recorded.inexact, recorded.proof
        else:
            live = tf.pixels.live_picture(target, max_width=width)
            png, shown, received_ns, inexact, proof = live.png, live.id, live.received_ns, live.inexact, b""
    if output == "-":
        sys.stdout.buffer.write(png)
        sys.stdout.buffer.flush()
        return
    path = Path(output or f"{shown.camera}-{shown.epoch}-{shown.seq}.png")
    path.write_bytes(png)
    proof_path = path.with_name(path.stem + ".proof.json")
    if proof:
        proof_path.write_bytes(proof)
    else:
        proof_path.unlink(missing_ok=True)  # that of an older picture of this name
    if as_json:
        fields = {
            "file": str(path),
            "id": str(shown),
            "received_ns": received_ns,
            "inexact": inexact,
            "bytes": len(png),
        }
        show_json(fields | {"proof": str(proof_path) if proof else None})
    else:
        note = " (not exact: damaged, or follows damage)" if inexact else ""
        click.echo(f"{path}: {shown} of {show_time(received_ns)}{note}")
