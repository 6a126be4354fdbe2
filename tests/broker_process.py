"""A real broker in a process of its own, on a Unix socket in a temporary folder. For integration tests of any part."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from broker.client import BrokerClient, SyncBrokerClient
from mesh.errors import TrueframeError
from mesh.tokens import create_signing_key, load_signing_key, mint_token
from tests.support import until


class BrokerProcess:
    """One broker and its data folder. `start` after `kill` goes on with the same data."""

    def __init__(self, data: Path, settings: Iterable[str] = ()) -> None:
        self.data = data
        # A socket's path may not be longer than 108 bytes, and pytest's folders are.
        self.run_dir = Path(tempfile.mkdtemp(prefix="tf-"))
        self.endpoint = f"unix:{self.run_dir}/broker.sock"
        self.log_file = data / "broker.log"
        self._settings = [f"run.data_dir={data}", f"run.run_dir={self.run_dir}", *settings]
        self._process: subprocess.Popen[bytes] | None = None
        (data / "keys").mkdir(parents=True, exist_ok=True)
        if not (data / "keys" / "signing.key").exists():
            create_signing_key(data / "keys" / "signing.key", data / "keys" / "signing.pub")
        self.token = self.mint("test", "service")

    def mint(self, name: str, role: str, cameras: Iterable[str] | None = None) -> str:
        """A token for this broker."""
        return mint_token(load_signing_key(self.data / "keys" / "signing.key"), name, role, cameras)

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """All that the broker wrote to stderr."""
        return self.log_file.read_text()

    def start(self, preexec_fn: Callable[[], None] | None = None) -> None:
        """Starts the process and waits until it answers. `preexec_fn` is called in it before anything else."""
        arguments = [argument for setting in self._settings for argument in ("--set", setting)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "broker", *arguments],
                stderr=log,
                env={**os.environ, "TRUEFRAME_PARENT_PID": str(os.getpid())},
                preexec_fn=preexec_fn,
            )
        with self.sync_client() as client:
            until(lambda: self._answers(client), 30, "the broker answers")

    def stop(self) -> int:
        """Asks the process to end; returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process as a power cut would."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Ends the process if it runs, and removes its folder of sockets."""
        self.stop()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def client(self, token: str | None = None) -> BrokerClient:
        """An asynchronous client."""
        return BrokerClient(self.endpoint, token or self.token)

    def sync_client(self, token: str | None = None) -> SyncBrokerClient:
        """A client without an event loop."""
        return SyncBrokerClient(self.endpoint, token or self.token)

    def _answers(self, client: SyncBrokerClient) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the broker ended with {self._process.returncode}:\n{self.log}")
        with contextlib.suppress(TrueframeError):
            client.list_cameras()
            return True
        return False

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._process = None


@contextlib.contextmanager
def running_broker(data: Path, *settings: str) -> Iterator[BrokerProcess]:
    """A started broker, stopped at the end. `settings` as `section.key=value`."""
    broker = BrokerProcess(data, settings)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()
