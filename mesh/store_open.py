"""Opens a service's store: the engine that the configuration names, with schemas. The one place that chooses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mesh.config import Config
from mesh.errors import InvalidArgument
from mesh.files import private_folder, read_secret
from mesh.store_schema import SchemaStore
from mesh.store_sqlite import SqliteStore

if TYPE_CHECKING:
    from mesh.store_mongodb import MongoStore

FILES = {
    "aggregate": "aggregate/aggregate.sqlite",
    "event-center": "events/events.sqlite",
    "media-center": "media-center/media-center.sqlite",
}
"""Each service's file, below the data folder."""


def open_store(config: Config, service: str) -> SchemaStore:
    """The store of a service, to be used with `async with`.

    Raises InvalidArgument and what `mesh.files.read_secret` raises, for a URL that cannot be used.
    """
    return SchemaStore(engine_of(config, service))


def engine_of(config: Config, service: str) -> SqliteStore | MongoStore:
    """The store of a service as its engine has it, without schemas: for moving and checking."""
    if config.store.kind == "sqlite":
        path = store_file(config.run.data_dir, service)
        private_folder(path.parent)
        return SqliteStore(path)
    if config.store.url_file is None:
        raise InvalidArgument("store.url_file", "is not set", "Name the file that holds the URL of the server.")
    return mongodb_store(config, read_secret(config.store.url_file), service)


def mongodb_store(config: Config, url: str, service: str) -> MongoStore:
    """A service's database on a server."""
    # Only here: whoever runs on SQLite does not wait for the driver to be imported.
    from mesh.store_mongodb import MongoStore

    database = f"{config.store.database_prefix}_{service.replace('-', '_')}"
    return MongoStore(url, database, patience_s=config.store.patience_s)


def store_file(data_dir: Path, service: str) -> Path:
    """Where a service's SQLite file is."""
    return data_dir / FILES[service]
