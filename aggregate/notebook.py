"""What was heard of one inspection and is not in the ledger yet: pages that grow until they are written. Pure."""

from __future__ import annotations

from aggregate.judge import Verdict
from aggregate.orders import Order
from aggregate.pages import MINUTE_NS, Page, PageKey
from mesh.store import Body


class Notebook:
    """Pages in the order of their numbers; the last one grows.

    `number` and `step`: where the judge stands in the ledger, as `position` told it before.
    """

    def __init__(self, number: int = 0, step: int = 0) -> None:
        self._next_number = number
        self._step = step
        self._open: Page | None = None
        self._written_steps = 0
        """Of the open page: how many of its steps were taken for writing."""
        self._full: list[Page] = []
        self._put_back: list[Body] = []

    @property
    def position(self) -> tuple[int, int]:
        """The page that comes next, or grows, and how many of its steps were taken in."""
        if self._open is not None:
            return self._open.number, self._open.steps
        return self._next_number, self._step

    def continue_at(self, number: int) -> None:
        """Pages before this number are in the ledger and judged."""
        self._next_number, self._step = number, 0

    def write(
        self, verdict: Verdict, order: Order, fence: int, detector: str, threshold: float, *, began: bool = False
    ) -> None:
        """Takes the next verdict; `began`: with it the detector began from nothing."""
        minute = verdict.received_ns // MINUTE_NS if verdict.received_ns else None
        page = self._page(order, fence, detector, threshold, minute)
        page.add(verdict)
        if began:
            page.began.append(verdict.id)

    def write_end(self, at_ns: int, order: Order, fence: int, detector: str, threshold: float) -> None:
        """The judge was told that nobody speaks any more."""
        self._page(order, fence, detector, threshold, None, at_ns // MINUTE_NS).end(at_ns)

    def take(self) -> list[Body]:
        """Documents to be written now, in their order. Give them back with `put_back` if that fails."""
        bodies, self._put_back = self._put_back, []
        bodies += [page.document() for page in self._full]
        self._full = []
        page = self._open
        if page is not None and page.steps > self._written_steps:
            bodies.append(page.document())
            self._written_steps = page.steps
        newest = {body["number"]: body for body in bodies}
        return list(newest.values())

    def put_back(self, bodies: list[Body]) -> None:
        """These could not be written: they come first at the next `take`."""
        self._put_back = bodies + self._put_back

    def _page(
        self, order: Order, fence: int, detector: str, threshold: float, minute: int | None, default_minute: int = 0
    ) -> Page:
        page = self._open
        if minute is None:
            minute = page.key.minute if page is not None else default_minute
        key = PageKey(order.id, order.camera, fence, detector, threshold, minute)
        if page is not None and page.key == key and not page.is_full:
            return page
        if page is not None:
            self._next_number = page.number + 1
            if page.steps > self._written_steps:
                self._full.append(page)
        self._open = page = Page(key, self._next_number)
        self._written_steps = 0
        return page
