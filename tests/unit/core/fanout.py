"""A camera that a test feeds by hand, a bell that counts, and reading what a subscriber takes."""

from __future__ import annotations

from broker.core.hub import Hub, Subscriber
from broker.core.wire import BatchReader, WireFrame, encode_frame, encode_item
from trueframe.v1.frames_pb2 import EpochEnded, EpochOrigin, EpochStarted, Gap, GapReason, Item

NETWORK_LOSS = GapReason.GAP_REASON_NETWORK_LOSS
BROKER_LOST = GapReason.GAP_REASON_BROKER_LOST
REFUSED = GapReason.GAP_REASON_REFUSED
OVERRUN = GapReason.GAP_REASON_OVERRUN


def nothing() -> None:
    """A wake that does nothing."""


class Bell:
    """Counts how often it was rung."""

    def __init__(self) -> None:
        self.rings = 0

    def __call__(self) -> None:
        self.rings += 1


class Camera:
    """Appends to a hub as a broker does; time passes by `step_ns` per frame."""

    def __init__(self, hub: Hub, name: str = "gate", step_ns: int = 10) -> None:
        self.hub = hub
        self.name = name
        self.step_ns = step_ns
        self.epoch = 0
        self.seq = 0
        self.now_ns = 1000
        hub.ring(name)

    def start(self, epoch: int) -> bytes:
        self.epoch, self.seq = epoch, 0
        return self.item(
            EpochStarted(
                camera=self.name,
                epoch=epoch,
                origin=EpochOrigin.EPOCH_ORIGIN_LIVE,
                started_ns=self.now_ns,
                monotonic_ns=self.now_ns,
            ),
        )

    def frame(self, join: int = 1, *, damaged: bool = False, size: int = 10) -> bytes:
        self.now_ns += self.step_ns
        item = encode_frame(
            self.name,
            self.epoch,
            self.seq,
            self.now_ns,
            self.now_ns,
            None,
            None,
            None,
            join,
            0,
            damaged,
            False,
            b"",
            bytes(size),
        )
        self.hub.append_frame(self.name, self.epoch, self.seq, self.now_ns, self.now_ns, join, damaged, item)
        self.seq += 1
        return item

    def frames(self, joins: str, *, size: int = 10) -> None:
        """One frame a letter: I joins exactly, R recovers, X is a damaged I, anything else joins nothing."""
        for letter in joins:
            self.frame({"I": 2, "X": 2, "R": 3}.get(letter, 1), damaged=letter == "X", size=size)

    def gap(self, reason: GapReason.ValueType = NETWORK_LOSS, count: int | None = None) -> bytes:
        gap = Gap(camera=self.name, reason=reason, noticed_ns=self.now_ns)
        if count is not None:
            gap.count = count
        return self.item(gap)

    def end(self) -> bytes:
        return self.item(EpochEnded(camera=self.name, epoch=self.epoch, ended_ns=self.now_ns))

    def item(self, message: Item | Gap | EpochStarted | EpochEnded) -> bytes:
        encoded = encode_item(message)
        self.hub.append_item(self.name, encoded)
        return encoded


def take_all(subscriber: Subscriber, max_items: int = 16, max_bytes: int = 1 << 20) -> list[object]:
    """Everything there is, as messages."""
    items: list[object] = []
    while batch := subscriber.take(max_items, max_bytes):
        items += BatchReader(batch)
    return items


def told(items: list[object]) -> list[str]:
    """One word an item: `5/2` is a frame, `start 5`, `end 5`, `gap REASON count after→before`."""
    words = []
    for item in items:
        if isinstance(item, WireFrame):
            words.append(f"{item.epoch}/{item.seq}")
        elif isinstance(item, EpochStarted):
            words.append(f"start {item.epoch}")
        elif isinstance(item, EpochEnded):
            words.append(f"end {item.epoch}")
        elif isinstance(item, Gap):
            count = str(item.count) if item.HasField("count") else "?"
            after = f"{item.after.epoch}/{item.after.seq}" if item.HasField("after") else ""
            before = f"{item.before.epoch}/{item.before.seq}" if item.HasField("before") else ""
            name = GapReason.Name(item.reason).removeprefix("GAP_REASON_")
            words.append(f"gap {name} {count} {after}→{before}")
    return words
