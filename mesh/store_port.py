"""The document store port: JSON documents with declared indexes and versions.

Its adapters are `mesh.store_sqlite` and `mesh.store_mongodb`; `mesh.store_open` chooses by configuration.

It promises no more than every adapter can keep: atomic writes of single documents, no transactions over several, no
change streams. What does not belong here: what documents mean.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, TypeVar

from mesh.errors import Conflict, InvalidArgument, NotFound

Body = dict[str, Any]
Scalar = str | int | float | bool | None
T = TypeVar("T")

MAX_DOCUMENT_BYTES = 4 << 20
MAX_ID_CHARACTERS = 200
MAX_PAGE = 1000
_ATTEMPTS = 16
# Of its own: a program that seeds the global generator gets from it what it expects.
_dice = random.Random()


@dataclass(frozen=True, slots=True)
class Document:
    """A stored document. `version` is 1 when created and grows by 1 with every write."""

    id: str
    version: int
    body: Body


@dataclass(frozen=True, slots=True)
class Between:
    """A condition: low <= value <= high; None leaves a side open.

    Numbers are compared with numbers and texts with texts; a document that lacks the field, or has a value of the other
    kind, does not match. With both sides open every document matches.
    """

    low: Scalar = None
    high: Scalar = None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A condition: the value is one of these; None stands for "has no such field"."""

    values: Sequence[Scalar]


@dataclass(frozen=True, slots=True)
class Holds:
    """A condition on a list of texts: it holds each of `all`, and for each of `prefixes` one that begins with it.

    The list is declared as "words[]", or as "words[] by started_ns" where pages are mostly read in that order. At most
    64 words. `mesh.search_tokens` makes words of texts, and conditions of what somebody typed.
    """

    all: Sequence[str] = ()
    prefixes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page of documents. `next_page_token` is "" on the last."""

    documents: list[Document] = field(default_factory=list)
    next_page_token: str = ""


Where = Mapping[str, Scalar | Between | AnyOf | Holds]


class Collection(Protocol):
    """Documents of one kind. Every method may raise Unavailable, ResourceExhausted (disk full) and DataLoss."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    async def find(self, document_id: str) -> Document | None:
        """The document; None if there is none."""
        ...

    async def get(self, document_id: str) -> Document:
        """The document. Raises NotFound."""
        ...

    async def put(self, document_id: str, body: Body, expected_version: int | None = None) -> Document:
        """Writes the whole document; durable when this returns.

        `expected_version`: None writes whatever was there, 0 only where nothing was (else AlreadyExists), any other
        only over that version (else Conflict, or NotFound). Raises InvalidArgument (not JSON, too large, a bad id).
        A cancelled call may or may not have written.
        """
        ...

    async def delete(self, document_id: str, expected_version: int | None = None) -> bool:
        """Removes the document; False if there was none. Raises Conflict."""
        ...

    async def query(
        self, where: Where | None = None, *, order: str = "", limit: int = 100, page_token: str = ""
    ) -> Page:
        """Documents that meet all conditions, on declared index fields only.

        `order`: a declared field, "-field" for descending, "" for ids. Documents of equal values go by their ids; those
        that lack the field come first, last when descending. Pages hold as long as `where` and `order` stay the same,
        and never skip or repeat a document that is not changed meanwhile. Raises InvalidArgument (an undeclared field,
        a bad token or limit).
        """
        ...

    async def count(self, where: Where | None = None) -> int:
        """Number of documents that meet all conditions."""
        ...


class DocumentStore(Protocol):
    """Collections that live together: one store per service."""

    async def collection(self, name: str, indexes: Sequence[str] = ()) -> Collection:
        """The collection, made if need be, with an index on each named field.

        "camera", "alarm.state"; "camera by started_ns" where pages of a camera are mostly read in that order; "words[]"
        and "words[] by started_ns" are indexes on the texts of a list.
        """
        ...

    async def close(self) -> None:
        """Finishes writes under way and lets go of everything."""
        ...

    async def __aenter__(self) -> DocumentStore: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


async def modify(collection: Collection, document_id: str, change: Callable[[Body], Body | None]) -> Document:
    """Reads, changes and writes a document, again if somebody else wrote between. `change` may run several times.

    It gets the body and returns the new one, or None to leave all as it is. Raises NotFound; Conflict if others kept
    writing through all attempts.
    """
    for attempt in range(_ATTEMPTS):
        document = await collection.get(document_id)
        body = change(document.body)
        if body is None:
            return document
        try:
            return await collection.put(document_id, body, document.version)
        except Conflict:
            # Spread out, or writers in step conflict for ever.
            await asyncio.sleep(_dice.uniform(0, min(0.0005 * 2**attempt, 0.1)))
    raise Conflict(f"{collection.name} {document_id!r}", "was changed by others again and again", "Retry later.")


async def scan(collection: Collection, where: Where | None = None, *, order: str = "") -> AsyncIterator[Document]:
    """Every document that meets the conditions, page by page."""
    token = ""
    while True:
        page = await collection.query(where, order=order, limit=MAX_PAGE, page_token=token)
        for document in page.documents:
            yield document
        token = page.next_page_token
        if not token:
            return


def check_id(name: str, document_id: str) -> None:
    """Raises InvalidArgument unless the id is 1 to 200 printable characters."""
    if not 0 < len(document_id) <= MAX_ID_CHARACTERS or not document_id.isprintable():
        raise InvalidArgument(
            f"{name} id {document_id[:80]!r}", f"is not 1 to {MAX_ID_CHARACTERS} printable characters"
        )


def existing(document: Document | None, name: str, document_id: str) -> Document:
    """The document that was found. Raises NotFound if none was."""
    if document is None:
        raise not_found(name, document_id)
    return document


def not_found(name: str, document_id: str) -> NotFound:
    """The error of a document that is not there."""
    return NotFound(f"{name} {document_id[:80]!r}", "does not exist")
