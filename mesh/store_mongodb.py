"""The store port on MongoDB (motor): one database per service. Collections stand in `mesh.store_mongodb_collection`.

A document is `{_id, v: version, b: its JSON as text, f: values of indexed fields, l: words of indexed lists, w: who
wrote the last versions}`. The body is text, because BSON keeps less than JSON (whole numbers end at 64 bits, keys may
not begin with "$") and because what moves between the two stores has to stay the same to the byte. Only writes of
single documents, found by id and version, are used: they are atomic on every deployment.

What should not be in this module: any knowledge of what documents mean; anything that needs more than one document to
change at once. This and the module of the collections are the only ones that know motor and pymongo.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    CursorNotFound,
    DocumentTooLarge,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from mesh.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    TrueframeError,
    Unavailable,
)
from mesh.redact import redact, redact_url
from mesh.store_mongodb_collection import MongoCollection, encoded, path_of
from mesh.store_values import Indexes, declared

T = TypeVar("T")

META = "_trueframe"
_FORMAT = 1
_MAX_WAITING = 4096
_AT_ONCE = 64
_PAGE = 500
PATIENCE_S = 15.0
# Answers after which nobody knows whether a write was made: it is tried again, and known by its id.
DOUBTFUL = (ConnectionFailure, WriteConcernError, ExecutionTimeout, WaitQueueTimeoutError, CursorNotFound)
# Not primary, shutting down, stepping down: where pymongo gives them as a plain failure of the operation.
_AWAY = {6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 50, 64, 112}
_NO_SPACE = {14031, 12501}
_REFUSED = {11, 13, 18, 8000}
_dice = random.Random()


class MongoStore:
    """A store in a database. Every method raises Unavailable when no server answers within `patience_s` seconds.

    A write whose answer was lost is tried again until it is known: it is never made twice, and never reported as a
    conflict with itself. If it is still not known after `patience_s`, Unavailable says so.
    """

    def __init__(self, url: str, database: str, *, patience_s: float = PATIENCE_S) -> None:
        self._url = url
        self._database_name = database
        # Without the query: it may hold the password of a key file.
        self.thing = f"store {redact_url(url).partition('?')[0].rstrip('/')}/{database}"
        self.patience_s = patience_s
        self._client: AsyncIOMotorClient[Any] | None = None
        self._database: Any = None
        self._collections: dict[str, MongoCollection] = {}
        self._waiting = 0
        self._alone: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def open(self) -> MongoStore:
        """Connects. Raises Unavailable, PermissionDenied (wrong user or password), InvalidArgument (the URL)."""
        if self._client is not None:
            return self
        bound_ms = int(min(self.patience_s, 10.0) * 1000)
        try:
            client: AsyncIOMotorClient[Any] = AsyncIOMotorClient(
                self._url,
                appname="trueframe",
                # Ours are known by their ids, on every deployment; the driver's need a replica set.
                retryWrites=False,
                retryReads=True,
                serverSelectionTimeoutMS=max(bound_ms // 3, 200),
                connectTimeoutMS=max(bound_ms // 3, 200),
                socketTimeoutMS=max(bound_ms, 1000),
                waitQueueTimeoutMS=bound_ms,
            )
        except (InvalidURI, ConfigurationError, ValueError, OSError) as error:
            raise InvalidArgument(
                self.thing,
                f"its URL cannot be used ({type(error).__name__})",
                "Its form is mongodb://USER:PASSWORD@HOST:PORT/?tls=true&tlsCAFile=FILE, with %40 for an @ in the "
                "password; the files it names have to be there.",
            ) from None
        self._client = client
        self._database = client.get_database(
            self._database_name,
            write_concern=WriteConcern(w="majority", j=True, wtimeout=bound_ms),
            read_concern=ReadConcern("majority"),
        )
        try:
            await self.patiently(self._check_format)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aenter__(self) -> MongoStore:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def collection(self, name: str, indexes: Sequence[str] = ()) -> MongoCollection:
        """The collection, made if need be; what is there already gets a new index before this returns."""
        wanted = declared(name, indexes)
        known = self._collections.get(name)
        if known is not None and wanted <= known.indexes:
            return known
        entry = await self.patiently(lambda: self.meta.find_one({"_id": f"collection {name}"}))
        kept = declared(name, entry["indexes"] if entry else ())
        result = MongoCollection(self, name, wanted | (known.indexes if known else Indexes()), kept | wanted)
        if entry is None or not wanted <= kept:
            await self._make_indexes(name, wanted)
            if entry is not None:
                await self._fill_indexes(result)
            await self.patiently(
                lambda: self.meta.update_one(
                    {"_id": f"collection {name}"}, {"$set": {"indexes": result.kept.texts()}}, upsert=True
                )
            )
        self._collections[name] = result
        return result

    async def collections(self) -> dict[str, list[str]]:
        """What is in the database: names, with the indexes as they were declared."""
        entries = await self.patiently(lambda: self.meta.find({}).sort([("_id", 1)]).to_list(None))
        return {
            entry["_id"].removeprefix("collection "): list(entry["indexes"]) for entry in entries if "indexes" in entry
        }

    async def check(self) -> str:
        """What is wrong: documents whose indexed values are not those of their bodies; "" if nothing is."""
        wrong: list[str] = []
        for name in await self.collections():
            await self.collection(name)
            async for found, right in self._indexed_rows(self._collections[name]):
                if right is None or any(found.get(key) != value for key, value in right.items()):
                    wrong.append(f"{name} {found['_id']!r}")
                    if len(wrong) == 10:
                        return f"indexes and bodies differ: {', '.join(wrong)} and perhaps more"
        return f"indexes and bodies differ: {', '.join(wrong)}" if wrong else ""

    async def close(self) -> None:
        """Lets go of the connections. Idempotent."""
        client, self._client, self._database = self._client, None, None
        if client is not None:
            # It says goodbye to the server, and waits for that.
            await asyncio.to_thread(client.close)

    # --- for collections ---------------------------------------------------------------------------------------------

    @property
    def meta(self) -> Any:
        """The collection of what the store knows of itself."""
        return self.raw(META)

    def raw(self, name: str) -> Any:
        """motor's collection. Raises FailedPrecondition."""
        if self._database is None:
            raise FailedPrecondition(self.thing, "is not open")
        return self._database[name]

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Runs what may be run twice, again and again while no server answers, for `patience_s` seconds."""
        trial = self.trial()
        while True:
            try:
                async with self.turn():
                    return await work()
            except PyMongoError as error:
                await trial.again(error)

    def trial(self) -> Trial:
        """Attempts at one write or read, with one deadline."""
        return Trial(self.thing, self.patience_s)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One of the 64 operations under way at once. Raises ResourceExhausted when 4096 wait."""
        if self._waiting >= _MAX_WAITING:
            raise ResourceExhausted(self.thing, "too many operations wait", "Is the database slow?")
        self._waiting += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def alone(self, collection: str, document_id: str) -> AsyncIterator[None]:
        """Writes of this process to one document go one by one: they would only refuse each other.

        It is also what makes them right on FerretDB 1, whose updates read and write in two steps.
        """
        key = (collection, document_id)
        lock, users = self._alone.get(key, (asyncio.Lock(), 0))
        if users >= _MAX_WAITING:
            raise ResourceExhausted(self.thing, f"too many writes to {collection} {document_id!r} wait")
        self._alone[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._alone.pop(key)
            if users > 1:
                self._alone[key] = lock, users - 1

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _check_format(self) -> None:
        entry = await self.meta.find_one({"_id": "format"})
        if entry is None:
            await self.meta.update_one({"_id": "format"}, {"$set": {"number": _FORMAT}}, upsert=True)
        elif entry["number"] > _FORMAT:
            raise FailedPrecondition(self.thing, f"has format {entry['number']}, newer than this trueframe's")

    async def _make_indexes(self, name: str, wanted: Indexes) -> None:
        keys = [[(path_of(one), 1), ("_id", 1)] for one in wanted.single_fields]
        keys += [
            [(path_of(one.field), 1), (path_of(one.by), 1), ("_id", 1)]
            for one in sorted(wanted.pairs, key=lambda one: (one.field, one.by))
        ]
        keys += [
            [(f"l.{one.field.replace('.', '-')}", 1), *([(path_of(one.by), 1)] if one.by else []), ("_id", 1)]
            for one in sorted(wanted.lists, key=lambda one: (one.field, one.by))
        ]
        for key in keys:
            await self.patiently(lambda key=key: self.raw(name).create_index(key))  # type: ignore[misc]

    async def _fill_indexes(self, collection: MongoCollection) -> None:
        """Gives documents that were written without an index their values in it. Run again after a kill."""
        raw = self.raw(collection.name)
        async for found, right in self._indexed_rows(collection):
            if right is not None and any(found.get(key) != value for key, value in right.items()):
                # Written again meanwhile: then it has its values.
                mine, change = {"_id": found["_id"], "v": found["v"]}, {"$set": right}
                await self.patiently(lambda mine=mine, change=change: raw.update_one(mine, change))  # type: ignore[misc]

    async def _indexed_rows(self, collection: MongoCollection) -> AsyncIterator[tuple[Any, dict[str, Any] | None]]:
        """Every stored row, with the indexed values that its body gives; None where it cannot be read."""
        raw, last = self.raw(collection.name), ""
        while True:
            rows = await self.patiently(
                lambda last=last: raw.find({"_id": {"$gt": last}}).sort([("_id", 1)]).limit(_PAGE).to_list(_PAGE)  # type: ignore[misc]
            )
            for row in rows:
                try:
                    yield row, encoded(row["b"], collection.kept)
                except (KeyError, ValueError, TypeError):
                    yield row, None
            if len(rows) < _PAGE:
                return
            last = rows[-1]["_id"]


class Trial:
    """Attempts with growing pauses until a deadline."""

    def __init__(self, thing: str, patience_s: float) -> None:
        self._thing = thing
        self._ends = time.monotonic() + patience_s
        self._pause_s = 0.02

    async def again(self, error: PyMongoError | None = None, doing: str = "") -> None:
        """Waits before the next attempt; raises what the error means if another is of no use, or too late."""
        if error is not None and not is_away(error):
            raise translated(self._thing, error) from None
        if time.monotonic() + self._pause_s > self._ends:
            reason = f"does not answer ({type(error).__name__})" if error else "is written by others again and again"
            raise Unavailable(self._thing, f"{reason}{doing}", "Is the database running, and reachable?") from None
        await asyncio.sleep(_dice.uniform(self._pause_s / 2, self._pause_s))
        self._pause_s = min(self._pause_s * 2, 1.0)


def is_away(error: PyMongoError) -> bool:
    """Whether it may be otherwise in a moment: nobody answers, a primary steps down."""
    return isinstance(error, (*DOUBTFUL, AutoReconnect)) or (
        isinstance(error, OperationFailure) and (error.code in _AWAY or error.has_error_label("RetryableWriteError"))
    )


def translated(thing: str, error: PyMongoError) -> TrueframeError:
    """An error of the driver as one of ours. Without the driver's text where that may quote the URL."""
    code = error.code if isinstance(error, OperationFailure) else None
    if code in _REFUSED:
        return PermissionDenied(
            thing, "refuses this user, or what it wants to do", "Check the file that store.url_file names."
        )
    if code in _NO_SPACE:
        return ResourceExhausted(thing, "the disk of the database is full", "Make space; nothing was changed.")
    if isinstance(error, DocumentTooLarge):
        return InvalidArgument(thing, "the document is too large")
    return Internal(thing, f"the database refused ({type(error).__name__} {code}: {redact(str(error))[:300]})")
