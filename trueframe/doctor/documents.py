"""The store of documents: SQLite files that are sound, or a MongoDB server that answers. Reads only.

What should not be in this module: bringing documents to a newer schema, and moving them (`trueframe store`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from mesh.amounts import amount
from mesh.config import Config
from mesh.errors import TrueframeError
from mesh.files import read_secret
from mesh.redact import redact
from mesh.store_open import FILES, store_file
from trueframe.doctor.finding import Area, Finding

_here = Area("store")

CHECK_WITHIN_S = 10.0
ANSWER_WITHIN_MS = 3000


def examine_store(config: Config) -> Iterator[Finding]:
    """All checks of the store that the configuration names."""
    if config.store.kind != "sqlite":
        yield _mongodb(config)
        return
    for service in FILES:
        path = store_file(config.run.data_dir, service)
        if path.exists():
            yield _sqlite(service, path)
    if not any(store_file(config.run.data_dir, service).exists() for service in FILES):
        yield _here.ok("documents", "there are none yet.")


def _sqlite(service: str, path: Path) -> Finding:
    check, size = f"documents of {service}", amount(path.stat().st_size, "bytes")
    remedy = f"Stop the instance, keep a copy of {path}, and restore it from a backup."
    deadline = time.monotonic() + CHECK_WITHIN_S
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=3)
        try:
            # A large file is looked at for a bounded time: an operator waits for this.
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return _here.ok(check, f"{size}; sound as far as could be read in {CHECK_WITHIN_S:.0f} s.")
        return _here.failure(check, f"{path} cannot be read: {error}.", "Run this as the instance's user.")
    except sqlite3.DatabaseError as error:
        return _here.failure(check, f"{path} is damaged: {error}.", remedy)
    if said != "ok":
        return _here.failure(check, f"{path} is damaged: {said}.", remedy)
    return _here.ok(check, f"{size}, sound.")


def _mongodb(config: Config) -> Finding:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    check, remedy = "MongoDB", "Look whether it runs, and whether store.url_file names its user rightly."
    if config.store.url_file is None:
        return _here.failure(check, "store.url_file is not set.", "Name the file that holds the URL of the server.")
    try:
        client: MongoClient[dict[str, object]] = MongoClient(
            read_secret(config.store.url_file).strip(), serverSelectionTimeoutMS=ANSWER_WITHIN_MS
        )
        try:
            version = client.server_info()["version"]
        finally:
            client.close()
    except TrueframeError as error:
        return _here.failure(check, f"{error.thing} {error.reason}.", error.remedy)
    except (PyMongoError, ValueError) as error:
        # Its texts may hold hosts; a URL with a password is none of them, and is taken out all the same.
        return _here.failure(check, f"does not answer: {redact(str(error))[:200]}.", remedy)
    return _here.ok(check, f"version {version} answers.")
