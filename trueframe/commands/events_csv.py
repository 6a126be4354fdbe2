"""`trueframe events export`: events as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesh.csv_cells import csv_text
from trueframe.commands.options import Moment, data_option, require_folder

if TYPE_CHECKING:
    from trueframe.v1.events_pb2 import Event

COLUMNS = (
    "id", "kind", "camera", "detector", "summary", "priority", "score", "began", "ended", "alarm", "occurrences",
    "acknowledged_by", "acknowledged", "owner", "label", "label_region", "label_tags", "shelved_by", "shelve_reason",
    "folded_into", "flood", "group", "peak_frame", "clip_from", "clip_to", "comments",
)  # fmt: skip


@click.command("export")
@click.option("-o", "--output", default="", metavar="FILE", help="Where to; standard output without.")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help='Began at or after: "-7d", a date.')
@click.option("--to", "to_ns", type=Moment(), default=0, metavar="TIME", help="Began at or before.")
@click.option("--query", default="", help="Only what holds all of this, as `search` finds it.")
@data_option
def export_events(data: str, output: str, **filters: Any) -> None:
    """Write events as CSV, newest first; a text that a spreadsheet would carry out begins with an apostrophe."""
    from trueframe.client import connect

    if output:
        require_folder(output)
    with connect(data) as tf:
        events = tf.events.list(limit=10_000_000, **{key: value for key, value in filters.items() if value})
    text = csv_text(COLUMNS, map(row, events))
    if not output:
        sys.stdout.write(text)
        return
    # With a mark of its encoding, or spreadsheets read names in other scripts wrongly.
    Path(output).write_bytes(text.encode("utf-8-sig"))
    click.echo(f"{output}: {len(events)} events")


def row(event: Event) -> list[object]:
    """An event under COLUMNS."""
    from trueframe.commands.records import frame_id
    from trueframe.sights import alarm_state, event_kind
    from trueframe.times import when
    from trueframe.v1.events_pb2 import EventVerdict

    verdict = EventVerdict.Name(event.label.verdict).removeprefix("EVENT_VERDICT_").lower()
    return [
        event.id, event_kind(event.kind), event.camera, event.detector, event.summary, event.priority,
        round(event.score, 4), when(event.started_ns), when(event.ended_ns), alarm_state(event.alarm_state),
        event.occurrences, event.acknowledged_by, when(event.acknowledged_ns), event.owner,
        verdict if event.HasField("label") else "", event.label.region, "; ".join(event.label.tags),
        event.shelved_by, event.shelve_reason, event.folded_into, event.flood, event.group,
        frame_id(event.peak) if event.HasField("peak") else "",
        when(event.clip.from_ns) if event.HasField("clip") else "",
        when(event.clip.to_ns) if event.HasField("clip") else "",
        "\n".join(f"{one.author}: {one.text}" for one in event.comments),
    ]  # fmt: skip
