"""`trueframe events`: take, assign, hand back, label, undo, and deeds on many events at once.

What should not be in this module: what everybody does with one alarm (`events`, `events_alarms`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trueframe.commands.options import Moment, data_option, json_option, show_json, show_table
from trueframe.times import parse_duration, show_time

if TYPE_CHECKING:
    from trueframe.client import Client
    from trueframe.v1.events_pb2 import BulkDeed, BulkFailure, ConfirmBulkResponse, Event

VERDICTS = ("true", "false", "unsure", "none")
F = TypeVar("F", bound=Callable[..., Any])


@click.command("take")
@click.argument("event")
@click.option("--reason", default="", help="Why.")
@json_option
@data_option
def take_event(data: str, event: str, reason: str, as_json: bool) -> None:
    """Take EVENT in hand yourself."""
    from trueframe.client import connect

    with connect(data) as tf:
        _show_owner(tf.events.take(event, reason), as_json)


@click.command("assign")
@click.argument("event")
@click.argument("owner")
@click.option("--reason", default="", help="Why.")
@json_option
@data_option
def assign_event(data: str, event: str, owner: str, reason: str, as_json: bool) -> None:
    """Give EVENT to OWNER."""
    from trueframe.client import connect

    if not owner.strip():
        raise click.UsageError("Name who is to have it; `trueframe events hand-back` gives it to nobody.")
    with connect(data) as tf:
        _show_owner(tf.events.assign(event, owner, reason), as_json)


@click.command("hand-back")
@click.argument("event")
@click.option("--reason", default="", help="Why.")
@json_option
@data_option
def hand_back_event(data: str, event: str, reason: str, as_json: bool) -> None:
    """Hand EVENT back: nobody has it in hand."""
    from trueframe.client import connect

    with connect(data) as tf:
        _show_owner(tf.events.assign(event, "", reason), as_json)


def _show_owner(event: Event, as_json: bool) -> None:
    from trueframe.commands.records import event_record

    if as_json:
        show_json(event_record(event))
    else:
        click.echo(f"{event.id}: {f'{event.owner} has it' if event.owner else 'nobody has it'}")


@click.command("label")
@click.argument("event")
@click.argument("label", type=click.Choice(VERDICTS))
@click.option("--region", default="", help="Where in the picture, by its name.")
@click.option("--tag", "tags", multiple=True, help="A tag; may be given several times.")
@json_option
@data_option
def label_event(data: str, event: str, label: str, region: str, tags: tuple[str, ...], as_json: bool) -> None:
    """Say whether EVENT was what it says; "none" takes the label away.

    A threshold that is calibrated moves a little with "true" and "false" of an anomaly, and tells how far.
    """
    from trueframe.client import connect

    with connect(data) as tf:
        message = tf.events.label(event, "" if label == "none" else label, region=region, tags=tags)
        told = _tell_calibration(tf, message.id, label)
    if as_json:
        show_json({"event": event, "label": label, "region": region, "tags": sorted(tags), **told})
    elif told["inspection"]:
        click.echo(f"{told['inspection']}: {told['sentence']}")
    else:
        click.echo(f"{event}: labelled {label}. {told['sentence']}".rstrip())


def _tell_calibration(tf: Client, event: str, label: str) -> dict[str, object]:
    """What calibrated thresholds make of a label: they hear of it here, and tell nothing back to the event."""
    from mesh.errors import NotFound, TrueframeError

    told: dict[str, object] = {"inspection": "", "threshold_now": None, "sentence": ""}
    if label not in ("true", "false"):
        return told
    try:
        answer = tf.inspections.label(event, is_false=label == "false")
    except NotFound:
        return told
    except TrueframeError as error:
        return told | {"sentence": f"No threshold heard of it: {error}"}
    return {"inspection": answer.inspection, "threshold_now": answer.threshold_now, "sentence": answer.sentence}


@click.command("undo")
@click.argument("event", required=False, default="")
@click.option("--record", type=click.IntRange(1), default=None, help="Its number; your newest one without.")
@click.option("--bulk", default="", metavar="ID", help="Instead of an event: all that a bulk did.")
@json_option
@data_option
def undo_deed(data: str, event: str, record: int | None, bulk: str, as_json: bool) -> None:
    """Take back what you did to EVENT in the last ten seconds: an acknowledgement, shelving, label or assignment."""
    from trueframe.client import connect

    if bool(event) == bool(bulk):
        raise click.UsageError("Name an event, or a bulk with --bulk.")
    with connect(data) as tf:
        answer = tf.events.undo(event, record or 0, bulk=bulk)
    if as_json:
        show_json({"undone": answer.undone, "failures": _failure_records(answer.failures)})
    else:
        click.echo(f"{answer.undone} undone")
        _show_failures(answer.failures)
    if answer.failures:
        raise SystemExit(1)


@click.group("bulk")
def bulk() -> None:
    """Do something to many events: what it concerns is shown first, and done once you say yes."""


def _chosen(function: F) -> F:
    """Which events, and whether to ask."""
    for option in (
        data_option,
        json_option,
        click.option("--yes", "is_sure", is_flag=True, help="Do not ask."),
        click.option("--query", default="", help="Only what holds all of this, as `search` finds it."),
        click.option("--unack", "is_waiting", is_flag=True, help="Only alarms that wait for a human."),
        click.option("--priority", "priorities", multiple=True, type=click.IntRange(1, 4), help="Only this priority."),
        click.option("--to", "to_ns", type=Moment(), default=0, metavar="TIME", help="Began at or before."),
        click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help="Began at or after."),
        click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times."),
        click.argument("events", nargs=-1, metavar="[EVENT]..."),
    ):
        function = option(function)
    return function


@bulk.command("ack")
@click.option("--comment", default="", help="A remark that is stored with each.")
@_chosen
def bulk_acknowledge(comment: str, **chosen: Any) -> None:
    """Acknowledge many."""
    from trueframe.v1.events_pb2 import AcknowledgeEventRequest, BulkDeed

    _carry_out(BulkDeed(acknowledge=AcknowledgeEventRequest(comment=comment)), **chosen)


@bulk.command("shelve")
@click.option("--for", "duration", required=True, metavar="TIME", help='For so long: "2h"; 0: until it is over.')
@click.option("--reason", required=True, help="Why.")
@_chosen
def bulk_shelve(duration: str, reason: str, **chosen: Any) -> None:
    """Shelve many."""
    from trueframe.v1.events_pb2 import BulkDeed, ShelveEventRequest

    for_ns = round(parse_duration(duration) * 1e9)
    _carry_out(BulkDeed(shelve=ShelveEventRequest(duration_ns=for_ns, reason=reason)), **chosen)


@bulk.command("label")
@click.option("--as", "label", type=click.Choice(VERDICTS), required=True, help='What they were; "none" takes it away.')
@click.option("--region", default="", help="Where in the picture, by its name.")
@click.option("--tag", "tags", multiple=True, help="A tag; may be given several times.")
@_chosen
def bulk_label(label: str, region: str, tags: tuple[str, ...], **chosen: Any) -> None:
    """Label many."""
    from event_center.client import event_label
    from trueframe.v1.events_pb2 import BulkDeed, LabelEventRequest

    message = event_label("" if label == "none" else label, region, tags)
    _carry_out(BulkDeed(label=LabelEventRequest(label=message)), label=label, **chosen)


@bulk.command("assign")
@click.option("--to-owner", "owner", default="", metavar="NAME", help="To whom; nobody without.")
@click.option("--reason", default="", help="Why.")
@_chosen
def bulk_assign(owner: str, reason: str, **chosen: Any) -> None:
    """Give many to somebody."""
    from trueframe.v1.events_pb2 import AssignEventRequest, BulkDeed

    _carry_out(BulkDeed(assign=AssignEventRequest(owner=owner, reason=reason)), **chosen)


def _carry_out(
    deed: BulkDeed, *, data: str, as_json: bool, is_sure: bool, is_waiting: bool, events: tuple[str, ...],
    label: str = "", **filters: Any,
) -> None:  # fmt: skip
    from trueframe.client import connect
    from trueframe.v1.events_pb2 import ALARM_STATE_RETURNED_UNACKNOWLEDGED, ALARM_STATE_UNACKNOWLEDGED

    wanted = {key: value for key, value in filters.items() if value}
    if is_waiting:
        wanted["alarm_states"] = (ALARM_STATE_UNACKNOWLEDGED, ALARM_STATE_RETURNED_UNACKNOWLEDGED)
    if bool(events) == bool(wanted):
        raise click.UsageError("Name events, or a filter such as --camera; not both.")
    with connect(data) as tf:
        preview = tf.events.preview_bulk(deed, events, **wanted)
        if not is_sure:
            if not as_json:
                _show_sample(preview.sample)
            click.confirm(f"This concerns {preview.count} event(s). Do it?", abort=True, err=True)
        done = tf.events.confirm_bulk(preview.token)
        _show_bulk(done, as_json)
        # Last, as it may take long: what is done can be taken back for ten seconds.
        for event in done.changed:
            _tell_calibration(tf, event, label)
    if done.failures:
        raise SystemExit(1)


def _show_bulk(done: ConfirmBulkResponse, as_json: bool) -> None:
    if as_json:
        show_json({"bulk": done.bulk, "changed": list(done.changed), "unchanged": done.unchanged,
                   "failures": _failure_records(done.failures)})  # fmt: skip
        return
    click.echo(f"{len(done.changed)} changed, {done.unchanged} so already, {len(done.failures)} failed")
    _show_failures(done.failures)
    click.echo(f"Within ten seconds: trueframe events undo --bulk {done.bulk}")


def _show_sample(sample: Iterable[Event]) -> None:
    rows = [(one.id, show_time(one.started_ns), one.camera or "-", one.summary) for one in sample]
    show_table(("ID", "BEGAN", "CAMERA", "WHAT"), rows)


def _failure_records(failures: Iterable[BulkFailure]) -> list[dict[str, str]]:
    return [{"event": one.event, "reason": one.reason} for one in failures]


def _show_failures(failures: Iterable[BulkFailure]) -> None:
    for one in failures:
        click.echo(f"{one.event}: {one.reason}", err=True)


COMMANDS = (take_event, assign_event, hand_back_event, label_event, undo_deed, bulk)
