"""`trueframe scrub`: footage of a running instance compared with its digests and seals, now."""

from __future__ import annotations

import sys

import click

from mesh.amounts import amount
from mesh.errors import DataLoss
from mesh.ids import FrameId
from trueframe.commands.options import data_option, json_option, show_json
from trueframe.commands.progress import bar


@click.command("scrub")
@click.argument("cameras", nargs=-1, metavar="[CAMERA…]")
@json_option
@data_option
def command(data: str, cameras: tuple[str, ...], as_json: bool) -> None:
    """Compare recorded footage of CAMERAs (or all) with its digests, seals and chain; say what is not as recorded.

    The instance does the same by itself in the background, within media_center.scrub_days.
    """
    from trueframe.client import connect

    findings = done = size = 0
    with connect(data) as tf, bar("scrubbing", is_shown=not as_json) as progress:
        for answer in tf.footage.scrub(cameras):
            done, size = answer.segments_done, answer.bytes_done
            findings += len(answer.findings)
            if progress is not None:
                progress(done, answer.segments, "")
            for found in answer.findings:
                frame = str(FrameId.from_proto(found.frame)) if found.HasField("frame") else None
                if as_json:
                    show_json(
                        {"camera": found.camera, "segment": found.segment, "kind": found.kind, "frame": frame,
                         "detail": found.detail}
                    )  # fmt: skip
                else:
                    where = " ".join(part for part in (found.camera, found.segment, frame) if part)
                    click.echo(f"{found.kind}: {where}: {found.detail}", file=sys.stdout)
    if as_json:
        show_json({"segments": done, "bytes": size, "findings": findings})
    else:
        click.echo(f"{done} segments, {amount(size, 'bytes')}: {findings or 'no'} findings")
    if findings:
        raise DataLoss(
            "footage", f"{findings} findings", "Restore the segments from a backup; `trueframe verify` proves it."
        )
