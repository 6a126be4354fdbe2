"""The bench over a real store: what is stored before what is told, and what a crash between two writes does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregate.archive import Archive
from aggregate.bench import Bench
from aggregate.judge import Verdict
from aggregate.orders import Area, Order, Region
from mesh.clocks import ManualClock
from mesh.errors import Unavailable
from mesh.ids import FrameId
from mesh.outbox import OutboxPublisher
from mesh.store import SqliteStore
from tests.one_stream import OneStream
from trueframe.v1 import inspection_pb2

SECOND = 1_000_000_000
REGION = Region("gate", "inspect", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
ORDER = Order("yard.motion", "yard", "motion", regions=(REGION,))


def verdicts(scores: list[float], start: int = 0) -> list[Verdict]:
    box = (Area(0.4, 0.4, 0.1, 0.1, "motion", 0.9),)
    return [
        Verdict(FrameId("yard", 1, start + i), (start + i) * SECOND // 10, score, box if score > 0.5 else ())
        for i, score in enumerate(scores)
    ]


class Ear(OneStream):
    """Where an outbox publishes to in these tests: hears anomalies."""

    def __init__(self) -> None:
        self.heard: list[inspection_pb2.Anomaly] = []

    async def publish(self, subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        message = inspection_pb2.Anomaly.FromString(payload)
        assert subject == "trueframe.anomaly.yard"
        assert event_id == f"{message.id}-{message.version}"
        self.heard.append(message)
        return len(self.heard)


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    async with SqliteStore(tmp_path / "aggregate.sqlite") as store:
        yield await Archive.open(store)


async def heard(archive: Archive) -> list[inspection_pb2.Anomaly]:
    ear = Ear()
    await OutboxPublisher(archive.anomalies, ear).send_pending()
    return ear.heard


async def test_a_block_is_acknowledged_after_what_it_means_is_stored(archive: Archive) -> None:
    bench = Bench(archive, ManualClock())
    docket, _ = await bench.open_docket(ORDER, "The yard")
    acknowledged: list[int] = []
    bench.hear(docket, "motion@1", verdicts([0.1, 0.9, 0.9, 0.9, 0.9]), lambda: acknowledged.append(1))
    assert acknowledged == []
    await bench.settle(docket)
    assert acknowledged == [1]
    (told,) = await heard(archive)
    assert (told.camera, told.detector, told.version, told.ended_ns) == ("yard", "motion@1", 1, 0)
    assert list(told.regions) == ["gate"]
    assert told.camera_name == "The yard"
    progress = await archive.progress("yard.motion")
    assert progress is not None
    assert progress["judge"]["last"] == "yard/1/4"


async def test_a_bench_that_died_between_anomaly_and_progress_tells_nothing_twice(archive: Archive) -> None:
    first = Bench(archive, ManualClock())
    docket, _ = await first.open_docket(ORDER, "")
    first.hear(docket, "motion@1", verdicts([0.1, 0.1]), lambda: None)
    await first.settle(docket)
    before = await archive.progress("yard.motion")
    assert before is not None
    rest = verdicts([0.9] * 20 + [0.1] * 40, start=2)
    first.hear(docket, "motion@1", rest, lambda: None)
    await first.settle(docket)
    once = await heard(archive)
    # As if the last write had not come: the worker sends again what was not acknowledged, in other pieces.
    await archive.put_progress("yard.motion", before)
    second = Bench(archive, ManualClock())
    docket, was_read = await second.open_docket(ORDER, "")
    assert was_read
    for cut in range(0, 60, 7):
        second.hear(docket, "motion@1", rest[cut : cut + 7], lambda: None)
        await second.settle(docket)
    assert await heard(archive) == []
    assert [message.version for message in once] == list(range(1, len(once) + 1))
    assert once[-1].ended_ns == once[-1].last.seq * SECOND // 10


class Away(Archive):
    """A store that cannot be written."""

    is_away = False

    async def put_progress(self, inspection: str, body: dict[str, object]) -> None:
        if self.is_away:
            raise Unavailable("store", "is away")
        await super().put_progress(inspection, body)


async def test_while_the_store_is_away_nothing_is_acknowledged_and_nothing_is_lost(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "aggregate.sqlite") as store:
        archive = await Away.open(store)
        assert isinstance(archive, Away)
        bench = Bench(archive, ManualClock())
        docket, _ = await bench.open_docket(ORDER, "")
        acknowledged: list[int] = []
        bench.hear(docket, "motion@1", verdicts([0.9] * 5), lambda: acknowledged.append(1))
        archive.is_away = True
        with pytest.raises(Unavailable):
            await bench.settle(docket)
        assert acknowledged == []
        archive.is_away = False
        await bench.settle(docket)
        assert acknowledged == [1]
        assert [message.version for message in await heard(archive)] == [1]


async def test_an_anomaly_nobody_speaks_of_any_more_is_closed(archive: Archive) -> None:
    clock = ManualClock()
    bench = Bench(archive, clock)
    docket, _ = await bench.open_docket(ORDER, "")
    bench.hear(docket, "motion@1", verdicts([0.9] * 5), lambda: None)
    clock.advance(5)
    bench.end_silent()
    assert docket.state.current is not None
    clock.advance(60)
    bench.end_silent()
    await bench.settle(docket)
    assert [bool(message.ended_ns) for message in await heard(archive)] == [False, True]


async def test_orders_come_back_as_they_were_stored_and_seeds_do_not_outrank_them(archive: Archive) -> None:
    await archive.put_order(ORDER)
    assert not await archive.seed_order(Order("yard.motion", "yard", "signal"))
    assert await archive.seed_order(Order("gate.signal", "gate", "signal", is_disabled=True))
    stored = {order.id: order async for order in archive.orders()}
    assert stored["yard.motion"] == ORDER
    assert stored["gate.signal"].is_disabled
