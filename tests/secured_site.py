"""A site in mesh mode for tests: services with mutual TLS on loopback, a NATS with TLS, planted secrets."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.certificate_folder import CertificateFolder
from mesh.certificates import Kind
from mesh.channel import Credentials, connect_sync
from mesh.config import Config, load
from mesh.files import private_folder, write_private
from mesh.tls import ClientTls
from mesh.tokens import create_signing_key, mint_token
from tests.real_peers import free_port
from tests.support import until

SERVICES = {
    "broker": "broker",
    "pixels": "broker.pixel",
    "media_center": "media_center",
    "event_center": "event_center",
    "aggregate": "aggregate",
}
DAY = timedelta(days=1)


class SecuredSite:
    """Five services, one data folder, one authority. `planted`: secrets that may be seen nowhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = private_folder(folder / "data")
        self.run_dir = Path(tempfile.mkdtemp(prefix="tf-"))
        self.camera_password = f"pw{secrets.token_hex(8)}"
        self.nats_password = f"np{secrets.token_hex(8)}"
        self.now = datetime.now(UTC)
        self.certs = CertificateFolder(folder / "certs")
        self.certs.init("hall", 30 * DAY, self.now)
        for name in (*SERVICES, "nats"):
            self.certs.issue(Kind.SERVICE, name.replace("_", "-"), ["127.0.0.1", "localhost"], 20 * DAY, self.now)
        self.certs.issue(Kind.USER, "olga", [], 20 * DAY, self.now)
        self.strangers = CertificateFolder(folder / "strangers")
        self.strangers.init("elsewhere", 30 * DAY, self.now)
        self.strangers.issue(Kind.SERVICE, "eve", ["127.0.0.1"], 20 * DAY, self.now)
        keys = private_folder(self.data / "keys")
        self.key = create_signing_key(keys / "signing.key", keys / "signing.pub")
        write_private(keys / "service.token", self.mint("service", "service").encode())
        write_private(folder / "nats.password", self.nats_password.encode())
        self.nats_port = free_port()
        self.endpoints = {name: f"127.0.0.1:{free_port()}" for name in SERVICES}
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def planted(self) -> list[str]:
        """What may stand in no log, listing or error."""
        keys = [path.read_text().splitlines()[1] for path in (*self.certs.folder.glob("*.key"),)]
        token = (self.data / "keys" / "service.token").read_text().rpartition(".")[2]
        return [self.camera_password, self.nats_password, token, *keys]

    def mint(self, name: str, role: str, cameras: Iterable[str] | None = None, ttl: timedelta = DAY) -> str:
        return mint_token(self.key, name, role, cameras, ttl)

    def config_file(self, name: str) -> Path:
        certificate = self.certs.folder / name.replace("_", "-")
        path = self.folder / f"{name}.toml"
        sections = "\n".join(f'[{one}]\nendpoint = "{where}"' for one, where in self.endpoints.items())
        path.write_text(
            f'[run]\ndata_dir = "{self.data}"\nrun_dir = "{self.run_dir}"\n'
            f'[security.tls]\nca_file = "{self.certs.ca_file}"\n'
            f'certificate_file = "{certificate}.crt"\nkey_file = "{certificate}.key"\n'
            f'[nats]\nurl = "tls://127.0.0.1:{self.nats_port}"\nuser = "trueframe"\n'
            f'password_file = "{self.folder}/nats.password"\nca_file = "{self.certs.ca_file}"\n'
            f'certificate_file = "{certificate}.crt"\nkey_file = "{certificate}.key"\n'
            f"{sections}\n"
        )
        return path

    def config(self, name: str = "broker") -> Config:
        return load(self.config_file(name), environ={})

    def start(self) -> None:
        nats = self.folder / "nats.conf"
        nats.write_text(
            f'listen: "127.0.0.1:{self.nats_port}"\njetstream {{ store_dir: "{self.folder}/js" }}\n'
            f'tls {{ cert_file: "{self.certs.folder}/nats.crt", key_file: "{self.certs.folder}/nats.key", '
            f'ca_file: "{self.certs.ca_file}", verify: true }}\n'
            f'authorization {{ users: [ {{ user: trueframe, password: "{self.nats_password}" }} ] }}\n'
        )
        self._launch("nats", [str(Path(sys.executable).parent / "nats-server"), "-c", str(nats)])
        for name, module in SERVICES.items():
            self._launch(name, [sys.executable, "-m", module, "--config", str(self.config_file(name))])
        for name in SERVICES:
            until(lambda name=name: self._serves(name), 60, f"{name} serves; its log: {self.log(name)[-3000:]}")

    def stop(self) -> None:
        nats = self.children.pop("nats", None)
        for child in self.children.values():
            child.send_signal(signal.SIGTERM)
        for child in self.children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(20)
            child.kill()
            child.wait()
        # After the services, as the supervisor does: they say good-bye on the bus.
        if nats is not None:
            nats.kill()
            nats.wait()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def tls(self, name: str = "olga", folder: CertificateFolder | None = None) -> ClientTls:
        pair = (folder or self.certs).folder / name
        return ClientTls.from_files(self.certs.ca_file, pair.with_suffix(".crt"), pair.with_suffix(".key"))

    def credentials(self, token: str, certificate: str = "olga") -> Credentials:
        return Credentials(token, tls=self.tls(certificate))

    def _launch(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            environment = {**os.environ, "TRUEFRAME_PARENT_PID": str(os.getpid())}
            self.children[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def _serves(self, name: str) -> bool:
        assert self.children[name].poll() is None, self.log(name)
        with connect_sync(self.endpoints[name], None, tls=self.tls()) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
            except grpc.RpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@contextlib.contextmanager
def secured_site(folder: Path) -> Iterator[SecuredSite]:
    """A started site, stopped at the end."""
    site = SecuredSite(folder)
    try:
        site.start()
        yield site
    finally:
        site.stop()
