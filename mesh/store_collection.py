"""One collection of the SQLite store. Made by `mesh.store_sqlite`; its SQL stands in `mesh.store_sql`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mesh.store_port import Body, Document, Page, Where, check_id, existing, not_found
from mesh.store_sql import Order, count_documents, find_page
from mesh.store_values import (
    Indexes,
    check_field,
    check_limit,
    conditions_of,
    conflict,
    encode_body,
    encode_token,
    exists_already,
    position,
)

if TYPE_CHECKING:
    from mesh.store_sqlite import SqliteStore


class SqliteCollection:
    """Documents of one kind in a SqliteStore."""

    def __init__(self, store: SqliteStore, name: str, indexes: Indexes) -> None:
        self._store = store
        self._name = name
        self.indexes = indexes

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    async def find(self, document_id: str) -> Document | None:
        """The document; None if there is none."""
        row = await self._store.read(lambda connection: self._row(connection, document_id))
        return None if row is None else Document(document_id, row[0], json.loads(row[1]))

    async def get(self, document_id: str) -> Document:
        """The document. Raises NotFound."""
        return existing(await self.find(document_id), self._name, document_id)

    async def put(self, document_id: str, body: Body, expected_version: int | None = None) -> Document:
        """Writes the whole document; see `Collection.put`."""
        check_id(self._name, document_id)
        text = encode_body(self._name, document_id, body)

        def work(connection: sqlite3.Connection) -> int:
            version = self._check_version(connection, document_id, expected_version)
            if version is None and expected_version not in (None, 0):
                raise not_found(self._name, document_id)
            self._write(connection, document_id, (version or 0) + 1, text)
            return (version or 0) + 1

        version = await self._store.write(work)
        # What is stored, not what was passed in: the caller may go on changing its own.
        return Document(document_id, version, json.loads(text))

    async def delete(self, document_id: str, expected_version: int | None = None) -> bool:
        """Removes the document; see `Collection.delete`."""

        def work(connection: sqlite3.Connection) -> bool:
            if self._check_version(connection, document_id, expected_version) is None:
                return False
            connection.execute(f'DELETE FROM "{self._name}" WHERE id = ?', (document_id,))
            return True

        return await self._store.write(work)

    async def query(
        self, where: Where | None = None, *, order: str = "", limit: int = 100, page_token: str = ""
    ) -> Page:
        """Documents that meet all conditions; see `Collection.query`."""
        check_limit(limit)
        descending, by, after = position(order, page_token)
        if by:
            check_field(self._name, by, self.indexes)
        conditions = conditions_of(self._name, where, self.indexes)
        way = Order(by, descending, after)
        rows = await self._store.read(
            lambda connection: find_page(connection, self._name, conditions, way, limit + 1, self.indexes.pairs)
        )
        documents = [Document(row[0], row[1], json.loads(row[2])) for row in rows[:limit]]
        token = encode_token(order, rows[limit - 1][3], rows[limit - 1][0]) if len(rows) > limit else ""
        return Page(documents, token)

    async def count(self, where: Where | None = None) -> int:
        """Number of documents that meet all conditions."""
        conditions = conditions_of(self._name, where, self.indexes)
        return await self._store.read(lambda connection: count_documents(connection, self._name, conditions))

    async def load(self, documents: Sequence[Document]) -> None:
        """Writes documents with the versions they have, over what is there: for moving a site."""
        rows = [(one.id, one.version, encode_body(self._name, one.id, one.body)) for one in documents]

        def work(connection: sqlite3.Connection) -> None:
            for row in rows:
                self._write(connection, *row)

        await self._store.write(work)

    def _write(self, connection: sqlite3.Connection, document_id: str, version: int, text: str) -> None:
        connection.execute(
            f'INSERT INTO "{self._name}" (id, version, body) VALUES (?, ?, ?) '
            "ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body",
            (document_id, version, text),
        )

    def _row(self, connection: sqlite3.Connection, document_id: str) -> Any:
        return connection.execute(f'SELECT version, body FROM "{self._name}" WHERE id = ?', (document_id,)).fetchone()

    def _check_version(self, connection: sqlite3.Connection, document_id: str, expected: int | None) -> int | None:
        row = self._row(connection, document_id)
        if row is None:
            return None
        version = int(row[0])
        if expected == 0:
            raise exists_already(self._name, document_id)
        if expected is not None and expected != version:
            raise conflict(self._name, document_id, version, expected)
        return version
