"""Which frames the ledger speaks of: its entries as sets of ids, against the frames that the broker handed out.

What does not belong here: the ledger's own sums (`GetCoverage`); these are counted from its single entries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aggregate.client import LedgerClient
from mesh.ids import FrameId
from trueframe.v1.inspection_pb2 import NoVerdictReason


@dataclass(slots=True)
class Book:
    """What was said for one inspection, by epoch and seq."""

    camera: str
    scored: set[tuple[int, int]] = field(default_factory=set)
    reasoned: dict[tuple[int, int], NoVerdictReason.ValueType] = field(default_factory=dict)
    """With the reason, as the wire numbers them."""

    def has_score(self, frame: FrameId) -> bool:
        """Whether the frame was scored."""
        return (frame.epoch, frame.seq) in self.scored


@dataclass(frozen=True, slots=True)
class Count:
    """Pairs of a frame and an inspection of its camera."""

    pairs: int
    scored: int
    reasons: Counter[str]
    """Pairs that were given a reason instead of a score, by its name."""
    unspoken: int


async def read_ledger(endpoint: str, token: Path, inspections: Mapping[str, str]) -> dict[str, Book]:
    """All that the ledger holds of these inspections (id to camera); an empty book where it holds nothing."""
    books = {inspection: Book(camera) for inspection, camera in inspections.items()}
    async with LedgerClient(endpoint, token) as ledger:
        for inspection, book in books.items():
            async for entry in ledger.read(book.camera, inspection=inspection):
                said = entry.verdict
                ids = {(said.id.epoch, said.id.seq + n) for n in range(max(said.count, 1))}
                if said.reason:
                    book.reasoned.update(dict.fromkeys(ids, said.reason))
                else:
                    book.scored |= ids
    return books


def count(frames: Sequence[FrameId], books: Sequence[Book]) -> Count:
    """How many of these frames each book speaks of."""
    ids = {(frame.epoch, frame.seq) for frame in frames}
    scored = sum(len(ids & book.scored) for book in books)
    reasons = Counter(
        NoVerdictReason.Name(book.reasoned[one]).removeprefix("NO_VERDICT_REASON_").lower()
        for book in books
        for one in ids & (book.reasoned.keys() - book.scored)
    )
    pairs = len(ids) * len(books)
    return Count(pairs, scored, reasons, pairs - scored - reasons.total())
