"""`trueframe notify`: list, test, log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import show_time

if TYPE_CHECKING:
    from trueframe.v1.notifications_pb2 import NotificationDelivery, NotificationRule

PROGRESS = ("pending", "sent", "refused", "given_up", "superseded", "dropped")


@click.group("notify")
def command() -> None:
    """Say who is told of alarms outside of trueframe, try it, and show what was told.

    Channels and rules stand in the configuration: docs/guide/notifications.md.
    """


@command.command("list")
@json_option
@data_option
def list_channels(data: str, as_json: bool) -> None:
    """List channels, how they do, and the rules that use them."""
    from trueframe.client import connect

    with connect(data) as tf:
        channels, rules = tf.notifications.channels(), tf.notifications.rules()
    if as_json:
        for one in channels:
            show_json({"channel": one.id, "kind": one.kind, "target": one.target, "waiting": one.waiting,
                       "failing_since_ns": one.failing_since_ns, "reason": one.reason})  # fmt: skip
        for rule in rules:
            show_json({"rule": rule.id, "channels": list(rule.channels), "says": _rule_text(rule)})
        return
    if not channels:
        click.echo("nobody is told of alarms: the configuration has no channels (docs/guide/notifications.md)")
        return
    rows = [
        (one.id, one.kind, one.waiting, f"failing since {show_time(one.failing_since_ns)}: {one.reason}"
         if one.failing_since_ns else "ok", one.target)
        for one in channels
    ]  # fmt: skip
    show_table(("CHANNEL", "KIND", "WAITING", "STATE", "TO"), rows)
    click.echo("")
    show_table(("RULE", "TELLS", "OF"), [(one.id, ", ".join(one.channels), _rule_text(one)) for one in rules])


@command.command("test")
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@json_option
@data_option
def test(data: str, channels: tuple[str, ...], as_json: bool) -> None:
    """Send a test message over each CHANNEL, or over all; fails if one does not arrive."""
    from trueframe.client import connect

    failed = False
    with connect(data) as tf:
        for channel in channels or [one.id for one in tf.notifications.channels()]:
            answer = tf.notifications.test(channel)
            failed |= not answer.delivered
            if as_json:
                show_json({"channel": channel, "delivered": answer.delivered, "reason": answer.reason})
            else:
                word = "delivered" if answer.delivered else "NOT delivered"
                click.echo(f"{channel}: {word}{f': {answer.reason}' if answer.reason else ''}")
    if failed:
        raise click.exceptions.Exit(1)


@command.command("log")
@click.option("--channel", "channels", multiple=True, help="Only of this channel; may be given several times.")
@click.option("--state", "states", multiple=True, type=click.Choice(PROGRESS), help="Only what is so far.")
@click.option("--event", default="", help="Only of this alarm.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most this many.")
@json_option
@data_option
def log(
    data: str, channels: tuple[str, ...], states: tuple[str, ...], event: str, limit: int, as_json: bool
) -> None:  # fmt: skip
    """Show what was told to whom, newest first."""
    from trueframe.client import connect
    from trueframe.v1.notifications_pb2 import DeliveryProgress

    progress = [DeliveryProgress.Value(f"DELIVERY_PROGRESS_{one.upper()}") for one in states]
    with connect(data) as tf:
        found = tf.notifications.deliveries(limit=limit, channels=channels, progress=progress, event=event)
    if as_json:
        for one in found:
            show_json(_record(one))
        return
    show_table(
        ("TIME", "CHANNEL", "STATE", "TRIES", "RULE", "SAYS"),
        [
            (show_time(one.made_ns), one.channel, _progress(one), one.attempts, one.rule,
             f"{one.title} ({one.reason})" if one.reason else one.title)
            for one in found
        ],
    )  # fmt: skip


def _record(one: NotificationDelivery) -> dict[str, object]:
    return {
        "id": one.id, "channel": one.channel, "rule": one.rule, "occasion": one.occasion, "event": one.event,
        "camera": one.camera, "title": one.title, "priority": one.priority, "state": _progress(one),
        "attempts": one.attempts, "reason": one.reason, "made_ns": one.made_ns, "done_ns": one.done_ns,
    }  # fmt: skip


def _progress(one: NotificationDelivery) -> str:
    from trueframe.v1.notifications_pb2 import DeliveryProgress

    return DeliveryProgress.Name(one.progress).removeprefix("DELIVERY_PROGRESS_").lower()


def _rule_text(rule: NotificationRule) -> str:
    """A rule in words."""
    about = [f"priority {', '.join(map(str, rule.priorities))}"] * bool(rule.priorities)
    for name in ("cameras", "groups", "regions", "kinds", "detectors"):
        if values := getattr(rule, name):
            about.append(f"{name} {', '.join(values)}")
    about += [f"in {', '.join(rule.schedule)}"] * bool(rule.schedule)
    about += [f"lasting {rule.lasting_s:g} s"] * bool(rule.lasting_s)
    about += [f"quiet {', '.join(rule.quiet)}"] * bool(rule.quiet)
    about += [f"at most {rule.at_most} in {rule.within_s:g} s"] * bool(rule.at_most)
    after = f"after {rule.unacknowledged_s:g} s unacknowledged {', '.join(rule.then)}"
    about += [after] * bool(rule.then)
    return "; ".join([f"on {', '.join(rule.on)}", *about])
