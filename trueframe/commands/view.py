"""`trueframe tui`: the terminal wall of a running instance."""

from __future__ import annotations

import os
import sys

import click

from trueframe.commands.options import data_option


@click.command("tui")
@click.option("--token", metavar="FILE", envvar="TRUEFRAME_TOKEN_FILE", help="Whose rights the view has; else yours.")
@data_option
def command(data: str, token: str | None) -> None:
    """Open the terminal wall. Leaving it leaves the instance running."""
    from trueframe.running import find_running

    find_running(data)
    named = ["--token", token] if token else []
    os.execv(sys.executable, [sys.executable, "-m", "tui", "--data", data, *named])
