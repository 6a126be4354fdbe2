"""The contract of the document store port. Every adapter has to pass it; it has one today."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.errors import (
    AlreadyExists,
    Conflict,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from mesh.store import AnyOf, Between, Collection, SqliteStore, modify, scan
from mesh.store_values import decode_token, encode_token


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "store.sqlite") as store:
        yield store


@pytest.fixture
async def things(store: SqliteStore) -> Collection:
    return await store.collection("things", ["camera", "started_ns", "alarm.state", "open"])


async def fill(things: Collection, rows: list[dict[str, Any]]) -> None:
    await asyncio.gather(*(things.put(f"t{number:03d}", row) for number, row in enumerate(rows)))


async def ids(things: Collection, where: Any = None, **named: Any) -> list[str]:
    return [document.id for document in (await things.query(where, **named)).documents]


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


@pytest.mark.parametrize(
    "query",
    [
        "WHERE json_extract(body, '$.camera') = 'gate' LIMIT 100",
        "WHERE 1 ORDER BY json_extract(body, '$.camera') DESC, id DESC LIMIT 100",
        "WHERE json_extract(body, '$.camera') >= 'a' ORDER BY json_extract(body, '$.camera'), id LIMIT 100",
    ],
)
async def test_a_query_uses_its_index(things: Collection, store: SqliteStore, query: str) -> None:
    plan = await store.read(
        lambda connection: connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {things.name} {query}").fetchall()
    )
    assert "things by camera" in plan[0][3]
    assert "TEMP B-TREE" not in str(plan)


values = st.one_of(st.none(), st.integers(0, 3))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(values, max_size=12), size=st.integers(1, 5), descending=st.booleans())
async def test_pages_together_are_the_whole_in_order_each_document_once(
    rows: list[int | None], size: int, descending: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with SqliteStore(tmp_path_factory.mktemp("pages") / "s.sqlite") as store:
        things = await store.collection("things", ["n"])
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


@given(st.text(max_size=60))
def test_any_text_as_a_page_token_is_refused_or_read(token: str) -> None:
    try:
        value, document_id = decode_token(token, "-n")
    except InvalidArgument:
        return
    assert decode_token(encode_token("-n", value, document_id), "-n") == (value, document_id)


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


async def test_an_ill_formed_collection_or_field_is_refused(store: SqliteStore) -> None:
    with pytest.raises(InvalidArgument):
        await store.collection('x" (id); --')
    with pytest.raises(InvalidArgument):
        await store.collection("things", ["a') --"])


async def test_documents_and_their_new_index_survive_closing(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "s") as store:
        await (await store.collection("things")).put("a", {"n": 1})
    async with SqliteStore(tmp_path / "s") as store:
        things = await store.collection("things", ["n"])
        assert await ids(things, {"n": 1}) == ["a"]


async def test_writes_that_wait_are_committed_together(things: Collection, store: SqliteStore) -> None:
    before = store.commits
    await asyncio.gather(*(things.put(f"x{n}", {"n": n}) for n in range(500)))
    assert store.commits - before < 100
    assert await things.count() == 500


async def test_a_refused_write_does_not_take_others_of_its_commit_with_it(things: Collection) -> None:
    await things.put("a", {})
    results = await asyncio.gather(
        *(things.put("a", {}, 0) if n % 2 else things.put(f"x{n}", {}, 0) for n in range(40)), return_exceptions=True
    )
    assert sum(isinstance(result, AlreadyExists) for result in results) == 20
    assert await things.count() == 21


async def test_more_writes_than_may_wait_are_refused(things: Collection) -> None:
    results = await asyncio.gather(*(things.put(f"x{n}", {}) for n in range(6000)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, ResourceExhausted)]
    assert len(refused) + await things.count() == 6000


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "s"):
        with pytest.raises(FailedPrecondition, match="is used by another process"):
            await SqliteStore(tmp_path / "s").open()
    async with SqliteStore(tmp_path / "s"):
        pass


async def test_files_that_may_hold_credentials_are_private(things: Collection, tmp_path: Path) -> None:
    await things.put("a", {})
    for path in sorted(tmp_path.glob("store.sqlite*")):  # noqa: ASYNC240
        assert path.stat().st_mode & 0o077 == 0, path


async def test_a_file_that_is_no_database_is_told_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"these are holiday pictures" * 100)
    with pytest.raises(DataLoss, match="is damaged or no database"):
        await SqliteStore(path).open()
    assert path.read_bytes().startswith(b"these are holiday pictures")


async def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "s")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(FailedPrecondition, match="another program"):
        await SqliteStore(tmp_path / "s").open()


async def test_a_store_of_a_later_format_is_refused(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "s"):
        pass
    connection = sqlite3.connect(tmp_path / "s")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(FailedPrecondition, match="format 99"):
        await SqliteStore(tmp_path / "s").open()


async def test_a_store_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="cannot be opened"):
        await SqliteStore(tmp_path / "no" / "s").open()


async def test_a_full_disk_is_told_and_the_store_goes_on_when_there_is_space(
    things: Collection, store: SqliteStore
) -> None:
    (pages,) = await store.read(lambda connection: connection.execute("PRAGMA page_count").fetchone())
    await store.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
    with pytest.raises(ResourceExhausted, match="disk is full"):
        await things.put("large", {"text": "x" * 100_000})
    assert await things.find("large") is None
    await store.write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
    await things.put("large", {"text": "x" * 100_000})


async def test_a_killed_process_loses_nothing_it_was_answered(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, os, sys
        from mesh.store import SqliteStore

        async def main():
            store = await SqliteStore(sys.argv[1]).open()
            things = await store.collection("things", ["n"])
            for n in range(20):
                await things.put(f"t{n}", {"n": n})
            os.kill(os.getpid(), 9)

        asyncio.run(main())
        """
    )
    path = str(tmp_path / "s")
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, path], check=False, env={**os.environ, "PYTHONPATH": "."}
    )
    assert process.returncode == -9
    async with SqliteStore(path) as store:
        assert await (await store.collection("things", ["n"])).count() == 20


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s")
    with pytest.raises(FailedPrecondition, match="is not open"):
        await store.collection("things")
    await store.open()
    things = await store.collection("things")
    await store.close()
    await store.close()
    with pytest.raises(FailedPrecondition, match="is not open"):
        await things.get("a")
