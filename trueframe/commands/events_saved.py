"""`trueframe events saved`: searches by name, your own and those that others share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mesh.errors import NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table

if TYPE_CHECKING:
    from event_center.shifts.client import SavedSearch

_STATES = {
    "unack": ("UNACKNOWLEDGED", "RETURNED_UNACKNOWLEDGED"), "ack": ("ACKNOWLEDGED",), "normal": ("NORMAL",),
}  # fmt: skip


@click.group("saved")
def saved() -> None:
    """Keep searches by name, and use them."""


@saved.command("list")
@json_option
@data_option
def list_saved(data: str, as_json: bool) -> None:
    """List your searches, then those that others share."""
    from trueframe.client import connect

    with connect(data) as tf:
        found = tf.shifts.searches()
    if as_json:
        for one in found:
            show_json(search_record(one))
        return
    rows = [(one.name, one.owner, "shared" if one.shared else "own", _said(one)) for one in found]
    show_table(("NAME", "OF", "", "FINDS"), rows)


@saved.command("save")
@click.argument("name")
@click.option("--query", default="", help="Holds all of this, in any script.")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--state", "states", multiple=True, type=click.Choice(list(_STATES)), help="Only alarms that stand so.")
@click.option("--priority", "priorities", multiple=True, type=click.IntRange(1, 4), help="Only this priority.")
@click.option("--owner", default="", metavar="NAME", help="Only what this person has in hand.")
@click.option("--label", "verdicts", multiple=True, type=click.Choice(("true", "false", "unsure")), help="Labelled so.")
@click.option("--shared", is_flag=True, help="Others see it, too.")
@json_option
@data_option
def save(
    data: str,
    name: str,
    states: tuple[str, ...],
    verdicts: tuple[str, ...],
    shared: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Keep a search as NAME; one of yours of the same name is replaced."""
    from trueframe.client import connect
    from trueframe.v1.events_pb2 import AlarmState, EventVerdict

    with connect(data) as tf:
        kept = tf.shifts.save_search(
            name, shared=shared,
            alarm_states=[AlarmState.Value(f"ALARM_STATE_{one}") for state in states for one in _STATES[state]],
            verdicts=[EventVerdict.Value(f"EVENT_VERDICT_{verdict.upper()}") for verdict in verdicts],
            **{key: value for key, value in filters.items() if value},
        )  # fmt: skip
    if as_json:
        show_json(search_record(kept))
    else:
        click.echo(f"{kept.name}: {_said(kept)}")


@saved.command("delete")
@click.argument("name")
@data_option
def delete(data: str, name: str) -> None:
    """Let go of your search NAME."""
    from trueframe.client import connect

    with connect(data) as tf:
        tf.shifts.delete_search(name)
    click.echo(f"{name}: deleted")


@saved.command("run")
@click.argument("name")
@click.option("--of", "owner", default="", metavar="PERSON", help="Whose, if several are named so.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most this many.")
@json_option
@data_option
def run(data: str, name: str, owner: str, limit: int, as_json: bool) -> None:
    """List what the search NAME finds now."""
    from trueframe.client import connect
    from trueframe.commands.events_shown import show_events

    with connect(data) as tf:
        found = next((one for one in tf.shifts.searches() if one.name == name and owner in ("", one.owner)), None)
        if found is None:
            raise NotFound(f"search {name!r}", "does not exist", "`trueframe events saved list` shows them.")
        wanted: Any = {field.name: value for field, value in found.filter.ListFields()}
        events = tf.events.list(limit=limit, **wanted)
    show_events(events, as_json)


def search_record(search: SavedSearch) -> dict[str, object]:
    """A search as a JSON object."""
    from google.protobuf import json_format

    return {
        "name": search.name, "owner": search.owner, "shared": search.shared,
        "filter": json_format.MessageToDict(search.filter, preserving_proto_field_name=True),
    }  # fmt: skip


def _said(search: SavedSearch) -> str:
    from google.protobuf import json_format

    fields = json_format.MessageToDict(search.filter, preserving_proto_field_name=True)
    return ", ".join(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
                     for name, value in fields.items()) or "everything"  # fmt: skip
