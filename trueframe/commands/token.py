"""`trueframe token`: a token for somebody else, made with the key of the data folder."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import click

from mesh.errors import InvalidArgument
from trueframe.commands.options import data_option, require_folder
from trueframe.times import parse_duration, show_duration

ROLES = ("viewer", "operator", "maintainer", "administrator")


@click.command("token")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="What its bearer may do.")
@click.option("--camera", "cameras", multiple=True, help="Only these cameras; all when left out.")
@click.option("--for", "lifetime", default="30d", show_default=True, metavar="DURATION", help="How long it holds.")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to write it (0600); - is standard output.")
@data_option
def command(data: str, name: str, role: str, cameras: tuple[str, ...], lifetime: str, output: str) -> None:
    """Make a token that names NAME. Use it with $TRUEFRAME_TOKEN_FILE, or `trueframe tui --token FILE`."""
    require_folder(output)
    from mesh.files import write_private
    from mesh.tokens import load_signing_key, mint_token
    from trueframe.layout import layout_of

    seconds = parse_duration(lifetime)
    if seconds <= 0:
        raise InvalidArgument(f"lifetime {lifetime!r}", "is nothing", "Give --for 8h, for example.")
    key = load_signing_key(layout_of(data).keys / "signing.key")
    text = mint_token(key, name, role, cameras or None, timedelta(seconds=seconds))
    if output == "-":
        sys.stdout.write(f"{text}\n")
        return
    write_private(Path(output), text.encode())
    scope = ", ".join(cameras) if cameras else "all cameras"
    click.echo(f"{output}: {name}, {role}, {scope}, for {show_duration(seconds)}")
