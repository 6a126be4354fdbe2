"""Schemas of documents: each collection has a number, and pure steps from one number to the next.

    SCHEMA = Schema(3, {1: add_region, 2: rename_camera})    # steps[n] makes a body of n + 1 out of one of n
    things = await store.collection("things", ["region"], SCHEMA)

By default all documents are brought to the number before the collection is handed out, document by document: each
carries its number, and a mark says how far it went, so a kill in between costs nothing. With `is_lazy` a document is
brought when it is read, and stays as it is on disk until it is written: only for steps that change no indexed field.
Data of a greater number than the program knows is refused. Documents without a number are of schema 1.

What does not belong here: what documents mean; how an engine lays them out (each adapter has a format of its own).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from mesh.errors import FailedPrecondition, NotFound
from mesh.logs import get_logger
from mesh.store_metrics import measured
from mesh.store_port import MAX_PAGE, Body, Collection, Document, DocumentStore, Page, Where, modify

log = get_logger("mesh.store")

MARKS = "store_schemas"
NUMBER_FIELD = "schema_number"
Step = Callable[[Body], Body]


@dataclass(frozen=True, slots=True)
class Schema:
    """The number that this program writes, and the steps to it. Steps are pure, and get a body that they may change."""

    number: int = 1
    steps: Mapping[int, Step] = field(default_factory=dict)
    is_lazy: bool = False

    def brought(self, thing: str, body: Body) -> Body:
        """The body at this number, without its stamp. Raises FailedPrecondition: newer, or a step fails."""
        number = body.get(NUMBER_FIELD, 1)
        if not isinstance(number, int) or number > self.number:
            raise newer(thing, number, self.number)
        body = {key: value for key, value in body.items() if key != NUMBER_FIELD}
        while number < self.number:
            try:
                body = self.steps[number](body)
            except Exception as error:
                raise FailedPrecondition(
                    thing,
                    f"cannot be brought from schema {number} to {number + 1} ({type(error).__name__}: {error})",
                    "It was left as it is; run the trueframe that wrote it, and report this.",
                ) from error
            number += 1
        return body

    def stamped(self, body: Body) -> Body:
        """The body as it is stored."""
        return body if self.number == 1 else {**body, NUMBER_FIELD: self.number}


def newer(thing: str, number: object, known: int) -> FailedPrecondition:
    """The error of data from the future."""
    return FailedPrecondition(
        thing, f"was written by a newer trueframe (schema {number}; this one knows {known})", "Run that one."
    )


class SchemaStore:
    """A store whose collections have schemas. Everything else is the store's inside."""

    def __init__(self, inside: DocumentStore) -> None:
        self._inside = inside

    async def collection(
        self, name: str, indexes: Sequence[str] = (), schema: Schema | None = None
    ) -> SchemaCollection:
        """The collection, at this schema. Raises FailedPrecondition: newer data, or a step fails."""
        schema = schema or Schema()
        if missing := [number for number in range(1, schema.number) if number not in schema.steps]:
            raise ValueError(f"collection {name!r} has no step from schema {missing[0]}")
        inner = await self._inside.collection(name, indexes)
        marks = await self._inside.collection(MARKS)
        mark = await marks.find(name)
        number, to = (1, 1) if mark is None else (mark.body["number"], mark.body["to"])
        if to > schema.number:
            raise newer(f"collection {name}", to, schema.number)
        if number < schema.number:
            after = mark.body["after"] if mark is not None and to == schema.number else ""
            # Before the first document: whoever opens it from now on knows that newer ones may be in it.
            await marks.put(name, {"number": number, "to": schema.number, "after": after})
            if not schema.is_lazy:
                await _bring_all(inner, marks, schema, number, after)
        return SchemaCollection(inner, schema)

    async def close(self) -> None:
        """Closes the store inside."""
        await self._inside.close()

    async def __aenter__(self) -> SchemaStore:
        await self._inside.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inside.__aexit__(kind, error, trace)


async def _bring_all(inner: Collection, marks: Collection, schema: Schema, number: int, token: str) -> None:
    whole = await inner.count()
    log.info("bringing documents to a schema", collection=inner.name, schema=schema.number, documents=whole)

    def bring(body: Body) -> Body | None:
        if body.get(NUMBER_FIELD, 1) == schema.number:
            return None
        return schema.stamped(schema.brought(f"a document of {inner.name}", body))

    while True:
        page = await inner.query(limit=min(MAX_PAGE, 200), page_token=token)
        for document in page.documents:
            if document.body.get(NUMBER_FIELD, 1) != schema.number:
                try:
                    await modify(inner, document.id, bring)
                except NotFound:
                    continue
        token = page.next_page_token
        if not token:
            break
        await marks.put(inner.name, {"number": number, "to": schema.number, "after": token})
    await marks.put(inner.name, {"number": schema.number, "to": schema.number, "after": ""})


class SchemaCollection:
    """A collection whose documents are read and written at one schema."""

    def __init__(self, inner: Collection, schema: Schema) -> None:
        self._inner = inner
        self._schema = schema

    @property
    def name(self) -> str:
        """Its name."""
        return self._inner.name

    async def find(self, document_id: str) -> Document | None:
        """See `Collection.find`."""
        with measured(self.name, "find"):
            document = await self._inner.find(document_id)
        return None if document is None else self._read(document)

    async def get(self, document_id: str) -> Document:
        """See `Collection.get`."""
        with measured(self.name, "find"):
            document = await self._inner.get(document_id)
        return self._read(document)

    async def put(self, document_id: str, body: Body, expected_version: int | None = None) -> Document:
        """See `Collection.put`."""
        with measured(self.name, "put"):
            document = await self._inner.put(document_id, self._schema.stamped(body), expected_version)
        return self._read(document)

    async def delete(self, document_id: str, expected_version: int | None = None) -> bool:
        """See `Collection.delete`."""
        with measured(self.name, "delete"):
            return await self._inner.delete(document_id, expected_version)

    async def query(
        self, where: Where | None = None, *, order: str = "", limit: int = 100, page_token: str = ""
    ) -> Page:
        """See `Collection.query`."""
        with measured(self.name, "query"):
            page = await self._inner.query(where, order=order, limit=limit, page_token=page_token)
        return Page([self._read(document) for document in page.documents], page.next_page_token)

    async def count(self, where: Where | None = None) -> int:
        """See `Collection.count`."""
        with measured(self.name, "count"):
            return await self._inner.count(where)

    def _read(self, document: Document) -> Document:
        if document.body.get(NUMBER_FIELD, 1) == self._schema.number:
            # The adapter read this body for this call alone.
            document.body.pop(NUMBER_FIELD, None)
            return document
        body = self._schema.brought(f"{self.name} {document.id!r}", document.body)
        return Document(document.id, document.version, body)
