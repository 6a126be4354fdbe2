"""`trueframe reinspect --model`: another model over recorded frames, beside what was said of them then."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument
from trueframe.commands.options import show_json, show_table
from trueframe.times import show_time

if TYPE_CHECKING:
    from detector_pool.client import Again, Observation

COLUMNS = ("inspection", "frame", "received_ns", "then", "now", "difference", "then_reason", "now_reason", "crosses")


@dataclass(slots=True)
class Difference:
    """How the scores of two versions differ on one inspection's frames."""

    inspection: str
    threshold: float
    """Of today."""
    before: str = ""
    """Who spoke then."""
    frames: int = 0
    both: int = 0
    """Frames that both scored."""
    only_then: int = 0
    only_now: int = 0
    summed: float = 0.0
    greatest: float = 0.0
    greatest_at: str = ""
    above_then: int = 0
    above_now: int = 0
    crossings: int = 0
    """Frames that only one of the two has above the threshold."""
    rows: list[dict[str, object]] = field(default_factory=list)

    def take(self, again: Again) -> dict[str, object]:
        """Counts a frame; returns it as a row."""
        then, now = _score(again.then), _score(again.now)
        self.frames += 1
        self.before = self.before or again.detector
        self.above_then += then is not None and then >= self.threshold
        self.above_now += now is not None and now >= self.threshold
        crosses = (then is not None and then >= self.threshold) != (now is not None and now >= self.threshold)
        self.crossings += crosses
        difference: float | None = None
        if then is not None and now is not None:
            difference = now - then
            self.both += 1
            self.summed += abs(difference)
            if abs(difference) > self.greatest:
                self.greatest, self.greatest_at = abs(difference), str(again.id)
        else:
            self.only_then += then is not None
            self.only_now += now is not None
        return {
            "inspection": self.inspection,
            "frame": str(again.id),
            "received_ns": again.received_ns,
            "then": then,
            "now": now,
            "difference": difference,
            "then_reason": _reason(again.then),
            "now_reason": _reason(again.now),
            "crosses": crosses,
        }

    def record(self, after: str) -> dict[str, object]:
        """As a JSON object."""
        return {
            "kind": "difference",
            "inspection": self.inspection,
            "then": self.before,
            "now": after,
            "threshold": self.threshold,
            "frames": self.frames,
            "both_scored": self.both,
            "only_then": self.only_then,
            "only_now": self.only_now,
            "mean_difference": self.summed / self.both if self.both else None,
            "greatest_difference": self.greatest,
            "greatest_at": self.greatest_at,
            "above_then": self.above_then,
            "above_now": self.above_now,
            "crossings": self.crossings,
        }


def show_difference(
    found: Iterable[Again], difference: Difference, after: str, *, each_frame: bool, as_json: bool, file: Path | None
) -> None:
    """Runs through the frames, shows or writes each that is asked for, and tells the sums."""
    rows: Iterator[dict[str, object]] = (difference.take(again) for again in found)
    if file is not None:
        rows = _written(rows, file)
    for row in rows:
        if each_frame and as_json:
            show_json({"kind": "frame", **row})
        elif each_frame:
            click.echo(_line(row))
    if as_json:
        show_json(difference.record(after))
        return
    mean = f"{difference.summed / difference.both:.4f}" if difference.both else "-"
    show_table(
        (
            "INSPECTION",
            "THEN",
            "NOW",
            "FRAMES",
            "BOTH SCORED",
            "MEAN DIFFERENCE",
            "GREATEST",
            "ABOVE THEN",
            "ABOVE NOW",
        ),
        [
            (
                difference.inspection,
                difference.before or "-",
                after,
                difference.frames,
                difference.both,
                mean,
                f"{difference.greatest:.4f}{' at ' + difference.greatest_at if difference.greatest_at else ''}",
                difference.above_then,
                difference.above_now,
            )
        ],
    )
    if difference.crossings:
        click.echo(f"{difference.crossings} frames are above the threshold of {difference.threshold:g} with only one.")


def _written(rows: Iterable[dict[str, object]], file: Path) -> Iterator[dict[str, object]]:
    try:
        with file.open("w", encoding="utf-8", newline="") as output:
            writer = csv.DictWriter(output, COLUMNS)
            writer.writeheader()
            for row in rows:
                writer.writerow({name: "" if value is None else value for name, value in row.items()})
                yield row
    except IsADirectoryError:
        raise InvalidArgument(f"file {file}", "is a folder", "Name a file with --csv.") from None


def _line(row: dict[str, object]) -> str:
    received_ns = row["received_ns"]
    assert isinstance(received_ns, int)
    then = row["then_reason"] or f"{row['then']:.4f}"
    now = row["now_reason"] or f"{row['now']:.4f}"
    word = f"{row['difference']:+.4f}" if row["difference"] is not None else "-"
    moment = show_time(received_ns) if received_ns else "-"
    mark = "  CROSSES" if row["crosses"] else ""
    return f"{row['inspection']}  {row['frame']}  {moment}  then {then}  now {now}  {word}{mark}"


def _score(observation: Observation | None) -> float | None:
    return observation.score if observation is not None and observation.reason is None else None


def _reason(observation: Observation | None) -> str:
    if observation is None:
        return "not recorded"
    return "" if observation.reason is None else observation.reason.value
