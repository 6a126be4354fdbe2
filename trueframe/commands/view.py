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
    from trueframe.site import VARIABLE, site_of_environment

    named = ["--token", token] if token else []
    if site_of_environment() is not None:
        where = ["--config", os.environ[VARIABLE]]
    else:
        find_running(data)
        where = ["--data", data]
    os.execv(sys.executable, [sys.executable, "-m", "tui", *where, *named])
