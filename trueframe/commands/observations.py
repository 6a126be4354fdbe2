"""`trueframe observations`: what detectors saw, as CSV, for training and for whatever else."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from mesh.errors import InvalidArgument
from trueframe.commands.options import Moment, data_option, require_folder
from trueframe.times import show_time

if TYPE_CHECKING:
    from aggregate.client import LedgerEntry

COLUMNS = (
    "frame", "received_ns", "received", "inspection", "detector", "kind", "score", "reason", "frames", "said",
    "label", "track", "x", "y", "width", "height", "key_points", "series",
)  # fmt: skip


@click.command("observations")
@click.argument("camera")
@click.option("--from", "from_ns", type=Moment(), required=True, metavar="TIME", help='From: "-1h", "12:30".')
@click.option("--to", "to_ns", type=Moment(), required=True, metavar="TIME", help="To this time, included.")
@click.option("--inspection", default="", metavar="NAME", help="Only this one; all of CAMERA if left out.")
@click.option("--csv", "file", default="-", show_default=True, metavar="FILE", help="Where to; - is standard output.")
@data_option
def command(data: str, camera: str, from_ns: int, to_ns: int, inspection: str, file: str) -> None:
    """Write what was said of the frames of CAMERA as CSV: scores, boxes, tracks, key points, series.

    A line of kind "frame" for each frame, or for each run of frames that have the same reason instead of a score, and a
    line of kind "box" for each of its boxes. Places are fractions of the picture; key points are x:y:score with spaces
    between, series name=value.
    """
    from trueframe.client import connect

    if from_ns >= to_ns:
        raise InvalidArgument("range", "is empty", "Let --from be before --to.")
    if file != "-":
        require_folder(file)
    lines = 0
    with connect(data) as tf:
        entries = tf.ledger.read(camera, inspection=inspection, from_ns=from_ns, to_ns=to_ns)
        with _opened(file) as output:
            writer = csv.DictWriter(output, COLUMNS, restval="")
            writer.writeheader()
            for entry in entries:
                for row in rows_of(entry):
                    writer.writerow(row)
                    lines += 1
    if file != "-":
        click.echo(f"{file}: {lines} lines")


def rows_of(entry: LedgerEntry) -> Iterator[dict[str, object]]:
    """The lines of one verdict."""
    from trueframe.v1.inspection_pb2 import NoVerdictReason

    verdict = entry.verdict
    place: dict[str, object] = {
        "frame": f"{verdict.id.camera}/{verdict.id.epoch}/{verdict.id.seq}",
        "received_ns": verdict.received_ns or "",
        "received": show_time(verdict.received_ns) if verdict.received_ns else "",
        "inspection": entry.inspection,
        "detector": entry.detector,
    }
    reason = NoVerdictReason.Name(verdict.reason).removeprefix("NO_VERDICT_REASON_").lower() if verdict.reason else ""
    yield place | {
        "kind": "frame",
        "score": "" if reason else _number(verdict.score),
        "reason": reason,
        "frames": max(verdict.count, 1),
        "said": verdict.said,
        "series": " ".join(f"{one.name}={_number(one.value)}" for one in verdict.series),
    }
    for box in verdict.boxes:
        yield place | {
            "kind": "box",
            "score": _number(box.score),
            "said": box.said,
            "label": box.label,
            "track": box.track or "",
            "x": _number(box.x),
            "y": _number(box.y),
            "width": _number(box.width),
            "height": _number(box.height),
            "key_points": " ".join(f"{_number(p.x)}:{_number(p.y)}:{_number(p.score)}" for p in box.key_points),
        }


def _number(value: float) -> str:
    """Short, and exact: as many digits as tell 32-bit numbers apart."""
    return f"{value:.9g}"


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdout
        return
    with Path(file).open("w", encoding="utf-8", newline="") as output:
        yield output
