"""`trueframe keys`: the keys that sign footage, shown and rotated; and a new key for camera passwords."""

from __future__ import annotations

import time
from pathlib import Path

import click

from mesh.errors import NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import show_time


@click.group("keys")
def command() -> None:
    """Show and rotate the keys that sign footage, exports and snapshots, and the one that seals camera passwords."""


@command.command("list")
@json_option
@data_option
def list_keys(data: str, as_json: bool) -> None:
    """List every key that signed footage here, oldest first; the last one is in use."""
    from media_center.client import KeyRing
    from trueframe.layout import layout_of

    path = layout_of(data).keys / "footage-keys.json"
    ring = KeyRing.read(path)
    if as_json:
        for entry in ring.keys:
            show_json({"id": entry.id.hex(), "from_ns": entry.from_ns, "predecessor": entry.predecessor.hex()})
        return
    if not ring.keys:
        raise NotFound(f"key ring {path}", "is empty")
    show_table(
        ("key", "signs since", "taken over from"),
        [(entry.id.hex(), show_time(entry.from_ns), entry.predecessor.hex() or "-") for entry in ring.keys],
    )


@command.command("rotate-footage")
@json_option
@data_option
def rotate_footage(data: str, as_json: bool) -> None:
    """Make a new key for footage. The present one signs that it hands over, and is destroyed.

    A running instance takes the new key up by itself. Copy footage-signing.pub and footage-keys.json to wherever
    footage is verified.
    """
    from media_center.client import rotate_footage_key
    from trueframe.layout import layout_of

    keys = layout_of(data).keys
    entry = rotate_footage_key(keys, time.time_ns())
    if as_json:
        show_json({"id": entry.id.hex(), "from_ns": entry.from_ns, "predecessor": entry.predecessor.hex()})
        return
    click.echo(f"{keys / 'footage-signing.pub'}: key {entry.id.hex()} signs from now on, handed over by "
               f"{entry.predecessor.hex()}")  # fmt: skip


@command.command("rotate-credentials")
@click.option("--lost", is_flag=True, help="The present key is lost or damaged: begin anew; passwords are given again.")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration of the broker, in mesh mode.")
@json_option
@data_option
def rotate_credentials(data: str, lost: bool, config: Path | None, as_json: bool) -> None:
    """Make a new key for camera passwords. A running broker seals them anew within seconds and drops the old key.

    A broker that does not run does so at its start. Keep a copy of the file where no copy of the data is.
    """
    from mesh.config import load
    from mesh.secrets_at_rest import SealingKeys
    from trueframe.layout import layout_of

    if config is not None:
        path = load(config).credentials_key_file
    else:
        running = layout_of(data).config
        path = load(running).credentials_key_file if running.exists() else layout_of(data).keys / "credentials.key"
    key = SealingKeys(path).rotate(is_lost=lost)
    if as_json:
        show_json({"id": key, "file": str(path)})
        return
    click.echo(f"{path}: key {key} seals camera passwords from now on")
    if lost:
        click.echo("Give each camera its password again: `trueframe cameras set ID --source URL`")
