"""`trueframe verify`: whether footage, exports and snapshots are what was recorded. Needs no running instance."""

from __future__ import annotations

import contextlib
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
@click.option("--fetch", is_flag=True, help="Read what lies in a bucket, too, as the instance of --data would.")
@json_option
@data_option
def command(paths: tuple[Path, ...], keys: tuple[Path, ...], fetch: bool, data: str, as_json: bool) -> int:
    """Verify segments, folders of cameras, exports with their manifest, snapshots with their proof.

    Without --key, the key ring of the data folder is believed, if there is one. Segments that were moved to a second
    folder are read there; those in a bucket with --fetch. Exit code: 0 all good; 1 consistent, and signed by nobody
    known (or by nobody), or not all of it could be reached; 2 something is broken.
    """
    from media_center.client import read_trusted, verify_paths, worst
    from trueframe.layout import layout_of

    ring = layout_of(data).keys / "footage-keys.json"
    believed = keys or ((ring,) if ring.exists() else ())
    trusted = read_trusted(believed)
    with _reaching_buckets(data) if fetch else contextlib.nullcontext():
        reports = verify_paths(paths, trusted)
    for report in reports:
        if as_json:
            show_json(report.record())
            continue
        counts = f" ({report.segments} segments, {report.frames} frames)" if report.segments > 1 else ""
        signers = f", signed by {', '.join(sorted(report.signers))}" if report.signers else ""
        unknown = f", names unknown key {', '.join(sorted(report.unknown_signers))}" if report.unknown_signers else ""
        click.echo(f"{report.path}: {report.text}{counts}{signers}{unknown}")
        for finding in report.findings[:_SHOWN_FINDINGS]:
            click.echo(f"  {finding.text()}")
        if len(report.findings) > _SHOWN_FINDINGS:
            click.echo(f"  and {len(report.findings) - _SHOWN_FINDINGS} more; --json shows all")
        for note in report.notes:
            click.echo(f"  note: {note}")
    if not as_json and not believed:
        click.echo("No key was given: --key FILE names whose signatures are believed.", err=True)
    if not as_json and not fetch and any("s3://" in place for report in reports for place in report.elsewhere):
        click.echo("--fetch reads what lies in a bucket, too.", err=True)
    return int(worst(reports))


def _reaching_buckets(data: str) -> contextlib.AbstractContextManager[None]:
    """The bucket of an instance, as its configuration names it. Raises FailedPrecondition."""
    from media_center.client import fetching
    from mesh.config import load
    from mesh.errors import FailedPrecondition
    from trueframe.layout import layout_of

    layout = layout_of(data)
    if not layout.config.is_file():
        raise FailedPrecondition(
            f"data folder {layout.data}", "has no configuration of an instance", "Name the instance with --data."
        )
    config = load(layout.config, [f"run.data_dir={layout.data}"])
    return fetching(config.footage_dir, config.media_center)
