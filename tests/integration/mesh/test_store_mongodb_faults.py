"""A MongoDB server is cut off, killed and paused: no write is lost, none made twice, none conflicts with itself."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mesh.certificates import Kind, issue, make_authority
from mesh.errors import AlreadyExists, Conflict, InvalidArgument, PermissionDenied, Unavailable
from mesh.files import write_private
from mesh.store import Collection, modify
from mesh.store_mongodb import MongoStore
from tests.cutting_proxy import CuttingProxy
from tests.mongodb_server import MongoServer
from tests.real_peers import require
from tests.support import auntil


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    require("mongodb")
    server = MongoServer(tmp_path / "mongodb")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
async def proxy(server: MongoServer) -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def direct(server: MongoServer, database: str) -> AsyncIterator[Collection]:
    async with MongoStore(server.url, database) as store:
        yield await store.collection("things")


@pytest.fixture
async def things(proxy: CuttingProxy, direct: Collection, database: str) -> AsyncIterator[Collection]:
    # Polled: a proxy that knows one answer for each request has no place for the driver's stream of heartbeats.
    url = f"mongodb://127.0.0.1:{proxy.port}/?serverMonitoringMode=poll"
    async with MongoStore(url, database, patience_s=20) as store:
        yield await store.collection("things")


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_write_whose_answer_is_lost_is_made_once(
    things: Collection, direct: Collection, proxy: CuttingProxy, moment: str
) -> None:
    proxy.cut_once(moment, b"first body")
    assert (await things.put("a", {"text": "first body"}, 0)).version == 1
    proxy.cut_once(moment, b"second body")
    assert (await things.put("a", {"text": "second body"}, 1)).version == 2
    proxy.cut_once(moment, b"third body")
    assert (await things.put("a", {"text": "third body"})).version == 3
    assert (await direct.get("a")).version == 3
    proxy.cut_once(moment, b"delete\x00")
    assert await things.delete("a", 3) is True
    assert await things.delete("a") is False
    assert proxy.cuts == [moment] * 4


async def test_others_that_write_before_the_answer_is_missed_change_nothing_of_that(
    things: Collection, direct: Collection, proxy: CuttingProxy
) -> None:
    await things.put("a", {})

    async def others_write() -> None:
        await direct.put("a", {"by": "others"}, (await direct.get("a")).version)

    proxy.before_cut = others_write
    proxy.cut_once("after", b"mine")
    assert (await things.put("a", {"by": "mine"}, 1)).version == 2
    assert (await direct.get("a")).body == {"by": "others"}
    assert (await direct.get("a")).version == 3
    proxy.cut_once("before", b"mine")
    with pytest.raises(Conflict, match="is at version 4, not 3"):
        await things.put("a", {"by": "mine"}, 3)

    async def others_create() -> None:
        await direct.put("b", {})

    proxy.before_cut = others_create
    proxy.cut_once("before", b"mine")
    with pytest.raises(AlreadyExists):
        await things.put("b", {"by": "mine"}, 0)


async def test_reads_are_asked_again(things: Collection, proxy: CuttingProxy) -> None:
    await things.put("a", {})
    for mark in (b"find\x00", b"aggregate\x00"):
        proxy.cut_once("after", mark)
        assert len((await things.query()).documents) == 1
        assert await things.count() == 1
    assert len(proxy.cuts) == 2


async def test_counting_over_a_bad_line_is_exact(things: Collection, direct: Collection, proxy: CuttingProxy) -> None:
    moments = itertools.cycle(["", "", "after", "", "", "before", "", "after", ""])
    await direct.put("a", {"n": 0})

    def sometimes(request: bytes) -> str:
        wanted = b"update\x00" in request or b"find\x00" in request
        return next(moments) if wanted else ""

    proxy.moment = sometimes
    for _ in range(10):
        await modify(things, "a", lambda body: {"n": body["n"] + 1})
    assert (await direct.get("a")).body == {"n": 10}
    assert (await direct.get("a")).version == 11
    assert {"before", "after"} == set(proxy.cuts)


async def test_what_was_answered_is_there_after_the_server_was_killed_and_started_again(
    server: MongoServer, direct: Collection
) -> None:
    answered: list[str] = []
    is_over = asyncio.Event()
    await direct.put("counter", {"n": 0})

    async def write(writer: int) -> int:
        count = 0
        while not is_over.is_set():
            await direct.put(f"t{writer}-{count}", {"n": count}, 0)
            answered.append(f"t{writer}-{count}")
            await modify(direct, "counter", lambda body: {"n": body["n"] + 1})
            count += 1
        return count

    async def go_on() -> None:
        before = len(answered)
        await auntil(lambda: len(answered) >= before + 20)

    writers = [asyncio.create_task(write(number)) for number in range(4)]
    for _ in range(3):
        await go_on()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    await go_on()
    is_over.set()
    counts = await asyncio.gather(*writers)
    assert (await direct.get("counter")).body == {"n": sum(counts)}
    assert await direct.count() == len(answered) + 1
    assert {(await direct.get(one)).version for one in answered} == {1}


async def test_a_server_that_is_away_is_waited_for_and_then_told(server: MongoServer, database: str) -> None:
    async with MongoStore(server.url, database, patience_s=1.0) as store:
        things = await store.collection("things")
        await things.put("a", {})
        server.kill()
        with pytest.raises(Unavailable, match=r"does not answer.*whether the document was written is not known"):
            await things.put("b", {}, 0)
        with pytest.raises(Unavailable, match="Is the database running, and reachable"):
            await things.get("a")
        with pytest.raises(Unavailable):
            await store.collection("others")
        await asyncio.to_thread(server.start)
        assert (await things.put("b", {}, 0)).version == 1
        assert (await things.get("a")).version == 1


async def test_a_paused_server_gets_each_document_once(server: MongoServer, direct: Collection) -> None:
    server.pause(True)
    waiting = [asyncio.create_task(direct.put(f"t{number}", {}, 0)) for number in range(20)]
    await asyncio.sleep(1.0)
    server.pause(False)
    assert {document.version for document in await asyncio.gather(*waiting)} == {1}
    assert await direct.count() == 20


async def test_of_two_processes_that_write_one_version_one_wins(server: MongoServer, database: str) -> None:
    if server.is_ferretdb:
        pytest.skip("FerretDB 1 reads and writes in two steps; a mongod on PATH shows it")
    async with MongoStore(server.url, database) as one, MongoStore(server.url, database) as other:
        ours, theirs = await one.collection("things"), await other.collection("things")
        await ours.put("a", {"n": 0})
        await asyncio.gather(
            *(modify(things, "a", lambda body: {"n": body["n"] + 1}) for things in (ours, theirs) for _ in range(5))
        )
        assert (await ours.get("a")).body == {"n": 10}


async def test_nobody_opens_what_is_not_there(database: str) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await MongoStore("mongodb://127.0.0.1:1/", database, patience_s=0.5).open()


@pytest.mark.parametrize(
    "url", ["http://x", "mongodb://", "mongodb://u:se@cret@host/", "mongodb://u:secret@h/?tlsCAFile=/nowhere&tls=true"]
)
async def test_a_url_that_cannot_be_used_is_told_without_its_password(url: str, database: str) -> None:
    with pytest.raises(InvalidArgument, match="its URL cannot be used") as caught:
        await MongoStore(url, database).open()
    assert "secret" not in str(caught.value)
    assert "se@cret" not in str(caught.value)


class TestSecured:
    """A server with TLS, and users with passwords."""

    @pytest.fixture
    def secured(self, tmp_path: Path, certificates: Path) -> Iterator[MongoServer]:
        require("mongodb")
        arguments = [
            f"--listen-tls-cert-file={certificates}/server.pem", f"--listen-tls-key-file={certificates}/server.key",
            "--test-enable-new-auth", "--setup-database=admin", "--setup-username=tf", "--setup-password=p@ss/word",
        ]  # fmt: skip
        server = MongoServer(tmp_path / "mongodb", arguments, tls=True)
        if not server.is_ferretdb:
            pytest.skip("users and certificates are set up for FerretDB")
        try:
            server.start()
            yield server
        finally:
            server.kill()

    @pytest.fixture
    def certificates(self, tmp_path: Path) -> Path:
        now, life = datetime.now(UTC), timedelta(days=1)
        authority = make_authority("site", life, now)
        pair = issue(authority, Kind.SERVICE, "mongodb", ["localhost", "127.0.0.1"], life, now)
        files = {"ca.pem": authority.certificate, "server.pem": pair.certificate, "server.key": pair.key}
        for name, data in files.items():
            write_private(tmp_path / name, data)
        return tmp_path

    async def test_only_the_right_user_over_tls_gets_in(
        self, secured: MongoServer, certificates: Path, database: str
    ) -> None:
        place = f"127.0.0.1:{secured.port}/?authMechanism=SCRAM-SHA-256"
        tls = f"&tls=true&tlsCAFile={certificates}/ca.pem"
        async with MongoStore(f"mongodb://tf:p%40ss%2Fword@{place}{tls}", database) as store:
            await (await store.collection("things")).put("a", {})
        with pytest.raises(PermissionDenied, match="refuses this user") as caught:
            await MongoStore(f"mongodb://tf:wrong-word@{place}{tls}", database).open()
        assert "wrong-word" not in str(caught.value)
        with pytest.raises(Unavailable):
            await MongoStore(f"mongodb://tf:p%40ss%2Fword@{place}", database, patience_s=1).open()
        with pytest.raises(Unavailable):
            await MongoStore(f"mongodb://tf:p%40ss%2Fword@{place}&tls=true", database, patience_s=1).open()
