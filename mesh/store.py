"""Documents: the port (`mesh.store_port`) and its adapters, under one name."""

from __future__ import annotations

from mesh.store_port import (
    AnyOf,
    Between,
    Body,
    Collection,
    Document,
    DocumentStore,
    Holds,
    Page,
    Where,
    modify,
    scan,
)
from mesh.store_schema import Schema, SchemaStore
from mesh.store_sqlite import SqliteStore

__all__ = [
    "AnyOf",
    "Between",
    "Body",
    "Collection",
    "Document",
    "DocumentStore",
    "Holds",
    "Page",
    "Schema",
    "SchemaStore",
    "SqliteStore",
    "Where",
    "modify",
    "scan",
]
