"""The ledger's pages in the document store: written, and found again by time and by frame.

Pages of an inspection are numbered without holes in the order of ids. What a page holds is in `pages.py`; what becomes
of verdicts before they are written is in `bench.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator

from aggregate.pages import MINUTE_NS, Page, page_from_document
from mesh.ids import FrameId
from mesh.store import Between, Body, Collection, DocumentStore, scan

_PLAIN = re.compile(r"[a-z0-9.-]{1,100}")
_BEYOND = "~"
_LAST_MINUTE = 10**12 - 1


def store_key(inspection: str) -> str:
    """A short form of any inspection's id in which no separator occurs."""
    if _PLAIN.fullmatch(inspection):
        return inspection
    return "x" + hashlib.sha256(inspection.encode()).hexdigest()[:40] + "_"


class Ledger:
    """All pages. Make it with `open`. Raises the store's errors."""

    def __init__(self, pages: Collection) -> None:
        self._pages = pages

    @classmethod
    async def open(cls, store: DocumentStore) -> Ledger:
        """The ledger of a store."""
        # "slot" finds pages by time, "last_place" by frame: one index each serves both the condition and the order.
        return cls(await store.collection("ledger", ("slot", "last_place")))

    async def put(self, page: Body) -> None:
        """Stores a page's document, over an earlier state of it."""
        key = store_key(page["inspection"])
        body = {
            **page,
            "slot": f"{key}/{page['minute']:012d}/{page['number']:010d}",
            "last_place": _place(key, FrameId.parse(page["last"])) if page["last"] else None,
        }
        await self._pages.put(_id(key, page["number"]), body)

    async def page(self, inspection: str, number: int) -> Page | None:
        """The page of that number."""
        document = await self._pages.find(_id(store_key(inspection), number))
        return page_from_document(document.body) if document else None

    async def between(self, inspection: str, from_ns: int = 0, to_ns: int = 0) -> AsyncIterator[Body]:
        """Documents of pages that may hold frames received in the range, in their order; 0 leaves a side open."""
        key = store_key(inspection)
        low = from_ns // MINUTE_NS
        high = to_ns // MINUTE_NS if to_ns else _LAST_MINUTE
        slots = Between(f"{key}/{low:012d}/", f"{key}/{high:012d}/{_BEYOND}")
        async for document in scan(self._pages, {"slot": slots}, order="slot"):
            yield document.body

    async def behind(self, inspection: str, frame: FrameId) -> Page | None:
        """The first page that speaks of the frame or of a later one."""
        key = store_key(inspection)
        places = Between(_place(key, frame), f"{key}/{_BEYOND}")
        found = await self._pages.query({"last_place": places}, order="last_place", limit=1)
        return page_from_document(found.documents[0].body) if found.documents else None

    async def before(self, inspection: str, frame: FrameId) -> Page | None:
        """The last page that speaks of earlier frames only."""
        key = store_key(inspection)
        places = Between(f"{key}/", _place(key, FrameId(frame.camera, frame.epoch, frame.seq - 1)))
        found = await self._pages.query({"last_place": places}, order="-last_place", limit=1)
        return page_from_document(found.documents[0].body) if found.documents else None


def _id(key: str, number: int) -> str:
    return f"{key}/{number:010d}"


def _place(key: str, frame: FrameId) -> str:
    # A frame before the first of its epoch sorts where it should: behind the epoch before.
    return f"{key}/{frame.epoch:020d}/{frame.seq + 1:016d}"
