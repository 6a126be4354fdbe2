"""The contract of the document store port: every adapter passes it, SQLite and MongoDB, on real servers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.errors import AlreadyExists, Conflict, FailedPrecondition, InvalidArgument, NotFound
from mesh.store import AnyOf, Between, Collection, Document, Holds, modify, scan
from tests.stores import AnyStore, Opened

numbers = itertools.count()


@pytest.fixture
async def store(opened: Opened) -> AsyncIterator[AnyStore]:
    async with opened() as store:
        yield store


@pytest.fixture
async def things(store: AnyStore) -> Collection:
    return await store.collection("things", ["camera", "started_ns", "alarm.state", "open", "words[] by started_ns"])


async def fill(things: Collection, rows: list[dict[str, Any]]) -> None:
    await asyncio.gather(*(things.put(f"t{number:03d}", row) for number, row in enumerate(rows)))


async def ids(things: Collection, where: Any = None, **named: Any) -> list[str]:
    return [document.id for document in (await things.query(where, **named)).documents]


values = st.one_of(st.none(), st.integers(0, 3))


async def test_a_document_comes_back_as_it_was_put(things: Collection) -> None:
    body = {"camera": "tür-1", "started_ns": (1 << 63) - 1, "alarm": {"state": None}, "list": [1, 2.5, "ü", False]}
    assert (await things.put("a", body)).version == 1
    document = await things.get("a")
    assert (document.id, document.version, document.body) == ("a", 1, body)


async def test_what_is_not_there_is_not_found(things: Collection) -> None:
    assert await things.find("a") is None
    with pytest.raises(NotFound, match="things 'a': does not exist"):
        await things.get("a")
    assert await things.delete("a") is False


async def test_a_stored_document_does_not_change_with_the_callers_object(things: Collection) -> None:
    body: dict[str, Any] = {"list": [1]}
    stored = await things.put("a", body)
    body["list"].append(2)
    assert stored.body == {"list": [1]}
    assert (await things.get("a")).body == {"list": [1]}


async def test_versions_guard_against_lost_updates(things: Collection) -> None:
    assert (await things.put("a", {}, 0)).version == 1
    with pytest.raises(AlreadyExists):
        await things.put("a", {}, 0)
    assert (await things.put("a", {"n": 1}, 1)).version == 2
    with pytest.raises(Conflict, match="is at version 2, not 1"):
        await things.put("a", {"n": 2}, 1)
    with pytest.raises(Conflict):
        await things.delete("a", 1)
    with pytest.raises(NotFound):
        await things.put("b", {}, 3)
    assert (await things.get("a")).body == {"n": 1}
    assert await things.delete("a", 2) is True


async def test_of_many_writers_with_one_version_exactly_one_wins(things: Collection) -> None:
    await things.put("a", {})
    results = await asyncio.gather(*(things.put("a", {"n": n}, 1) for n in range(20)), return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 19


async def test_modify_loses_no_update_of_concurrent_writers(things: Collection) -> None:
    await things.put("a", {"n": 0})

    def add_one(body: dict[str, Any]) -> dict[str, Any]:
        return {"n": body["n"] + 1}

    await asyncio.gather(*(modify(things, "a", add_one) for _ in range(10)))
    assert (await things.get("a")).body == {"n": 10}
    assert (await modify(things, "a", lambda _: None)).version == 11


async def test_queries_filter_by_equality_range_and_choice(things: Collection) -> None:
    await fill(
        things,
        [
            {"camera": "gate", "started_ns": 1, "alarm": {"state": "active"}, "open": True},
            {"camera": "gate", "started_ns": 2, "open": False},
            {"camera": "yard", "started_ns": 3, "alarm": {"state": "shelved"}, "open": True},
        ],
    )
    assert await ids(things, {"camera": "gate"}) == ["t000", "t001"]
    assert await ids(things, {"started_ns": Between(2, None)}) == ["t001", "t002"]
    assert await ids(things, {"started_ns": Between(2, 2), "camera": "gate"}) == ["t001"]
    assert await ids(things, {"alarm.state": AnyOf(["active", "shelved"])}) == ["t000", "t002"]
    assert await ids(things, {"alarm.state": None}) == ["t001"]
    assert await ids(things, {"open": True}) == ["t000", "t002"]
    assert await ids(things, {"camera": AnyOf([])}) == []
    assert await things.count({"camera": "gate"}) == 2
    assert await things.count() == 3


async def test_an_undeclared_field_is_refused_and_not_scanned_for(things: Collection) -> None:
    with pytest.raises(InvalidArgument, match="is not an index of things"):
        await things.query({"colour": "red"})
    with pytest.raises(InvalidArgument):
        await things.query(order="-colour")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(values, max_size=12), size=st.integers(1, 5), descending=st.booleans())
async def test_pages_together_are_the_whole_in_order_each_document_once(
    rows: list[int | None], size: int, descending: bool, opened: Opened
) -> None:
    async with opened() as store:
        things = await store.collection(f"pages{next(numbers)}", ["n"])
        await fill(things, [{} if row is None else {"n": row} for row in rows])
        order = "-n" if descending else "n"
        whole = await ids(things, order=order, limit=1000)
        expected = sorted(
            range(len(rows)),
            key=lambda i: (-1 if rows[i] is None else rows[i], i),  # type: ignore[arg-type,return-value]
            reverse=descending,
        )
        assert whole == [f"t{number:03d}" for number in expected]
        paged: list[str] = []
        token = ""
        while True:
            page = await things.query(order=order, limit=size, page_token=token)
            paged += [document.id for document in page.documents]
            token = page.next_page_token
            if not token:
                break
        assert paged == whole


async def test_scan_gives_every_document_over_many_pages(things: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.store_port.MAX_PAGE", 7)
    await fill(things, [{"started_ns": n} for n in range(50)])
    assert [d.body["started_ns"] async for d in scan(things, order="-started_ns")] == list(range(49, -1, -1))


async def test_a_page_token_of_another_order_is_refused(things: Collection) -> None:
    await fill(things, [{"camera": "a"}] * 3)
    page = await things.query(order="camera", limit=1)
    with pytest.raises(InvalidArgument, match="page token"):
        await things.query(order="-camera", limit=1, page_token=page.next_page_token)
    with pytest.raises(InvalidArgument, match="page size"):
        await things.query(limit=0)


@pytest.mark.parametrize("body", [{"n": float("nan")}, {"n": b"bytes"}, {"n": "x" * (4 << 20)}, {"n": "\ud800"}])
async def test_what_is_not_json_or_too_large_is_refused_and_changes_nothing(
    things: Collection, body: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument):
        await things.put("a", body)
    assert await things.find("a") is None


@pytest.mark.parametrize("document_id", ["", "a\n", "x" * 201])
async def test_an_ill_formed_id_is_refused(things: Collection, document_id: str) -> None:
    with pytest.raises(InvalidArgument):
        await things.put(document_id, {})


async def test_an_ill_formed_collection_or_field_is_refused(store: AnyStore) -> None:
    with pytest.raises(InvalidArgument):
        await store.collection('x" (id); --')
    with pytest.raises(InvalidArgument):
        await store.collection("things", ["a') --"])


async def test_documents_and_their_new_index_survive_closing(opened: Opened) -> None:
    async with opened() as store:
        await (await store.collection("things")).put("a", {"n": 1})
    async with opened() as store:
        things = await store.collection("things", ["n"])
        assert await ids(things, {"n": 1}) == ["a"]


async def test_a_refused_write_does_not_take_others_of_its_commit_with_it(things: Collection) -> None:
    await things.put("a", {})
    results = await asyncio.gather(
        *(things.put("a", {}, 0) if n % 2 else things.put(f"x{n}", {}, 0) for n in range(40)), return_exceptions=True
    )
    assert sum(isinstance(result, AlreadyExists) for result in results) == 20
    assert await things.count() == 21


async def test_a_closed_store_says_so(opened: Opened) -> None:
    store = opened()
    with pytest.raises(FailedPrecondition, match="is not open"):
        await store.collection("things")
    await store.open()
    things = await store.collection("things")
    await store.close()
    await store.close()
    with pytest.raises(FailedPrecondition, match="is not open"):
        await things.get("a")


async def test_values_of_every_kind_are_compared_alike(store: AnyStore) -> None:
    things = await store.collection("things", ["n"])
    rows: list[Any] = [
        None, -1.5, 0, True, 1.0, 2**53 + 1, 2**63 - 1, 10**30, "", "10", "Z", "a", "ä", "가", "\U0001f600",
        [1, "x"], {"k": 1},
    ]  # fmt: skip
    for number, value in enumerate(rows):
        await things.put(f"t{number:02d}", {"n": value})
    found = [rows[int(one[1:])] for one in await ids(things, order="n")]
    assert found == [
        None, -1.5, 0, True, 1.0, 2**53 + 1, 2**63 - 1, 10**30, "", "10", "Z", [1, "x"], "a",
        {"k": 1}, "ä", "가", "\U0001f600",
    ]  # fmt: skip
    assert await ids(things, order="-n") == (await ids(things, order="n"))[::-1]
    assert await ids(things, {"n": 1}) == await ids(things, {"n": True}) == ["t03", "t04"]
    assert await ids(things, {"n": Between(1, None)}) == ["t03", "t04", "t05", "t06", "t07"]
    assert await ids(things, {"n": Between(None, "Z")}) == ["t08", "t09", "t10"]
    assert await ids(things, {"n": Between(1, "Z")}) == []
    assert await ids(things, {"n": AnyOf([None, "a"])}) == ["t00", "t11"]
    assert await ids(things, {"n": AnyOf([None])}) == ["t00"]
    assert await things.count({"n": Between()}) == len(rows)
    with pytest.raises(InvalidArgument, match="not a number"):
        await things.count({"n": float("nan")})


async def test_what_a_body_may_hold_is_kept_to_the_letter(things: Collection) -> None:
    body = {"$set": {"a.b": [[1], [[]]]}, "": {"": None}, "large": 10**40, "float": 1.0, "whole": 1, "zero": -0.0}
    await things.put("a", body)
    assert repr((await things.get("a")).body) == repr(body)


async def test_a_large_document_is_kept(things: Collection) -> None:
    body = {"text": "x" * ((4 << 20) - 100)}
    await things.put("a", body)
    assert (await things.get("a")).body == body


async def test_words_are_found_whole_and_by_their_beginnings(things: Collection) -> None:
    await fill(
        things,
        [
            {"words": ["gate", "person", "정문"], "started_ns": 3, "camera": "a"},
            {"words": ["garage", "person", 7, None, ["gate"]], "started_ns": 2},
            {"words": "gate", "started_ns": 1},
            {"words": ["yard", "a.b*", "Gate"]},
            {},
        ],
    )
    assert await ids(things, {"words": Holds(["person"])}) == ["t000", "t001"]
    assert await ids(things, {"words": Holds(["person", "gate"])}) == ["t000"]
    assert await ids(things, {"words": Holds(prefixes=["ga"])}) == ["t000", "t001"]
    assert await ids(things, {"words": Holds(["정문"], ["ga", "p"])}) == ["t000"]
    assert await ids(things, {"words": Holds(["person"]), "camera": "a"}) == ["t000"]
    assert await ids(things, {"words": Holds(["person"])}, order="started_ns") == ["t001", "t000"]
    assert await ids(things, {"words": Holds(prefixes=["a.b*"])}) == ["t003"]
    assert await ids(things, {"words": Holds(prefixes=["a.bb"])}) == []
    assert await things.count({"words": Holds(prefixes=["g"])}) == 2
    assert await things.count({"words": Holds()}) == 5
    await things.put("t000", {"words": ["nothing"], "started_ns": 3})
    await things.delete("t001")
    assert await ids(things, {"words": Holds(["person"])}) == []
    assert await ids(things, {"words": Holds(["nothing"])}) == ["t000"]
    with pytest.raises(InvalidArgument, match="is not a list index"):
        await things.query({"camera": Holds(["a"])})
    with pytest.raises(InvalidArgument, match="more than 64 words"):
        await things.query({"words": Holds([str(n) for n in range(65)])})
    with pytest.raises(InvalidArgument, match="empty prefix"):
        await things.query({"words": Holds(prefixes=[""])})


async def test_a_list_index_that_comes_later_holds_what_was_there(opened: Opened) -> None:
    async with opened() as store:
        await (await store.collection("things", ["n"])).put("a", {"n": 1, "words": ["gate"]})
    async with opened() as store:
        things = await store.collection("things", ["words[] by n"])
        await things.put("b", {"n": 2, "words": ["gate"]})
        assert await ids(things, {"words": Holds(["gate"])}, order="-n") == ["b", "a"]
        with pytest.raises(InvalidArgument):
            await store.collection("things", ["words[]x"])
        assert await store.collections() == {"things": ["n", "words[] by n"]}
        assert await store.check() == ""


async def test_an_index_of_an_earlier_declaration_is_kept_by_later_writers(opened: Opened) -> None:
    async with opened() as store:
        await store.collection("things", ["n", "words[]"])
    async with opened() as store:
        await (await store.collection("things")).put("a", {"n": 1, "words": ["gate"]})
    async with opened() as store:
        things = await store.collection("things", ["n", "words[]"])
        assert await ids(things, {"n": 1, "words": Holds(["gate"])}) == ["a"]


async def test_deleting_by_version_is_exact(things: Collection) -> None:
    await things.put("a", {})
    with pytest.raises(AlreadyExists):
        await things.delete("a", 0)
    assert await things.delete("b", 0) is False
    assert await things.delete("b", 3) is False
    assert await things.delete("a", 1) is True
    assert (await things.put("a", {"again": 1})).version == 1


async def test_loading_takes_versions_as_they_are_over_what_is_there(store: AnyStore) -> None:
    things = await store.collection("things", ["n"])
    await things.put("b", {"n": 0})
    await things.load([Document(one, 7, {"n": 1}) for one in "abc"])
    await things.load([Document(one, 9, {"n": 2}) for one in "cd"])
    await things.load([])
    assert await ids(things, {"n": 1}) == ["a", "b"]
    assert await things.get("c") == Document("c", 9, {"n": 2})
    assert (await things.put("b", {"n": 3}, 7)).version == 8
