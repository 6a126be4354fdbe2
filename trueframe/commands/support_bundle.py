"""`trueframe support-bundle`: one file for whoever helps, without secrets, footage or addresses."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from mesh.amounts import amount
from mesh.config import Config, dump, load
from mesh.errors import AlreadyExists, TrueframeError
from trueframe.commands.options import data_option, json_option, require_folder, show_json
from trueframe.layout import layout_of
from trueframe.running import NotRunning, find_running
from trueframe.site import site_of_environment


@click.command("support-bundle")
@click.option("-o", "--output", default="", metavar="FILE", help="File to write; by default named after the time.")
@click.option("--with-addresses", is_flag=True, help="Keep addresses of cameras and hosts; stand-ins otherwise.")
@click.option(
    "--log-bytes", type=click.IntRange(0, 16 << 20), default=1 << 20, show_default=True, metavar="N",
    help="Of each log, at most so many bytes from its end.",
)  # fmt: skip
@json_option
@data_option
def command(data: str, output: str, with_addresses: bool, log_bytes: int, as_json: bool) -> None:
    """Put configuration, logs, metrics, state, versions and findings into one .tar.gz for support.

    Works with the instance down. Passwords, tokens and keys are taken out of everything, also where they were encoded;
    footage, pictures and comments are not in it. Look into it before you send it: it is yours.
    """
    from trueframe.doctor.bundle import Bundle, add_logs, folders_of
    from trueframe.doctor.cleaning import Cleaner
    from trueframe.doctor.examination import examine
    from trueframe.doctor.hoard import hoard_of
    from trueframe.doctor.programs import versions

    path = Path(output or f"trueframe-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    require_folder(str(path))
    if path.exists():
        raise AlreadyExists(f"file {path}", "is there already", "Name another with -o.")
    layout = layout_of(data)
    config = _config(layout.config)
    hoard = hoard_of(layout, config)
    bundle = Bundle(Cleaner(hoard.secrets, hoard.hosts, keeps_addresses=with_addresses))

    def add_config() -> None:
        import tomllib

        bundle.add_json("config.json", tomllib.loads(dump(config)))

    def add_doctor() -> None:
        bundle.add_json("doctor.json", [finding.record() for finding in examine(data)])

    bundle.attempt("versions.json", lambda: bundle.add_json("versions.json", versions()))
    bundle.attempt("environment.json", lambda: bundle.add_json("environment.json", _variables()))
    bundle.attempt("config.json", add_config)
    bundle.attempt("doctor.json", add_doctor)
    bundle.attempt("folders.json", lambda: bundle.add_json("folders.json", folders_of(layout.data)))
    add_logs(bundle, layout.logs, log_bytes)
    try:
        running = find_running(data)
    except NotRunning as error:
        bundle.notes.append(f"status.json, metrics.txt: {error.reason}")
    else:
        from trueframe.client import connect
        from trueframe.doctor.state import state_of
        from trueframe.metrics import collect

        def add_state() -> None:
            with connect(data) as client:
                bundle.add_json("status.json", state_of(running, client))

        def add_metrics() -> None:
            bundle.add_text("metrics.txt", asyncio.run(collect(layout.sockets)))

        bundle.attempt("status.json", add_state)
        bundle.attempt("metrics.txt", add_metrics)
    size = bundle.write(path)
    if as_json:
        show_json({"file": str(path), "bytes": size, "left_out": bundle.notes})
        return
    click.echo(f"wrote {path}, {amount(size, 'bytes')}, {len(bundle.members) + 1} files")
    for note in bundle.notes:
        click.echo(f"  left out: {note}")


def _config(path: Path) -> Config:
    """That of $TRUEFRAME_CONFIG, else the last resolved one; the defaults where there is none that can be read."""
    try:
        return site_of_environment() or load(path if path.exists() else None)
    except TrueframeError:
        return load(None, (), {})


def _variables() -> list[str]:
    """Names only: values may be anything."""
    return sorted(name for name in os.environ if name.startswith(("TRUEFRAME_", "OTEL_", "CUDA_")))
