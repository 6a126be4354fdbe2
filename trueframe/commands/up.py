"""`trueframe up`: the embedded mode."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from trueframe.commands.options import data_option
from trueframe.times import parse_duration


@click.command("up")
@click.argument("sources", nargs=-1, metavar="[SOURCES]...")
@click.option("--simulate", type=click.IntRange(0, 100), default=0, metavar="N", help="Also serve N simulated cameras.")
@click.option("--headless", is_flag=True, help="Print lines instead of the terminal wall.")
@click.option("--for", "duration", metavar="TIME", help='Stop after this time: "60s", "5m".')
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Configuration (TOML); see docs/guide.",
)
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Override one setting.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve Prometheus metrics of all services on 127.0.0.1:PORT.",
)
@data_option
def command(
    sources: tuple[str, ...],
    simulate: int,
    headless: bool,
    duration: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    metrics_port: int | None,
    data: str,
) -> None:
    """Run broker, recorder, detectors and event center on this machine and watch SOURCES.

    SOURCES are rtsp://… URLs, video files, or NAME=SOURCE. Cameras of earlier runs on the same data go on.
    """
    from trueframe.sources import parse_sources
    from trueframe.supervisor import UpOptions, run_up

    # All three: the wall draws on standard error.
    in_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    in_terminal = in_terminal and os.environ.get("TERM", "dumb") != "dumb"
    options = UpOptions(
        data=Path(data),
        sources=tuple(parse_sources(sources)),
        simulate=simulate,
        headless=headless or not in_terminal,
        duration_s=parse_duration(duration) if duration else None,
        config=config,
        settings=settings,
        metrics_port=metrics_port,
    )
    sys.exit(run_up(options))
