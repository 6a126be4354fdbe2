"""Searches that people keep by name: their own, and those that others share. One document a search."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from google.protobuf import json_format

from mesh.errors import InvalidArgument, NotFound, ResourceExhausted
from mesh.store import Collection, DocumentStore, scan
from trueframe.v1.events_pb2 import ListEventsRequest

MAX_NAME = 60
MAX_SEARCHES = 200
"""Of one person."""


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A filter with a name. `changed_ns`: UTC nanoseconds."""

    owner: str
    name: str
    is_shared: bool
    wanted: ListEventsRequest
    changed_ns: int


class SearchBook:
    """All of them. Make it with `open`."""

    def __init__(self, searches: Collection) -> None:
        self._searches = searches

    @classmethod
    async def open(cls, store: DocumentStore) -> SearchBook:
        """The book in a store."""
        return cls(await store.collection("saved_searches", ["owner", "is_shared"]))

    async def put(self, search: SavedSearch) -> SavedSearch:
        """Keeps it; one of the same name of the same person is replaced. Raises InvalidArgument, ResourceExhausted."""
        key = _key(search.owner, search.name)
        if await self._searches.find(key) is None and (
            await self._searches.count({"owner": search.owner}) >= MAX_SEARCHES
        ):
            raise ResourceExhausted(f"search {search.name!r}", f"would be more than {MAX_SEARCHES}", "Delete one.")
        kept = ListEventsRequest()
        kept.CopyFrom(search.wanted)
        # What belongs to a page is not part of a search.
        kept.page_size, kept.page_token = 0, ""
        body = {
            "format": 1, "owner": search.owner, "name": search.name, "is_shared": int(search.is_shared),
            "changed_ns": search.changed_ns, "wanted": json_format.MessageToDict(kept),
        }  # fmt: skip
        await self._searches.put(key, body)
        return _search(body)

    async def of(self, person: str) -> list[SavedSearch]:
        """Those of a person by name, then those that others share."""
        mine = [_search(one.body) async for one in scan(self._searches, {"owner": person})]
        shared = [_search(one.body) async for one in scan(self._searches, {"is_shared": 1})]
        theirs = [one for one in shared if one.owner != person]
        return sorted(mine, key=lambda one: one.name) + sorted(theirs, key=lambda one: (one.name, one.owner))

    async def delete(self, owner: str, name: str) -> None:
        """Lets go of it. Raises NotFound."""
        if not await self._searches.delete(_key(owner, name)):
            raise NotFound(f"search {name[:80]!r}", "is none of yours", "`trueframe events saved` shows them.")


def checked_name(name: str) -> str:
    """The name on one line. Raises InvalidArgument."""
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise InvalidArgument("name", f"is not 1 to {MAX_NAME} printable characters")
    return name


def _key(owner: str, name: str) -> str:
    # With its length: whatever names people have, no two searches have one key.
    return f"{len(owner)} {owner} {name}"


def _search(body: dict[str, object]) -> SavedSearch:
    wanted = json_format.ParseDict(body["wanted"], ListEventsRequest(), ignore_unknown_fields=True)  # type: ignore[arg-type]
    return SavedSearch(str(body["owner"]), str(body["name"]), bool(body["is_shared"]), wanted,
                       int(str(body["changed_ns"])))  # fmt: skip
