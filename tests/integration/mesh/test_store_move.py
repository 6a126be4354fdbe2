"""A site's documents move from SQLite to MongoDB and back: whole, compared, resumable, the originals kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import DataLoss, FailedPrecondition
from mesh.files import write_private
from mesh.store import Document, Holds, SqliteStore
from mesh.store_collection import SqliteCollection
from mesh.store_mongodb import MongoStore
from mesh.store_move import check, holding, is_unfinished, move

INDEXES = ["n", "words[] by n"]


async def fill(store: SqliteStore, count: int) -> None:
    things = await store.collection("things", INDEXES)
    await things.load([Document(f"t{n:04d}", n % 7 + 1, {"n": n, "words": ["gate", f"w{n}"]}) for n in range(count)])
    await (await store.collection("others")).put("a", {"$set": [[1.0, 2**70, None]]})


async def test_everything_is_there_afterwards_with_its_versions_and_indexes(
    tmp_path: Path, mongodb: str, database: str
) -> None:
    async with SqliteStore(tmp_path / "a") as source, MongoStore(mongodb, database) as target:
        await fill(source, 100)
        told: list[tuple[int, int, str]] = []
        moved = await move(source, target, lambda *done: told.append(done))
        assert [(one.collection, one.documents) for one in moved] == [("others", 1), ("things", 100)]
        assert told[-1][:2] == (101, 101)
        things = await target.collection("things", INDEXES)
        assert await things.get("t0012") == Document("t0012", 6, {"n": 12, "words": ["gate", "w12"]})
        page = await things.query({"words": Holds(["gate"])}, order="-n", limit=3)
        assert [one.body["n"] for one in page.documents] == [99, 98, 97]
        assert await target.check() == ""
        async with SqliteStore(tmp_path / "b") as back:
            assert await move(target, back) == moved
            assert [one for one in await check(back) if one.collection != "store_moves"] == moved
            page = await (await back.collection("things", INDEXES)).query({"words": Holds(["gate", "w3"])})
            assert [one.id for one in page.documents] == ["t0003"]
        assert await holding(await source.collection("things")) == moved[1]


async def test_a_move_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load = SqliteCollection.load

    async def killed_at(self: Any, documents: Sequence[Document]) -> None:
        loaded.extend(one.id for one in documents)
        if limit and len(loaded) > limit:
            raise KeyboardInterrupt
        await load(self, documents)

    limit = 600
    async with SqliteStore(tmp_path / "a") as source, SqliteStore(tmp_path / "b") as target:
        await fill(source, 1000)
        monkeypatch.setattr(SqliteCollection, "load", killed_at)
        with pytest.raises(KeyboardInterrupt):
            await move(source, target)
        assert await is_unfinished(target, source.thing)
        assert not await is_unfinished(target, "another")
        limit = 0
        loaded.clear()
        moved = await move(source, target)
        assert [one.documents for one in moved] == [1, 1000]
        assert len(loaded) < 600, "what was done is not done again"
        assert not await is_unfinished(target, source.thing)
        with pytest.raises(FailedPrecondition, match="took over"):
            await move(source, target)


async def test_a_target_that_holds_other_documents_is_left_alone(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "a") as source, SqliteStore(tmp_path / "b") as target:
        await fill(source, 1)
        await (await target.collection("things")).put("mine", {})
        with pytest.raises(FailedPrecondition, match="holds documents already \\(things\\)"):
            await move(source, target)
        assert await (await target.collection("things")).count() == 1


async def test_a_document_that_changes_on_the_way_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = SqliteCollection.load

    async def changing(self: Any, documents: Sequence[Document]) -> None:
        await load(self, [Document(one.id, one.version, {**one.body, "n": 0}) for one in documents])

    async with SqliteStore(tmp_path / "a") as source, SqliteStore(tmp_path / "b") as target:
        await fill(source, 2)
        monkeypatch.setattr(SqliteCollection, "load", changing)
        with pytest.raises(DataLoss, match="has 1 documents in one store and 1 in the other, or others"):
            await move(source, target)


async def test_a_check_finds_rows_whose_index_is_not_that_of_their_body(
    mongodb: str, database: str, tmp_path: Path
) -> None:
    async with MongoStore(mongodb, database) as store:
        things = await store.collection("things", INDEXES)
        await things.put("a", {"n": 1, "words": ["gate"]})
        await store.raw("things").update_one({"_id": "a"}, {"$set": {"f.n": 2}})
        with pytest.raises(DataLoss, match="indexes and bodies differ: things 'a'"):
            await check(store)


def test_the_command_moves_a_site_there_and_back(tmp_path: Path, mongodb: str, database: str) -> None:
    import asyncio

    async def made() -> None:
        (tmp_path / "data" / "events").mkdir(parents=True)
        async with SqliteStore(tmp_path / "data" / "events" / "events.sqlite") as store:
            await fill(store, 5)

    def command(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "trueframe", "store", *arguments, "--data", str(tmp_path / "data")],
            env={**os.environ, "TRUEFRAME_STORE__DATABASE_PREFIX": database},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "secret" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    asyncio.run(made())
    write_private(tmp_path / "url", mongodb.encode())
    before = [json.loads(line) for line in command("check", "--json").splitlines()]
    assert [(one["service"], one["collection"], one["documents"]) for one in before] == [
        ("event-center", "others", 1),
        ("event-center", "things", 5),
    ]
    assert "holds a password" in command("move", "--to", "mongodb://u:secret@host/", code=2)
    assert "in already" in command("move", "--to", "sqlite", code=2)
    assert "is none of" in command("move", "--to", "nowhere", code=2)
    assert [
        json.loads(line) for line in command("move", "--to", str(tmp_path / "url"), "--json").splitlines()
    ] == before
    assert "took over" in command("move", "--to", str(tmp_path / "url"), code=1)
    assert "Now set store.kind=sqlite" in command("move", "--from", str(tmp_path / "url"), "--to", "sqlite")
    kept = sorted(one.name for one in (tmp_path / "data" / "events").glob("events.sqlite*") if "kept" in one.name)
    assert len(kept) == 1
    after = [json.loads(line) for line in command("check", "--json").splitlines()]
    assert [one for one in after if one["collection"] != "store_moves"] == before
