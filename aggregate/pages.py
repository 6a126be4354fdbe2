"""A page of the ledger: what one detector said of one camera under one fence in one minute. Pure.

Here: steps in their order (verdicts, and ends that the judge was told of), packed into columns and back without loss,
so that judging a page again gives the same anomalies. Not here: where pages are stored and found (`ledger.py`).

Columns are the differences of neighbouring values, byte by byte side by side, compressed: ten frames a second for a
minute take about 4 KB. What few verdicts say beside score and boxes is in `page_extras.py`.
"""

from __future__ import annotations

import base64
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregate.judge import Verdict
from aggregate.orders import Area
from aggregate.page_extras import Extras, extras_from_document
from mesh.ids import FrameId

MINUTE_NS = 60_000_000_000
FORMAT = 1
# A page is one document: far below what a document may hold, whatever a detector says.
MAX_VERDICTS = 8192
MAX_BOXES = 16384
_BOX_NUMBERS = 5

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """The inspection was stopped, or nobody spoke any more: the judge closed what was open."""

    at_ns: int


Step = Verdict | End


@dataclass(frozen=True, slots=True)
class PageKey:
    """What all verdicts of a page have in common."""

    inspection: str
    camera: str
    fence: int
    detector: str
    """Name and version."""
    threshold: float
    """At which an anomaly began."""
    minute: int
    """Of arrival, in minutes since 1970."""


@dataclass(slots=True, eq=False)
class Page:
    """A page that grows. Verdicts are added in the order of ids."""

    key: PageKey
    number: int
    """Counts up inside an inspection."""
    first: FrameId | None = None
    last: FrameId | None = None
    from_ns: int = 0
    """Smallest known time of arrival; 0 if none is known."""
    to_ns: int = 0
    scored: int = 0
    skipped: Counter[int] = field(default_factory=Counter)
    """Frames without a score, by reason."""
    _epochs: array[int] = field(default_factory=lambda: array("q"))
    _seqs: array[int] = field(default_factory=lambda: array("q"))
    _received: array[int] = field(default_factory=lambda: array("q"))
    _counts: array[int] = field(default_factory=lambda: array("q"))
    _scores: array[float] = field(default_factory=lambda: array("f"))
    _reasons: array[int] = field(default_factory=lambda: array("B"))
    _box_counts: array[int] = field(default_factory=lambda: array("B"))
    _boxes: array[float] = field(default_factory=lambda: array("f"))
    _box_labels: array[int] = field(default_factory=lambda: array("H"))
    _labels: dict[str, int] = field(default_factory=dict)
    _extras: Extras = field(default_factory=Extras)
    _ends: list[tuple[int, int]] = field(default_factory=list)
    """Number of verdicts before it, and its time."""
    began: list[FrameId] = field(default_factory=list)
    """Frames with which the detector began from nothing."""

    def __len__(self) -> int:
        return len(self._seqs)

    @property
    def steps(self) -> int:
        """Verdicts and ends."""
        return len(self._seqs) + len(self._ends)

    @property
    def is_full(self) -> bool:
        """Whether the next verdict needs another page."""
        too_many_boxes = len(self._box_labels) >= MAX_BOXES - 255
        return len(self._seqs) + len(self._ends) >= MAX_VERDICTS or too_many_boxes or self._extras.is_full

    def add(self, verdict: Verdict) -> None:
        """Takes the next verdict."""
        self.first = self.first or verdict.id
        self.last = verdict.last_id
        if verdict.received_ns:
            self.from_ns = min(self.from_ns or verdict.received_ns, verdict.received_ns)
            self.to_ns = max(self.to_ns, verdict.received_ns)
        if verdict.has_score:
            self.scored += verdict.count
        else:
            self.skipped[verdict.reason] += verdict.count
        self._extras.add_verdict(len(self._seqs), verdict.said, verdict.series, verdict.alignment)
        self._epochs.append(verdict.id.epoch)
        self._seqs.append(verdict.id.seq)
        self._received.append(verdict.received_ns)
        self._counts.append(verdict.count)
        self._scores.append(verdict.score)
        self._reasons.append(verdict.reason)
        self._box_counts.append(len(verdict.boxes))
        for box in verdict.boxes:
            self._extras.add_box(len(self._box_labels), box.track, box.said, box.key_points)
            self._boxes.extend((box.x, box.y, box.width, box.height, box.score))
            self._box_labels.append(self._labels.setdefault(box.label, len(self._labels)))

    def end(self, at_ns: int) -> None:
        """The judge was told that nobody speaks any more."""
        self._ends.append((len(self._seqs), at_ns))

    def read(self) -> Iterator[Step]:
        """All steps in their order."""
        labels, texts = list(self._labels), list(self._extras.texts)
        extras = self._extras
        ends = iter([*self._ends, (-1, 0)])
        place, at_ns = next(ends)
        box = 0
        for at, seq in enumerate(self._seqs):
            while place == at:
                yield End(at_ns)
                place, at_ns = next(ends)
            count = self._box_counts[at]
            boxes = tuple(self._box(number, labels, texts) for number in range(box, box + count))
            box += count
            yield Verdict(
                FrameId(self.key.camera, self._epochs[at], seq),
                self._received[at],
                self._scores[at],
                boxes,
                self._reasons[at],
                self._counts[at],
                texts[extras.said[at]] if at in extras.said else "",
                extras.series_of(at) if extras.series else (),
                extras.alignments.get(at, ()),
            )
        while place == len(self._seqs):
            yield End(at_ns)
            place, at_ns = next(ends)

    def verdicts(self) -> Iterator[Verdict]:
        """All verdicts in the order of ids."""
        return (step for step in self.read() if isinstance(step, Verdict))

    def _box(self, number: int, labels: list[str], texts: list[str]) -> Area:
        x, y, width, height, score = self._boxes[number * _BOX_NUMBERS : (number + 1) * _BOX_NUMBERS]
        extras = self._extras
        said = texts[extras.box_said[number]] if number in extras.box_said else ""
        return Area(
            x, y, width, height, labels[self._box_labels[number]], score, extras.tracks.get(number, 0), said,
            extras.points_of(number),
        )  # fmt: skip

    # As a document

    def document(self) -> Body:
        """The page as a JSON object; columns are base64 text."""
        key = self.key
        columns = [
            _packed_int64(self._epochs), _packed_int64(self._seqs), _packed_int64(self._received),
            _packed_int64(self._counts), _packed_bytes(self._scores), self._reasons.tobytes(),
            self._box_counts.tobytes(), _packed_bytes(self._boxes), _packed_bytes(self._box_labels),
        ]  # fmt: skip
        return {
            "format": FORMAT,
            "inspection": key.inspection,
            "camera": key.camera,
            "fence": key.fence,
            "detector": key.detector,
            "threshold": key.threshold,
            "minute": key.minute,
            "number": self.number,
            "first": str(self.first) if self.first else None,
            "last": str(self.last) if self.last else None,
            "from_ns": self.from_ns,
            "to_ns": self.to_ns,
            "scored": self.scored,
            "skipped": {str(reason): count for reason, count in sorted(self.skipped.items())},
            "verdicts": len(self._seqs),
            "boxes": len(self._box_labels),
            "labels": list(self._labels),
            "ends": [list(end) for end in self._ends],
            "began": [str(frame) for frame in self.began],
            "columns": base64.b64encode(zlib.compress(b"".join(columns), 1)).decode(),
            "extras": self._extras.document(),
        }


def page_from_document(body: Mapping[str, Any]) -> Page:
    """The inverse of `Page.document`. Raises ValueError for a format that is not known."""
    if body["format"] != FORMAT:
        raise ValueError(f"ledger page has format {body['format']}")
    key = PageKey(
        body["inspection"], body["camera"], body["fence"], body["detector"], body["threshold"], body["minute"]
    )
    rest = memoryview(zlib.decompress(base64.b64decode(body["columns"])))
    verdicts, boxes = body["verdicts"], body["boxes"]

    def take(size: int) -> memoryview:
        nonlocal rest
        taken, rest = rest[:size], rest[size:]
        return taken

    int64s = [_unpacked_int64(take(8 * verdicts), verdicts) for _ in range(4)]
    scores = array("f", _unpacked_bytes(take(4 * verdicts), 4))
    reasons, box_counts = array("B", take(verdicts)), array("B", take(verdicts))
    numbers = array("f", _unpacked_bytes(take(4 * _BOX_NUMBERS * boxes), 4))
    labels = array("H", _unpacked_bytes(take(2 * boxes), 2))
    page = Page(key, body["number"])
    page.first = FrameId.parse(body["first"]) if body["first"] else None
    page.last = FrameId.parse(body["last"]) if body["last"] else None
    page.from_ns, page.to_ns, page.scored = body["from_ns"], body["to_ns"], body["scored"]
    page.skipped = Counter({int(reason): count for reason, count in body["skipped"].items()})
    page._epochs, page._seqs, page._received, page._counts = int64s
    page._scores, page._reasons, page._box_counts = scores, reasons, box_counts
    page._boxes, page._box_labels = numbers, labels
    page._extras = extras_from_document(body.get("extras", {}))
    page._labels = {label: number for number, label in enumerate(body["labels"])}
    page._ends = [(place, at_ns) for place, at_ns in body["ends"]]
    page.began = [FrameId.parse(frame) for frame in body["began"]]
    return page


def _packed_int64(values: array[int]) -> bytes:
    numbers = np.frombuffer(values, np.int64) if values else np.zeros(0, np.int64)
    # Differences wrap around where they must, and so do the sums that undo them.
    return _planes(np.diff(numbers, prepend=np.int64(0)).view(np.uint8), 8)


def _unpacked_int64(data: memoryview, count: int) -> array[int]:
    differences = np.frombuffer(_unpacked_bytes(data, 8), np.int64)
    return array("q", np.cumsum(differences, dtype=np.int64).tobytes()) if count else array("q")


def _packed_bytes(values: array[Any]) -> bytes:
    return _planes(np.frombuffer(values, np.uint8), values.itemsize) if values else b""


def _planes(raw: NDArray[np.uint8], item_size: int) -> bytes:
    return np.ascontiguousarray(raw.reshape(-1, item_size).T).tobytes()


def _unpacked_bytes(data: memoryview, item_size: int) -> bytes:
    planes = np.frombuffer(data, np.uint8).reshape(item_size, -1)
    return np.ascontiguousarray(planes.T).tobytes()
