"""`trueframe store`: move the documents of an instance between SQLite and MongoDB, and check them.

What should not be in this module: how documents are copied and compared (`mesh.store_move`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.commands.progress import bar

if TYPE_CHECKING:
    from mesh.config import Config
    from mesh.store_mongodb import MongoStore
    from mesh.store_move import Holding
    from mesh.store_sqlite import SqliteStore

_PLACE = "sqlite, a mongodb:// URL without a password, or a FILE (0600) with a URL"
config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Configuration of the instance; the one of its last run when left out.",
)


@click.group("store")
def command() -> None:
    """Move the documents of an instance between SQLite and MongoDB, and check them."""


@command.command("check")
@config_option
@json_option
@data_option
def check_command(data: str, as_json: bool, config_file: Path | None) -> None:
    """Read every document of an instance that does not run, and say what there is."""
    from mesh.store_open import FILES, engine_of, store_file

    with _at_rest(data, config_file) as config:
        rows = []
        for service in FILES:
            if config.store.kind == "sqlite" and not store_file(config.run.data_dir, service).is_file():
                continue
            rows += [(service, one) for one in asyncio.run(_check(engine_of(config, service)))]
    if not rows:
        raise NotFound(f"data folder {config.run.data_dir}", "holds no documents")
    _show(rows, as_json=as_json)


@command.command("move")
@click.option("--to", "to", required=True, metavar="PLACE", help=f"Where to: {_PLACE}.")
@click.option("--from", "source", default="", metavar="PLACE", help="Where from; as configured when left out.")
@config_option
@json_option
@data_option
def move_command(data: str, as_json: bool, config_file: Path | None, to: str, source: str) -> None:
    """Copy all documents of an instance that does not run into another store, and compare both.

    The originals stay as they are. Killed, it goes on where it was when it is run again. Afterwards set store.kind and
    store.url_file: until then the instance goes on with the originals.
    """
    from mesh.store_open import FILES, store_file

    with _at_rest(data, config_file) as config:
        start, end = _place(config, source), _place(config, to)
        if start == end or (start is None) == (end is None):
            raise InvalidArgument("--to", "is the kind of store that the documents are in already")
        rows: list[tuple[str, Holding]] = []
        for service in FILES:
            file = store_file(config.run.data_dir, service)
            if start is None and not file.is_file():
                continue
            with bar(f"moving {service}", is_shown=not as_json) as progress:
                rows += [(service, one) for one in asyncio.run(_move(config, service, start, end, progress))]
    if not rows:
        raise NotFound(f"data folder {config.run.data_dir}", "holds no documents")
    _show(rows, as_json=as_json)
    if not as_json:
        click.echo(
            "the same on both sides. Now set "
            + ("store.kind=sqlite" if end is None else "store.kind=mongodb and store.url_file")
        )


@contextmanager
def _at_rest(data: str, config_file: Path | None) -> Iterator[Config]:
    """The configuration of an instance, which cannot be started meanwhile. Raises FailedPrecondition: it runs."""
    from mesh.config import load
    from mesh.files import private_folder
    from trueframe.layout import layout_of
    from trueframe.preflight import AlreadyRunning, take_lock

    layout = layout_of(data)
    if not layout.data.is_dir():
        raise NotFound(f"data folder {layout.data}", "does not exist", "Name it with --data.")
    private_folder(layout.run)
    try:
        lock = take_lock(layout)
    except AlreadyRunning:
        raise FailedPrecondition(f"data folder {layout.data}", "trueframe runs on it", "Stop it first.") from None
    with lock:
        file = config_file or (layout.config if layout.config.is_file() else None)
        yield load(file, [f"run.data_dir={layout.data}"])


def _place(config: Config, text: str) -> str | None:
    """The URL of a server; None for the files of SQLite."""
    from mesh.files import read_secret

    if text == "sqlite" or (not text and config.store.kind == "sqlite"):
        return None
    if text.startswith(("mongodb://", "mongodb+srv://")):
        if "@" in text:
            raise InvalidArgument(
                "the URL", "holds a password, and others see command lines", "Put it into a file (0600) and name that."
            )
        return text
    file = Path(text) if text else config.store.url_file
    if file is None or not file.is_file():
        raise InvalidArgument(f"place {text!r}", f"is none of: {_PLACE}")
    return read_secret(file)


def _engine(config: Config, service: str, url: str | None) -> SqliteStore | MongoStore:
    from mesh.store_open import engine_of, mongodb_store

    if url is None:
        return engine_of(replace(config, store=replace(config.store, kind="sqlite")), service)
    return mongodb_store(config, url, service)


async def _check(store: SqliteStore | MongoStore) -> list[Holding]:
    from mesh.store_move import check

    async with store:
        return await check(store)


async def _move(config: Config, service: str, start: str | None, end: str | None, progress: Any) -> list[Holding]:
    from mesh.store_move import is_unfinished, move
    from mesh.store_open import store_file

    async with _engine(config, service, start) as source:
        file = store_file(config.run.data_dir, service)
        if end is None and file.is_file():
            async with _engine(config, service, None) as earlier:
                goes_on = await is_unfinished(earlier, source.thing)
            if not goes_on:
                # What was there is kept: the move begins with a file of its own.
                kept = f".kept-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
                for end_of_name in ("-wal", "-shm", ""):
                    one = file.with_name(file.name + end_of_name)
                    if one.exists():
                        one.rename(file.with_name(file.name + kept + end_of_name))
        async with _engine(config, service, end) as target:
            return await move(source, target, progress)


def _show(rows: list[tuple[str, Holding]], *, as_json: bool) -> None:
    if as_json:
        for service, one in rows:
            show_json(
                {"service": service, "collection": one.collection, "documents": one.documents, "schema": one.schema,
                 "sha256": one.sha256}
            )  # fmt: skip
        return
    show_table(
        ("SERVICE", "COLLECTION", "DOCUMENTS", "SCHEMA", "SHA-256"),
        [(service, one.collection, one.documents, one.schema, one.sha256[:16]) for service, one in rows],
    )
