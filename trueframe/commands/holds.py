"""`trueframe holds`: list, add, change, release."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument
from trueframe.commands.options import Moment, data_option, json_option, show_json, show_table
from trueframe.times import SECOND_NS, parse_duration, show_time

if TYPE_CHECKING:
    from trueframe.v1.footage_pb2 import Hold

_NEVER = ("never", "none")


class Term(click.ParamType[int]):
    """When a hold ends by itself, as UTC nanoseconds; 0 for never."""

    name = "term"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads "90d", a moment, or "never"."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if text in _NEVER:
            return 0
        try:
            return time.time_ns() + round(parse_duration(text) * SECOND_NS)
        except InvalidArgument:
            return Moment().convert(text, param, ctx)


@click.group("holds")
def command() -> None:
    """Keep footage that nothing may delete: list, add, change and release holds."""


@command.command("list")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@json_option
@data_option
def list_holds(data: str, cameras: tuple[str, ...], as_json: bool) -> None:
    """List what is held, by camera and beginning. The clip of an event has the id "event:" and the event's."""
    from trueframe.client import connect

    with connect(data) as tf:
        holds = tf.footage.holds(cameras)
    if as_json:
        for hold in holds:
            show_json(hold_record(hold))
        return
    show_table(
        ("ID", "CAMERA", "FROM", "TO", "UNTIL", "OWNER", "ON DISK", "WHY"),
        [
            (
                hold.id,
                hold.camera,
                show_time(hold.from_ns),
                show_time(hold.to_ns),
                show_time(hold.expires_ns) if hold.expires_ns else "released",
                hold.owner,
                "yes" if hold.confirmed else "not yet",
                hold.reason.replace("\n", " "),
            )
            for hold in holds
        ],
    )


@command.command("add")
@click.argument("camera")
@click.option("--from", "from_ns", type=Moment(), required=True, metavar="TIME", help='Beginning: "-10m", "12:30".')
@click.option("--to", "to_ns", type=Moment(), required=True, metavar="TIME", help="End; may lie ahead.")
@click.option("--reason", required=True, help="Why this footage is kept.")
@click.option("--until", "expires_ns", type=Term(), default=0, metavar="TERM", help='Ends by itself: "90d" or a time.')
@json_option
@data_option
def add_hold(
    data: str, camera: str, from_ns: int, to_ns: int, reason: str, expires_ns: int, as_json: bool
) -> None:  # fmt: skip
    """Keep footage of a camera, whatever its retention rule says. It is stored when this returns."""
    from trueframe.client import connect

    with connect(data) as tf:
        _show(tf.footage.put_hold(camera, from_ns, to_ns, reason, expires_ns=expires_ns), as_json)


@command.command("change")
@click.argument("hold")
@click.option("--from", "from_ns", type=Moment(), metavar="TIME", help="Another beginning.")
@click.option("--to", "to_ns", type=Moment(), metavar="TIME", help="Another end.")
@click.option("--reason", help="Another reason.")
@click.option("--until", "expires_ns", type=Term(), metavar="TERM", help='Another term: "90d", a time, or "never".')
@json_option
@data_option
def change_hold(
    data: str, hold: str, from_ns: int | None, to_ns: int | None, reason: str | None, expires_ns: int | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Change a hold that a user made; what is not given stays. Holds of events follow their events."""
    from mesh.errors import NotFound
    from trueframe.client import connect

    with connect(data) as tf:
        known = next((one for one in tf.footage.holds() if one.id == hold), None)
        if known is None:
            raise NotFound(f"hold {hold!r}", "does not exist", "`trueframe holds list` shows them.")
        changed = tf.footage.put_hold(
            known.camera,
            known.from_ns if from_ns is None else from_ns,
            known.to_ns if to_ns is None else to_ns,
            known.reason if reason is None else reason,
            expires_ns=known.expires_ns if expires_ns is None else expires_ns,
            hold=hold,
        )
        _show(changed, as_json)


@command.command("release")
@click.argument("holds", nargs=-1, required=True, metavar="HOLD...")
@click.option("--reason", required=True, help="Why this footage need not be kept any more.")
@json_option
@data_option
def release_holds(data: str, holds: tuple[str, ...], reason: str, as_json: bool) -> None:
    """End holds: from then on retention decides. Who released what and why stays on record."""
    from trueframe.client import connect

    with connect(data) as tf:
        # One after the other, told as it is done: what was released stays so if a later one fails.
        for hold in dict.fromkeys(holds):
            tf.footage.release_hold(hold, reason)
            if as_json:
                show_json({"id": hold, "released": True})
            else:
                click.echo(f"{hold}  released")


def _show(hold: Hold, as_json: bool) -> None:
    if as_json:
        show_json(hold_record(hold))
        return
    until = f", until {show_time(hold.expires_ns)}" if hold.expires_ns else ""
    click.echo(f"{hold.id}  {hold.camera}  {show_time(hold.from_ns)} to {show_time(hold.to_ns)}{until}")


def hold_record(hold: Hold) -> dict[str, object]:
    """A hold as JSON."""
    return {
        "id": hold.id,
        "camera": hold.camera,
        "from_ns": hold.from_ns,
        "from": show_time(hold.from_ns),
        "to_ns": hold.to_ns,
        "to": show_time(hold.to_ns),
        "reason": hold.reason,
        "owner": hold.owner,
        "created_ns": hold.created_ns,
        "created": show_time(hold.created_ns),
        "confirmed": hold.confirmed,
        "expires_ns": hold.expires_ns,
        "expires": show_time(hold.expires_ns) if hold.expires_ns else None,
    }
