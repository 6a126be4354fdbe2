"""One collection of the MongoDB store: documents to rows, conditions to filters. Made by `mesh.store_mongodb`.

Every write names the version that it replaces, and leaves its id beside the version that it makes. So a write whose
answer was lost can be tried again: it finds its own id, or its version still free, or that another one came first.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from mesh.store_port import Body, Document, Page, Where, check_id, existing, not_found
from mesh.store_values import (
    Among,
    Condition,
    Indexes,
    Range,
    Value,
    check_field,
    check_limit,
    conditions_of,
    conflict,
    encode_body,
    encode_token,
    exists_already,
    index_value,
    index_words,
    position,
)

if TYPE_CHECKING:
    from mesh.store_mongodb import MongoStore

Filter = dict[str, Any]

# A write of ours is known as long as no more than so many others came after it.
_REMEMBERED_WRITES = 16
_DUPLICATE = 11000
_NOTHING: Filter = {"_id": {"$in": []}}


def path_of(field: str) -> str:
    """Where the value of an indexed field lies in a row. Dots would be tables: "a" and "a.b" could not both be."""
    return f"f.{field.replace('.', '-')}"


def encoded(text: str, indexes: Indexes) -> dict[str, Any]:
    """The parts of a row that follow from the body's text."""
    body = json.loads(text)
    return {
        "b": text,
        "f": {one.replace(".", "-"): index_value(body, one) for one in sorted(indexes.fields)},
        "l": {one.replace(".", "-"): index_words(body, one) for one in sorted({one.field for one in indexes.lists})},
    }


class MongoCollection:
    """Documents of one kind in a MongoStore."""

    def __init__(self, store: MongoStore, name: str, indexes: Indexes, kept: Indexes) -> None:
        """`indexes`: those that this process declared; `kept`: those that were ever declared, kept for all writers."""
        self._store = store
        self._name = name
        self.indexes = indexes
        self.kept = kept

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    async def find(self, document_id: str) -> Document | None:
        """The document; None if there is none."""
        row = await self._row(document_id, {"v": 1, "b": 1})
        return None if row is None else Document(document_id, int(row["v"]), json.loads(row["b"]))

    async def get(self, document_id: str) -> Document:
        """The document. Raises NotFound."""
        return existing(await self.find(document_id), self._name, document_id)

    async def put(self, document_id: str, body: Body, expected_version: int | None = None) -> Document:
        """Writes the whole document; see `Collection.put`."""
        check_id(self._name, document_id)
        text = encode_body(self._name, document_id, body)
        row = encoded(text, self.kept)
        async with self._store.alone(self._name, document_id):
            version = await self._put(document_id, row, expected_version)
        return Document(document_id, version, json.loads(text))

    async def delete(self, document_id: str, expected_version: int | None = None) -> bool:
        """Removes the document; see `Collection.delete`."""
        async with self._store.alone(self._name, document_id):
            return await self._delete(document_id, expected_version)

    async def query(
        self, where: Where | None = None, *, order: str = "", limit: int = 100, page_token: str = ""
    ) -> Page:
        """Documents that meet all conditions; see `Collection.query`."""
        check_limit(limit)
        descending, by, after = position(order, page_token)
        if by:
            check_field(self._name, by, self.indexes)
        parts = [_filter(condition) for condition in conditions_of(self._name, where, self.indexes)]
        if after is not None:
            parts.append(_after(by, descending, *after))
        direction = -1 if descending else 1
        sorting = [*([(path_of(by), direction)] if by else []), ("_id", direction)]
        columns = {"v": 1, "b": 1} | ({path_of(by): 1} if by else {})
        rows = await self._store.patiently(
            lambda: self._raw.find(_all_of(parts), columns).sort(sorting).limit(limit + 1).to_list(limit + 1)
        )
        documents = [Document(row["_id"], int(row["v"]), json.loads(row["b"])) for row in rows[:limit]]
        if len(rows) <= limit:
            return Page(documents)
        last = rows[limit - 1]
        value = last["f"][by.replace(".", "-")] if by else None
        return Page(documents, encode_token(order, value, last["_id"]))

    async def count(self, where: Where | None = None) -> int:
        """Number of documents that meet all conditions."""
        parts = [_filter(condition) for condition in conditions_of(self._name, where, self.indexes)]
        return int(await self._store.patiently(lambda: self._raw.count_documents(_all_of(parts))))

    async def load(self, documents: Sequence[Document]) -> None:
        """Writes documents with the versions they have, over what is there: for moving a site."""
        rows = {
            one.id: {"v": one.version, **encoded(encode_body(self._name, one.id, one.body), self.kept), "w": {}}
            for one in documents
        }

        async def work() -> None:
            try:
                # Most often nothing is there, and this is faster by far than asking for each.
                await self._raw.insert_many([{"_id": key, **row} for key, row in rows.items()], ordered=False)
            except BulkWriteError as error:
                if any(one["code"] != _DUPLICATE for one in error.details["writeErrors"]):
                    raise
                changes = [ReplaceOne({"_id": key}, row, upsert=True) for key, row in rows.items()]
                await self._raw.bulk_write(changes, ordered=False)

        if rows:
            await self._store.patiently(work)

    @property
    def _raw(self) -> Any:
        return self._store.raw(self._name)

    async def _row(self, document_id: str, columns: dict[str, int]) -> Any:
        return await self._store.patiently(lambda: self._raw.find_one({"_id": document_id}, columns))

    async def _put(self, document_id: str, row: dict[str, Any], expected_version: int | None) -> int:
        if expected_version is not None:
            found = await self._write(document_id, row, expected_version)
            if found is None:
                return expected_version + 1
            if expected_version == 0:
                raise exists_already(self._name, document_id)
            if found == 0:
                raise not_found(self._name, document_id)
            raise conflict(self._name, document_id, found, expected_version)
        trial = self._store.trial()
        held = await self._row(document_id, {"v": 1})
        version = 0 if held is None else int(held["v"])
        while (found := await self._write(document_id, row, version)) is not None:
            version = found
            await trial.again()
        return version + 1

    async def _delete(self, document_id: str, expected_version: int | None) -> bool:
        trial, was_sent = self._store.trial(), False
        while True:
            row = await self._row(document_id, {"v": 1})
            if row is None:
                # Gone: by an attempt of ours, if there was one whose answer was lost.
                return was_sent
            version = int(row["v"])
            if expected_version == 0:
                raise exists_already(self._name, document_id)
            if expected_version not in (None, version):
                raise conflict(self._name, document_id, version, expected_version or 0)
            try:
                async with self._store.turn():
                    if (await self._raw.delete_one({"_id": document_id, "v": version})).deleted_count:
                        return True
            except PyMongoError as error:
                was_sent = True
                await trial.again(error, "; whether the document was removed is not known")
                continue
            await trial.again()

    async def _write(self, document_id: str, row: dict[str, Any], over: int) -> int | None:
        """Makes version `over` + 1; returns None, or the version that is there instead (0: no document)."""
        trial, was_sent = self._store.trial(), False
        write_id, place = secrets.token_hex(8), str((over + 1) % _REMEMBERED_WRITES)
        while True:
            try:
                async with self._store.turn():
                    if over == 0:
                        await self._raw.insert_one({"_id": document_id, "v": 1, **row, "w": {place: write_id}})
                        return None
                    change = {"$set": {"v": over + 1, **row, f"w.{place}": write_id}}
                    if (await self._raw.update_one({"_id": document_id, "v": over}, change)).matched_count:
                        return None
            except DuplicateKeyError:
                pass
            except PyMongoError as error:
                was_sent = True
                await trial.again(error, "; whether the document was written is not known")
                continue
            found = await self._row(document_id, {"v": 1, "w": 1})
            version = 0 if found is None else int(found["v"])
            is_remembered = over < version <= over + _REMEMBERED_WRITES
            if was_sent and is_remembered and found["w"].get(place) == write_id:
                return None
            if version != over:
                return version
            # Written and taken back between the two looks, or not yet seen by a majority.
            await trial.again()


def _all_of(parts: Sequence[Filter]) -> Filter:
    kept = [part for part in parts if part]
    return {"$and": kept} if len(kept) > 1 else kept[0] if kept else {}


def _any_of(parts: Iterable[Filter]) -> Filter:
    return {"$or": list(parts)}


def _filter(condition: Condition) -> Filter:
    if isinstance(condition, Range):
        return _range(condition)
    if isinstance(condition, Among):
        return {path_of(condition.field): {"$in": [*condition.values, *([None] if condition.or_missing else [])]}}
    # A regular expression that is anchored reads a range of the index.
    path = f"l.{condition.index.field.replace('.', '-')}"
    parts: list[Filter] = [{path: {"$all": list(condition.words)}}] if condition.words else []
    parts += [{path: {"$regex": f"^{re.escape(one)}"}} for one in condition.prefixes]
    return _all_of(parts)


def _range(condition: Range) -> Filter:
    # MongoDB compares a value with values of its own kind only.
    low, high = condition.low, condition.high
    if low is not None and high is not None and isinstance(low, str) is not isinstance(high, str):
        return _NOTHING
    bounds = {sign: bound for sign, bound in (("$gte", low), ("$lte", high)) if bound is not None}
    return {path_of(condition.field): bounds} if bounds else {}


def _after(by: str, descending: bool, last: Value, document_id: str) -> Filter:
    """Filter for what follows a position: what is missing first, then numbers, then texts."""
    sign = "$lt" if descending else "$gt"
    if not by:
        return {"_id": {sign: document_id}}
    path = path_of(by)
    same: Filter = {path: last, "_id": {sign: document_id}}
    kinds: list[Filter] = [{path: None}, {path: {"$gte": -math.inf}}, {path: {"$gte": ""}}]
    kind = 0 if last is None else 2 if isinstance(last, str) else 1
    beyond = kinds[:kind] if descending else kinds[kind + 1 :]
    return _any_of([*([] if last is None else [{path: {sign: last}}]), *beyond, same])
