# ruff: noqa: RUF009 - `option` returns a dataclass field; its doc belongs beside its default.
"""The section `store` of the configuration: which engine keeps the documents of all services."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mesh.config_option import option
from mesh.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where documents live: events, holds, inspections, verdicts."""

    kind: str = option(
        "sqlite", "Files in the data folder, or databases of a MongoDB server.", one_of=("sqlite", "mongodb")
    )
    url_file: Path | None = option(
        None,
        "File, mode 0600, with the URL of the MongoDB server: user, password and TLS stand in it, as in "
        "mongodb://USER:PASSWORD@HOST/?tls=true&tlsCAFile=FILE.",
    )
    database_prefix: str = option(
        "trueframe", "Beginning of the databases' names: PREFIX_aggregate, PREFIX_event_center, PREFIX_media_center."
    )
    patience_s: float = option(
        15.0,
        "A MongoDB server that does not answer is waited for so long before a call fails.",
        at_least=1,
        at_most=600,
    )


def absolute_store(store: StoreConfig) -> StoreConfig:
    """With an absolute path."""
    return replace(store, url_file=store.url_file and store.url_file.absolute())


def check_store(store: StoreConfig) -> None:
    """Raises InvalidArgument: MongoDB without a URL, a prefix that names no database."""
    if store.kind == "mongodb" and store.url_file is None:
        raise InvalidArgument("store.url_file", "is not set", "Name the file that holds the URL of the server.")
    prefix = store.database_prefix
    if not (prefix.isascii() and prefix.replace("_", "").isalnum() and len(prefix) <= 40):
        raise InvalidArgument(f"store.database_prefix {prefix[:60]!r}", "is not 1 to 40 letters, digits and _")
