"""Moves the documents of a service from one store into another, and checks what a store holds.

Documents keep their ids and versions, so whoever orders by them goes on. The source is only read. How far a move went
stands in the target, so that it can be killed and run again; at its end both sides are read once more, and counted and
digested. What does not belong here: which stores there are (`mesh.store_open`), and that nobody writes meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mesh.errors import DataLoss, FailedPrecondition
from mesh.store_port import Collection, Document, scan
from mesh.store_schema import MARKS

MOVES = "store_moves"
_MARK = "in"
# Pages of documents of at most 4 MiB each.
_PAGE = 32
_PAGES_A_MARK = 16

Progress = Callable[[int, int, str], None]
"""Called with the documents done, those to do, and the collection at work."""


class MovableCollection(Collection, Protocol):
    """A collection that takes documents with the versions they have."""

    async def load(self, documents: Sequence[Document]) -> None:
        """Writes them over what is there."""
        ...


class MovableStore(Protocol):
    """What moving and checking need of an adapter."""

    @property
    def thing(self) -> str:
        """Its name in messages, without credentials."""
        ...

    async def collection(self, name: str, indexes: Sequence[str] = ()) -> MovableCollection:
        """See `DocumentStore.collection`."""
        ...

    async def collections(self) -> dict[str, list[str]]:
        """What is in it: names, with the indexes as they were declared."""
        ...

    async def check(self) -> str:
        """What is wrong with it; "" if nothing is."""
        ...


@dataclass(frozen=True, slots=True)
class Holding:
    """What a collection holds: how many documents, and the SHA-256 of ids, versions and bodies in the order of ids."""

    collection: str
    documents: int
    sha256: str
    schema: int = 1


async def move(source: MovableStore, target: MovableStore, progress: Progress | None = None) -> list[Holding]:
    """Copies everything; returns what was copied, the same on both sides.

    Raises FailedPrecondition (the target holds other documents), DataLoss (both sides are not the same afterwards).
    """
    marks = await target.collection(MOVES)
    mark = await marks.find(_MARK)
    if mark is None:
        await _require_empty(target)
    elif mark.body["source"] != source.thing or mark.body["is_done"]:
        raise FailedPrecondition(
            target.thing, f"took over {mark.body['source']} already", "Name another store.database_prefix."
        )
    after: dict[str, str] = dict(mark.body["after"]) if mark is not None else {}
    await marks.put(_MARK, {"source": source.thing, "is_done": False, "after": after})
    names = {name: indexes for name, indexes in (await source.collections()).items() if name != MOVES}
    opened = {name: await source.collection(name, indexes) for name, indexes in names.items()}
    whole = sum([await collection.count() for collection in opened.values()])
    done = 0
    for name, collection in opened.items():
        into = await target.collection(name, names[name])
        done += await into.count() if name in after else 0
        token, pages = after.get(name, ""), 0
        while True:
            page = await collection.query(limit=_PAGE, page_token=token)
            await into.load(page.documents)
            done, token, pages = done + len(page.documents), page.next_page_token, pages + 1
            if progress is not None:
                progress(min(done, whole), whole, name)
            if not token:
                break
            if pages % _PAGES_A_MARK == 0:
                after[name] = token
                await marks.put(_MARK, {"source": source.thing, "is_done": False, "after": after})
    copied = [
        await _compared(collection, await target.collection(name, names[name])) for name, collection in opened.items()
    ]
    held = {one.collection: {"documents": one.documents, "sha256": one.sha256} for one in copied}
    await marks.put(_MARK, {"source": source.thing, "is_done": True, "after": {}, "held": held})
    return copied


async def is_unfinished(target: MovableStore, source: str) -> bool:
    """Whether a move from this source into the target was interrupted."""
    if MOVES not in await target.collections():
        return False
    mark = await (await target.collection(MOVES)).find(_MARK)
    return mark is not None and mark.body["source"] == source and not mark.body["is_done"]


async def check(store: MovableStore) -> list[Holding]:
    """Reads every document; what each collection holds. Raises DataLoss."""
    if wrong := await store.check():
        raise DataLoss(store.thing, wrong, "Restore it from a backup, or move it from where it came.")
    names = await store.collections()
    marks = await store.collection(MARKS) if MARKS in names else None
    found: list[Holding] = []
    for name in sorted(names):
        mark = await marks.find(name) if marks is not None else None
        held = await holding(await store.collection(name))
        found.append(Holding(name, held.documents, held.sha256, mark.body["to"] if mark is not None else 1))
    return found


async def holding(collection: Collection) -> Holding:
    """What a collection holds."""
    digest, count = hashlib.sha256(), 0
    async for document in scan(collection):
        row = [document.id, document.version, document.body]
        digest.update(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        count += 1
    return Holding(collection.name, count, digest.hexdigest())


async def _require_empty(target: MovableStore) -> None:
    for name, indexes in (await target.collections()).items():
        if name != MOVES and await (await target.collection(name, indexes)).count():
            raise FailedPrecondition(
                target.thing, f"holds documents already ({name})", "Name another store.database_prefix."
            )


async def _compared(one: Collection, other: Collection) -> Holding:
    left, right = await holding(one), await holding(other)
    if left != right:
        raise DataLoss(
            f"collection {left.collection}",
            f"has {left.documents} documents in one store and {right.documents} in the other, or others "
            f"(SHA-256 {left.sha256[:16]}… and {right.sha256[:16]}…)",
            "Did somebody write meanwhile? Begin again with an empty target.",
        )
    return left
