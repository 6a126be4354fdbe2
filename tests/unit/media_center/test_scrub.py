"""The background scrub: everything in turn, on from where it was, never in the way of recording."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from media_center.keys import RING_NAME, FootageSigner
from media_center.scrub import Scrubber, ScrubState
from media_center.system_events import SystemEvents
from mesh.bus import Bus
from mesh.clocks import SystemClock
from tests.footage import Script, archive_of, record
from tests.support import auntil

SEGMENTS = 4


@pytest.fixture
async def scrubbed(tmp_path: Path) -> AsyncIterator[Callable[..., Scrubber]]:
    """Makes and runs scrubbers over one camera with four sealed segments; nobody listens on the bus."""
    record(tmp_path / "media", Script().start().frames(95).items, signer=FootageSigner.of_folder(tmp_path / "keys", 1))
    running: list[asyncio.Task[None]] = []

    def run(**options: object) -> Scrubber:
        events = SystemEvents(Bus("nats://127.0.0.1:9", name="test"), SystemClock())
        archive, ring, state = archive_of(tmp_path / "media"), tmp_path / "keys" / RING_NAME, tmp_path / "scrub.json"
        made = Scrubber(archive, ring, events, SystemClock(), state, scrub_days=1, **options)  # type: ignore[arg-type]
        running.append(asyncio.create_task(made.run()))
        return made

    yield run
    for task in running:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def segments(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "media" / "gate").glob("*.mp4"))


async def test_a_round_looks_at_every_segment_once_and_the_next_waits(
    scrubbed: Callable[..., Scrubber], tmp_path: Path
) -> None:
    first = scrubbed()
    await auntil(lambda: ScrubState.read(tmp_path / "scrub.json").finished_ns, 10, "the round is complete, and noted")
    assert (first.segments_done, first.findings, first.damaged_segments) == (SEGMENTS, 0, 0)
    assert first.bytes_done > sum(path.stat().st_size for path in segments(tmp_path)) / 2
    assert ScrubState.read(tmp_path / "scrub.json").finished_ns == first.finished_ns
    assert scrubbed().finished_ns == first.finished_ns, "remembered across restarts"


async def test_a_restart_goes_on_with_the_round_where_it_was(scrubbed: Callable[..., Scrubber], tmp_path: Path) -> None:
    (tmp_path / "scrub.json").write_bytes(ScrubState(0, "gate", segments(tmp_path)[1].name).encode())
    made = scrubbed()
    await auntil(lambda: made.finished_ns, 10, "the round is complete")
    assert made.segments_done == SEGMENTS - 2
    assert made.damaged_segments == 0, "what was looked at before is no hole in the chain"


async def test_what_was_found_is_remembered_until_it_is_found_good(
    scrubbed: Callable[..., Scrubber], tmp_path: Path
) -> None:
    victim = segments(tmp_path)[2]
    sound = victim.read_bytes()
    victim.write_bytes(sound[: len(sound) // 2])
    first = scrubbed()
    await auntil(lambda: first.finished_ns, 10, "the round is complete")
    assert first.damaged_segments == 1, "the chain lacks its seal"
    assert scrubbed().damaged_segments == 1

    victim.write_bytes(sound)
    again = scrubbed()
    found = await asyncio.to_thread(
        lambda: [one for p in again.scrub(["gate"], threading.Event()) for one in p.findings]
    )
    assert found == []
    assert again.damaged_segments == 0


async def test_nothing_is_read_while_the_disk_is_slow(scrubbed: Callable[..., Scrubber]) -> None:
    asked = 0
    is_slow = True

    def is_busy() -> bool:
        nonlocal asked
        asked += 1
        return is_slow

    made = scrubbed(is_busy=is_busy)
    await auntil(lambda: asked >= 2, 10, "it looks whether the disk has time")
    assert made.segments_done == 0
    is_slow = False
    await auntil(lambda: made.finished_ns, 10, "the round is complete")


async def test_a_scrub_by_hand_ends_when_nobody_waits_for_it(scrubbed: Callable[..., Scrubber]) -> None:
    made = scrubbed(is_busy=lambda: True)
    stop = threading.Event()
    work = made.scrub(["gate"], stop)
    assert (await asyncio.to_thread(next, work)).segments == SEGMENTS
    stop.set()
    assert await asyncio.to_thread(list, work) == []


@pytest.mark.parametrize("text", [b"", b"[]", b'{"finished_ns": "x"}', b'{"damaged": 3}', b"\xff"])
def test_a_state_that_cannot_be_read_begins_anew(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "scrub.json").write_bytes(text)
    assert ScrubState.read(tmp_path / "scrub.json") == ScrubState()
