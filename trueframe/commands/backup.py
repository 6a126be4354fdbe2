"""`trueframe backup`: footage copied into a folder."""

from __future__ import annotations

from pathlib import Path

import click

from mesh.amounts import amount
from trueframe.commands.options import Moment, data_option, json_option, show_json
from trueframe.commands.progress import bar, tell_findings


@click.command("backup")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--since", "since_ns", type=Moment(), default=0, metavar="TIME", help='Footage from then on: "-2d".')
@click.option("--check", "checks", is_flag=True, help="Copy nothing; compare what is in FOLDER with its digests.")
@json_option
@data_option
def command(data: str, folder: Path, cameras: tuple[str, ...], since_ns: int, checks: bool, as_json: bool) -> None:
    """Copy footage into FOLDER: closed segments with their seals, each verified. Run again, it copies what is new.

    Keys, events and settings are not footage: keep copies of the data folder's keys by other means.
    """
    from media_center.backup.client import back_up, check_backup, copy_records
    from mesh.config import load
    from trueframe.client import connect

    if checks:
        with bar("checking", is_shown=not as_json) as progress:
            segments, findings = check_backup(folder, cameras, progress)
        if as_json:
            show_json({"folder": str(folder), "segments": segments, "findings": findings})
        else:
            click.echo(f"{folder}: {segments} segments, {len(findings) or 'none'} of them not as copied")
        tell_findings(f"backup {folder}", findings, as_json=as_json)
        return
    with connect(data) as tf:
        with bar("copying", is_shown=not as_json) as progress:
            done = back_up(tf.footage, folder, cameras, since_ns, progress)
        footage_dir = load(Path(tf.running.config)).footage_dir
        named = cameras or [path.name for path in (folder / "media").iterdir() if path.is_dir()]
        copy_records(Path(tf.running.data), footage_dir, folder, named)
    if as_json:
        show_json(
            {
                "folder": str(folder),
                "copied": done.copied,
                "copied_bytes": done.copied_bytes,
                "present": done.present,
                "gone": done.gone,
                "findings": done.findings,
            }
        )
    else:
        size = amount(done.copied_bytes, "bytes")
        gone = f", {done.gone} deleted by retention meanwhile" if done.gone else ""
        click.echo(f"{folder}: {done.copied} segments copied ({size}), {done.present} were there{gone}")
    tell_findings(f"backup {folder}", done.findings, as_json=as_json)
