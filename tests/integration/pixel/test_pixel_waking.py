"""How readers of a ring wait and are woken: asleep on the ring, or for messages in an event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from broker.pixel.client import AsyncRingReader, Missing, MissingReason, Picture
from mesh.errors import NotFound
from tests.pixel_desk import EPOCH, Desk, read_all, seated, show, told
from tests.support import auntil, until


def test_a_sleeping_reader_is_woken_by_each_picture_and_gets_no_messages(desk: Desk) -> None:
    outlet = desk.outlet("sleeper")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    seen: list[int] = []
    with desk.reader("sleeper") as reader:
        seated(desk, outlet, reader)

        def read_on() -> None:
            while (item := reader.read()) is not None:
                seen.extend(told([item]))

        thread = threading.Thread(target=read_on)
        thread.start()
        for seq in range(200):
            show(outlet, seq)
            until(lambda seq=seq: len(seen) > seq, 10)  # type: ignore[misc]
        connection = reader._connection
        assert connection is not None
        with pytest.raises(BlockingIOError):
            os.read(connection.wake, 1)
        began = time.monotonic()
        reader.close()
        thread.join(10)
        assert time.monotonic() - began < 0.9, "closing wakes it"
    assert seen == list(range(200))


def test_a_reader_without_news_for_a_second_waits_in_poll_and_sleeps_on_the_ring_again_after_it(desk: Desk) -> None:
    outlet = desk.outlet("quiet")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    seen: list[int] = []
    with desk.reader("quiet") as reader:
        seated(desk, outlet, reader)

        def read_on() -> None:
            while (item := reader.read()) is not None:
                seen.extend(told([item]))

        def polls() -> bool:
            return [row.polls for row in outlet._rows.values()] == [True]

        thread = threading.Thread(target=read_on)
        thread.start()
        for seq in range(3):
            until(polls, 10, "it is quiet")
            show(outlet, seq)
            until(lambda seq=seq: len(seen) > seq, 10)  # type: ignore[misc]
            assert not polls(), "it sleeps on the ring, for a second"
        reader.close()
        thread.join(10)
        assert not thread.is_alive()
    assert seen == [0, 1, 2]


def test_a_reader_that_is_killed_in_its_sleep_frees_its_seat_and_is_woken_no_more(desk: Desk) -> None:
    outlet = desk.outlet("doomed")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    program = (
        "import sys; from broker.pixel.client import RingReader; r = RingReader(*sys.argv[1:4]); r.read(0);"
        "print('asleep', flush=True); [None for _ in r]"
    )
    command = [sys.executable, "-c", program, str(desk.path), desk.token, "doomed"]
    with desk.reader("doomed") as other, subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asleep\n"
        until(lambda: outlet.readers == 1, 10)
        seated(desk, outlet, other, 2)
        show(outlet, 0)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        until(lambda: outlet.readers == 1, 10)
        show(outlet, 1)
        assert told(read_all(other)) == [0, 1]


async def test_an_asynchronous_reader_gets_every_picture_and_its_loop_goes_on(desk: Desk) -> None:
    outlet = desk.outlet("async")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async with AsyncRingReader(desk.path, desk.token, "async") as reader:
        assert await reader.read(0.1) is None
        await auntil(lambda: outlet.readers == 1, 10)
        assert await reader.read(0.1) is None
        ticking = asyncio.create_task(tick())
        for seq in range(50):
            asyncio.get_running_loop().call_later(0.005, show, outlet, seq)
            item = await reader.read(10)
            assert isinstance(item, Picture)
            assert item.id.seq == seq
            assert (item.grey(8) == seq).all()
        ticking.cancel()
        assert ticks > 50
        outlet.missing(50, 52, MissingReason.THINNED)
        item = await anext(reader)
        assert isinstance(item, Missing)
        assert (item.first_id.seq, item.last_id.seq) == (50, 52)


async def test_an_asynchronous_reader_follows_a_change_of_size_and_ends_when_it_is_closed(desk: Desk) -> None:
    outlet = desk.outlet("grows")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    reader = AsyncRingReader(desk.path, desk.token, "grows")
    assert await reader.read(0.1) is None
    await auntil(lambda: outlet.readers == 1, 10)
    assert await reader.read(0.1) is None
    for seq, width in enumerate((32, 32, 64, 64, 32)):
        show(outlet, seq, width=width)
        item = await reader.read(10)
        assert isinstance(item, Picture)
        assert (item.id.seq, item.width) == (seq, width)
    waiting = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    reader.close()
    assert await asyncio.wait_for(waiting, 10) is None
    await auntil(lambda: outlet.readers == 0, 10)


async def test_an_asynchronous_reader_is_told_why_there_is_nothing(desk: Desk) -> None:
    async with AsyncRingReader(desk.path, desk.token, "nowhere") as reader:
        with pytest.raises(NotFound, match="nowhere"):
            await reader.read(10)


def test_a_thousand_pictures_between_two_processes_lose_no_wake_up(desk: Desk) -> None:
    """A wake-up that is lost shows as a wait of the longest sleep; the reader answers each picture."""
    outlet = desk.outlet("ping")
    outlet.begin_epoch(EPOCH, -1, 32, 16)
    program = (
        "import sys; from broker.pixel.client import RingReader; r = RingReader(*sys.argv[1:4]); r.read(0);"
        "print('ready', flush=True); [print(i.id.seq, flush=True) for i in r]"
    )
    command = [sys.executable, "-c", program, str(desk.path), desk.token, "ping"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            until(lambda: outlet.readers == 1, 10)
            show(outlet, 0)
            assert int(process.stdout.readline()) == 0
            slow = 0
            for seq in range(1, 1000):
                began = time.monotonic()
                show(outlet, seq)
                assert int(process.stdout.readline()) == seq
                slow += time.monotonic() - began > 0.09
            assert slow < 20, "of a thousand, and a busy machine has some of its own"
        finally:
            process.kill()
