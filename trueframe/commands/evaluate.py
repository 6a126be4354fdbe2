"""`trueframe evaluate`: how good a detector is on labelled clips that anyone can bring."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesh.errors import InvalidArgument
from trueframe.commands.options import json_option, require_folder, show_json, show_table
from trueframe.commands.progress import bar

if TYPE_CHECKING:
    from detector_pool.client import Chosen, Dataset, Evaluation


@click.command("evaluate")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--detector", default="normality", show_default=True, metavar="NAME", help="Type of the detector.")
@click.option(
    "--model", type=click.Path(path_type=Path), metavar="PATH", help="Model folder or zip; none: trained here."
)
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the detector, as in TOML.")
@click.option(
    "--fps", type=click.FloatRange(0.1, 1000), help="Frames per second of the clips. [the video's own, else 10]"
)
@click.option(
    "--max-fps", type=click.FloatRange(0, 1000), default=0.0, help="Show the detector no more of them a second."
)
@click.option(
    "--shake", type=click.FloatRange(0, 50), default=0.0, metavar="PIXELS", help="Jitter test frames by this."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of shake and training.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Write scores and labels as PNG.")
@click.option("--scores", type=click.Path(path_type=Path), metavar="FILE", help="Write clip,frame,label,score as CSV.")
@json_option
def command(
    folder: Path,
    detector: str,
    model: Path | None,
    options: tuple[str, ...],
    fps: float | None,
    max_fps: float,
    shake: float,
    seed: int,
    plot: Path | None,
    scores: Path | None,
    as_json: bool,
) -> None:
    """Run a detector over the labelled clips in FOLDER and say how well it tells normal from abnormal.

    FOLDER has train/CLIP/ and test/CLIP/ (numbered pictures, or one video each), labels/CLIP.csv with a line of 0 or 1
    per frame, and boxes/CLIP.csv where boxes are known. Normality is trained on train/, if there is no --model.
    """
    from detector_pool.client import choose, evaluate, open_dataset

    for file in (plot, scores):
        if file is not None:
            require_folder(str(file))
    given = _options(options)
    dataset = open_dataset(folder, fps)
    is_shown = not as_json
    for note in dataset.notes:
        click.echo(f"note: {note}", err=True)
    with bar("training", is_shown=is_shown and bool(dataset.train)) as told:
        tell = None if told is None else lambda done, whole: told(done, whole, "")
        chosen = choose(detector, dataset, model=model, options=given, max_fps=max_fps, seed=seed, progress=tell)
    with bar("testing ", is_shown=is_shown) as told:
        tell = None if told is None else lambda done, whole: told(done, whole, "")
        found = evaluate(dataset, chosen.detector, shake=shake, max_fps=max_fps, seed=seed, progress=tell)
    if plot is not None:
        from trueframe.score_plot import score_plot

        shaken = f", shaken by {shake:g} px" if shake else ""
        plot.write_bytes(score_plot(found, f"{folder.resolve().name}{shaken}"))
    if scores is not None:
        _write_scores(scores, found)
    if as_json:
        show_json(record(dataset, chosen, found, shake, seed))
        return
    _show(chosen, found)


def record(dataset: Dataset, chosen: Chosen, found: Evaluation, shake: float, seed: int) -> dict[str, object]:
    """The evaluation as a JSON object. Areas are fractions; null where they are not defined."""
    regions = found.regions
    return {
        "folder": str(dataset.folder),
        "detector": found.detector,
        "train_clips": len(dataset.train),
        "trained_on_frames": chosen.trained_on,
        "dropped_from_training": list(chosen.odd),
        "test_clips": len(found.clips),
        "frames": found.frames,
        "abnormal_frames": found.abnormal,
        "micro_auc": found.micro_auc,
        "macro_auc": found.macro_auc,
        "macro_clips": found.macro_clips,
        "rbdc": None if regions is None else regions.rbdc,
        "tbdc": None if regions is None else regions.tbdc,
        "rates": [
            {
                "false_alarms_per_hour": row.rate_per_hour,
                "threshold": row.threshold,
                "provisional": row.is_provisional,
                "events": row.events,
                "found": row.found,
                "delay_s": row.delay_s,
                "false_alarms": row.false_alarms,
            }
            for row in found.rates
        ],
        "frames_per_second": round(found.frames_per_second, 1),
        "frames_per_cpu_second": round(found.frames_per_cpu_second, 1),
        "position_auc": found.leakage,
        "shake_px": shake,
        "seed": seed,
        "unscored": dict(found.unscored),
        "warnings": found.warnings,
        "notes": list(dataset.notes),
        "clips": [
            {
                "clip": one.name,
                "frames": int(one.timed.scored.labels.size),
                "abnormal_frames": int(one.timed.scored.labels.sum()),
                "auc": one.auc,
            }
            for one in found.clips
        ],
    }


def _show(chosen: Chosen, found: Evaluation) -> None:
    if chosen.trained_on:
        click.echo(f"{found.detector}: trained on {chosen.trained_on} frames")
        for odd in chosen.odd:
            click.echo(f"  dropped from training: {odd}")
    show_table(
        ("CLIP", "FRAMES", "ABNORMAL", "AUC"),
        [
            (one.name, one.timed.scored.labels.size, int(one.timed.scored.labels.sum()), _percent(one.auc))
            for one in found.clips
        ],
    )
    click.echo("")
    click.echo(f"ROC AUC micro  {_percent(found.micro_auc)}  over {found.frames} frames of all clips together")
    click.echo(f"ROC AUC macro  {_percent(found.macro_auc)}  mean of the {found.macro_clips} clips with both classes")
    if found.regions is not None:
        click.echo(f"RBDC           {_percent(found.regions.rbdc)}")
        click.echo(f"TBDC           {_percent(found.regions.tbdc)}")
    speeds = f"{found.frames_per_second:.0f} frames per second, {found.frames_per_cpu_second:.0f} per CPU-second"
    click.echo(f"speed          {speeds}, without reading pictures")
    if found.unscored:
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.unscored.items())
        click.echo(
            f"without score  {reasons}; they keep the score before them, a clip's first ones take its first score"
        )
    click.echo("")
    show_table(
        ("FALSE ALARMS PER HOUR", "THRESHOLD", "EVENTS FOUND", "MEDIAN DELAY", "FALSE ALARMS"),
        [
            (
                f"{row.rate_per_hour:g}",
                f"{row.threshold:.3f}{' provisional' if row.is_provisional else ''}",
                f"{row.found} of {row.events}",
                "-" if row.delay_s is None else f"{row.delay_s:.1f} s",
                row.false_alarms,
            )
            for row in found.rates
        ],
    )
    if any(row.is_provisional for row in found.rates):
        click.echo("provisional: too few normal frames for this rate; a tenth above their highest score, in odds")
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)


def _write_scores(file: Path, found: Evaluation) -> None:
    with file.open("w", encoding="utf-8") as lines:
        lines.write("clip,frame,label,score\n")
        for one in found.clips:
            scored = one.timed.scored
            for frame, (label, score) in enumerate(zip(scored.labels.tolist(), scored.scores.tolist(), strict=True)):
                lines.write(f"{one.name},{frame},{int(label)},{score!r}\n")


def _options(given: tuple[str, ...]) -> dict[str, Any]:
    try:
        return tomllib.loads("\n".join(given))
    except tomllib.TOMLDecodeError as error:
        remedy = "Write NAME=VALUE as in TOML: --option sensitivity=0.7, --option 'mode=\"strict\"'."
        raise InvalidArgument("--option", f"cannot be read: {error}", remedy) from None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
