"""`trueframe events`: list, show, watch."""

from __future__ import annotations

import click

from trueframe.commands.options import Moment, data_option, json_option, show_json, show_table
from trueframe.times import show_time

KINDS = ("anomaly", "camera", "system")


@click.group("events")
def command() -> None:
    """List, show and watch events."""


@command.command("list")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help='Began at or after: "-10m", "12:30".')
@click.option("--to", "to_ns", type=Moment(), default=0, metavar="TIME", help="Began at or before.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only this kind.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most this many.")
@json_option
@data_option
def list_events(
    data: str,
    cameras: tuple[str, ...],
    from_ns: int,
    to_ns: int,
    kinds: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List events, newest first."""
    from trueframe.client import connect
    from trueframe.commands.records import event_record
    from trueframe.sights import event_sight
    from trueframe.v1.events_pb2 import EventKind

    with connect(data) as tf:
        events = tf.events.list(
            cameras=cameras,
            from_ns=from_ns,
            to_ns=to_ns,
            kinds=[EventKind.Value(f"EVENT_KIND_{kind.upper()}") for kind in kinds],
            limit=limit,
        )
    if as_json:
        for event in events:
            show_json(event_record(event))
        return
    rows = [
        (
            event.id,
            show_time(event.started_ns),
            show_time(event.ended_ns, date=False) if event.ended_ns else "going on",
            event.camera or "-",
            event.priority,
            f"{event.score:.2f}" if event.score else "-",
            event.detector or event.kind,
            event.peak or "-",
            event.summary,
        )
        for event in map(event_sight, events)
    ]
    show_table(("ID", "BEGAN", "ENDED", "CAMERA", "PRIORITY", "SCORE", "DETECTOR", "FRAME", "WHAT"), rows)


@command.command("show")
@click.argument("event")
@json_option
@data_option
def show_event(data: str, event: str, as_json: bool) -> None:
    """Show all that is known of one event."""
    from trueframe.client import connect
    from trueframe.commands.records import event_record

    with connect(data) as tf:
        record = event_record(tf.events.get(event))
    if as_json:
        show_json(record)
        return
    for name, value in record.items():
        if name == "boxes" and isinstance(value, list):
            for box in value:
                click.echo(f"box: {box}")
        elif not name.endswith("_ns"):
            click.echo(f"{name}: {'-' if value is None else value}")


@command.command("watch")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--since", "since_ns", type=Moment(), default=0, metavar="TIME", help="Stored ones from then on first.")
@json_option
@data_option
def watch_events(data: str, cameras: tuple[str, ...], since_ns: int, as_json: bool) -> None:
    """Print events as they begin and change, until interrupted."""
    from trueframe.client import connect
    from trueframe.commands.records import event_record
    from trueframe.headless import event_line
    from trueframe.sights import event_sight

    open_events: set[str] = set()
    with connect(data) as tf:
        for message in tf.events.watch(cameras=cameras, since_ns=since_ns):
            if as_json:
                show_json(event_record(message))
                continue
            event = event_sight(message)
            if event.ended_ns:
                open_events.discard(event.id)
                click.echo(event_line("ended", event, event.ended_ns))
            elif event.id not in open_events:
                open_events.add(event.id)
                click.echo(event_line("EVENT", event, event.started_ns))
