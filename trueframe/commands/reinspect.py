"""`trueframe reinspect`: recorded frames shown to the detector again, and compared with what the ledger says."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument, NotFound
from trueframe.commands.options import Moment, data_option, json_option, require_folder, show_json, show_table
from trueframe.times import show_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from aggregate.client import Inspection
    from detector_pool.client import Again, Observation
    from trueframe.client import Client

# Another model begins from nothing: it is shown so much before the range, and is warm when the range begins.
_LEAD_NS = 30_000_000_000


@click.command("reinspect")
@click.argument("camera")
@click.option("--from", "from_ns", type=Moment(), required=True, metavar="TIME", help='From: "-60s", "12:30:05".')
@click.option("--to", "to_ns", type=Moment(), required=True, metavar="TIME", help="To this time, included.")
@click.option("--inspection", "only", metavar="NAME", help="Only this one, CAMERA.DETECTOR; all of CAMERA if left out.")
@click.option("--frames", "each_frame", is_flag=True, help="A line for each frame, not only the sums.")
@click.option("--model", metavar="V", help="Another model: a folder or zip of one, or a published version.")
@click.option("--csv", "file", type=click.Path(path_type=Path), metavar="FILE", help="With --model: each frame as CSV.")
@json_option
@data_option
@click.pass_context
def command(
    context: click.Context,
    data: str,
    camera: str,
    from_ns: int,
    to_ns: int,
    only: str | None,
    each_frame: bool,
    model: str | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """Inspect recorded frames of CAMERA again, from the stored state before them, and compare the scores.

    Exit code 1 if a frame has another score than then, unless it is damaged or rests on something damaged. With --model
    another model looks at them, from half a minute earlier, and how its scores differ is told frame by frame.
    """
    from detector_pool.client import reinspect
    from trueframe.client import connect
    from trueframe.commands.which_model import opened_model

    if from_ns >= min(to_ns, time.time_ns()):
        raise InvalidArgument("range", "is empty, or still to come", "Let --from be before --to.")
    if file is not None and model is None:
        raise InvalidArgument("--csv", "is for differences of another model", "Give --model, or use --frames --json.")
    if file is not None:
        require_folder(str(file))
    sums = []
    with connect(data) as tf:
        names = [one.inspection.id for one in tf.inspections.list() if one.inspection.camera == camera]
        if not names or (only is not None and only not in names):
            remedy = "`trueframe inspections list` shows those that do."
            raise NotFound(f"inspection {only or f'of camera {camera}'}", "does not exist", remedy)
        if model is not None:
            _with_model(tf, camera, only, model, from_ns, to_ns, each_frame=each_frame, as_json=as_json, file=file)
            return
        for name in [only] if only is not None else names:
            total = Sum(name)
            found = reinspect(
                tf.ledger, tf.footage, camera, name, from_ns, to_ns, models=lambda short: opened_model(tf, short),
                progress=_progress(name),
            )  # fmt: skip
            for again in found:
                total.take(again)
                if each_frame:
                    _show_frame(name, again, as_json)
            sums.append(total)
    if as_json:
        for total in sums:
            show_json(total.record())
    else:
        show_table(
            ("INSPECTION", "FRAMES", "EQUAL", "DIFFERENT", "INEXACT", "NOT RECORDED", "LARGEST DIFFERENCE"),
            [
                (
                    one.inspection,
                    one.frames,
                    one.equal,
                    one.different,
                    one.inexact,
                    one.not_recorded,
                    f"{one.largest:g}",
                )
                for one in sums
            ],
        )
    context.exit(1 if any(total.different for total in sums) else 0)


def _with_model(
    tf: Client,
    camera: str,
    only: str | None,
    model: str,
    from_ns: int,
    to_ns: int,
    *,
    each_frame: bool,
    as_json: bool,
    file: Path | None,
) -> None:
    """Shows the frames to another model of the inspection's detector, and how its scores differ."""
    from detector_pool.client import made_for, models_of, reinspect
    from trueframe.commands.reinspect_with import Difference, show_difference
    from trueframe.commands.which_model import opened_model

    loaded = opened_model(tf, model)
    kind = str(loaded.manifest["detector"])
    label = str(loaded.manifest["name"])

    def takes_it(inspection: Inspection) -> bool:
        return inspection.detector == kind or label in models_of(inspection)

    statuses = [one for one in tf.inspections.list() if one.inspection.camera == camera]
    found = [one for one in statuses if only in (None, one.inspection.id) and takes_it(one.inspection)]
    if len(found) != 1:
        why = f"is of detector {kind}, and camera {camera} has {len(found)} such inspections"
        raise InvalidArgument(f"model {model}", why, "Name one with --inspection.")
    status = found[0]
    name = status.inspection.id
    # It takes the place of the inspection's own model, or of the one of its name; the others are those that speak.
    names = models_of(status.inspection)
    replaced = label if label in names else next(iter(names), "")
    others = [opened_model(tf, name) for name in names if name != replaced]
    detector = made_for(status.inspection, [loaded, *others])
    threshold = status.threshold_now or status.inspection.threshold or 0.5
    lead_ns = max(from_ns - _LEAD_NS, 0)
    again = reinspect(
        tf.ledger, tf.footage, camera, name, lead_ns, to_ns, detector=detector, progress=_progress(name)
    )  # fmt: skip
    frames = (one for one in again if one.received_ns >= from_ns)
    difference = Difference(name, threshold)
    show_difference(frames, difference, detector.name, each_frame=each_frame, as_json=as_json, file=file)


@dataclass(slots=True)
class Sum:
    """Frames of one inspection, compared. `inexact`: they may decode otherwise, and gave another score."""

    inspection: str
    frames: int = 0
    equal: int = 0
    different: int = 0
    inexact: int = 0
    not_recorded: int = 0
    largest: float = 0.0

    def take(self, again: Again) -> None:
        """Counts a frame."""
        self.frames += 1
        if again.now is None:
            self.not_recorded += 1
        elif again.is_equal:
            self.equal += 1
        else:
            self.inexact += again.is_inexact
            self.different += not again.is_inexact
            self.largest = max(self.largest, abs(again.then.score - again.now.score))

    def record(self) -> dict[str, object]:
        """As a JSON object."""
        return {
            "kind": "sum",
            "inspection": self.inspection,
            "frames": self.frames,
            "equal": self.equal,
            "different": self.different,
            "inexact": self.inexact,
            "not_recorded": self.not_recorded,
            "largest_difference": self.largest,
        }


def _said(observation: Observation | None) -> dict[str, object] | None:
    if observation is None:
        return None
    has_score = observation.reason is None
    return {
        "score": observation.score if has_score else None,
        "reason": None if observation.reason is None else observation.reason.value,
    }


def _text(observation: Observation | None) -> str:
    if observation is None:
        return "not recorded"
    return f"{observation.score:.4f}" if observation.reason is None else observation.reason.value


def _show_frame(inspection: str, again: Again, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "kind": "frame",
                "inspection": inspection,
                "frame": str(again.id),
                "received_ns": again.received_ns,
                "detector": again.detector,
                "then": _said(again.then),
                "now": _said(again.now),
                "equal": again.is_equal,
                "inexact": again.is_inexact,
            }
        )
        return
    word = "equal" if again.is_equal else "inexact" if again.is_inexact else "DIFFERENT"
    moment = show_time(again.received_ns) if again.received_ns else "-"
    click.echo(f"{inspection}  {again.id}  {moment}  then {_text(again.then)}  now {_text(again.now)}  {word}")


def _progress(name: str) -> Callable[[int, int], None] | None:
    """Tells a terminal how far it is, four times a second; says nothing to a pipe."""
    if not sys.stderr.isatty():
        return None
    told = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > 0.25 or done >= total:
            told = now
            gone = "\r\x1b[K" if done >= total else ""
            click.echo(f"\r{name}: {done} of {total} frames\x1b[K{gone}", err=True, nl=False)

    return tell
