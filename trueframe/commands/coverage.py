"""`trueframe coverage`: how many frames of a camera were captured, recorded and inspected, and why others were not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument, NotFound
from trueframe.commands.options import Moment, data_option, json_option, show_json, show_table
from trueframe.times import parse_duration, show_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueframe.client import Client
    from trueframe.v1.footage_pb2 import ListRecordingsResponse
    from trueframe.v1.inspection_pb2 import CoverageRow

MINUTE_NS = 60_000_000_000
_MOST_RESTS = 200


class Row(click.ParamType[int]):
    """A length of time in whole minutes, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads "10m", "1h". Raises InvalidArgument."""
        if isinstance(value, int):
            return value
        seconds = parse_duration(str(value))
        if seconds <= 0 or seconds % 60:
            raise InvalidArgument(f"rows of {value}", "are not whole minutes", 'Write "1m", "10m" or "1h".')
        return int(seconds)


@click.command("coverage")
@click.argument("camera")
@click.option("--from", "from_ns", type=Moment(), default=0, metavar="TIME", help='From: "-10m", "12:30". All if none.')
@click.option("--to", "to_ns", type=Moment(), default=0, metavar="TIME", help="To this time; now if left out.")
@click.option("--every", "every_s", type=Row(), default=0, metavar="DURATION", help='A row for each "1m", "1h" …')
@json_option
@data_option
def command(data: str, camera: str, from_ns: int, to_ns: int, every_s: int, as_json: bool) -> None:
    """Say how completely CAMERA was recorded and inspected: every frame has a score, or a reason why not."""
    from trueframe.client import connect
    from trueframe.commands.records import coverage_record

    to_ns = to_ns or time.time_ns()
    if from_ns >= to_ns:
        raise InvalidArgument("range", "is empty", "Let --from be before --to.")
    with connect(data) as tf:
        # The footage is asked once for each stretch, so that rows stand beside what was recorded in them.
        rows = tf.ledger.coverage(camera, from_ns=from_ns, to_ns=to_ns, bucket_s=every_s)
        stretches = sorted({(row.from_ns, row.to_ns) for row in rows}) if every_s else [(from_ns, to_ns)]
        counts = {stretch: _recorded(tf.footage.recordings([camera], *stretch)) for stretch in stretches}
        records = []
        for row in rows:
            recorded = counts.get((row.from_ns, row.to_ns)) or counts[stretches[0]]
            rested = _rested(tf, camera, row, recorded.frames)
            records.append(coverage_record(row, recorded.captured, recorded.frames, recorded.is_known, rested))
    if as_json:
        for record in records:
            show_json(record)
        return
    if not records:
        raise NotFound(f"camera {camera}", "was not inspected in that time")
    show_table(
        ("INSPECTION", "FROM", "TO", "CAPTURED", "RECORDED", "INSPECTED", "SHARE", "NOT INSPECTED BECAUSE"),
        [
            (
                record["inspection"],
                _minute(row.from_ns) if row.from_ns else "-",
                _minute(row.to_ns),
                f"{record['captured']}{'' if record['captured_is_known'] else ' or more'}",
                record["recorded"],
                record["scored"],
                f"{100 * _share(record['scored'], record['captured']):.1f} %",
                _reasons(record["not_scored"], record["not_inspected"]),
            )
            for record, row in zip(records, rows, strict=True)
        ],
    )
    _say_behind(records)


def _minute(utc_ns: int) -> str:
    text = show_time(utc_ns)
    return text[:19] + text[23:]


def _share(part: object, whole: object) -> float:
    return int(str(part)) / int(str(whole)) if whole else 0.0


def _reasons(counts: object, rested: object) -> str:
    assert isinstance(counts, dict)
    assert isinstance(rested, dict)
    told = [f"{count} {reason.replace('_', ' ')}" for reason, count in counts.items()]
    return ", ".join([*told, *(f"{count} {why}" for why, count in rested.items())]) or "-"


def _rested(tf: Client, camera: str, row: CoverageRow, recorded: int) -> dict[str, int]:
    """Recorded frames of times in which the inspection was not carried out, by why."""
    found: dict[str, int] = {}
    spoken = row.scored + sum(one.frames for one in row.not_scored)
    for rest in row.rests[:_MOST_RESTS]:
        is_all = rest.from_ns <= row.from_ns and rest.to_ns >= row.to_ns
        frames = recorded
        if not is_all:
            frames = _recorded(tf.footage.recordings([camera], rest.from_ns, rest.to_ns - 1)).frames
        # At the edges frames were spoken of before the order was carried out.
        frames = min(frames, max(recorded - spoken - sum(found.values()), 0))
        if frames:
            found[rest.why] = found.get(rest.why, 0) + frames
    return found


def _say_behind(records: Sequence[dict[str, object]]) -> None:
    missing = [
        (r["inspection"], r["unspoken"]) for r in records if isinstance(r["unspoken"], int) and r["unspoken"] > 0
    ]
    for inspection, count in missing:
        click.echo(f"{inspection}: of {count} recorded frames nothing was said: not inspected then, or too new.")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the footage knows of a stretch of time. `captured`: frames that the broker minted, as far as known."""

    frames: int
    captured: int
    is_known: bool


def _recorded(spans: ListRecordingsResponse) -> Recorded:
    """Frames in the footage, and with those that are known to be missing between them."""
    frames = sum(recording.frames for recording in spans.recordings)
    missing = sum(gap.count for gap in spans.gaps if gap.HasField("count"))
    return Recorded(frames, frames + missing, all(gap.HasField("count") for gap in spans.gaps))
