"""Pins: what the writer spares, for how long, and what a reader cannot do with them."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.pixel import pins, ring_layout
from broker.pixel.pins import PinBoard, PinHand, PinRow, pins_per_reader
from broker.pixel.ring_mapping import RingMapping
from broker.pixel.ring_writer import RingWriter

WIDTH, HEIGHT = 16, 8
LUMA = np.empty(WIDTH * HEIGHT, np.uint8)
CHROMA = np.empty(WIDTH * HEIGHT // 4, np.uint8)
HOLD_NS = 1000


@pytest.fixture(autouse=True)
def _no_page_is_left() -> Iterator[None]:
    gc.collect()
    before = pins.mapped_pages(), ring_layout.mapped_rings()
    yield
    gc.collect()
    assert (pins.mapped_pages(), ring_layout.mapped_rings()) == before


def write(writer: RingWriter, seq: int, now_ns: int = 1) -> tuple[int, int]:
    """Shows a picture of the value seq % 251; returns its slot and slot sequence."""
    LUMA[:] = CHROMA[:] = seq % 251
    half = WIDTH // 2
    writer.write_picture(
        LUMA, WIDTH, CHROMA, half, CHROMA, half, epoch=1, seq=seq, received_ns=0, floor=seq, now_ns=now_ns
    )
    record = RingMapping(writer.fd).record(writer.head - 1)
    assert record is not None
    return record[3], record[8]


def seat(writer: RingWriter) -> tuple[PinRow, RingMapping]:
    row = PinRow()
    writer.attach(row)
    mapping = RingMapping(writer.fd, row.fd)
    row.handed_over()
    return row, mapping


@pytest.fixture
def writer() -> Iterator[RingWriter]:
    writer = RingWriter("gate", WIDTH, HEIGHT, slots=4, records=64, hold_ns=HOLD_NS)
    yield writer
    writer.close()


def test_a_pinned_picture_is_passed_over_until_it_is_let_go(writer: RingWriter) -> None:
    _, reader = seat(writer)
    held = write(writer, 0)
    assert reader.pin(*held)
    for seq in range(1, 50):
        assert write(writer, seq)[0] != held[0]
    assert reader.is_whole(*held)
    assert (reader.planes(held[0])[0] == 0).all()
    reader.unpin(*held)
    assert write(writer, 50)[0] == held[0]
    assert not reader.is_whole(*held)
    assert writer.broken_pins == 0


def test_a_pin_is_ignored_when_it_has_had_its_time_and_the_reader_learns_it(writer: RingWriter) -> None:
    _, reader = seat(writer)
    held = write(writer, 0, 1)
    assert reader.pin(*held)
    for seq in range(1, 10):
        write(writer, seq, 100 + seq)  # the fourth of these would have taken its slot
    for seq in range(10, 20):
        write(writer, seq, 104 + HOLD_NS - 1)
    assert reader.is_whole(*held)
    assert writer.broken_pins == 0
    assert write(writer, 20, 104 + HOLD_NS)[0] == held[0]
    assert not reader.is_whole(*held)
    assert writer.broken_pins == 1


def test_without_a_given_time_the_bound_is_one_of_real_time() -> None:
    writer = RingWriter("gate", WIDTH, HEIGHT, slots=3, records=64, hold_ns=50_000_000)
    _, reader = seat(writer)
    held = write(writer, 0)
    assert reader.pin(*held)
    began_ns = time.monotonic_ns()
    seq = 1
    while reader.is_whole(*held):
        write(writer, seq, 0)
        seq += 1
    assert 49_000_000 < time.monotonic_ns() - began_ns < 5_000_000_000
    writer.close()


def test_a_picture_that_was_overwritten_cannot_be_pinned(writer: RingWriter) -> None:
    _, reader = seat(writer)
    old = write(writer, 0)
    for seq in range(1, 5):
        write(writer, seq)
    assert not reader.pin(*old)
    assert reader.pins == 0


def test_one_reader_holds_one_picture_of_four_and_the_same_one_as_often_as_it_likes(writer: RingWriter) -> None:
    _, reader = seat(writer)
    first, second = write(writer, 0), write(writer, 1)
    assert reader.pin(*first)
    assert reader.pin(*first)
    assert not reader.pin(*second)
    reader.unpin(*first)
    assert reader.pins == 1
    reader.unpin(*first)
    reader.unpin(*first)
    assert reader.pins == 0
    assert reader.pin(*second)


def test_larger_rings_let_a_reader_hold_more() -> None:
    assert [pins_per_reader(slots) for slots in (2, 3, 4, 5, 6, 8, 64)] == [1, 1, 1, 1, 2, 3, 31]
    # Two readers that hold all they may leave two slots to turn in, from four on.
    assert all(slots - 2 * pins_per_reader(slots) >= 2 for slots in range(4, 65))


def test_a_reader_without_a_page_cannot_pin(writer: RingWriter) -> None:
    reader = RingMapping(writer.fd)
    assert not reader.pin(*write(writer, 0))
    assert reader.pins == 0


def test_what_a_reader_held_is_free_once_it_is_detached(writer: RingWriter) -> None:
    row, reader = seat(writer)
    held = write(writer, 0)
    assert reader.pin(*held)
    for seq in range(1, 4):
        write(writer, seq)
    writer.detach(row)
    writer.detach(row)
    assert write(writer, 4)[0] == held[0]


def test_when_all_are_held_the_oldest_loses_and_the_newest_stays(writer: RingWriter) -> None:
    readers = [seat(writer)[1] for _ in range(4)]
    pictures = [write(writer, seq) for seq in range(4)]
    for reader, picture in zip(readers, pictures, strict=True):
        assert reader.pin(*picture)
    assert write(writer, 4)[0] == pictures[0][0]
    assert [readers[0].is_whole(*picture) for picture in pictures] == [False, True, True, True]
    assert writer.broken_pins == 1
    # The picture just written is nobody's, and next to the newest now: it goes before what is held.
    assert write(writer, 5)[0] == pictures[1][0], "it is still the newest: the oldest goes again"
    assert write(writer, 6)[0] == pictures[0][0]


def test_a_ring_of_two_goes_on_with_both_held() -> None:
    writer = RingWriter("gate", WIDTH, HEIGHT, slots=2, records=8)
    readers = [seat(writer)[1] for _ in range(2)]
    first, second = write(writer, 0), write(writer, 1)
    assert readers[0].pin(*first)
    assert write(writer, 2)[0] == second[0]
    assert readers[1].pin(second[0], 6)
    assert write(writer, 3)[0] == first[0]
    writer.close()


def test_whatever_a_reader_writes_on_its_page_pins_nothing_but_what_there_is(writer: RingWriter) -> None:
    row = PinRow()
    writer.attach(row)
    page = mmap.mmap(row.fd, 4096)
    rng = np.random.default_rng(0)
    for seq in range(300):
        page[:] = rng.integers(0, 256, 4096, dtype=np.uint8).tobytes()
        # All pictures that there may be, at once.
        page[:2048] = struct.pack("<256Q", *((2 * (seq - n // 4)) % (1 << 58) * 64 + n % 4 for n in range(256)))
        write(writer, seq)
    assert writer.head == 300
    page.close()


def test_a_page_cannot_be_resized_by_the_reader() -> None:
    row = PinRow()
    for size in (0, 8192):
        with pytest.raises(PermissionError):
            os.ftruncate(row.fd, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(row.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_what_is_no_page_is_refused() -> None:
    reading, writing = os.pipe()
    unsealed = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(unsealed, 4096)
    small = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(small, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    for descriptor in (reading, unsealed, small):
        with pytest.raises(ValueError, match="not a page of pins"):
            PinHand(descriptor, 4)
    for descriptor in (reading, writing, unsealed, small):
        os.close(descriptor)


def test_many_readers_fit_on_a_board_and_may_leave_in_any_order() -> None:
    board, rows = PinBoard(4), [PinRow() for _ in range(40)]
    for row in rows:
        board.attach(row)
    for row in rows[::2] + rows[1::2]:
        board.detach(row)
    assert len(board) == 0


def test_a_closed_ring_forgets_its_readers() -> None:
    writer = RingWriter("gate", WIDTH, HEIGHT)
    row, reader = seat(writer)
    held = write(writer, 0)
    assert reader.pin(*held)
    writer.close()
    writer.detach(row)
    with pytest.raises(ValueError, match="closed"):
        writer.attach(row)
    assert reader.is_whole(*held)
    reader.unpin(*held)


class Pinning(RuleBasedStateMachine):
    """A writer and readers that come, pin, let go and die, in any order."""

    @initialize(slots=st.integers(2, 8))
    def begin(self, slots: int) -> None:
        self.writer = RingWriter("gate", WIDTH, HEIGHT, slots=slots, records=64, hold_ns=HOLD_NS)
        self.slots = slots
        self.seq = 0
        self.now_ns = 1
        self.pictures: list[tuple[int, int]] = []
        self.readers: list[tuple[PinRow, RingMapping]] = []
        self.held: list[tuple[RingMapping, int]] = []  # reader and number of the picture
        self.due_ns: dict[int, int] = {}  # when a held picture was first in the writer's way
        self.views = RingMapping(self.writer.fd)

    def holders(self, number: int) -> list[RingMapping]:
        return [reader for reader, what in self.held if what == number]

    @rule(wait_ns=st.sampled_from([0, 1, HOLD_NS // 3, HOLD_NS - 1, HOLD_NS, 3 * HOLD_NS]))
    def show(self, wait_ns: int) -> None:
        self.now_ns += wait_ns
        whole = [n for n in range(len(self.pictures)) if self.views.is_whole(*self.pictures[n])]
        self.pictures.append(write(self.writer, self.seq, self.now_ns))
        self.seq += 1
        gone = [n for n in whole if not self.views.is_whole(*self.pictures[n])]
        if len(whole) < self.slots:
            assert gone == []
            return
        (victim,) = gone
        if self.slots > 2:
            assert victim != whole[-1], "the newest stays"
        spared = [n for n in whole if n < victim]
        assert all(self.holders(n) for n in spared), "only what is held is passed over"
        candidates = whole if self.slots == 2 else whole[:-1]
        if self.holders(victim):
            has_had_its_time = victim in self.due_ns and self.now_ns - self.due_ns[victim] >= HOLD_NS
            all_are_held = all(self.holders(n) for n in candidates) and victim == whole[0]
            assert has_had_its_time or all_are_held
            spared = candidates if not has_had_its_time else spared
        for number in spared:
            if number != victim:
                self.due_ns.setdefault(number, self.now_ns)

    @rule()
    def come(self) -> None:
        self.readers.append(seat(self.writer))

    @precondition(lambda self: self.readers and self.pictures)
    @rule(data=st.data())
    def pin(self, data: st.DataObject) -> None:
        _, reader = data.draw(st.sampled_from(self.readers))
        number = data.draw(st.integers(max(0, len(self.pictures) - 2 * self.slots), len(self.pictures) - 1))
        mine = {what for who, what in self.held if who is reader}
        is_whole = self.views.is_whole(*self.pictures[number])
        is_held = reader.pin(*self.pictures[number])
        assert is_held == (is_whole and (number in mine or len(mine) < pins_per_reader(self.slots)))
        if is_held:
            self.held.append((reader, number))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        reader, number = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        reader.unpin(*self.pictures[number])

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        row, reader = self.readers.pop(data.draw(st.integers(0, len(self.readers) - 1)))
        self.writer.detach(row)
        self.held = [entry for entry in self.held if entry[0] is not reader]

    @invariant()
    def what_is_whole_shows_what_was_written(self) -> None:
        if not hasattr(self, "pictures"):
            return
        for number in range(max(0, len(self.pictures) - 2 * self.slots), len(self.pictures)):
            slot, sequence = self.pictures[number]
            if self.views.is_whole(slot, sequence):
                assert all((plane == number % 251).all() for plane in self.views.planes(slot))
        assert self.writer.head == self.seq

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()


TestPinning = Pinning.TestCase
TestPinning.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def test_beside_a_busy_writer_what_is_pinned_is_never_touched() -> None:
    writer = RingWriter("gate", WIDTH, HEIGHT, slots=4, records=64, hold_ns=60_000_000_000)
    readers = [seat(writer)[1] for _ in range(2)]
    done = threading.Event()

    def keep_writing() -> None:
        for seq in range(30_000):
            LUMA[:] = CHROMA[:] = seq % 251
            writer.write_picture(LUMA, WIDTH, CHROMA, 8, CHROMA, 8, epoch=1, seq=seq, received_ns=0)
        done.set()

    pinned = [0, 0]

    def keep_looking(which: int) -> None:
        reader = readers[which]
        while not done.is_set():
            head = reader.head
            record = reader.record(head - 1) if head else None
            if record is None or not reader.pin(record[3], record[8]):
                continue
            for plane in reader.planes(record[3]):
                assert (plane == record[5] % 251).all()
            assert reader.is_whole(record[3], record[8])
            reader.unpin(record[3], record[8])
            pinned[which] += 1

    threads = [threading.Thread(target=keep_writing)]
    threads += [threading.Thread(target=keep_looking, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(pinned) > 0
    assert writer.broken_pins == 0
    assert writer.head == 30_000
    writer.close()


RACER = """
import sys
from broker.pixel.ring_mapping import RingMapping
mapping = RingMapping(int(sys.argv[1]), int(sys.argv[2]))
held = lost = 0
print("looks", flush=True)
while mapping.state == 0:
    head = mapping.head
    for back in (4, 5):  # what the writer is just about to overwrite
        record = mapping.record(head - back) if head >= back else None
        if record is not None and mapping.pin(record[3], record[8]):
            held += 1
            for _ in range(20):
                if not mapping.is_whole(record[3], record[8]):
                    lost += 1
                    break
            mapping.unpin(record[3], record[8])
print(held, lost)
"""


def test_a_pin_set_while_the_slot_is_being_taken_either_holds_or_is_refused() -> None:
    writer = RingWriter("gate", WIDTH, HEIGHT, slots=4, records=64, hold_ns=60_000_000_000)
    row = PinRow()
    writer.attach(row)
    racer = subprocess.Popen(
        [sys.executable, "-c", RACER, str(writer.fd), str(row.fd)],
        pass_fds=(writer.fd, row.fd),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert racer.stdout is not None
    with racer, racer.stdout:
        assert racer.stdout.readline() == "looks\n"
        until_s = time.monotonic() + 1.5
        while time.monotonic() < until_s:
            for seq in range(100):
                writer.write_picture(LUMA, WIDTH, CHROMA, 8, CHROMA, 8, epoch=1, seq=seq, received_ns=0)
        writer.set_state(ring_layout.CLOSED)
        held, lost = map(int, racer.stdout.readline().split())
    assert writer.broken_pins == 0
    writer.close()
    assert held > 100
    assert lost == 0
