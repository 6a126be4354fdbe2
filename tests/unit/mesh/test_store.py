"""What only the SQLite adapter does. The contract of the port is in tests/integration/mesh/test_store_contract.py."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
)
from mesh.store import Collection, SqliteStore
from mesh.store_values import decode_token, encode_token


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "store.sqlite") as store:
        yield store


@pytest.fixture
async def things(store: SqliteStore) -> Collection:
    return await store.collection("things", ["camera", "started_ns", "alarm.state", "open"])


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


@given(st.text(max_size=60))
def test_any_text_as_a_page_token_is_refused_or_read(token: str) -> None:
    try:
        value, document_id = decode_token(token, "-n")
    except InvalidArgument:
        return
    assert decode_token(encode_token("-n", value, document_id), "-n") == (value, document_id)


async def test_writes_that_wait_are_committed_together(things: Collection, store: SqliteStore) -> None:
    before = store.commits
    await asyncio.gather(*(things.put(f"x{n}", {"n": n}) for n in range(500)))
    assert store.commits - before < 100
    assert await things.count() == 500


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
