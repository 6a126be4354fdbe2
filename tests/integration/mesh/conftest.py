from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mesh.config import Config, load
from mesh.security import create_signing_key, mint_token
from mesh.store import SqliteStore
from mesh.store_mongodb import MongoStore
from tests.mongodb_server import NAMED, MongoServer
from tests.real_peers import require
from tests.stores import Opened
from tests.support import until


class NatsServer:
    """A real nats-server with JetStream on a port of 127.0.0.1 that stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.folder = folder
        self.token = secrets.token_hex(8)
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, max_file_store: str = "2GB") -> None:
        binary = Path(sys.executable).parent / "nats-server"
        config = self.folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nauthorization {{ token: "{self.token}" }}\n'
            f'jetstream {{ store_dir: "{self.folder}/js", max_file_store: {max_file_store} }}\n'
        )
        with (self.folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen([str(binary), "-c", str(config)], stdout=log, stderr=log)
        until(self._answers, 20, "nats-server answers")

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def forget_all(self) -> None:
        """As if its disk was lost. Only while stopped."""
        shutil.rmtree(self.folder / "js")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    folder = tmp_path / "nats"
    folder.mkdir()
    server = NatsServer(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration with keys and folders, as `trueframe up` makes them."""
    config = load(None, [f"run.data_dir={tmp_path}/data"], {})
    config.run_dir.mkdir(parents=True, mode=0o700)
    return config


@pytest.fixture
def mint(config: Config) -> Callable[..., str]:
    """Mints tokens that the configuration's key vouches for."""
    config.public_key_file.parent.mkdir(mode=0o700)
    key = create_signing_key(config.public_key_file.with_suffix(".key"), config.public_key_file)
    return lambda *arguments, **named: mint_token(key, *arguments, **named)


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real server of MongoDB's wire protocol."""
    require("mongodb")
    if NAMED:
        yield NAMED
        return
    server = MongoServer(tmp_path_factory.mktemp("mongodb"))
    try:
        server.start()
        yield server.url
    finally:
        server.kill()


@pytest.fixture
def database() -> str:
    """A name that no other test has, on a server that others use too."""
    return f"trueframe_test_{secrets.token_hex(6)}"


@pytest.fixture(params=["sqlite", "mongodb"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> Opened:
    """Stores of each adapter, in one place."""
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "store.sqlite")
    url = request.getfixturevalue("mongodb")
    return lambda: MongoStore(url, database)
