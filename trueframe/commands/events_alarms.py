"""`trueframe events`: shelve, unshelve, stale, load, out-of-service, suppress.

What should not be in this module: what everybody does with events (`events`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import parse_duration, show_time

if TYPE_CHECKING:
    from trueframe.v1.events_pb2 import OutOfService, SuppressionRule


@click.command("shelve")
@click.argument("events", nargs=-1, required=True, metavar="EVENT...")
@click.option("--for", "duration", default="", metavar="TIME", help='For so long: "2h". Default: until it is over.')
@click.option("--reason", required=True, help="Why; everybody sees it.")
@json_option
@data_option
def shelve(data: str, events: tuple[str, ...], duration: str, reason: str, as_json: bool) -> None:
    """Take alarms out of the queue for a time. They come back by themselves, and nothing of them is lost."""
    from trueframe.client import connect

    seconds = parse_duration(duration) if duration else 0.0
    if duration and not seconds:
        raise InvalidArgument(f'duration "{duration}"', "is no time", "Leave --for out to shelve until it is over.")
    with connect(data) as tf:
        for event in dict.fromkeys(events):
            message = tf.events.shelve(event, reason, for_s=seconds)
            _show(message, as_json, f"shelved until {show_time(message.shelved_until_ns)} at the latest")


@click.command("unshelve")
@click.argument("events", nargs=-1, required=True, metavar="EVENT...")
@click.option("--reason", default="", help="Why.")
@json_option
@data_option
def unshelve(data: str, events: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Put shelved alarms back into the queue before their time."""
    from trueframe.client import connect

    with connect(data) as tf:
        for event in dict.fromkeys(events):
            _show(tf.events.unshelve(event, reason), as_json, "not shelved")


@click.command("stale")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most this many.")
@json_option
@data_option
def stale(data: str, limit: int, as_json: bool) -> None:
    """List alarms that stand longer than the site finds right, newest first."""
    from trueframe.client import connect
    from trueframe.commands.records import event_record
    from trueframe.sights import alarm_state

    with connect(data) as tf:
        events = tf.events.list(stale=True, limit=limit)
    if as_json:
        for event in events:
            show_json(event_record(event))
        return
    rows = [
        (one.id, show_time(one.raised_ns), one.camera or "-", one.priority, alarm_state(one.alarm_state), one.summary)
        for one in events
    ]
    show_table(("ID", "RAISED", "CAMERA", "PRIORITY", "ALARM", "WHAT"), rows)


@click.command("load")
@json_option
@data_option
def load(data: str, as_json: bool) -> None:
    """Say how much the alarms are: what stands and waits, by priority, the rate, floods, what is set aside."""
    from trueframe.client import connect
    from trueframe.commands.records_alarms import load_record

    with connect(data) as tf:
        told = tf.events.load()
    if as_json:
        show_json(load_record(told))
        return
    show_table(
        ("PRIORITY", "STANDING", "UNACKNOWLEDGED"),
        [(one.priority, one.standing, one.unacknowledged) for one in told.priorities],
    )
    click.echo(f"raised in ten minutes: {told.raised_in_ten_minutes}")
    click.echo(
        f"stale: {told.stale}, shelved: {told.shelved}, suppressed: {told.suppressed}, "
        f"out of service: {told.out_of_service}"
    )
    for flood in told.floods:
        since = show_time(flood.since_ns)
        click.echo(
            f"flood of {flood.group} since {since}: {flood.members} alarms, first {flood.first_out}  {flood.event}"
        )


@click.group("out-of-service")
def out_of_service() -> None:
    """Take a camera or a detector out of service, and bring it back: its alarms stay out of the queue meanwhile."""


_camera = click.option("--camera", default="", help="The camera; every camera of the detector when left out.")
_detector = click.option("--detector", default="", help='Its name, "motion"; all of the camera when left out.')


@out_of_service.command("take")
@_camera
@_detector
@click.option("--reason", required=True, help="Why.")
@json_option
@data_option
def take(data: str, camera: str, detector: str, reason: str, as_json: bool) -> None:
    """Take a camera, a detector, or one detector of one camera out of service."""
    from trueframe.client import connect

    with connect(data) as tf:
        _show_entry(tf.events.take_out_of_service(camera, detector, reason=reason), as_json)


@out_of_service.command("return")
@_camera
@_detector
@click.option("--reason", default="", help="What was found.")
@json_option
@data_option
def bring_back(data: str, camera: str, detector: str, reason: str, as_json: bool) -> None:
    """Bring it back, named as it was taken out."""
    from trueframe.client import connect

    with connect(data) as tf:
        _show_entry(tf.events.return_to_service(camera, detector, reason=reason), as_json)


@out_of_service.command("list")
@click.option("--all", "include_past", is_flag=True, help="Also what was brought back.")
@json_option
@data_option
def list_out(data: str, include_past: bool, as_json: bool) -> None:
    """List what is out of service."""
    from trueframe.client import connect
    from trueframe.commands.records_alarms import out_of_service_record

    with connect(data) as tf:
        entries = tf.events.out_of_service(include_past=include_past)
    if as_json:
        for entry in entries:
            show_json(out_of_service_record(entry))
        return
    rows = [
        (one.camera or "all", one.detector or "all", show_time(one.since_ns),
         show_time(one.until_ns) if one.until_ns else "out", one.by, one.reason)
        for one in entries
    ]  # fmt: skip
    show_table(("CAMERA", "DETECTOR", "SINCE", "UNTIL", "BY", "WHY"), rows)


@click.group("suppress")
def suppress() -> None:
    """Rules that keep alarms out of the queue while something is so."""


@suppress.command("put")
@click.argument("rule")
@click.option("--while-lost", default="", metavar="CAMERA", help="While this camera gives no picture.")
@click.option("--while-out-of-service", default="", metavar="CAMERA", help="While this camera is out of service.")
@click.option("--while-time", default="", metavar="TIMES", help='At these times: "mon-fri 08:00-18:00".')
@click.option("--camera", "cameras", multiple=True, help="Alarms of this camera; several times for more. Default: all.")
@click.option("--detector", "detectors", multiple=True, help="Alarms of this detector; several times. Default: all.")
@click.option("--reason", required=True, help="Why.")
@json_option
@data_option
def put_rule(
    data: str,
    rule: str,
    while_lost: str,
    while_out_of_service: str,
    while_time: str,
    cameras: tuple[str, ...],
    detectors: tuple[str, ...],
    reason: str,
    as_json: bool,
) -> None:
    """Make the suppression rule RULE, or change it."""
    from trueframe.client import connect
    from trueframe.v1.events_pb2 import SuppressionCondition, SuppressionRule

    said = {"camera_lost": while_lost, "camera_out_of_service": while_out_of_service, "schedule": while_time}
    given = {key: value for key, value in said.items() if value}
    if len(given) != 1:
        raise click.UsageError("Say while what: one of --while-lost, --while-out-of-service, --while-time.")
    wanted = SuppressionRule(
        id=rule, active_while=SuppressionCondition(**given), cameras=cameras, detectors=detectors, reason=reason
    )
    with connect(data) as tf:
        _show_rules([tf.events.put_suppression_rule(wanted)], as_json)


@suppress.command("list")
@click.option("--all", "include_deleted", is_flag=True, help="Also deleted ones.")
@json_option
@data_option
def list_rules(data: str, include_deleted: bool, as_json: bool) -> None:
    """List suppression rules."""
    from trueframe.client import connect

    with connect(data) as tf:
        _show_rules(tf.events.suppression_rules(include_deleted=include_deleted), as_json)


@suppress.command("delete")
@click.argument("rule")
@click.option("--reason", default="", help="Why.")
@json_option
@data_option
def delete_rule(data: str, rule: str, reason: str, as_json: bool) -> None:
    """End the suppression rule RULE: what it suppressed comes back."""
    from trueframe.client import connect

    with connect(data) as tf:
        _show_rules([tf.events.delete_suppression_rule(rule, reason)], as_json)


COMMANDS = (shelve, unshelve, stale, load, out_of_service, suppress)


def _show(message: object, as_json: bool, what: str) -> None:
    from trueframe.commands.records import event_record
    from trueframe.sights import alarm_state
    from trueframe.v1.events_pb2 import Event

    assert isinstance(message, Event)
    if as_json:
        show_json(event_record(message))
    else:
        click.echo(f"{message.id}  {alarm_state(message.alarm_state)}, {what}  {message.summary}")


def _show_entry(entry: OutOfService, as_json: bool) -> None:
    from trueframe.commands.records_alarms import out_of_service_record

    if as_json:
        show_json(out_of_service_record(entry))
        return
    state = f"in service since {show_time(entry.until_ns)}" if entry.until_ns else f"out of service: {entry.reason}"
    click.echo(f"{entry.camera or 'every camera'}, {entry.detector or 'every detector'}: {state}")


def _show_rules(rules: list[SuppressionRule], as_json: bool) -> None:
    from trueframe.commands.records_alarms import suppression_rule_record

    records = [suppression_rule_record(rule) for rule in rules]
    if as_json:
        for record in records:
            show_json(record)
        return
    rows = [
        (rule.id, "deleted" if rule.is_deleted else "active" if rule.is_active else "waits", record["while"],
         ", ".join(rule.cameras) or "all", ", ".join(rule.detectors) or "all", rule.by, rule.reason)
        for rule, record in zip(rules, records, strict=True)
    ]  # fmt: skip
    show_table(("RULE", "NOW", "WHILE", "CAMERAS", "DETECTORS", "BY", "WHY"), rows)
