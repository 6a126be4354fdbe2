"""A real pixel host in a process of its own, beside a `BrokerProcess`. For integration tests of any part."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from broker.pixel.client import PixelClient, RingReader, SyncPixelClient
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from tests.broker_process import BrokerProcess
from tests.support import until


class HostProcess:
    """`python -m broker.pixel` beside a broker."""

    def __init__(self, broker: BrokerProcess, *settings: str, endpoint: str = "") -> None:
        self.broker = broker
        self.endpoint = endpoint or f"unix:{broker.run_dir}/pixels.sock"
        self.rings = broker.run_dir / "rings.sock"
        self.log_file = broker.data / "pixel.log"
        key = broker.data / "keys" / "service.token"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(broker.token)
        pairs = [f"run.data_dir={broker.data}", f"run.run_dir={broker.run_dir}", "pixels.memory_bytes=100000000"]
        self.arguments = [argument for pair in (*pairs, *settings) for argument in ("--set", pair)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> HostProcess:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "broker.pixel", *self.arguments],
                stderr=log,
                env={**os.environ, "TRUEFRAME_PARENT_PID": str(os.getpid())},
            )
        try:
            with self.sync_client() as client:
                until(lambda: self._answers(client), 30, "the pixel host answers")
        except BaseException:
            self.end()
            raise
        return self

    def _answers(self, client: SyncPixelClient) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log_file.read_text()
        try:
            client.list_decoders()
        except TrueframeError:
            return False
        return self.rings.exists()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self._process = None

    def client(self, token: str | None = None) -> PixelClient:
        return PixelClient(self.endpoint, token or self.broker.token)

    def sync_client(self, token: str | None = None) -> SyncPixelClient:
        return SyncPixelClient(self.endpoint, token or self.broker.token)

    def reader(self, camera: str, *, after: FrameId | None = None, reconnect: bool = True) -> RingReader:
        return RingReader(self.rings, self.broker.token, camera, name="test", after=after, reconnect=reconnect)


@contextlib.contextmanager
def running_pixel_host(broker: BrokerProcess, *settings: str, endpoint: str = "") -> Iterator[HostProcess]:
    """A started pixel host, stopped at the end; `endpoint` if the settings give it another one."""
    host = HostProcess(broker, *settings, endpoint=endpoint)
    try:
        yield host.start()
    finally:
        host.end()
