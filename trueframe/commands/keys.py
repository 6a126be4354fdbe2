"""`trueframe keys`: the keys that sign footage, shown and rotated."""

from __future__ import annotations

import time

import click

from mesh.errors import NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import show_time


@click.group("keys")
def command() -> None:
    """Show and rotate the keys that sign footage, exports and snapshots."""


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
