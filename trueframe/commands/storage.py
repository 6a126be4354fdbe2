"""`trueframe storage`: how the disks under the footage are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mesh.amounts import amount
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import show_time

if TYPE_CHECKING:
    from trueframe.v1.footage_pb2 import GetStorageResponse


@click.command("storage")
@json_option
@data_option
def command(data: str, as_json: bool) -> None:
    """Say how the disks under the footage are: space, how fast they take it, what waits, what ails them."""
    from trueframe.client import connect

    with connect(data) as tf:
        found = tf.footage.storage()
    if as_json:
        show_json(record(found))
        return
    show_table(
        ("tier", "location", "footage", "free", "of", "write p99", "state"),
        (
            (
                tier.name,
                tier.location,
                amount(tier.footage_bytes, "bytes"),
                amount(tier.free_bytes, "bytes") if tier.total_bytes else "-",
                amount(tier.total_bytes, "bytes") if tier.total_bytes else "-",
                amount(tier.write_p99_ns / 1e9, "seconds") if tier.write_p99_ns else "-",
                tier.detail or "good",
            )
            for tier in found.tiers
        ),
    )
    click.echo(f"waiting for the disk: {amount(found.queued_bytes, 'bytes')} of at most "
               f"{amount(found.queue_limit_bytes, 'bytes')}")  # fmt: skip
    scrubbed = f"scrubbed {show_time(found.scrubbed_ns)}" if found.scrubbed_ns else "not scrubbed yet"
    click.echo(f"{scrubbed}, segments with findings: {found.damaged_segments}")
    click.echo(f"segments are sealed with key {found.key_id}" if found.key_id else "segments are not sealed")


def record(found: GetStorageResponse) -> dict[str, object]:
    """The answer as JSON."""
    return {
        "tiers": [
            {
                "name": tier.name,
                "location": tier.location,
                "total_bytes": tier.total_bytes,
                "free_bytes": tier.free_bytes,
                "footage_bytes": tier.footage_bytes,
                "write_p99_ns": tier.write_p99_ns,
                "detail": tier.detail,
            }
            for tier in found.tiers
        ],
        "queued_bytes": found.queued_bytes,
        "queue_limit_bytes": found.queue_limit_bytes,
        "scrubbed_ns": found.scrubbed_ns,
        "scrubbed": show_time(found.scrubbed_ns) if found.scrubbed_ns else None,
        "damaged_segments": found.damaged_segments,
        "key_id": found.key_id,
    }
