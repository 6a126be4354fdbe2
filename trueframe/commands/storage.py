"""`trueframe storage`: how the disks under the footage are, and footage brought back from the second one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mesh.amounts import amount
from trueframe.commands.options import Moment, data_option, json_option, show_json, show_table
from trueframe.commands.progress import bar, tell_findings
from trueframe.times import parse_duration, show_time

if TYPE_CHECKING:
    from trueframe.v1.footage_pb2 import BringBackFootageResponse, GetStorageResponse

_LONGEST_S = 10 * 366 * 86_400


class Keep(click.ParamType[int]):
    """For how long, in whole seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads "30d" or "12h"."""
        if isinstance(value, int):
            return value
        return min(_LONGEST_S, max(1, round(parse_duration(str(value).strip().lower()))))


@click.group("storage", invoke_without_command=True)
@json_option
@data_option
@click.pass_context
def command(context: click.Context, data: str, as_json: bool) -> None:
    """Say how the disks under the footage are: space, how fast they take it, what waits, what ails them."""
    from trueframe.client import connect

    if context.invoked_subcommand is not None:
        return
    with connect(data) as tf:
        found = tf.footage.storage()
    if as_json:
        show_json(record(found))
        return
    show_table(
        ("TIER", "LOCATION", "FOOTAGE", "FREE", "OF", "WRITE P99", "STATE"),
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


@command.command("bring-back")
@click.argument("camera")
@click.option("--from", "from_ns", type=Moment(), metavar="TIME", help="Its beginning; the oldest if left out.")
@click.option("--to", "to_ns", type=Moment(), metavar="TIME", help="Its end; the newest if left out.")
@click.option("--keep", "keep_s", type=Keep(), default="7d", show_default=True, metavar="DURATION",
              help="For so long it is not moved away again for its age.")  # fmt: skip
@json_option
@data_option
def bring_back(
    data: str, camera: str, from_ns: int | None, to_ns: int | None, keep_s: int, as_json: bool
) -> None:  # fmt: skip
    """Bring footage of CAMERA back from the second disk or bucket to the first disk, in whole segments.

    Reading needs none of this: moved footage is read where it lies. Interrupted, it keeps what is back by then.
    """
    from trueframe.client import connect

    done: BringBackFootageResponse | None = None
    with connect(data) as tf, bar(f"bringing back {camera}", is_shown=not as_json) as progress:
        for done in tf.footage.bring_back(camera, from_ns, to_ns, keep_s):
            if progress is not None:
                progress(done.bytes_done, done.size_bytes, camera)
    assert done is not None  # a call without an answer fails
    came = done.segments_done - len(done.problems)
    if as_json:
        show_json(
            {
                "camera": camera,
                "segments": came,
                "bytes": done.bytes_done,
                "present": done.present,
                "until_ns": done.until_ns,
                "until": show_time(done.until_ns),
                "problems": list(done.problems),
            }
        )
    elif came or done.problems or done.present:
        click.echo(f"{camera}: {came} segments ({amount(done.bytes_done, 'bytes')}) brought back, {done.present} were "
                   f"there; they stay until {show_time(done.until_ns)}")  # fmt: skip
    tell_findings(f"footage of {camera}", list(done.problems), as_json=as_json)


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
