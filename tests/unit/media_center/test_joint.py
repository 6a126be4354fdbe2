"""Past and live put together: whatever is recorded late, overrun or restarted, every frame once, in order, gaps told.

A model of the two sources against the pure core: a broker whose ring is short and that may die, a recorder that lags
and misses frames, a reader that is slow. Time is counted in steps.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.client import BatchReader, WireFrame, encode_frame
from media_center.client_calls import FootageItem
from media_center.joint import Joint
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, frames_pb2

OVERRUN, BROKER_LOST = frames_pb2.GAP_REASON_OVERRUN, frames_pb2.GAP_REASON_BROKER_LOST
RECORDER_LOST = frames_pb2.GAP_REASON_RECORDER_LOST


def frame(epoch: int, seq: int, at_ns: int) -> WireFrame:
    payload = f"{epoch}.{seq}".encode()
    digest = hashlib.sha256(payload).digest()
    raw = encode_frame("gate", epoch, seq, at_ns, at_ns, None, None, None, 2, 0, False, False, digest, payload)
    (item,) = BatchReader(raw)
    assert isinstance(item, WireFrame)
    return item


@dataclass
class World:
    """A camera, its broker's ring, and its footage."""

    ring_frames: int
    frames: list[WireFrame] = field(default_factory=list)
    """All that were ever minted."""
    recorded: list[WireFrame] = field(default_factory=list)
    epoch: int = 1
    ring: list[WireFrame] = field(default_factory=list)
    to_record: list[WireFrame] = field(default_factory=list)
    now: int = 0

    def mint(self, count: int) -> None:
        for _ in range(count):
            self.now += 1
            seq = self.frames[-1].seq + 1 if self.frames and self.frames[-1].epoch == self.epoch else 0
            made = frame(self.epoch, seq, self.now)
            self.frames.append(made)
            self.ring = [*self.ring, made][-self.ring_frames :]
            self.to_record.append(made)

    def record(self, count: int) -> None:
        self.recorded += self.to_record[:count]
        del self.to_record[:count]

    def miss(self, count: int) -> None:
        del self.to_record[:count]

    def restart(self) -> None:
        self.epoch += 5
        self.ring = []

    @property
    def marks(self) -> dict[str, FrameId]:
        return {"gate": self.recorded[-1].id} if self.recorded else {}

    def replay(self, wanted: footage_pb2.FootageRange) -> list[FootageItem]:
        """What the media center replays of a range without an end."""
        start = (wanted.first.epoch, wanted.first.seq) if wanted.HasField("first") else (0, wanted.from_ns)
        by_id = wanted.HasField("first")
        items: list[FootageItem] = []
        before: WireFrame | None = None
        told = -1
        for one in self.recorded:
            is_in = ((one.epoch, one.seq) if by_id else (0, one.received_ns)) >= start
            if is_in:
                if before is not None and (items or not self._begins_exactly(one, wanted)):
                    items += _gap_between(before, one)
                if one.epoch > told:
                    items.append(frames_pb2.EpochStarted(camera="gate", epoch=one.epoch))
                    told = one.epoch
                items.append(one)
            before = one
        return items

    @staticmethod
    def _begins_exactly(one: WireFrame, wanted: footage_pb2.FootageRange) -> bool:
        return wanted.HasField("first") and (one.epoch, one.seq) == (wanted.first.epoch, wanted.first.seq)

    def live(self, start: FrameId | int | None) -> list[FootageItem]:
        """What the broker gives of its ring behind a start."""
        items: list[FootageItem] = []
        told = -1
        ring = self.ring
        if isinstance(start, FrameId):
            ring = [one for one in ring if one.id > start]
            known = any(one.epoch == start.epoch for one in self.ring)
            if not known and start.epoch != self.epoch:
                items.append(frames_pb2.Gap(camera="gate", reason=BROKER_LOST, after=start.to_proto()))
            elif ring and ring[0].seq > start.seq + 1:
                count = ring[0].seq - start.seq - 1
                before = ring[0].id.to_proto()
                items.append(
                    frames_pb2.Gap(camera="gate", reason=OVERRUN, after=start.to_proto(), before=before, count=count)
                )
        for one in ring:
            if one.epoch > told:
                items.append(frames_pb2.EpochStarted(camera="gate", epoch=one.epoch))
                told = one.epoch
            items.append(one)
        return items


def _gap_between(before: WireFrame, after: WireFrame) -> list[FootageItem]:
    count = after.seq - before.seq - 1 if after.epoch == before.epoch else None
    if count == 0:
        return []
    gap = frames_pb2.Gap(
        camera="gate", reason=RECORDER_LOST, after=before.id.to_proto(), before=after.id.to_proto(), count=count
    )
    return [gap]


ANYTHING = ("mint", "mint", "record", "record", "miss", "restart", "nothing")
NO_LOSS = ("mint", "record", "nothing")


def read_all(
    world: World, start: FrameId | int | None, data: st.DataObject, kinds: tuple[str, ...] = ANYTHING
) -> list[FootageItem]:
    """The driver of `past_to_live`, with the world going on between any two items."""
    joint = Joint({"gate": start}, patience_s=6)
    out: list[FootageItem] = []
    turns = 0

    def happens() -> None:
        nonlocal turns
        turns += 1
        if turns > 20:
            world.record(len(world.to_record))
            return
        kind = data.draw(st.sampled_from(kinds))
        count = data.draw(st.integers(1, 12))
        if kind == "restart":
            world.restart()
            world.mint(count)
        elif kind != "nothing":
            getattr(world, kind)(count)

    for _ in range(30):
        while True:  # past
            marks = world.marks
            ranges = joint.ranges(marks)
            if ranges:
                for item in world.replay(ranges[0]):
                    out += joint.take_past(item)
                joint.was_read(ranges, marks)
                happens()
                continue
            if not joint.waits(turns):
                break
            happens()
        for item in world.live(joint.live_starts()["gate"]):
            given = joint.take_live(item, turns)
            if given is None:
                break
            out += given
        happens()
    return out


@settings(max_examples=40, deadline=None)
@given(data=st.data(), ring=st.integers(1, 20), before=st.integers(0, 30), recorded=st.integers(0, 30))
def test_every_frame_comes_once_and_in_order_or_is_told(
    data: st.DataObject, ring: int, before: int, recorded: int
) -> None:
    world = World(ring)
    world.mint(before)
    world.record(recorded)
    out = read_all(world, None, data)

    seen = [item.id for item in out if isinstance(item, WireFrame)]
    assert seen == sorted(set(seen))
    minted = [item.id for item in world.frames]
    assert set(seen) <= set(minted)
    # Between any two frames that come one after the other nothing is missing that a gap does not stand for.
    last: FrameId | None = None
    told = False
    known = 0
    epoch = -1
    for item in out:
        if isinstance(item, frames_pb2.Gap):
            told, known = True, known + item.count
        elif isinstance(item, frames_pb2.EpochStarted):
            assert item.epoch > epoch, "an epoch is told once"
            epoch = item.epoch
        elif isinstance(item, WireFrame):
            assert item.epoch == epoch, "an epoch is told before its frames"
            if last is not None and item.epoch == last.epoch:
                assert item.seq - last.seq - 1 == known
            elif last is not None:
                missing = [one for one in minted if last < one < item.id]
                assert told or not missing
            last, told, known = item.id, False, 0
    # What is in the ring at the end was given.
    if seen and world.ring:
        assert seen[-1] == world.ring[-1].id


@settings(max_examples=25, deadline=None)
@given(data=st.data(), by_time=st.booleans(), place=st.integers(0, 29), recorded=st.integers(0, 30))
def test_a_stream_begins_exactly_where_it_was_asked_to(
    data: st.DataObject, by_time: bool, place: int, recorded: int
) -> None:
    world = World(ring_frames=400)
    world.mint(30)
    world.record(recorded)
    wanted = world.frames[place]
    out = read_all(world, wanted.received_ns if by_time else wanted.id, data, NO_LOSS)
    seen = [item.id for item in out if isinstance(item, WireFrame)]
    assert seen[0] == wanted.id


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(), ring=st.integers(1, 20), before=st.integers(1, 30), ahead=st.integers(0, 8), by_time=st.booleans()
)
def test_what_is_lost_between_a_start_that_is_not_on_disk_yet_and_the_first_frame_is_told(
    data: st.DataObject, ring: int, before: int, ahead: int, by_time: bool
) -> None:
    world = World(ring)
    world.mint(before)
    world.record(data.draw(st.integers(1, before)))
    start = world.now + ahead if by_time else FrameId("gate", 1, before - 1 + ahead)
    out = read_all(world, start, data)

    first = next((item for item in out if isinstance(item, WireFrame)), None)
    wanted = [one for one in world.frames if (one.received_ns if by_time else one.id) >= start]  # type: ignore[operator]
    if first is None:
        return
    assert first.id >= wanted[0].id
    if first.id != wanted[0].id:
        gaps = [item for item in out[: out.index(first)] if isinstance(item, frames_pb2.Gap)]
        assert gaps
        assert not gaps[-1].HasField("before") or FrameId.from_proto(gaps[-1].before) == first.id


def test_a_broker_that_dies_before_the_first_frame_is_waited_for_and_then_told() -> None:
    joint = Joint({"gate": 50}, patience_s=5)
    assert [one.camera for one in joint.ranges({"gate": FrameId("gate", 1, 40)})] == ["gate"]
    assert joint.live_starts() == {"gate": 50}
    first = frame(9, 0, 60)  # of another broker

    assert joint.take_live(frames_pb2.EpochStarted(camera="gate", epoch=9), 0) == []
    assert joint.take_live(first, 0) is None
    assert joint.waits(4)
    assert not joint.waits(6)
    joint.live_starts()
    joint.take_live(frames_pb2.EpochStarted(camera="gate", epoch=9), 6)
    given = joint.take_live(first, 6)

    assert given is not None
    started, gap, came = given
    assert (isinstance(started, frames_pb2.EpochStarted), came) == (True, first)
    assert isinstance(gap, frames_pb2.Gap)
    assert (gap.reason, gap.HasField("count")) == (RECORDER_LOST, False)
    assert (gap.after.epoch, gap.after.seq, gap.before.epoch, gap.before.seq) == (1, 40, 9, 0)


def test_a_start_without_loss_is_not_waited_for() -> None:
    """Live reaches back to the start, or goes on where the footage on disk ends, or both ended in order."""
    mark = FrameId("gate", 1, 40)
    ended = frames_pb2.EpochEnded(camera="gate", epoch=1, last_seq=40)
    for before, first in (([frame(9, 3, 49)], frame(9, 4, 60)), ([], frame(1, 41, 60)), ([ended], frame(9, 0, 60))):
        joint = Joint({"gate": 50})
        joint.ranges({"gate": mark})
        joint.live_starts()
        for item in before:
            assert joint.take_live(item, 0) == []
        assert joint.take_live(first, 0) == [first]


def test_a_camera_that_was_never_recorded_begins_without_a_gap() -> None:
    joint = Joint({"gate": 50})
    joint.ranges({})
    joint.live_starts()
    assert joint.take_live(first := frame(9, 0, 60), 0) == [first]


def test_a_loss_that_live_told_is_not_told_again_by_the_footage() -> None:
    joint = Joint({"gate": None}, patience_s=0)
    network = frames_pb2.Gap(camera="gate", reason=frames_pb2.GAP_REASON_NETWORK_LOSS, noticed_ns=5)
    joint.take_past(frame(1, 0, 1))
    assert joint.take_live(network, 0) == [network]
    assert joint.take_past(network) == []
    assert [item.seq for item in joint.take_past(frame(1, 1, 2)) if isinstance(item, WireFrame)] == [1]
    assert joint.take_past(network) == [network]


def test_a_hole_of_the_footage_that_live_has_filled_in_part_is_told_for_the_rest() -> None:
    joint = Joint({"gate": None})
    for seq in range(5):
        joint.take_past(frame(1, seq, seq))
    hole = frames_pb2.Gap(
        camera="gate", reason=RECORDER_LOST, count=8, after=FrameId("gate", 1, 1).to_proto(),
        before=FrameId("gate", 1, 10).to_proto(),
    )  # fmt: skip
    (told,) = joint.take_past(hole)
    assert isinstance(told, frames_pb2.Gap)
    assert (told.after.seq, told.before.seq, told.count) == (4, 10, 5)
    assert [type(item).__name__ for item in joint.take_past(frame(1, 10, 10))] == ["WireFrame"]
