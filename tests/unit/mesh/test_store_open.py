"""Which engine a service gets, by configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh.config import Config, dump, load
from mesh.errors import InvalidArgument, PermissionDenied
from mesh.files import write_private
from mesh.store_open import FILES, engine_of, open_store
from mesh.store_sqlite import SqliteStore


def config_of(tmp_path: Path, *settings: str) -> Config:
    return load(None, [f"run.data_dir={tmp_path}/data", *settings], {})


async def test_without_a_word_documents_are_in_a_file_of_the_service(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    async with open_store(config, "event-center") as store:
        await (await store.collection("things")).put("a", {"n": 1})
    async with SqliteStore(tmp_path / "data" / "events" / "events.sqlite") as store:
        assert (await (await store.collection("things")).get("a")).body == {"n": 1}
    assert (tmp_path / "data" / "events").stat().st_mode & 0o077 == 0


def test_mongodb_has_a_database_for_each_service_and_shows_no_password(tmp_path: Path) -> None:
    write_private(tmp_path / "url", b"mongodb://tf:secret@db-1,db-2/?tls=true&tlsCertificateKeyFilePassword=secret2\n")
    config = config_of(tmp_path, "store.kind=mongodb", f"store.url_file={tmp_path}/url", "store.database_prefix=site_7")
    things = [engine_of(config, service).thing for service in FILES]
    assert things == [
        "store mongodb://db-1,db-2/site_7_aggregate",
        "store mongodb://db-1,db-2/site_7_event_center",
        "store mongodb://db-1,db-2/site_7_media_center",
    ]
    assert "secret" not in dump(config)


def test_what_cannot_be_used_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"store\.url_file"):
        config_of(tmp_path, "store.kind=mongodb")
    with pytest.raises(InvalidArgument, match="database_prefix"):
        config_of(tmp_path, "store.database_prefix=a.b")
    (tmp_path / "url").write_text("mongodb://tf:secret@db/")
    (tmp_path / "url").chmod(0o644)
    with pytest.raises(PermissionDenied, match="others can read it"):
        engine_of(config_of(tmp_path, "store.kind=mongodb", f"store.url_file={tmp_path}/url"), "aggregate")
