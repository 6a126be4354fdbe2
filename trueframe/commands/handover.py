"""`trueframe handover`: what one shift tells the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mesh.errors import NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import show_time, when

if TYPE_CHECKING:
    from collections.abc import Iterable

    from event_center.shifts.client import Handover, HandoverItem, HandoverState


@click.group("handover")
def command() -> None:
    """Hand the desk over to the next shift: what stands, what is set aside, what changed, and what you write."""


@command.command("draft")
@json_option
@data_option
def draft(data: str, as_json: bool) -> None:
    """Show what a hand-over would say now."""
    from trueframe.client import connect

    with connect(data) as tf:
        state = tf.shifts.draft()
    _show_state(state, as_json)


@command.command("give")
@click.argument("text", default="")
@json_option
@data_option
def give(data: str, text: str, as_json: bool) -> None:
    """Hand over, with TEXT to whoever comes next."""
    from trueframe.client import connect

    with connect(data) as tf:
        handover = tf.shifts.give(text)
    _show(handover, as_json)


@command.command("take")
@click.argument("handover", default="")
@json_option
@data_option
def take(data: str, handover: str, as_json: bool) -> None:
    """Take HANDOVER over, or the newest: your name is kept with it."""
    from trueframe.client import connect

    with connect(data) as tf:
        taken = tf.shifts.take(handover)
    _show(taken, as_json)


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most this many.")
@json_option
@data_option
def list_handovers(data: str, limit: int, as_json: bool) -> None:
    """List hand-overs, given last first."""
    from trueframe.client import connect

    with connect(data) as tf:
        found = tf.shifts.handovers(limit=limit)
    if as_json:
        for one in found:
            show_json(handover_record(one))
        return
    rows = [(one.id, show_time(one.given_ns), one.given_by, one.taken_by or "nobody", one.state.standing_count,
             " ".join(one.text.split())) for one in found]  # fmt: skip
    show_table(("ID", "GIVEN", "BY", "TAKEN BY", "STANDING", "TEXT"), rows)


@command.command("show")
@click.argument("handover")
@json_option
@data_option
def show_handover(data: str, handover: str, as_json: bool) -> None:
    """Show one of the last thousand hand-overs."""
    from trueframe.client import connect

    with connect(data) as tf:
        found = next((one for one in tf.shifts.handovers(limit=1000) if one.id == handover), None)
    if found is None:
        raise NotFound(f"hand-over {handover}", "does not exist", "`trueframe handover list` shows them.")
    _show(found, as_json)


def _show(handover: Handover, as_json: bool) -> None:
    if as_json:
        show_json(handover_record(handover))
        return
    taken = f"taken over by {handover.taken_by} {when(handover.taken_ns)}" if handover.taken_by else "not taken over"
    click.echo(f"{handover.id}: given by {handover.given_by} {when(handover.given_ns)}, {taken}")
    if handover.text:
        click.echo(handover.text)
    _show_state(handover.state, as_json=False)


def _show_state(state: HandoverState, as_json: bool) -> None:
    if as_json:
        show_json(state_record(state))
        return
    aside = f"{state.shelved_count} are shelved, {state.suppressed_count} suppressed"
    out = f"{len(state.out_of_service)} things are out of service"
    click.echo(f"{state.standing_count} alarms stand, {state.unseen_count} of them unseen; {aside}; {out}")
    least = "" if state.all_counted else "at least "
    said = f"{state.labelled} labelled, {state.commented} comments, {state.cases_changed} cases changed"
    click.echo(f"since {when(state.since_ns)}: {least}{state.raised} raised, {state.acknowledged} acknowledged, {said}")
    for heading, items in (("stands", state.standing), ("shelved", state.shelved),
                           ("out of service", state.out_of_service)):  # fmt: skip
        for one in items:
            priority = f"priority {one.priority} " if one.priority else ""
            click.echo(f"{heading}: {' '.join(part for part in (one.event, priority.strip(), one.text) if part)} "
                       f"({one.why})")  # fmt: skip


def handover_record(handover: Handover) -> dict[str, object]:
    """A hand-over as a JSON object."""
    return {
        "id": handover.id, "given_by": handover.given_by, "given_ns": handover.given_ns,
        "given": when(handover.given_ns), "text": handover.text, "taken_by": handover.taken_by,
        "taken_ns": handover.taken_ns, "taken": when(handover.taken_ns), "state": state_record(handover.state),
    }  # fmt: skip


def state_record(state: HandoverState) -> dict[str, object]:
    """How the desk stood, as a JSON object."""
    counts = ("standing_count", "unseen_count", "shelved_count", "suppressed_count", "raised", "acknowledged",
              "labelled", "commented", "cases_changed", "all_counted")  # fmt: skip
    return {
        "at_ns": state.at_ns, "at": when(state.at_ns), "since_ns": state.since_ns, "since": when(state.since_ns),
        **{name: getattr(state, name) for name in counts}, "standing": _items(state.standing),
        "shelved": _items(state.shelved), "out_of_service": _items(state.out_of_service),
    }  # fmt: skip


def _items(items: Iterable[HandoverItem]) -> list[dict[str, object]]:
    return [{"event": one.event, "camera": one.camera, "priority": one.priority, "text": one.text, "why": one.why}
            for one in items]  # fmt: skip
