"""Stores for tests that run against every adapter."""

from __future__ import annotations

from collections.abc import Callable

from mesh.store import SqliteStore
from mesh.store_mongodb import MongoStore

AnyStore = SqliteStore | MongoStore
Opened = Callable[[], AnyStore]
"""Gives a store that is not open yet; each call one in the same place."""
