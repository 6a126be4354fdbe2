"""`trueframe train --due`: models that are old, or whose scores have drifted, are trained anew. For a timer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mesh.errors import TrueframeError
from trueframe.commands.options import show_json
from trueframe.commands.training import publish, trained
from trueframe.retraining import DAY_NS, Standing, is_tried, sampled_minutes, standings, why_due

if TYPE_CHECKING:
    from aggregate.client import Drift
    from trueframe.client import Client

SECOND_NS = 1_000_000_000


def train_due(data: str, camera: str, max_age_s: float, trial_s: float, seed: int, *, as_json: bool) -> None:
    """Promotes what was tried for long enough, then trains what is due. One that fails does not keep the others back.

    Raises the first error of those there were, behind all the work.
    """
    from trueframe.client import connect

    problems: list[TrueframeError] = []
    with connect(data) as tf:
        inspections = [one.inspection for one in tf.inspections.list()]
        found = standings(inspections, tf.models.list(), camera)
        if not found and not as_json:
            click.echo("No normality inspection runs: `trueframe inspections start CAMERA.normality` starts one.")
        for standing in found:
            try:
                told = promoted(tf, standing, trial_s) or retrained(tf, standing, max_age_s, seed, is_shown=not as_json)
            except TrueframeError as error:
                problems.append(error)
                told = f"failed: {error}"
            if as_json:
                show_json({"inspection": standing.inspection.id, "model": standing.model, "told": told})
            else:
                click.echo(f"{standing.inspection.id}: {told}")
    if problems:
        raise problems[0]


def promoted(tf: Client, standing: Standing, trial_s: float) -> str:
    """Lets what was tried for long enough speak; tells so, or "" if nothing was."""
    from aggregate.client import RolloutStep

    if not is_tried(standing, time.time_ns(), round(trial_s * SECOND_NS)):
        return ""
    _, gates = tf.models.roll_out(standing.model, RolloutStep.PROMOTE, standing.shadow)
    return f"{standing.shadow[:12]} speaks now. {' '.join(gate.sentence for gate in gates)}".strip()


def retrained(tf: Client, standing: Standing, max_age_s: float, seed: int, *, is_shown: bool) -> str:
    """Trains what is due and publishes it; tells what came of it."""
    now_ns = time.time_ns()
    drift = _drift(tf, standing, now_ns) if standing.version is not None else None
    why = why_due(standing, drift, now_ns, round(max_age_s * SECOND_NS))
    if not why:
        return f"not due; {drift.sentence}" if drift is not None else "not due"
    camera = standing.inspection.camera
    made = trained(tf, camera, now_ns - DAY_NS, now_ns, seed, like=standing.inspection, is_shown=is_shown)
    return f"{why}. {publish(tf, made).sentence}"


def _drift(tf: Client, standing: Standing, now_ns: int) -> Drift:
    """The last day's scores against those of the day after the model was added."""
    from aggregate.client import drift

    assert standing.version is not None
    added_ns = standing.version.added_ns
    reference = _scores(tf, standing, added_ns, min(added_ns + DAY_NS, now_ns))
    return drift(reference, _scores(tf, standing, max(now_ns - DAY_NS, added_ns), now_ns))


def _scores(tf: Client, standing: Standing, from_ns: int, to_ns: int) -> list[float]:
    """What this very version said in some minutes of a range."""
    assert standing.version is not None
    short = standing.version.digest[:12]
    found = []
    for first_ns, last_ns in sampled_minutes(from_ns, to_ns):
        entries = tf.ledger.read(
            standing.inspection.camera, inspection=standing.inspection.id, from_ns=first_ns, to_ns=last_ns
        )
        found += [
            entry.verdict.score
            for entry in entries
            if not entry.verdict.reason and entry.detector.partition(":")[2].startswith(short)
        ]
    return found
