"""How completely a camera was inspected: frames with a score and without, by inspection and stretch of time. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aggregate.pages import MINUTE_NS, page_from_document
from aggregate.rests import Rest, cut

MAX_ROWS = 20_000


@dataclass(slots=True)
class Row:
    """One inspection over one stretch of time."""

    inspection: str
    from_ns: int
    to_ns: int
    scored: int = 0
    skipped: Counter[int] = field(default_factory=Counter)
    """Frames without a score, by reason."""
    rests: list[Rest] = field(default_factory=list)
    """When it was not carried out, in the order of time."""


class CoverageSum:
    """Sums pages into rows. `bucket_ns` 0: one row for each inspection."""

    def __init__(self, from_ns: int, to_ns: int, bucket_ns: int) -> None:
        self._from_ns = from_ns
        self._to_ns = to_ns
        self._bucket_ns = bucket_ns
        self._rows: dict[tuple[str, int], Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, body: Mapping[str, Any]) -> None:
        """Takes a page's document; frames outside the range are left out."""
        begin_ns, end_ns = body["minute"] * MINUTE_NS, (body["minute"] + 1) * MINUTE_NS - 1
        if self._from_ns <= begin_ns and end_ns <= self._to_ns:
            skipped = {int(reason): count for reason, count in body["skipped"].items()}
            self._count(body["inspection"], begin_ns, body["scored"], skipped)
            return
        for verdict in page_from_document(body).verdicts():
            # A run whose time is not known counts at its minute.
            at_ns = verdict.received_ns or begin_ns
            if self._from_ns <= at_ns <= self._to_ns:
                scored = verdict.count if verdict.has_score else 0
                self._count(body["inspection"], begin_ns, scored, {verdict.reason: verdict.count - scored})

    def rest(self, inspection: str, found: list[Rest]) -> None:
        """When the inspection was not carried out; a stretch of which nothing else is known gets its row."""
        for each in found:
            begin_ns = each.from_ns
            while begin_ns < each.to_ns and len(self._rows) <= MAX_ROWS:
                row = self._row(inspection, begin_ns)
                row.rests += cut([each], row.from_ns, row.to_ns)
                if not self._bucket_ns:
                    break
                begin_ns = (begin_ns // self._bucket_ns + 1) * self._bucket_ns

    def rows(self) -> list[Row]:
        """By inspection, then time."""
        return [self._rows[key] for key in sorted(self._rows)]

    def _count(self, inspection: str, minute_ns: int, scored: int, skipped: Mapping[int, int]) -> None:
        row = self._row(inspection, minute_ns)
        row.scored += scored
        row.skipped.update({reason: count for reason, count in skipped.items() if count})

    def _row(self, inspection: str, minute_ns: int) -> Row:
        bucket_ns = minute_ns // self._bucket_ns * self._bucket_ns if self._bucket_ns else 0
        row = self._rows.get((inspection, bucket_ns))
        if row is None:
            begin_ns = max(bucket_ns, self._from_ns) if self._bucket_ns else self._from_ns
            end_ns = min(bucket_ns + self._bucket_ns - 1, self._to_ns) if self._bucket_ns else self._to_ns
            row = self._rows[inspection, bucket_ns] = Row(inspection, begin_ns or minute_ns, end_ns)
        return row
