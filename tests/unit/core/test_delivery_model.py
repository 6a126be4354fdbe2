"""Any sequence of events: LATEST and KEYFRAMES readers get, are told and count what the plain model says."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.hub import KEYFRAMES, LATEST, Hub, Subscriber
from broker.core.wire import BatchReader, WireFrame
from tests.unit.core.fanout import NETWORK_LOSS, REFUSED, Camera, told
from tests.unit.core.fanout_oracle import History, Reader, Thing
from trueframe.v1.frames_pb2 import Gap

MAX_BYTES, MAX_NS, MAX_ITEMS, BUDGET = 2500, 30_000_000_000, 40, 3500
RATE = 0.5
INTERVAL_NS = 2_000_000_000
NAMES = ("gate", "yard", "door")


class Client:
    """One real subscriber and the model of each of its cameras; what it sees is checked as a client could."""

    def __init__(self, hub: Hub, delivery: int, max_items: int, max_bytes: int, is_capped: bool) -> None:
        self.max_items, self.max_bytes = max_items, max_bytes
        self.delivery = delivery
        self.is_capped = is_capped and delivery == KEYFRAMES
        self.subscriber = Subscriber(
            hub,
            lambda: None,
            delivery,
            max_rate=RATE if self.is_capped else 0.0,
            max_pending_items=max_items,
            max_pending_bytes=max_bytes,
        )
        self.readers: dict[str, Reader] = {}
        self.told_since_frame: dict[str, int] = {}
        self.previous: dict[str, int | None] = {}
        self.run: dict[str, tuple[int, int] | None] = {}

    def model(self, history: History) -> Reader:
        return Reader(
            history,
            "latest" if self.delivery == LATEST else "keyframes",
            self.max_items,
            INTERVAL_NS if self.is_capped else 0,
        )

    def relieve(self) -> None:
        def waiting(reader: Reader) -> int:
            return sum(thing.size for thing in reader.waiting())

        if not self.max_bytes or sum(map(waiting, self.readers.values())) <= self.max_bytes:
            return
        for reader in self.readers.values():
            reader.settle()
        while sum(map(waiting, self.readers.values())) > self.max_bytes:
            most = max(self.readers.values(), key=waiting)
            if not waiting(most):
                break
            most.supersede()

    def check(self, name: str, message: object, history: History) -> None:
        """What any client may rely on, whatever the model says."""
        if isinstance(message, Gap) and message.reason not in (NETWORK_LOSS, REFUSED):
            self.told_since_frame[name] += message.count
        if isinstance(message, WireFrame):
            index, ordinal = next(
                (i, sum(1 for other in history.things[:i] if other.kind == "frame"))
                for i, thing in enumerate(history.things)
                if (thing.epoch, thing.seq) == (message.epoch, message.seq)
            )
            thing = history.things[index]
            if self.delivery == LATEST:
                assert thing.joins or self.run[name] == (thing.epoch, thing.seq - 1), "its references were left out"
            else:
                assert thing.exact
            previous = self.previous[name]
            if previous is not None:
                assert ordinal - previous - 1 == self.told_since_frame[name], "frames vanished without a word"
            self.previous[name], self.told_since_frame[name] = ordinal, 0
            self.run[name] = (thing.epoch, thing.seq)


class DeliveryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(MAX_BYTES, MAX_NS, MAX_ITEMS, BUDGET)
        self.cameras = {name: Camera(self.hub, name) for name in NAMES}
        self.histories = {name: History() for name in NAMES}
        self.clients: list[Client] = []

    # ---- the broker

    def came(self, name: str, thing: Thing) -> None:
        history = self.histories[name]
        history.things.append(thing)
        while len(history.held) > 1 and (
            sum(held.size for held in history.held) > MAX_BYTES
            or len(history.held) > MAX_ITEMS
            or history.now_ns - history.held[0].at_ns > MAX_NS
        ):
            history.evict(1)
        for client in self.clients:
            if name in client.readers:
                client.readers[name].came()
                client.relieve()
        self.make_room()

    def make_room(self) -> None:
        def size(history: History) -> int:
            return sum(held.size for held in history.held)

        histories = list(self.histories.values())
        while sum(map(size, histories)) > BUDGET:
            rich = [h for h in histories if size(h) > BUDGET // len(NAMES) and h.newest("joins") > h.held_from]
            rich = [h for h in rich if len(h.held) > 1]
            several = [h for h in histories if len(h.held) > 1]
            if not several:
                break
            giver = max(rich or several, key=size)
            group = next((i for i, held in enumerate(giver.held) if i and held.joins), 1)
            giver.evict(group)

    @rule(name=st.sampled_from(NAMES), step=st.integers(1, 3))
    def epoch_starts(self, name: str, step: int) -> None:
        camera = self.cameras[name]
        size = len(camera.start(camera.epoch + step))
        self.came(name, Thing("start", camera.epoch, camera.now_ns, size))

    @rule(name=st.sampled_from(NAMES))
    def epoch_ends(self, name: str) -> None:
        camera = self.cameras[name]
        if self.histories[name].is_running:
            self.came(name, Thing("end", camera.epoch, camera.now_ns, len(camera.end())))

    @rule(
        name=st.sampled_from(NAMES),
        kinds=st.text("I..XR", min_size=1, max_size=14),
        size=st.integers(0, 150),
        step_ns=st.sampled_from([10_000_000, 66_000_000, 300_000_000, 1_100_000_000, 4_000_000_000]),
    )
    def frames_come(self, name: str, kinds: str, size: int, step_ns: int) -> None:
        camera = self.cameras[name]
        if not self.histories[name].is_running:
            self.epoch_starts(name, 1)
        camera.step_ns = step_ns
        for kind in kinds:
            join = {"I": 2, "X": 2, "R": 3}.get(kind, 1)
            taken = len(camera.frame(join, damaged=kind == "X", size=size))
            self.came(
                name,
                Thing(
                    "frame",
                    camera.epoch,
                    camera.now_ns,
                    taken,
                    camera.seq - 1,
                    joins=kind in "IR",
                    exact=kind in "IX",
                ),
            )

    @rule(name=st.sampled_from(NAMES), is_known=st.booleans())
    def something_is_lost(self, name: str, is_known: bool) -> None:
        camera = self.cameras[name]
        if not self.histories[name].things:
            self.epoch_starts(name, 1)
        reason, count = (REFUSED, 2) if is_known else (NETWORK_LOSS, None)
        size = len(camera.gap(reason, count))
        epoch = self.histories[name].things[-1].epoch
        self.came(name, Thing("gap", epoch, camera.now_ns, size, reason=reason, count=count))

    # ---- subscribers

    @rule(
        delivery=st.sampled_from([LATEST, KEYFRAMES]),
        max_items=st.sampled_from([0, 3, 8]),
        max_bytes=st.sampled_from([0, 400, 1500]),
        is_capped=st.booleans(),
    )
    @precondition(lambda self: len(self.clients) < 3)
    def one_subscribes(self, delivery: int, max_items: int, max_bytes: int, is_capped: bool) -> None:
        self.clients.append(Client(self.hub, delivery, max_items, max_bytes, is_capped))

    @rule(data=st.data(), name=st.sampled_from(NAMES), resumes=st.booleans())
    @precondition(lambda self: self.clients)
    def one_adds(self, data: st.DataObject, name: str, resumes: bool) -> None:
        client = data.draw(st.sampled_from(self.clients))
        if name in client.readers:
            return
        history = self.histories[name]
        reader = client.model(history)
        held = [i for i in range(history.held_from, len(history.things)) if history.things[i].kind == "frame"]
        client.previous[name], client.told_since_frame[name], client.run[name] = None, 0, None
        if resumes and held:
            index = data.draw(st.sampled_from(held))
            thing = history.things[index]
            client.run[name] = (thing.epoch, thing.seq)
            client.previous[name] = len(history.frames(0, index))
            client.subscriber.add(name, (thing.epoch, thing.seq))
            reader.begin_behind(index)
        else:
            client.subscriber.add(name)
            reader.begin_live()
        client.readers[name] = reader
        history.readers.append(reader)

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    @precondition(lambda self: self.clients)
    def one_removes(self, data: st.DataObject, name: str) -> None:
        client = data.draw(st.sampled_from(self.clients))
        if reader := client.readers.pop(name, None):
            self.histories[name].readers = [one for one in self.histories[name].readers if one is not reader]
            assert client.subscriber.remove(name).delivered == reader.delivered

    # Batches that end by their bytes are tested with LOSSLESS readers: what was next and did not fit is told before
    # what the model then knows to be newer.
    @rule(data=st.data(), items=st.integers(1, 20))
    @precondition(lambda self: self.clients)
    def one_takes(self, data: st.DataObject, items: int) -> None:
        self.take(data.draw(st.sampled_from(self.clients)), items)

    @rule()
    def all_take_everything(self) -> None:
        for client in self.clients:
            while self.take(client, 16):
                pass

    def take(self, client: Client, items: int) -> int:
        messages = list(BatchReader(client.subscriber.take(items)))
        for message in messages:
            name = message.camera
            assert told([message]) == [client.readers[name].take()]
            client.check(name, message, self.histories[name])
        if not messages:
            assert not client.subscriber.ready
            assert [reader.take() for reader in client.readers.values()] == [""] * len(client.readers)
        return len(messages)

    # ---- what always holds

    @invariant()
    def counters_are_those_of_the_model(self) -> None:
        for client in self.clients:
            for name, reader in client.readers.items():
                reader.settle()
                counters = client.subscriber.counters(name)
                missed = {reason: row.count for reason, row in counters.not_delivered.items() if row.count}
                assert counters.captured == counters.delivered + sum(missed.values()) + counters.pending
                assert (counters.captured, counters.delivered, counters.pending) == (
                    reader.captured,
                    reader.delivered,
                    reader.pending,
                )
                assert missed == {reason: count for reason, count in reader.left_out.items() if count}

    @invariant()
    def rings_hold_what_the_model_holds_and_keep_the_budget(self) -> None:
        for name, history in self.histories.items():
            ring = self.hub.ring(name)
            assert ring.evicted_items == history.held_from
            assert ring.bytes == sum(held.size for held in history.held)
        assert self.hub.used_bytes == sum(self.hub.ring(name).bytes for name in NAMES)
        assert self.hub.used_bytes <= BUDGET


DeliveryMachine.TestCase.settings = settings(stateful_step_count=50, deadline=None)
TestDelivery = DeliveryMachine.TestCase
