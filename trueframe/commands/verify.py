"""`trueframe verify`: whether footage, exports and snapshots are what was recorded. Needs no running instance."""

from __future__ import annotations

from pathlib import Path

import click

from trueframe.commands.options import data_option, json_option, show_json

_SHOWN_FINDINGS = 20


@click.command("verify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(path_type=Path))
@click.option(
    "--key", "keys", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
    help="Whose signatures are believed: a public key (PEM), or a key ring. Repeatable; a ring beside a key only adds "
    "what that key leads to.",
)  # fmt: skip
@json_option
@data_option
def command(paths: tuple[Path, ...], keys: tuple[Path, ...], data: str, as_json: bool) -> int:
    """Verify segments, folders of cameras, exports with their manifest, snapshots with their proof.

    Without --key, the key ring of the data folder is believed, if there is one. Exit code: 0 all good; 1 consistent,
    and signed by nobody known (or by nobody); 2 something is broken.
    """
    from media_center.client import read_trusted, verify_paths, worst
    from trueframe.layout import layout_of

    ring = layout_of(data).keys / "footage-keys.json"
    believed = keys or ((ring,) if ring.exists() else ())
    reports = verify_paths(paths, read_trusted(believed))
    for report in reports:
        if as_json:
            show_json(report.record())
            continue
        counts = f" ({report.segments} segments, {report.frames} frames)" if report.segments > 1 else ""
        signers = f", signed by {', '.join(sorted(report.signers))}" if report.signers else ""
        unknown = f", names unknown key {', '.join(sorted(report.unknown_signers))}" if report.unknown_signers else ""
        is_proved = report.is_signed and not report.has_unproved
        outcome = (
            report.outcome.text
            if is_proved or report.findings
            else "not signed"
            if not report.is_signed
            else "not all signed"
        )
        click.echo(f"{report.path}: {outcome}{counts}{signers}{unknown}")
        for finding in report.findings[:_SHOWN_FINDINGS]:
            click.echo(f"  {finding.text()}")
        if len(report.findings) > _SHOWN_FINDINGS:
            click.echo(f"  and {len(report.findings) - _SHOWN_FINDINGS} more; --json shows all")
        for note in report.notes:
            click.echo(f"  note: {note}")
    if not as_json and not believed:
        click.echo("No key was given: --key FILE names whose signatures are believed.", err=True)
    return int(worst(reports))
