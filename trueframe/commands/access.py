"""`trueframe access`: who looked at, took or changed which footage."""

from __future__ import annotations

import click

from trueframe.commands.options import Moment, data_option, json_option, show_json, show_table
from trueframe.times import show_time


@click.command("access")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help='At or after: "-10m", "12:30".')
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="At most this many.")
@json_option
@data_option
def command(data: str, cameras: tuple[str, ...], from_ns: int, limit: int, as_json: bool) -> None:
    """Say who looked at, took or changed which footage, newest first. `trueframe verify` checks the log itself."""
    from trueframe.client import connect
    from trueframe.times import when

    with connect(data) as tf:
        found = tf.footage.accesses(cameras, from_ns, limit)
    if as_json:
        for one in found:
            show_json(
                {
                    "at_ns": one.at_ns,
                    "at": show_time(one.at_ns),
                    "principal": one.principal,
                    "action": one.action,
                    "camera": one.camera or None,
                    "from_ns": one.from_ns,
                    "from": when(one.from_ns),
                    "to_ns": one.to_ns,
                    "to": when(one.to_ns),
                    "detail": one.detail,
                }
            )
        return
    rows = [
        (
            show_time(one.at_ns),
            one.principal,
            one.action,
            one.camera or "-",
            show_time(one.from_ns) if one.from_ns else "-",
            show_time(one.to_ns) if one.to_ns else "-",
            one.detail or "-",
        )
        for one in found
    ]
    show_table(("AT", "WHO", "WHAT", "CAMERA", "FROM", "TO", "DETAIL"), rows)
