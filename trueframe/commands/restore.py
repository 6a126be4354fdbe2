"""`trueframe restore`: the footage of a backup put back into an instance that does not run."""

from __future__ import annotations

from pathlib import Path

import click

from mesh.amounts import amount
from mesh.errors import FailedPrecondition
from trueframe.commands.options import data_option, json_option, show_json
from trueframe.commands.progress import bar, tell_findings


@click.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--replace", "replaces", is_flag=True, help="Overwrite segments that are there and differ.")
@json_option
@data_option
def command(data: str, folder: Path, cameras: tuple[str, ...], replaces: bool, as_json: bool) -> None:
    """Put the footage of a backup back into an instance that does not run; its catalogue is made anew."""
    from media_center.backup.client import restore
    from mesh.config import load
    from mesh.files import private_folder
    from trueframe.layout import layout_of
    from trueframe.preflight import AlreadyRunning, take_lock

    layout = layout_of(data)
    layout.data.mkdir(parents=True, exist_ok=True)
    private_folder(layout.run)
    try:
        lock = take_lock(layout)
    except AlreadyRunning:
        raise FailedPrecondition(
            f"data folder {layout.data}", "trueframe runs on it", "Stop it first, or name another folder with --data."
        ) from None
    with lock, bar("restoring", is_shown=not as_json) as progress:
        config = load(layout.config if layout.config.is_file() else None, [f"run.data_dir={layout.data}"])
        done = restore(folder, layout.data, config.footage_dir, cameras, replaces=replaces, progress=progress)
    if as_json:
        show_json(
            {
                "folder": str(folder),
                "data": str(layout.data),
                "restored": done.restored,
                "restored_bytes": done.restored_bytes,
                "present": done.present,
                "cameras": sorted(done.cameras),
                "brought_keys": done.brought_keys,
                "findings": done.findings,
            }
        )
    else:
        size = amount(done.restored_bytes, "bytes")
        click.echo(
            f"{config.footage_dir}: {done.restored} segments of {len(done.cameras)} cameras restored ({size}), "
            f"{done.present} were there"
        )
    tell_findings(f"backup {folder}", done.findings, as_json=as_json)
