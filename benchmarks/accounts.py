"""Subscribers that keep their own account of a stream, and what it must agree with.

What belongs here: counting what a subscriber is told, in a thread of its own; comparing that with the broker's
counters; comparing frames with the sent log. What does not: cameras, faults (`faults`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from broker.client import Delivery, EpochEnded, Gap, StreamItem, Subscription, SyncBrokerClient, WireFrame
from mesh.errors import TrueframeError
from simulator.log import SentUnit
from trueframe.v1.frames_pb2 import GapReason

_OF_MINTED_FRAMES = ("OVERRUN", "SUPERSEDED", "NOT_REQUESTED", "RATE_CAPPED")
"""Reasons of gaps that stand for frames with ids."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame as it came."""

    epoch: int
    seq: int
    digest: bytes
    is_whole: bool
    """Neither damaged nor behind damage."""


@dataclass(slots=True)
class Account:
    """What a subscriber was told of one camera."""

    frames: int = 0
    known: Counter[str] = field(default_factory=Counter)
    """Frames in gaps, by reason, as far as their number was told."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Gaps of unknown count, by reason."""
    epochs: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    out_of_order: int = 0
    unexplained: int = 0
    """Frames missing between two ids of an epoch that no gap stood for."""
    seen: list[Seen] = field(default_factory=list)
    _last: tuple[int, int] = (0, -1)
    _explained: int = 0

    def take(self, item: StreamItem, *, keep: bool) -> None:
        """Counts an item; with `keep`, frames stay in `seen`."""
        if isinstance(item, WireFrame):
            self._frame(item, keep=keep)
        elif isinstance(item, Gap):
            reason = GapReason.Name(item.reason).removeprefix("GAP_REASON_")
            if item.HasField("count"):
                self.known[reason] += item.count
                self._explained += item.count if reason in _OF_MINTED_FRAMES else 0
            else:
                self.unknown[reason] += 1
        elif isinstance(item, EpochEnded):
            self.ended.add(item.epoch)

    def _frame(self, frame: WireFrame, *, keep: bool) -> None:
        epoch, seq = self._last
        if (frame.epoch, frame.seq) <= self._last:
            self.out_of_order += 1
        elif frame.epoch == epoch:
            self.unexplained += abs(frame.seq - seq - 1 - self._explained)
        # Of a gap over several epochs only the total is told; the broker's counters are compared with that.
        self._explained = 0
        self._last = (frame.epoch, frame.seq)
        self.epochs.add(frame.epoch)
        self.frames += 1
        if keep:
            is_whole = not (frame.damaged or frame.follows_damage)
            self.seen.append(Seen(frame.epoch, frame.seq, bytes(frame.digest), is_whole))


class Subscriber(threading.Thread):
    """Reads one stream of all cameras until it is closed. `naps` are seconds of reading and of sleeping, in turns."""

    def __init__(
        self,
        client: SyncBrokerClient,
        name: str,
        delivery: Delivery = "lossless",
        *,
        naps: tuple[float, float] = (0.0, 0.0),
        max_rate: float = 0.0,
        max_pending_items: int = 0,
        keep: bool = False,
    ) -> None:
        super().__init__(daemon=True, name=name)
        self.accounts: dict[str, Account] = defaultdict(Account)
        self.error: TrueframeError | None = None
        self.is_hurried = False
        self._keep = keep
        self._reads_s, self._sleeps_s = naps
        self._stream = client.stream(
            all_cameras=True,
            subscriber=name,
            delivery=delivery,
            max_rate=max_rate,
            max_pending_items=max_pending_items,
            reconnect=False,
        )

    def run(self) -> None:
        """Reads."""
        until_s = time.monotonic() + self._reads_s
        try:
            for item in self._stream:
                self.accounts[item.camera].take(item, keep=self._keep)
                if self._sleeps_s and not self.is_hurried and time.monotonic() > until_s:
                    self._nap()
                    until_s = time.monotonic() + self._reads_s
        except TrueframeError as error:
            self.error = error

    def _nap(self) -> None:
        wakes_s = time.monotonic() + self._sleeps_s
        while time.monotonic() < wakes_s and not self.is_hurried:
            time.sleep(0.05)

    def disagreements(self, row: Subscription) -> list[str]:
        """Where this account and the broker's counters differ, or counters do not add up."""
        found = []
        for counters in row.counters:
            own = self.accounts[counters.camera]
            left_out = {GapReason.Name(one.reason)[11:]: one.count for one in counters.not_delivered if one.count}
            unknown = {GapReason.Name(one.reason)[11:]: one.unknown_gaps for one in counters.not_delivered}
            unknown = {reason: count for reason, count in unknown.items() if count}
            told = {reason: own.known[reason] for reason in _OF_MINTED_FRAMES if own.known[reason]}
            where = f"{self.name}, {counters.camera}"
            if counters.captured != counters.delivered + sum(left_out.values()) + counters.pending:
                found.append(f"{where}: captured {counters.captured} is not the sum of {counters}")
            if counters.pending:
                found.append(f"{where}: {counters.pending} frames still wait")
            if counters.delivered != own.frames:
                found.append(f"{where}: delivered {counters.delivered}, received {own.frames}")
            if left_out != told:
                found.append(f"{where}: not delivered {left_out}, told {told}")
            if unknown != {reason: count for reason, count in own.unknown.items() if count}:
                found.append(f"{where}: gaps of unknown count {unknown}, told {dict(own.unknown)}")
            if own.out_of_order or own.unexplained:
                found.append(f"{where}: {own.out_of_order} frames out of order, {own.unexplained} missing untold")
        return found

    def is_level_with(self, row: Subscription) -> bool:
        """Whether all that the broker handed out has arrived, nothing waits, and the last epochs are told over."""
        for counters in row.counters:
            own = self.accounts[counters.camera]
            if counters.pending or counters.delivered != own.frames:
                return False
            # What was left out last is told before the end of its epoch.
            if own.epochs and max(own.epochs) not in own.ended:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A time in which a camera was not itself, on this host's monotonic clock."""

    from_ns: int
    until_ns: int


@dataclass(slots=True)
class Verdict:
    """What a lossless subscriber made of one camera."""

    sent: int = 0
    """Units on the wire."""
    judged: int = 0
    """Those of them that had to arrive: sent while the camera was well."""
    lost: list[int] = field(default_factory=list)
    """Running numbers of those that did not."""
    twice: int = 0
    disordered: int = 0
    """Frames that came behind one that was sent later."""
    invented: list[str] = field(default_factory=list)
    """Frames that passed as whole and were never sent; empty if no more than were corrupted on purpose."""
    is_recovered: bool = True

    @property
    def has_differences(self) -> bool:
        """Whether anything is not as it was sent."""
        return bool(self.lost or self.twice or self.disordered or self.invented or not self.is_recovered)


def verdict(
    sent: Sequence[SentUnit],
    seen: Sequence[Seen],
    disturbances: Iterable[Disturbance],
    *,
    corrupted: int = 0,
    margin_ns: int = 0,
    since_ns: int = 0,
) -> Verdict:
    """Holds the frames of a camera against its sent log.

    Units must arrive if they were sent after `since_ns` (or, if 0, after the first one that arrived) and while nothing
    disturbed: from `margin_ns` behind the first whole frame that was sent after a disturbance.
    """
    by_digest: dict[bytes, SentUnit] = {}
    for unit in sent:
        by_digest.setdefault(unit.digest, unit)
    arrived = Counter(frame.digest for frame in seen if frame.is_whole)
    whole_ns = sorted(by_digest[digest].sent_monotonic_ns for digest in arrived if digest in by_digest)
    result = Verdict(sent=len(by_digest))
    invented = [f"{frame.epoch}/{frame.seq}" for frame in seen if frame.is_whole and frame.digest not in by_digest]
    result.invented = invented if len(invented) > corrupted else []
    numbers = [by_digest[frame.digest].number for frame in seen if frame.is_whole and frame.digest in by_digest]
    result.disordered = sum(b < a for a, b in pairwise(numbers))
    result.twice = sum(n - 1 for digest, n in arrived.items() if digest in by_digest)
    start_ns = since_ns or (whole_ns[0] if whole_ns else 0)
    ill: list[tuple[int, int]] = []
    for one in disturbances:
        back_ns = next((at for at in whole_ns if at > one.until_ns), None)
        if back_ns is None:
            result.is_recovered = False
            back_ns = 1 << 63
        ill.append((one.from_ns, back_ns + margin_ns))
    for unit in by_digest.values():
        at = unit.sent_monotonic_ns
        if at < start_ns or any(begin <= at <= end for begin, end in ill):
            continue
        result.judged += 1
        if unit.digest not in arrived:
            result.lost.append(unit.number)
    return result
