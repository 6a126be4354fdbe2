"""Pages of the ledger: nothing is lost in packing, and nothing that a crash leaves is judged twice or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregate.archive import Archive
from aggregate.bench import Bench
from aggregate.judge import JudgeState, Verdict, judge_all
from aggregate.ledger import store_key
from aggregate.notebook import Notebook
from aggregate.orders import Area, Order
from aggregate.pages import MINUTE_NS, End, Page, PageKey, page_from_document
from aggregate.rejudge import rejudge
from aggregate.rules import RULES
from mesh.clocks import ManualClock
from mesh.ids import FrameId
from mesh.store import SqliteStore

KEY = PageKey("gate.motion", "gate", 3, "motion@1", 0.6, 29_000_000)
ORDER = Order("gate.motion", "gate", "motion")
FLOAT = st.floats(0, 1, width=32)
POINTS = st.lists(st.tuples(FLOAT, FLOAT, FLOAT), max_size=3).map(tuple)
BOX = st.builds(
    Area, FLOAT, FLOAT, FLOAT, FLOAT, st.sampled_from(["motion", "black", "", "Ω"]), FLOAT,
    st.sampled_from([0, 0, 7, 2**53]), st.sampled_from(["", "", "faster than anything"]), POINTS,
)  # fmt: skip
SERIES = st.dictionaries(st.sampled_from(["blur", "noise", "count.person"]), st.floats(-9, 9, width=32)).map(
    lambda values: tuple(sorted(values.items()))
)
ALIGNMENT = st.one_of(st.just(()), st.tuples(*[st.floats(-2, 2, width=32)] * 9))


@st.composite
def verdicts(draw: st.DrawFn) -> list[Verdict]:
    """Verdicts in the order of ids, with holes between them, of several epochs."""
    epoch, seq, at_ns = draw(st.integers(1, 2**62)), draw(st.integers(0, 2**40)), draw(st.integers(1, 2**61))
    said = []
    for _ in range(draw(st.integers(0, 40))):
        if draw(st.integers(0, 9)) == 0:
            epoch, seq = epoch + draw(st.integers(1, 2**50)), 0
        seq += draw(st.integers(0, 3))
        frame, at_ns = FrameId("gate", epoch, seq), at_ns + draw(st.integers(0, 2**33))
        if draw(st.booleans()):
            boxes, words = tuple(draw(st.lists(BOX, max_size=3))), draw(st.sampled_from(["", "", "odd", "Ω"]))
            verdict = Verdict(frame, at_ns, draw(FLOAT), boxes, said=words, series=draw(SERIES))
            said.append(replace(verdict, alignment=draw(ALIGNMENT)))
            seq += 1
        else:
            count = draw(st.integers(1, 2**38))
            said.append(Verdict(frame, draw(st.sampled_from([0, at_ns])), reason=draw(st.integers(1, 7)), count=count))
            seq += count
    return said


@given(verdicts(), st.lists(st.integers(0, 40)), st.integers(0, 2**61))
def test_a_page_comes_back_exactly_as_it_was(said: list[Verdict], ends: list[int], at_ns: int) -> None:
    page = Page(KEY, 7)
    steps: list[Verdict | End] = []
    for number, verdict in enumerate(said):
        page.add(verdict)
        steps.append(verdict)
        if number in ends:
            page.end(at_ns)
            steps.append(End(at_ns))
    back = page_from_document(json.loads(json.dumps(page.document())))
    assert list(back.read()) == steps
    assert (back.key, back.number, back.first, back.last, back.steps) == (
        KEY, 7, said[0].id if said else None, said[-1].last_id if said else None, len(steps),
    )  # fmt: skip
    assert back.document() == page.document()
    assert back.scored + back.skipped.total() == sum(verdict.count for verdict in said)
    more = Verdict(FrameId("gate", 2**62 + 2**61, 0), 2**61, 0.5)
    back.add(more)
    assert list(back.verdicts())[-1] == more


def test_a_minute_at_ten_frames_a_second_takes_about_five_kilobytes() -> None:
    dice = np.random.default_rng(1)
    page, at_ns = Page(KEY, 0), 1_700_000_000_000_000_000
    for seq in range(600):
        at_ns += 100_000_000 + int(dice.integers(-3_000_000, 3_000_000))
        score = float(np.float32(dice.random())) if dice.random() < 0.3 else 0.0
        page.add(Verdict(FrameId("gate", 1 << 60, seq), at_ns, score))
    assert len(json.dumps(page.document())) < 6000


def test_a_minute_of_three_values_beside_each_score_takes_about_ten_kilobytes_more() -> None:
    dice = np.random.default_rng(1)
    pages = [Page(KEY, 0), Page(KEY, 0)]
    for seq in range(600):
        values = tuple((name, float(np.float32(0.5 + 0.01 * dice.normal()))) for name in ("blur", "light", "noise"))
        for page, series in zip(pages, ((), values), strict=True):
            page.add(Verdict(FrameId("gate", 1 << 60, seq), 1_700_000_000_000_000_000 + seq, 0.5, series=series))
    plain, rich = (len(json.dumps(page.document())) for page in pages)
    assert 0 < rich - plain < 10_000


def test_a_page_from_before_verdicts_had_words_reads_as_it_did() -> None:
    page = Page(KEY, 7)
    page.add(Verdict(FrameId("gate", 5, 1), 10, 0.5, (Area(0.1, 0.1, 0.2, 0.2, "x", 0.5),)))
    old = {name: value for name, value in page.document().items() if name != "extras"}
    assert list(page_from_document(old).read()) == list(page.read())


def spoken(scores: list[float], first: int = 0, step_ns: int = 100_000_000) -> list[Verdict]:
    return [
        Verdict(FrameId("gate", 1, first + n), MINUTE_NS * 100 + (first + n) * step_ns, float(np.float32(score)))
        for n, score in enumerate(scores)
    ]


def test_a_notebook_opens_a_page_for_each_minute_fence_and_threshold() -> None:
    notebook = Notebook()
    for verdict in spoken([0.1] * 1300):
        notebook.write(verdict, ORDER, 1, "motion@1", 0.6)
    notebook.write(*spoken([0.1], 1300), ORDER, 2, "motion@1", 0.6)
    notebook.write(*spoken([0.1], 1301), ORDER, 2, "motion@1", 0.5)
    bodies = notebook.take()
    assert [(body["number"], body["minute"], body["fence"], body["verdicts"]) for body in bodies] == [
        (0, 100, 1, 600), (1, 101, 1, 600), (2, 102, 1, 100), (3, 102, 2, 1), (4, 102, 2, 1),
    ]  # fmt: skip
    assert notebook.take() == []
    notebook.put_back(bodies)
    assert notebook.take() == bodies


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    async with SqliteStore(tmp_path / "aggregate.sqlite") as store:
        yield await Archive.open(store)


SCORES = [0.1] * 20 + [0.9] * 30 + [0.1] * 50 + [0.95] * 20 + [0.1] * 5 + [0.9] * 40


class Dies(Exception):
    """The process, at a certain write."""


@pytest.mark.parametrize("dies_at", range(12))
async def test_killed_at_any_write_the_judge_finds_each_anomaly_once(archive: Archive, dies_at: int) -> None:
    said = spoken(SCORES)
    rules = RULES["motion"]
    _, expected = judge_all(JudgeState(), rules, ORDER.id, said)
    writes = 0

    def dying(put):  # type: ignore[no-untyped-def]
        async def write(*arguments: object) -> object:
            nonlocal writes
            writes += 1
            if writes == dies_at:
                raise Dies
            return await put(*arguments)

        return write

    first = Bench(archive, ManualClock())
    docket, _ = await first.open_docket(ORDER, "")
    acknowledged = 0
    puts = archive.ledger.put, archive.publish, archive.put_progress
    archive.ledger.put, archive.publish, archive.put_progress = map(dying, puts)  # type: ignore[method-assign]
    try:
        for at in range(0, len(said), 20):
            first.hear(docket, "motion@1", said[at : at + 20], lambda: None)
            await first.settle(docket)
            acknowledged = min(at + 20, len(said))
    except Dies:
        pass
    archive.ledger.put, archive.publish, archive.put_progress = puts  # type: ignore[method-assign]

    second = Bench(archive, ManualClock())
    docket, _ = await second.open_docket(ORDER, "")
    assert docket.state.last is None or docket.state.last.seq + 1 >= acknowledged
    # What was not acknowledged comes again, perhaps with other scores: what the ledger holds stands.
    heard_before = docket.state.last.seq + 1 if docket.state.last else 0
    again = [Verdict(v.id, v.received_ns, 0.123 if v.id.seq < heard_before else v.score) for v in said[acknowledged:]]
    second.hear(docket, "motion@1", again, lambda: None)
    await second.settle(docket)

    found = await rejudge(archive.ledger, ORDER)
    assert found == expected
    stored = {document.id: document.body["version"] for document in (await archive.anomalies.query()).documents}
    assert stored == {finding.anomaly.id: finding.anomaly.version for finding in expected}
    pages = [page_from_document(body) async for body in archive.ledger.between(ORDER.id)]
    assert [verdict for page in pages for verdict in page.verdicts()] == said


async def test_an_end_by_the_clock_is_found_again(archive: Archive) -> None:
    clock = ManualClock()
    bench = Bench(archive, clock)
    docket, _ = await bench.open_docket(ORDER, "")
    bench.hear(docket, "motion@1", spoken([0.9] * 10), lambda: None)
    bench.end(docket)
    bench.hear(docket, "motion@1", spoken([0.9] * 10, first=12), lambda: None)
    await bench.settle(docket)
    found = await rejudge(archive.ledger, ORDER)
    assert [finding.phase for finding in found] == ["opened", "closed", "opened"]
    assert found[0].anomaly.id == found[1].anomaly.id != found[2].anomaly.id


async def test_pages_are_found_by_frame_and_by_time(archive: Archive) -> None:
    bench = Bench(archive, ManualClock())
    for order in (ORDER, Order("gate.motion/2", "gate", "motion"), Order("Tür 1", "gate", "motion")):
        docket, _ = await bench.open_docket(order, "")
        bench.hear(docket, "motion@1", spoken([0.1] * 2000), lambda: None)
        await bench.settle(docket)
    ledger = archive.ledger
    page = await ledger.behind(ORDER.id, FrameId("gate", 1, 700))
    assert page is not None
    assert (page.number, page.key.inspection) == (1, ORDER.id)
    assert await ledger.behind(ORDER.id, FrameId("gate", 1, 2000)) is None
    earlier = await ledger.before(ORDER.id, FrameId("gate", 1, 700))
    assert earlier is not None
    assert earlier.last == FrameId("gate", 1, 599)
    found = [body["number"] async for body in ledger.between(ORDER.id, MINUTE_NS * 101, MINUTE_NS * 102 - 1)]
    assert found == [1]


def test_keys_of_inspections_are_short_plain_and_their_own() -> None:
    names = ["gate.motion", "gate/motion", "Tür 1", "x" * 200, "x" * 199, "", "gate.motion~"]
    keys = {store_key(name) for name in names}
    assert len(keys) == len(names)
    assert all("/" not in key and "~" not in key and len(key) <= 100 for key in keys)
