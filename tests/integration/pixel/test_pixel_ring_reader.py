"""RingReader against outlets in this process, over a real rings.sock: nothing is told twice, nothing is left out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.pixel import ring
from broker.pixel.client import Missing, MissingReason, Picture, RingReader
from broker.pixel.handover import ReaderSeat, serve_rings
from broker.pixel.outlet import Budget, Outlet
from broker.pixel.planes import Planes, planes_of
from mesh.errors import DataLoss, InvalidArgument, NotFound, ResourceExhausted
from mesh.ids import FrameId
from mesh.tokens import Verifier, mint_token
from tests.support import until

EPOCH = 1_700_000_000_000_000_000


class Desk:
    """rings.sock with outlets that a test writes to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rings.sock"
        key = Ed25519PrivateKey.generate()
        self.token = mint_token(key, "worker", "service")
        self.outlets: dict[str, Outlet] = {}
        self._verifier = Verifier(key.public_key())
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        async with serve_rings(self.path, self._verifier, self._take_seat):
            self._ready.set()
            await self._stop.wait()

    async def _take_seat(self, camera: str, seat: ReaderSeat) -> Callable[[], None]:
        outlet = self.outlets.get(camera)
        if outlet is None:
            raise NotFound(f"camera {camera!r}", "does not exist")
        outlet.add(seat)
        return lambda: outlet.remove(seat)

    def outlet(self, camera: str, budget: Budget | None = None, session: int = 1, slots: int = 4) -> Outlet:
        self.outlets[camera] = Outlet(camera, slots, budget or Budget(1 << 30), session)
        return self.outlets[camera]

    def reader(self, camera: str, **options: object) -> RingReader:
        return RingReader(self.path, self.token, camera, **options)  # type: ignore[arg-type]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        desk = Desk(Path(folder))
        yield desk
        desk.close()
        gc.collect()
        assert not desk.path.exists()


def picture_planes(value: int, width: int = 32, height: int = 16) -> Planes:
    frame = av.VideoFrame.from_ndarray(np.full((height * 3 // 2, width), value % 256, np.uint8), format="yuv420p")
    return planes_of(frame)


def show(outlet: Outlet, seq: int, *, width: int = 32, inexact: bool = False) -> None:
    outlet.picture(picture_planes(seq, width), seq=seq, received_ns=EPOCH + seq, monotonic_ns=seq, inexact=inexact)


def read_all(reader: RingReader) -> list[Picture | Missing]:
    items = []
    while (item := reader.read(0)) is not None:
        items.append(item)
    return items


def told(items: list[Picture | Missing]) -> list[int]:
    seqs: list[int] = []
    for item in items:
        seqs += [item.id.seq] if isinstance(item, Picture) else range(item.first_id.seq, item.last_id.seq + 1)
    return seqs


def seated(desk: Desk, outlet: Outlet, reader: RingReader, readers: int = 1) -> None:
    """Connects, and takes the ring if there is one: a reader begins with what is shown after that."""
    reader.read(0)
    until(lambda: outlet.readers == readers, 10)
    assert reader.read(0.02) is None


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
        assert len(known) == 4, "three pictures: the fourth slot was that of the picture in the reader's hands"
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
    budget = Budget(ring.ring_bytes(32, 16, 4))
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
        stuck.sendall(json.dumps({"protocol": 1, "token": desk.token, "camera": "stuck"}).encode() + b"\n")
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
        (b'{"protocol": 1}\n', "no JSON object"),
        (b'{"protocol": 2, "token": "x", "camera": "y"}\n', "protocol 2"),
        (b'{"protocol": 1, "token": "x", "camera": "y"}\n', "malformed"),
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

    def take(item: Picture | Missing | None) -> bool:
        if isinstance(item, Picture):
            got.append((item.id.epoch, item.id.seq))
            valid_value = (item.y == item.id.seq % 256).all()
            assert valid_value or not item.still_valid()
        elif item is not None:
            assert item.reason in (MissingReason.OVERRUN, MissingReason.DECODE_FAILED)
            got.extend((item.first_id.epoch, n) for n in range(item.first_id.seq, item.last_id.seq + 1))
        return item is not None

    with desk.reader(camera) as reader:
        seated(desk, outlet, reader)
        for what, amount in history:
            if what == "show":
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
            pass
    outlet.close(NotFound("camera", "was removed"))
    if got:
        # A reader without a past begins with the first record; every example writes its first at 0.
        assert len(got) == len(set(got))
    assert sorted(got) == expected
