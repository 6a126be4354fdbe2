"""`trueframe simulate`: the simulator in the foreground."""

from __future__ import annotations

import os
import sys

import click


@click.command(
    "simulate", context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Serve simulated RTSP cameras until interrupted: trueframe simulate --cameras 4 --port 8554."""
    os.execv(sys.executable, [sys.executable, "-m", "simulator", "serve", *arguments])
