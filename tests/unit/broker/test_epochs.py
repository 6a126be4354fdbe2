"""Epochs only grow, and are on disk before anybody sees them."""

from __future__ import annotations

import asyncio

import pytest

from broker.epochs import EpochBook
from mesh.clocks import ManualClock
from tests.support import auntil
from tests.unit.broker.memory_epochs import MemoryEpochs


async def test_an_epoch_is_the_time_of_its_opening() -> None:
    clock = ManualClock(utc_ns=5_000, monotonic_ns=7)
    epoch = await EpochBook(MemoryEpochs(), clock).mint("gate")
    assert (epoch.number, epoch.started_ns, epoch.monotonic_ns) == (5_000, 5_000, 7)
    assert epoch.received_ns(107) == 5_100


async def test_an_epoch_grows_when_the_clock_was_set_back() -> None:
    store = MemoryEpochs({"gate": 9_000})
    book = EpochBook(store, ManualClock(utc_ns=5_000))
    await book.load()
    assert (await book.mint("gate")).number == 9_001
    assert (await book.mint("gate")).number == 9_002
    assert (await book.mint("yard")).number == 5_000
    assert store.last == {"gate": 9_002, "yard": 5_000}


async def test_nobody_sees_an_epoch_before_it_is_stored() -> None:
    store = MemoryEpochs()
    store.gate.clear()
    minting = asyncio.create_task(EpochBook(store, ManualClock(utc_ns=5)).mint("gate"))
    await auntil(lambda: store.is_held, 5)
    assert not minting.done()
    store.gate.set()
    assert (await minting).number == 5
    assert store.last == {"gate": 5}


async def test_a_hundred_cameras_share_a_few_writes() -> None:
    store = MemoryEpochs()
    book = EpochBook(store, ManualClock(utc_ns=5))
    epochs = await asyncio.gather(*(book.mint(f"camera-{i}") for i in range(100)))
    assert all(store.last[e.camera] == e.number for e in epochs)
    assert store.writes <= 2


async def test_a_number_whose_write_failed_is_never_given_again() -> None:
    store = MemoryEpochs()
    store.error = OSError("disk full")
    book = EpochBook(store, ManualClock(utc_ns=5))
    with pytest.raises(OSError, match="disk full"):
        await book.mint("gate")
    store.error = None
    assert (await book.mint("gate")).number == 6


async def test_a_step_of_the_wall_clock_is_noticed_and_drift_is_not() -> None:
    epoch = await EpochBook(MemoryEpochs(), ManualClock(utc_ns=10**18, monotonic_ns=0)).mint("gate")
    hour = 3_600 * 10**9
    assert not epoch.is_stepped(10**18 + hour + 400_000_000, hour)
    assert epoch.is_stepped(10**18 + hour + 600_000_000, hour)
    assert epoch.is_stepped(10**18 + hour - 600_000_000, hour)
