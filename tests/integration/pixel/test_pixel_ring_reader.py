"""RingReader against outlets in this process, over a real rings.sock: nothing is told twice, nothing is left out."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.pixel import ring_layout
from broker.pixel.client import Missing, MissingReason, Picture, RingReader
from broker.pixel.outlet import Budget
from mesh.errors import DataLoss, InvalidArgument, NotFound, ResourceExhausted
from mesh.ids import FrameId
from tests.pixel_desk import EPOCH, Desk, read_all, seated, show, told
from tests.support import until


def test_every_reader_gets_every_picture(desk: Desk) -> None:
    outlet = desk.outlet("both")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("both") as one, desk.reader("both") as two:
        seated(desk, outlet, one)
        seated(desk, outlet, two, 2)
        for seq in range(20):
            show(outlet, seq, inexact=seq == 3)
            for reader in (one, two):
                item = reader.read(10)
                assert isinstance(item, Picture)
                assert item.id == FrameId("both", EPOCH, seq)
                assert (item.received_ns, item.monotonic_ns, item.inexact) == (EPOCH + seq, seq, seq == 3)
                assert (item.y == seq).all()
                assert item.still_valid()
    until(lambda: outlet.readers == 0, 10)


def test_a_new_reader_begins_at_the_newest_picture(desk: Desk) -> None:
    outlet = desk.outlet("late")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("late") as early:
        seated(desk, outlet, early)
        for seq in range(10):
            show(outlet, seq)
        outlet.missing(10, 11, MissingReason.DECODE_FAILED)
        with desk.reader("late") as late:
            assert told([item for item in (late.read(10), late.read(10)) if item]) == [9, 10, 11]


@pytest.mark.parametrize(("before", "then"), [((0, 2, 3), (1, 4)), ((0, 3), (2, 1, 4)), ((0, 4), (2, 1, 3, 5))])
def test_what_was_shown_out_of_order_before_a_reader_came_is_not_called_lost(
    desk: Desk, before: tuple[int, ...], then: tuple[int, ...]
) -> None:
    outlet = desk.outlet("reordered")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    for seq in before:
        show(outlet, seq)
    with desk.reader("reordered") as reader:
        seated(desk, outlet, reader)
        items = []
        for seq in then:
            show(outlet, seq)
            items += read_all(reader)
    assert not [item for item in items if isinstance(item, Missing)]
    assert told(items) == list(then)


def test_a_reader_may_begin_behind_an_id(desk: Desk) -> None:
    outlet = desk.outlet("behind")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("behind") as early:
        seated(desk, outlet, early)
        for seq in range(10):
            show(outlet, seq)
        with desk.reader("behind", after=FrameId("behind", EPOCH, 4)) as late:
            items = [late.read(10)]
            items += read_all(late)
        assert told([item for item in items if item]) == [5, 6, 7, 8, 9]
        with desk.reader("behind", after=FrameId("behind", EPOCH - 5, 4)) as older:
            first = older.read(10)
            assert isinstance(first, Missing)
            assert (first.first_id.seq, first.last_id.seq, first.reason) == (0, 5, MissingReason.OVERRUN)
    with pytest.raises(InvalidArgument):
        desk.reader("behind", after=FrameId("other", EPOCH, 4))


def test_a_lapped_reader_is_told_what_it_missed_and_never_holds_up_the_writer(desk: Desk) -> None:
    outlet = desk.outlet("slow")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("slow") as reader:
        seated(desk, outlet, reader)
        show(outlet, 0)
        first = reader.read(10)
        assert isinstance(first, Picture)
        began = time.monotonic()
        for seq in range(1, 12_000):
            show(outlet, seq)
        assert time.monotonic() - began < 10
        items = [reader.read(10)]
        items += read_all(reader)
        known = [item for item in items if item is not None]
        assert told(known) == list(range(1, 12_000))
        assert [item.reason for item in known if isinstance(item, Missing)] == [MissingReason.OVERRUN]
        # Three pictures: the fourth slot was that of the picture in the reader's hands, for a second.
        assert len(known) == 4 + outlet.broken_pins
        for seq in range(12_000, 12_004):
            show(outlet, seq)
        assert not first.still_valid()
        with pytest.raises(DataLoss, match="overwritten"):
            first.grey(16)


def test_a_change_of_size_makes_a_new_generation_without_losing_a_picture(desk: Desk) -> None:
    outlet = desk.outlet("sizes")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("sizes") as reader:
        seated(desk, outlet, reader)
        shown: list[tuple[int, int]] = []
        for seq in range(12):
            show(outlet, seq, width=32 if seq % 6 < 3 else 64)
            if seq % 3 == 2:
                shown += [(item.id.seq, item.width) for item in read_all(reader) if isinstance(item, Picture)]
        item = reader.read(0.2)
        assert item is None
        assert shown == [(seq, 32 if seq % 6 < 3 else 64) for seq in range(12)]


def test_a_new_epoch_is_told_from_its_first_id(desk: Desk) -> None:
    outlet = desk.outlet("epochs")
    outlet.begin_epoch(EPOCH, 4, 32, 16)
    with desk.reader("epochs") as reader:
        seated(desk, outlet, reader)
        show(outlet, 5)
        outlet.begin_epoch(EPOCH + 1, -1, 32, 16)
        outlet.missing(0, 2, MissingReason.NOT_RECEIVED)
        show(outlet, 3)
        items = [reader.read(10), *read_all(reader)]
    assert [str(item.id.epoch - EPOCH) for item in items if isinstance(item, Picture)] == ["0", "1"]
    assert told([item for item in items if item]) == [5, 0, 1, 2, 3]


def test_memory_that_is_not_there_is_refused_clearly(desk: Desk) -> None:
    budget = Budget(ring_layout.ring_bytes(32, 16, 4))
    first, second = desk.outlet("first", budget), desk.outlet("second", budget)
    first.begin_epoch(EPOCH, -1, 32, 16)
    second.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("first") as holder:
        seated(desk, first, holder)
        with (
            desk.reader("second") as reader,
            pytest.raises(ResourceExhausted, match=r"0\.0 of .* MB are left.*memory_bytes"),
        ):
            reader.read(10)
    until(lambda: budget.used_bytes == 0, 10, "the memory comes back with the last reader")
    with desk.reader("second") as reader:
        seated(desk, second, reader)
        show(second, 0)
        assert isinstance(reader.read(10), Picture)


def test_a_reader_waits_for_a_camera_whose_size_is_not_known_yet(desk: Desk) -> None:
    outlet = desk.outlet("waiting")
    with desk.reader("waiting") as reader:
        seated(desk, outlet, reader)
        assert reader.read(0.05) is None
        outlet.begin_epoch(EPOCH, 41, 0, 0)
        show(outlet, 42)
        assert told([item for item in [reader.read(10)] if item]) == [42]


def test_closing_ends_a_read_in_another_thread(desk: Desk) -> None:
    desk.outlet("closing")
    reader = desk.reader("closing")
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.extend(reader))
    thread.start()
    until(lambda: desk.outlets["closing"].readers == 1, 10)
    reader.close()
    thread.join(10)
    assert not thread.is_alive()
    assert results == []
    assert reader.read() is None
    reader.close()


def test_pictures_outlive_reader_and_host(desk: Desk) -> None:
    outlet = desk.outlet("outlive")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with desk.reader("outlive") as reader:
        seated(desk, outlet, reader)
        show(outlet, 77)
        item = reader.read(10)
    assert isinstance(item, Picture)
    outlet.close(NotFound("camera", "was removed"))
    gc.collect()
    assert item.still_valid()
    assert (item.copy()[0] == 77).all()
    assert item.grey(8).shape == (4, 8)
    assert item.rgb(8, 8).shape == (4, 8, 3)


def test_a_reader_that_reads_nothing_at_all_harms_nobody(desk: Desk) -> None:
    outlet = desk.outlet("stuck")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stuck, desk.reader("stuck") as reader:
        stuck.connect(str(desk.path))
        stuck.sendall(json.dumps({"protocol": 2, "token": desk.token, "camera": "stuck"}).encode() + b"\n")
        seated(desk, outlet, reader, 2)
        for seq in range(3000):
            show(outlet, seq, width=32 if seq % 4 < 2 else 64)
            if seq % 2:
                assert told(read_all(reader)) == [seq - 1, seq]
        assert outlet.readers == 1, "it lost its seat when its socket was full of rings"


@pytest.mark.parametrize(
    ("greeting", "why"),
    [
        (b"hello\n", "no JSON object"),
        (b'{"protocol": 2}\n', "no JSON object"),
        (b'{"protocol": 1, "token": "x", "camera": "y"}\n', "protocol 1"),
        (b'{"protocol": 2, "token": "x", "camera": "y"}\n', "malformed"),
        (b"[" * 60000 + b"\n", "no JSON object"),
        (b"x" * 200_000, "longer than"),
    ],
)
def test_a_bad_greeting_is_refused_with_a_reason(desk: Desk, greeting: bytes, why: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(desk.path))
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(greeting)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(65536):
                answer += data
        if answer or why != "longer than":
            assert why in json.loads(answer)["error"]["reason"]


def test_no_descriptor_is_left_behind(desk: Desk) -> None:
    outlet = desk.outlet("leaks")
    outlet.begin_epoch(EPOCH, -1, 32, 16)

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for round_number in range(20):
        with desk.reader("leaks") as reader:
            seated(desk, outlet, reader)
            show(outlet, 2 * round_number)
            show(outlet, 2 * round_number + 1, width=64)
            assert len(read_all(reader)) == 2
        until(lambda: outlet.readers == 0, 10)
    until(lambda: descriptors() <= before, 10, "descriptors are closed")
    gc.collect()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("show"), st.integers(1, 12)),
        st.tuples(st.just("miss"), st.integers(1, 5)),
        st.tuples(st.just("reorder"), st.integers(2, 4)),
        st.tuples(st.just("resize"), st.just(0)),
        st.tuples(st.just("read"), st.integers(1, 20)),
        st.tuples(st.just("epoch"), st.just(0)),
        st.tuples(st.just("hold"), st.just(0)),
        st.tuples(st.just("let go"), st.just(0)),
        st.tuples(st.just("others"), st.integers(0, 3)),
    ),
    max_size=40,
)
numbers = itertools.count()


@settings(max_examples=60, deadline=None)
@given(steps)
def test_whatever_happens_each_frame_is_told_exactly_once(desk: Desk, history: list[tuple[str, int]]) -> None:
    camera = f"any-{next(numbers)}"
    outlet = desk.outlet(camera)
    epoch, seq, width = EPOCH, 0, 32
    outlet.begin_epoch(epoch, -1, width, 16)
    expected: list[tuple[int, int]] = []
    got: list[tuple[int, int]] = []
    last: Picture | None = None
    # Pictures that the one reader holds, and until when it may count on that: there is nobody else to take them.
    held: list[tuple[Picture, float, contextlib.ExitStack]] = []

    def take(item: Picture | Missing | None) -> bool:
        nonlocal last
        if isinstance(item, Picture):
            got.append((item.id.epoch, item.id.seq))
            assert (item.y == item.id.seq % 256).all()
            assert item.still_valid()
            last = item
        elif item is not None:
            assert item.reason in (MissingReason.OVERRUN, MissingReason.DECODE_FAILED)
            got.extend((item.first_id.epoch, n) for n in range(item.first_id.seq, item.last_id.seq + 1))
        return item is not None

    def check_holds() -> None:
        for picture, until_s, _ in held:
            is_right = bool((picture.y == picture.id.seq % 256).all())
            assert (is_right and picture.still_valid()) or time.monotonic() > until_s

    with desk.reader(camera) as reader, contextlib.ExitStack() as everything:
        others: list[RingReader] = []
        seated(desk, outlet, reader)
        for what, amount in history:
            check_holds()
            if what == "hold":
                if last is not None and last.still_valid():
                    stack = everything.enter_context(contextlib.ExitStack())
                    if stack.enter_context(last.pinned()):
                        held.append((last, time.monotonic() + 0.9, stack))
            elif what == "let go":
                if held:
                    held.pop(0)[2].close()
            elif what == "others":
                # They come, hold the newest picture, and some of them leave with it in their hands.
                if amount and len(others) < 1:
                    others.append(everything.enter_context(desk.reader(camera)))
                    others[0].read(0)
                    until(lambda: outlet.readers == 2, 10)
                elif others and amount:
                    others[0].read(0)
                elif others:
                    others.pop().close()
                    until(lambda: outlet.readers == 1, 10)
            elif what == "show":
                for _ in range(amount):
                    show(outlet, seq, width=width)
                    seq += 1
            elif what == "miss":
                outlet.missing(seq, seq + amount - 1, MissingReason.DECODE_FAILED)
                seq += amount
            elif what == "reorder":
                for later in reversed(range(seq, seq + amount)):
                    show(outlet, later, width=width)
                seq += amount
            elif what == "resize":
                width = 96 - width
            elif what == "read":
                for _ in range(amount):
                    take(reader.read(0))
            else:
                expected += [(epoch, n) for n in range(seq)]
                epoch, seq = epoch + 1, 0
                outlet.begin_epoch(epoch, -1, width, 16)
        expected += [(epoch, n) for n in range(seq)]
        while take(reader.read(0)):
            check_holds()
    outlet.close(NotFound("camera", "was removed"))
    if got:
        # A reader without a past begins with the first record; every example writes its first at 0.
        assert len(got) == len(set(got))
    assert sorted(got) == expected
