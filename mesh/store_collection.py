"""One collection of the SQLite store: documents to rows, conditions and pages to SQL. Made by `mesh.store_sqlite`."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mesh.errors import AlreadyExists, Conflict, InvalidArgument
from mesh.store_port import (
    MAX_DOCUMENT_BYTES,
    MAX_PAGE,
    AnyOf,
    Between,
    Body,
    Document,
    Page,
    Scalar,
    Where,
    check_id,
    not_found,
)

if TYPE_CHECKING:
    from mesh.store_sqlite import SqliteStore


class SqliteCollection:
    """Documents of one kind in a SqliteStore."""

    def __init__(self, store: SqliteStore, name: str, indexes: frozenset[str]) -> None:
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
        document = await self.find(document_id)
        if document is None:
            raise not_found(self._name, document_id)
        return document

    async def put(self, document_id: str, body: Body, expected_version: int | None = None) -> Document:
        """Writes the whole document; see `Collection.put`."""
        check_id(self._name, document_id)
        text = _encode(self._name, document_id, body)

        def work(connection: sqlite3.Connection) -> int:
            version = self._check_version(connection, document_id, expected_version)
            if version is None and expected_version not in (None, 0):
                raise not_found(self._name, document_id)
            connection.execute(
                f'INSERT INTO "{self._name}" (id, version, body) VALUES (?, ?, ?) '
                "ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body",
                (document_id, (version or 0) + 1, text),
            )
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
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidArgument(f"page size {limit}", f"is not between 1 and {MAX_PAGE}")
        descending, by = order.startswith("-"), order.removeprefix("-")
        value = self._expression(by) if by else "NULL"
        conditions, parameters = self._conditions(where)
        if page_token:
            condition, more = _after(_decode_token(page_token, order), value, descending)
            conditions.append(condition)
            parameters += more
        direction = "DESC" if descending else "ASC"
        sql = (
            f'SELECT id, version, body, {value} FROM "{self._name}" WHERE {" AND ".join(conditions) or "1"} '
            f"ORDER BY {f'{value} {direction}, ' if by else ''}id {direction} LIMIT ?"
        )
        rows = await self._store.read(lambda connection: connection.execute(sql, (*parameters, limit + 1)).fetchall())
        documents = [Document(row[0], row[1], json.loads(row[2])) for row in rows[:limit]]
        token = _encode_token(order, rows[limit - 1][3], rows[limit - 1][0]) if len(rows) > limit else ""
        return Page(documents, token)

    async def count(self, where: Where | None = None) -> int:
        """Number of documents that meet all conditions."""
        conditions, parameters = self._conditions(where)
        sql = f'SELECT count(*) FROM "{self._name}" WHERE {" AND ".join(conditions) or "1"}'
        row = await self._store.read(lambda connection: connection.execute(sql, parameters).fetchone())
        return int(row[0])

    def _row(self, connection: sqlite3.Connection, document_id: str) -> Any:
        return connection.execute(f'SELECT version, body FROM "{self._name}" WHERE id = ?', (document_id,)).fetchone()

    def _check_version(self, connection: sqlite3.Connection, document_id: str, expected: int | None) -> int | None:
        row = self._row(connection, document_id)
        if row is None:
            return None
        version = int(row[0])
        if expected == 0:
            raise AlreadyExists(f"{self._name} {document_id!r}", "exists already")
        if expected is not None and expected != version:
            raise Conflict(
                f"{self._name} {document_id!r}", f"is at version {version}, not {expected}", "Read it again and retry."
            )
        return version

    def _expression(self, one: str) -> str:
        if one not in self.indexes:
            raise InvalidArgument(f"field {one[:60]!r}", f"is not an index of {self._name}")
        return _extract(one)

    def _conditions(self, where: Where | None) -> tuple[list[str], list[Scalar]]:
        conditions: list[str] = []
        parameters: list[Scalar] = []
        for one, condition in (where or {}).items():
            value = self._expression(one)
            if isinstance(condition, Between):
                for sign, bound in ((">=", condition.low), ("<=", condition.high)):
                    if bound is not None:
                        conditions.append(f"{value} {sign} ?")
                        parameters.append(bound)
            elif isinstance(condition, AnyOf):
                conditions.append(f"{value} IN ({', '.join('?' * len(condition.values))})")
                parameters += condition.values
            elif condition is None:
                conditions.append(f"{value} IS NULL")
            else:
                # With "IS ?" SQLite would sort although the index has the order.
                conditions.append(f"{value} = ?")
                parameters.append(condition)
        return conditions, parameters


def make_collection(connection: sqlite3.Connection, name: str, indexes: Sequence[str]) -> None:
    """Makes table and indexes where they are missing."""
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{name}" '
        "(id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT"
    )
    for one in indexes:
        connection.execute(f'CREATE INDEX IF NOT EXISTS "{name} by {one}" ON "{name}" ({_extract(one)}, id)')


def _extract(one: str) -> str:
    return f"json_extract(body, '$.{one}')"


def _encode(name: str, document_id: str, body: Body) -> str:
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"{name} {document_id!r}", f"is not JSON ({error})") from None
    if size > MAX_DOCUMENT_BYTES:
        raise InvalidArgument(f"{name} {document_id!r}", f"is larger than {MAX_DOCUMENT_BYTES} bytes")
    return text


def _encode_token(order: str, value: Scalar, document_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([order, value, document_id]).encode()).decode().rstrip("=")


def _decode_token(token: str, order: str) -> tuple[Scalar, str]:
    try:
        made_for, value, document_id = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        well_formed = made_for == order and isinstance(document_id, str) and not isinstance(value, list | dict)
    except (ValueError, TypeError):
        well_formed = False
    if not well_formed:
        raise InvalidArgument("page token", "is not one of this query", "Begin again without it.")
    return value, document_id


def _after(position: tuple[Scalar, str], value: str, descending: bool) -> tuple[str, list[Scalar]]:
    """Condition for what follows a position. SQLite sorts NULL before everything."""
    last, document_id = position
    sign = "<" if descending else ">"
    if last is None:
        same = f"({value} IS NULL AND id {sign} ?)"
        return (same if descending else f"({same} OR {value} IS NOT NULL)"), [document_id]
    beyond = f"{value} {sign} ? OR ({value} = ? AND id {sign} ?)"
    return f"({beyond} OR {value} IS NULL)" if descending else f"({beyond})", [last, last, document_id]
