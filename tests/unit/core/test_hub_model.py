"""Any sequence of events: every subscriber can account for every frame, and the counters agree with what it got."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.hub import Hub, Subscriber
from broker.core.wire import BatchReader, WireFrame
from tests.unit.core.fanout import BROKER_LOST, NETWORK_LOSS, OVERRUN, REFUSED, Camera
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Gap


@dataclass
class Reading:
    """What one subscriber got of one camera, as a client sees it."""

    # Ordinal (over all epochs) of the next frame that is not accounted for; None until it is known.
    expected: int | None = None
    delivered: int = 0
    overrun: int = 0
    announced: set[int] = field(default_factory=set)
    lost_since_frame: set[int] = field(default_factory=set)


@dataclass
class History:
    """All that a camera ever was."""

    camera: Camera
    ordinals: dict[tuple[int, int], int] = field(default_factory=dict)
    # Ordinal of the frame that follows a gap → its reasons.
    gaps: dict[int, set[int]] = field(default_factory=dict)
    running: bool = False


class HubMachine(RuleBasedStateMachine):
    NAMES = ("gate", "yard")

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(max_bytes=900, max_ns=300, max_items=14)
        self.histories = {name: History(Camera(self.hub, name)) for name in self.NAMES}
        self.subscribers: list[Subscriber] = []
        self.readings: list[dict[str, Reading]] = []
        self.woken: list[bool] = []

    # ---- the broker

    @rule(name=st.sampled_from(NAMES), step=st.integers(1, 5))
    def epoch_starts(self, name: str, step: int) -> None:
        history = self.histories[name]
        history.camera.start(history.camera.epoch + step)
        history.running = True

    @rule(name=st.sampled_from(NAMES))
    def epoch_ends(self, name: str) -> None:
        if self.histories[name].running:
            self.histories[name].camera.end()
            self.histories[name].running = False

    @rule(name=st.sampled_from(NAMES), kinds=st.text("I.X", min_size=1, max_size=16), size=st.integers(0, 200))
    def frames_come(self, name: str, kinds: str, size: int) -> None:
        history = self.histories[name]
        if not history.running:
            self.epoch_starts(name, 1)
        for kind in kinds:
            history.ordinals[history.camera.epoch, history.camera.seq] = len(history.ordinals)
            history.camera.frames(kind, size=size)

    @rule(
        name=st.sampled_from(NAMES),
        reason=st.sampled_from([NETWORK_LOSS, REFUSED]),
        count=st.none() | st.integers(1, 3),
    )
    def something_is_lost(self, name: str, reason: int, count: int | None) -> None:
        history = self.histories[name]
        history.camera.gap(reason, count)  # type: ignore[arg-type]
        history.gaps.setdefault(len(history.ordinals), set()).add(reason)

    # ---- subscribers

    @rule()
    @precondition(lambda self: len(self.subscribers) < 3)
    def one_subscribes(self) -> None:
        number = len(self.subscribers)
        self.woken.append(False)
        self.readings.append({})
        self.subscribers.append(Subscriber(self.hub, lambda: self.woken.__setitem__(number, True)))

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    @precondition(lambda self: self.subscribers)
    def one_adds(self, data: st.DataObject, name: str) -> None:
        number = data.draw(st.integers(0, len(self.subscribers) - 1))
        history = self.histories[name]
        if name in self.readings[number]:
            return
        reading = self.readings[number][name] = Reading()
        starts: list[st.SearchStrategy[int | tuple[int, int] | None]] = [st.none(), st.integers(900, 3000)]
        if history.ordinals:
            starts.append(st.sampled_from(sorted(history.ordinals)))
        start = data.draw(st.one_of(starts))
        if isinstance(start, tuple):
            reading.expected = history.ordinals[start] + 1
        self.subscribers[number].add(name, start)

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    @precondition(lambda self: self.subscribers)
    def one_removes(self, data: st.DataObject, name: str) -> None:
        number = data.draw(st.integers(0, len(self.subscribers) - 1))
        if self.readings[number].pop(name, None):
            counters = self.subscribers[number].remove(name)
            assert counters.captured >= counters.delivered

    @rule(data=st.data(), items=st.integers(1, 20), size=st.integers(1, 2000))
    @precondition(lambda self: self.subscribers)
    def one_takes(self, data: st.DataObject, items: int, size: int) -> None:
        self.take(data.draw(st.integers(0, len(self.subscribers) - 1)), items, size)

    @rule()
    def all_take_everything(self) -> None:
        for number in range(len(self.subscribers)):
            while self.take(number, 16, 1 << 20):
                pass

    def take(self, number: int, items: int, size: int) -> int:
        batch = self.subscribers[number].take(items, size)
        messages = list(BatchReader(batch))
        assert len(messages) <= items
        assert len(batch) <= size or len(messages) == 1
        if not messages:
            self.woken[number] = False
            assert not self.subscribers[number].ready
        for message in messages:
            self.read(self.readings[number][message.camera], self.histories[message.camera], message)
        return len(messages)

    def read(self, reading: Reading, history: History, message: WireFrame | Gap | EpochStarted | EpochEnded) -> None:
        if isinstance(message, EpochStarted):
            reading.announced.add(message.epoch)
        elif isinstance(message, Gap):
            assert message.reason != BROKER_LOST
            reading.lost_since_frame.add(message.reason)
            if message.reason == OVERRUN:
                reading.overrun += message.count
                if reading.expected is not None:
                    reading.expected += message.count
        elif isinstance(message, WireFrame):
            ordinal = history.ordinals[message.epoch, message.seq]
            if reading.expected is not None:
                # Nothing vanishes: what was not told as overrun is here, in order.
                assert ordinal == reading.expected
                if reading.delivered:
                    skipped = [history.gaps[o] for o in history.gaps if ordinal - self.jump(reading) < o <= ordinal]
                    assert set().union(*skipped) <= reading.lost_since_frame
            assert message.epoch in reading.announced
            reading.expected = ordinal + 1
            reading.delivered += 1
            reading.lost_since_frame = set()
            reading.overrun = 0

    @staticmethod
    def jump(reading: Reading) -> int:
        return reading.overrun + 1

    # ---- what always holds

    @invariant()
    def captured_is_delivered_and_not_delivered_and_pending(self) -> None:
        for subscriber, readings in zip(self.subscribers, self.readings, strict=True):
            for name, reading in readings.items():
                counters = subscriber.counters(name)
                missed = sum(row.count for row in counters.not_delivered.values())
                assert counters.captured == counters.delivered + missed + counters.pending
                assert counters.delivered == reading.delivered
                assert min(counters.captured, counters.pending, missed) >= 0
                assert set(counters.not_delivered) <= {OVERRUN, NETWORK_LOSS, REFUSED}

    @invariant()
    def whoever_has_something_to_take_was_woken(self) -> None:
        for number, subscriber in enumerate(self.subscribers):
            assert self.woken[number] or not subscriber.ready

    @invariant()
    def rings_keep_their_bounds(self) -> None:
        for name in self.NAMES:
            ring = self.hub.ring(name)
            assert len(ring) <= 14
            assert len(ring) <= 1 or (ring.bytes <= 900 and ring.age_ns <= 300)
            assert ring.frames == len(self.histories[name].ordinals)


HubMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestHub = HubMachine.TestCase
