"""Pictures that readers hold, over a real rings.sock: without a copy, beyond death, against those who mean harm."""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from broker.pixel.client import Missing, Picture, RingReader
from mesh.errors import DataLoss
from tests.pixel_desk import EPOCH, Desk, read_all, seated, show, told
from tests.support import until


def picture_of(reader: RingReader) -> Picture:
    item = reader.read(10)
    assert isinstance(item, Picture)
    return item


def test_a_picture_is_held_in_place_until_the_next_is_asked_for(desk: Desk) -> None:
    outlet = desk.outlet("inhand")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("inhand") as reader:
        seated(desk, outlet, reader)
        show(outlet, 0)
        first = picture_of(reader)
        for seq in range(1, 20):
            show(outlet, seq)
        assert first.still_valid()
        assert (first.y == 0).all()
        assert np.shares_memory(first.y, np.frombuffer(memoryview(first._mapping), np.uint8))
        assert told(read_all(reader)) == list(range(1, 20))
        for seq in range(20, 24):
            show(outlet, seq)
        assert not first.still_valid()
        assert outlet.broken_pins == 0


def test_a_picture_may_be_pinned_beyond_the_next_read(desk: Desk) -> None:
    outlet = desk.outlet("longer")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("longer") as reader:
        seated(desk, outlet, reader)
        show(outlet, 0)
        first = picture_of(reader)
        with first.pinned() as is_held:
            assert is_held
            for seq in range(1, 20):
                show(outlet, seq)
                second = picture_of(reader)
                with second.pinned() as second_is_held:
                    assert not second_is_held, "one a reader, in a ring of four"
            assert (first.y == 0).all()
            assert first.still_valid()
        for seq in range(20, 24):
            show(outlet, seq)
        with pytest.raises(DataLoss, match="overwritten"), first.pinned():
            pass


def test_a_pin_ends_after_a_second_and_the_reader_learns_it(desk: Desk) -> None:
    outlet = desk.outlet("second")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("second") as reader:
        seated(desk, outlet, reader)
        show(outlet, 0)
        first = picture_of(reader)
        began, seq = time.monotonic(), 1
        while first.still_valid():
            show(outlet, seq)
            seq += 1
        assert 0.99 < time.monotonic() - began < 5.0
        assert outlet.broken_pins == 1
        with pytest.raises(DataLoss):
            first.grey(8)
        assert told(read_all(reader)) == list(range(1, seq))


def test_a_change_of_size_leaves_what_is_held(desk: Desk) -> None:
    outlet = desk.outlet("resized")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("resized") as reader:
        seated(desk, outlet, reader)
        show(outlet, 0)
        first = picture_of(reader)
        with first.pinned():
            for seq in range(1, 30):
                show(outlet, seq, width=64)
                second = picture_of(reader)
                assert second.id.seq == seq
            for seq in range(30, 35):
                show(outlet, seq, width=64)
            assert first.still_valid()
            assert second.still_valid(), "pins are counted for each ring"
            assert [item.id.seq for item in read_all(reader) if isinstance(item, Picture)] == [32, 33, 34]


PROGRAM = """
import sys
from broker.pixel.client import RingReader
reader = RingReader(sys.argv[1], sys.argv[2], sys.argv[3])
print("waits", reader.read(0), flush=True)
picture = reader.read(30)
with picture.pinned():
    print("holds", picture.id.seq, flush=True)
    sys.stdin.read()
"""


def test_a_reader_killed_with_a_picture_in_hand_leaves_no_pin(desk: Desk) -> None:
    outlet = desk.outlet("killed")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("killed") as reader:
        seated(desk, outlet, reader)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(desk.path), desk.token, "killed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process, process.stdin, process.stdout:
            assert process.stdout.readline() == "waits None\n"
            until(lambda: outlet.readers == 2, 20)
            show(outlet, 0)
            assert process.stdout.readline() == "holds 0\n"
            first = picture_of(reader)
            show(outlet, 1)
            # The test's own reader has let it go; the other process holds it.
            assert told([picture_of(reader)]) == [1]
            for seq in range(2, 40):
                show(outlet, seq)
                assert told([picture_of(reader)]) == [seq]
            assert first.still_valid()
            process.kill()
            process.wait(10)
            until(lambda: outlet.readers == 1, 10)
            for seq in range(40, 44):
                show(outlet, seq)
            assert not first.still_valid()
            assert outlet.broken_pins == 0


class Hostile:
    """A reader with a valid token that does what it likes with what it was given."""

    def __init__(self, desk: Desk, camera: str) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.settimeout(10)
        self.connection.connect(str(desk.path))
        greeting = {"protocol": 2, "token": desk.token, "camera": camera, "pins": True}
        self.connection.sendall(json.dumps(greeting).encode() + b"\n")
        line, (memory, self.wake, pins), _, _ = socket.recv_fds(self.connection, 65536, 3)
        ring = json.loads(line)["ring"]
        assert ring["wake"]
        assert ring["pins"]
        self.memory = memory
        self.page = mmap.mmap(pins, 4096)
        os.close(pins)

    def pin_all_of(self, pictures: int, slots: int = 4) -> None:
        """Every picture of the last few, in every slot."""
        words = [2 * n * 64 + slot for n in range(max(1, pictures - 8), pictures + 1) for slot in range(slots)]
        self.page[8 : 8 + 8 * len(words)] = struct.pack(f"<{len(words)}Q", *words)

    def say_it_polls(self) -> None:
        """From now on each picture comes with a message, whether it looks at any or not."""
        self.page[:8] = struct.pack("<Q", 2)

    def close(self) -> None:
        self.connection.close()
        self.page.close()
        os.close(self.memory)
        os.close(self.wake)


@contextlib.contextmanager
def hostile_reader(desk: Desk, camera: str) -> Iterator[Hostile]:
    reader = Hostile(desk, camera)
    try:
        yield reader
    finally:
        reader.close()


def test_readers_that_pin_all_they_can_take_nothing_from_one_that_keeps_up(desk: Desk) -> None:
    outlet = desk.outlet("greedy")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("greedy") as reader, contextlib.ExitStack() as stack:
        seated(desk, outlet, reader)
        greedy = [stack.enter_context(hostile_reader(desk, "greedy")) for _ in range(5)]
        until(lambda: outlet.readers == 6, 10)
        began = time.monotonic()
        for seq in range(3000):
            show(outlet, seq)
            for one in greedy:
                one.pin_all_of(seq + 1)
            picture = picture_of(reader)
            assert picture.id.seq == seq
            assert (picture.grey(8) == seq % 256).all()
        assert time.monotonic() - began < 30
    until(lambda: outlet.readers == 0, 10)


def test_a_slow_reader_beside_greedy_ones_has_at_least_what_it_had_without_pins(desk: Desk) -> None:
    outlet = desk.outlet("slower")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("slower") as reader, contextlib.ExitStack() as stack:
        seated(desk, outlet, reader)
        greedy = [stack.enter_context(hostile_reader(desk, "slower")) for _ in range(5)]
        until(lambda: outlet.readers == 6, 10)
        seq, seqs = 0, []
        for _ in range(100):
            show(outlet, seq)
            item = reader.read(10)
            while not (isinstance(item, Picture) and item.id.seq == seq):
                assert isinstance(item, Missing)
                seqs += told([item])
                item = reader.read(10)
            seqs.append(seq)
            # Four slots: three more pictures, and it is still there.
            for _ in range(3):
                seq += 1
                show(outlet, seq)
                for one in greedy:
                    one.pin_all_of(seq + 1)
            assert item.still_valid()
            for _ in range(4):
                seq += 1
                show(outlet, seq)
            while (later := reader.read(0)) is not None:
                seqs += told([later])
            seq += 1
        assert seqs == list(range(seq))


def test_a_reader_that_never_looks_at_its_wake_up_cannot_hold_up_the_writer(desk: Desk) -> None:
    outlet = desk.outlet("asleep")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("asleep") as reader, hostile_reader(desk, "asleep") as other:
        seated(desk, outlet, reader, 2)
        other.say_it_polls()
        # The flag that an eventfd would have shared with the writer.
        flags = fcntl.fcntl(other.wake, fcntl.F_GETFL)
        fcntl.fcntl(other.wake, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
        with socket.socket(fileno=os.dup(other.wake)) as own_end:
            own_end.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    own_end.send(b"x" * 4096)
            began = time.monotonic()
            for seq in range(5000):
                show(outlet, seq)
                assert told([picture_of(reader)]) == [seq]
            assert time.monotonic() - began < 20
            assert outlet.readers == 2, "it may still come to its senses"
            assert select.select([own_end], [], [], 0)[0]


def test_a_reader_that_closes_its_wake_up_loses_its_seat(desk: Desk) -> None:
    outlet = desk.outlet("deaf")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("deaf") as reader, hostile_reader(desk, "deaf") as other:
        seated(desk, outlet, reader, 2)
        other.say_it_polls()
        spare = os.open(os.devnull, os.O_RDONLY)
        os.dup2(spare, other.wake)
        os.close(spare)
        show(outlet, 0)
        until(lambda: outlet.readers == 1, 10)
        show(outlet, 1)
        assert told([picture_of(reader), picture_of(reader)]) == [0, 1]


def test_a_reader_that_does_not_know_of_pins_gets_a_ring_without(desk: Desk) -> None:
    outlet = desk.outlet("older")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(desk.path))
        connection.sendall(json.dumps({"protocol": 2, "token": desk.token, "camera": "older"}).encode() + b"\n")
        line, descriptors, _, _ = socket.recv_fds(connection, 65536, 4)
        assert json.loads(line)["ring"]["pins"] is False
        assert len(descriptors) == 2
        for descriptor in descriptors:
            os.close(descriptor)
