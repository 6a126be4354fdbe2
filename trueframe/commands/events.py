"""`trueframe events`: list, search, show, watch, acknowledge, comment.

What else people do with alarms (shelve, suppress, take out of service) is in `events_alarms`; owners, labels, taking
back and many at once are in `events_work`.
"""

from __future__ import annotations

import click

from mesh.errors import NotFound
from trueframe.commands.events_alarms import COMMANDS
from trueframe.commands.events_csv import export_events
from trueframe.commands.events_saved import saved
from trueframe.commands.events_shown import show_events
from trueframe.commands.events_work import COMMANDS as WORK_COMMANDS
from trueframe.commands.options import Moment, data_option, json_option, show_json

KINDS = ("anomaly", "camera", "system")
VERDICTS = ("true", "false", "unsure")
# "unack" is what waits for a human, whether its condition still holds or not.
STATES = {
    "unack": ("UNACKNOWLEDGED", "RETURNED_UNACKNOWLEDGED"),
    "unacknowledged": ("UNACKNOWLEDGED",),
    "returned": ("RETURNED_UNACKNOWLEDGED",),
    "ack": ("ACKNOWLEDGED",),
    "normal": ("NORMAL",),
}
_MOST_AT_ONCE = 100_000


@click.group("events")
def command() -> None:
    """List, search, show, watch, acknowledge, comment, label, assign, shelve and suppress events."""


for _more in (*COMMANDS, *WORK_COMMANDS, saved, export_events):
    command.add_command(_more)


@command.command("list")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help='Began at or after: "-10m", "12:30".')
@click.option("--to", "to_ns", type=Moment(), default=0, metavar="TIME", help="Began at or before.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only this kind.")
@click.option("--state", "states", multiple=True, type=click.Choice(list(STATES)), help="Only alarms that stand so.")
@click.option("--priority", "priorities", multiple=True, type=click.IntRange(1, 4), help="Only this priority.")
@click.option("--shelved", is_flag=True, help="Only shelved alarms.")
@click.option("--suppressed", is_flag=True, help="Only alarms that a rule suppresses.")
@click.option("--out-of-service", is_flag=True, help="Only alarms that are out of service.")
@click.option("--flood", default="", metavar="EVENT", help="Only members of this flood.")
@click.option(
    "--occurrences-of", "folded_into", default="", metavar="EVENT", help="Only what is folded into this alarm."
)
@click.option("--owner", default="", metavar="NAME", help="Only what this person has in hand.")
@click.option("--label", "verdicts", multiple=True, type=click.Choice(VERDICTS), help="Only what is labelled so.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most this many.")
@json_option
@data_option
def list_events(
    data: str,
    cameras: tuple[str, ...],
    from_ns: int,
    to_ns: int,
    kinds: tuple[str, ...],
    states: tuple[str, ...],
    priorities: tuple[int, ...],
    shelved: bool,
    suppressed: bool,
    out_of_service: bool,
    flood: str,
    folded_into: str,
    owner: str,
    verdicts: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List events, newest first."""
    from trueframe.client import connect
    from trueframe.v1.events_pb2 import AlarmState, EventKind, EventVerdict

    with connect(data) as tf:
        events = tf.events.list(
            cameras=cameras,
            from_ns=from_ns,
            to_ns=to_ns,
            kinds=[EventKind.Value(f"EVENT_KIND_{kind.upper()}") for kind in kinds],
            alarm_states=[AlarmState.Value(f"ALARM_STATE_{name}") for state in states for name in STATES[state]],
            priorities=priorities,
            shelved=shelved,
            suppressed=suppressed,
            out_of_service=out_of_service,
            flood=flood,
            folded_into=folded_into,
            owner=owner,
            verdicts=[EventVerdict.Value(f"EVENT_VERDICT_{verdict.upper()}") for verdict in verdicts],
            limit=limit,
        )
    show_events(events, as_json)


@command.command("search")
@click.argument("query")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help='Began at or after: "-10m", "12:30".')
@click.option("--to", "to_ns", type=Moment(), default=0, metavar="TIME", help="Began at or before.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most this many.")
@json_option
@data_option
def search_events(
    data: str, query: str, cameras: tuple[str, ...], from_ns: int, to_ns: int, limit: int, as_json: bool
) -> None:
    """Find events that hold all of QUERY, in any script, newest first.

    Looked for in what happened (with the names of cameras and regions), comments, labels, tags and owners. Words are
    found by their beginnings, in quotation marks only whole.
    """
    from trueframe.client import connect

    with connect(data) as tf:
        events = tf.events.list(cameras=cameras, from_ns=from_ns, to_ns=to_ns, query=query, limit=limit)
    show_events(events, as_json)


@command.command("show")
@click.argument("event")
@json_option
@data_option
def show_event(data: str, event: str, as_json: bool) -> None:
    """Show all that is known of one event: its alarm, its clip, what people wrote and all that was done to it."""
    from trueframe.client import connect
    from trueframe.commands.records import deed_record, event_record

    with connect(data) as tf:
        record = event_record(tf.events.get(event))
        record["records"] = [deed_record(one) for one in tf.events.records(event)]
    if as_json:
        show_json(record)
        return
    for name, value in record.items():
        if name == "boxes" and isinstance(value, list):
            for box in value:
                click.echo(f"box: {box}")
        elif name == "comments" and isinstance(value, list):
            for said in value:
                click.echo(f"comment: {said['written']}  {said['author']}: {_indented(said['text'])}")
        elif name == "clip" and isinstance(value, dict):
            state = "confirmed on disk" if value["confirmed"] else "not yet confirmed on disk"
            click.echo(f"clip: {value['from']} to {value['to']}, {state}")
        elif name == "records" and isinstance(value, list):
            for done in value:
                states = f"{done['from_state']} -> {done['to_state']}"
                said = f": {_indented(done['text'])}" if done["text"] else ""
                click.echo(
                    f"record: {done['number']}. {done['at']}  {done['deed']} by {done['actor']}  ({states}){said}"
                )
        elif not name.endswith("_ns"):
            click.echo(f"{name}: {'-' if value in (None, '') else value}")


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


@command.command("ack")
@click.argument("events", nargs=-1, metavar="[EVENT]...")
@click.option("--all-of", "cameras", multiple=True, metavar="CAMERA", help="Every alarm of this camera that waits.")
@click.option("--comment", default="", help="A remark that is stored with it.")
@json_option
@data_option
def acknowledge_events(
    data: str, events: tuple[str, ...], cameras: tuple[str, ...], comment: str, as_json: bool
) -> None:
    """Acknowledge alarms: a human has seen them."""
    from trueframe.client import connect
    from trueframe.commands.records import event_record
    from trueframe.sights import alarm_state
    from trueframe.v1.events_pb2 import ALARM_STATE_RETURNED_UNACKNOWLEDGED, ALARM_STATE_UNACKNOWLEDGED

    if not events and not cameras:
        raise click.UsageError("Name events, or a camera with --all-of.")
    waiting = (ALARM_STATE_UNACKNOWLEDGED, ALARM_STATE_RETURNED_UNACKNOWLEDGED)
    with connect(data) as tf:
        found = list(events)
        if cameras:
            theirs = tf.events.list(cameras=cameras, alarm_states=waiting, limit=_MOST_AT_ONCE)
            found += [one.id for one in theirs]
            # A camera that was removed may have left alarms; one without any has to exist.
            silent = set(cameras) - {one.camera for one in theirs}
            if unknown := silent - {one.spec.id for one in tf.broker.list_cameras()} if silent else None:
                remedy = "`trueframe cameras list` names those that do."
                raise NotFound(f"camera {min(unknown)!r}", "does not exist", remedy)
        # One after the other, told as it is done: what was acknowledged stays so if a later one fails.
        for event in dict.fromkeys(found):
            message = tf.events.acknowledge(event, comment)
            if as_json:
                show_json(event_record(message))
            else:
                click.echo(f"{message.id}  {alarm_state(message.alarm_state)}  {message.summary}")
    if not found and not as_json:
        click.echo("Nothing waits for acknowledgement.")


@command.command("comment")
@click.argument("event")
@click.argument("text")
@json_option
@data_option
def comment_event(data: str, event: str, text: str, as_json: bool) -> None:
    """Write a comment to an event."""
    from trueframe.client import connect
    from trueframe.commands.records import event_record

    with connect(data) as tf:
        message = tf.events.comment(event, text)
    if as_json:
        show_json(event_record(message))
    else:
        count = len(message.comments)
        click.echo(f"{message.id}  {count} {'comment' if count == 1 else 'comments'}  {message.summary}")


@command.command("watch")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--since", "since_ns", type=Moment(), default=0, metavar="TIME", help="Stored ones from then on first.")
@json_option
@data_option
def watch_events(data: str, cameras: tuple[str, ...], since_ns: int, as_json: bool) -> None:
    """Print events as they begin and change, until interrupted."""
    from trueframe.client import connect
    from trueframe.commands.records import event_record
    from trueframe.event_news import EventNews
    from trueframe.headless import event_line
    from trueframe.sights import event_sight
    from trueframe.silence import told_if_silent

    news = EventNews()
    with connect(data) as tf, told_if_silent(tf.running, "event_center", lambda said: click.echo(said, err=True)):
        for message in tf.events.watch(cameras=cameras, since_ns=since_ns):
            if as_json:
                show_json(event_record(message))
                continue
            for word, moment_ns in news.of(message):
                click.echo(event_line(word, event_sight(message), moment_ns))
