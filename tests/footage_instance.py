"""Broker and media center as processes of their own, over a data folder that outlives them. For tests of footage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from broker.client import SyncBrokerClient
from media_center.client import SyncFootageClient
from mesh.config import Config, load
from mesh.errors import TrueframeError
from mesh.files import private_folder, write_private
from mesh.tokens import create_signing_key, load_signing_key, mint_token
from tests.support import until


class Instance:
    """Starts, stops and kills the two services."""

    def __init__(self, data_dir: Path, **settings: object) -> None:
        self.data_dir = data_dir
        self.overrides = [
            f"run.data_dir={data_dir}",
            "nats.url=nats://127.0.0.1:9",
            "media_center.segment_s=3",
            "media_center.min_free_bytes=0",
            *(f"{name.replace('__', '.')}={value}" for name, value in settings.items()),
        ]
        self.config: Config = load(None, self.overrides, {})
        private_folder(self.config.run_dir)
        keys = private_folder(data_dir / "keys")
        key = create_signing_key(keys / "signing.key", keys / "signing.pub")
        write_private(keys / "service.token", mint_token(key, "service", "service").encode())
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def footage_dir(self) -> Path:
        return self.config.footage_dir

    def token(self, role: str, cameras: list[str] | None = None) -> str:
        return mint_token(load_signing_key(self.data_dir / "keys" / "signing.key"), role, role, cameras)

    def start(self, module: str) -> None:
        arguments = [part for text in self.overrides for part in ("--set", text)]
        log = (self.data_dir / f"{module}.log").open("ab")
        self.processes[module] = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=log,
            stderr=log,
            env={**os.environ, "TRUEFRAME_PARENT_PID": str(os.getpid())},
        )
        log.close()

    def wait_ready(self, module: str) -> None:
        def answers() -> bool:
            assert self.processes[module].poll() is None, self.log(module)
            try:
                if module == "broker":
                    with self.broker() as broker:
                        broker.list_cameras()
                else:
                    with self.footage() as footage:
                        footage.recordings()
            except TrueframeError:
                return False
            return True

        until(answers, 20, f"{module} answers; its log: {self.log(module)}")

    def up(self) -> None:
        for module in ("broker", "media_center"):
            self.start(module)
        for module in ("broker", "media_center"):
            self.wait_ready(module)

    def log(self, module: str) -> str:
        path = self.data_dir / f"{module}.log"
        return path.read_text() if path.exists() else ""

    def end(self, module: str, number: int = signal.SIGTERM) -> int:
        process = self.processes.pop(module)
        process.send_signal(number)
        return process.wait(20)

    def stop(self) -> None:
        for module in list(self.processes):
            if self.processes[module].poll() is None:
                self.end(module)

    def broker(self) -> SyncBrokerClient:
        return SyncBrokerClient(self.config.broker.endpoint, self.token("administrator"))

    def footage(self, role: str = "operator", cameras: list[str] | None = None) -> SyncFootageClient:
        return SyncFootageClient(self.config.media_center.endpoint, self.token(role, cameras))
