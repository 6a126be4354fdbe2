"""`trueframe doctor`: what is wrong with machine, programs, secrets, store and instance, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import click

from trueframe.commands.options import data_option, json_option, show_json
from trueframe.doctor.finding import Finding, Level, exit_code

_MARKS = {Level.OK: "ok     ", Level.WARNING: "WARNING", Level.FAILURE: "FAILURE"}
_COLOURS = {Level.OK: None, Level.WARNING: "yellow", Level.FAILURE: "red"}


@click.command("doctor")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Configuration to examine, of a service in mesh mode; else that of the data folder.",
)  # fmt: skip
@json_option
@data_option
def command(data: str, as_json: bool, config_file: Path | None) -> None:
    """Examine this machine and the instance, whether it runs or not, and say what to do.

    Nothing is changed. Exit code 0 if all is well, 5 with warnings only, 1 with a failure.
    """
    from trueframe.doctor.examination import examine

    findings: list[Finding] = []
    area = ""
    for finding in examine(data, config_file):
        findings.append(finding)
        if as_json:
            show_json(finding.record())
            continue
        if finding.area != area:
            area = finding.area
            click.secho(area, bold=True)
        click.echo("  " + click.style(_MARKS[finding.level], fg=_COLOURS[finding.level]), nl=False)
        click.echo(f"  {finding.check}: {finding.text}")
        if finding.remedy:
            click.echo(f"           → {finding.remedy}")
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    if not as_json:
        click.echo(f"{counts[Level.OK]} ok, {counts[Level.WARNING]} warnings, {counts[Level.FAILURE]} failures")
    if code := exit_code(findings):
        raise click.exceptions.Exit(code)
