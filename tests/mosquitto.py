"""Debian's mosquitto with TLS and a password on a port of its own, and somebody who listens to it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from mesh.certificates import Kind, issue, make_authority
from tests.real_peers import SERVER_PATH, free_port, require
from tests.support import until

USER, PASSWORD = "trueframe", "correct horse"


class Mosquitto:
    """A broker that keeps what it has on disk. `start` after `kill` takes the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        now, life = datetime.now(UTC), timedelta(days=1)
        authority = make_authority("test", life, now)
        pair = issue(authority, Kind.SERVICE, "mqtt", ["localhost"], life, now)
        files = {"ca.pem": authority.certificate, "server.pem": pair.certificate, "key.pem": pair.key}
        for name, data in (files | {"password": PASSWORD.encode()}).items():
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o600)
        passwords = folder / "passwords"
        tool = shutil.which("mosquitto_passwd", path=SERVER_PATH) or "mosquitto_passwd"
        subprocess.run([tool, "-b", "-c", str(passwords), USER, PASSWORD], check=True, capture_output=True, timeout=60)
        lines = [
            f"listener {self.port} localhost", f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem",
            f"keyfile {folder}/key.pem", "allow_anonymous false", f"password_file {passwords}", "persistence true",
            f"persistence_location {folder}/", "user root",
        ]  # fmt: skip
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        program = shutil.which("mosquitto", path=SERVER_PATH) or "mosquitto"
        with (self.folder / "mosquitto.log").open("ab") as output:
            self._process = subprocess.Popen(
                [program, "-c", str(self.folder / "mosquitto.conf")], stdout=output, stderr=output
            )
        until(self._accepts, 30, "mosquitto accepts connections")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _accepts(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("localhost", self.port), 1):
            return True
        return False


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[Mosquitto]:
    """A running broker; skips the test where there is none."""
    require("mosquitto")
    broker = Mosquitto(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


class Listener:
    """Hears a topic, over restarts of the broker; `heard` is what came, in order."""

    def __init__(self, broker: Mosquitto, topic: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self.properties: list[dict[str, str]] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, client_id="listener")
        self._client.username_pw_set(USER, PASSWORD)
        self._client.tls_set_context(ssl.create_default_context(cafile=str(broker.folder / "ca.pem")))
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = self._hear
        self._client.connect("localhost", broker.port)
        self._client.loop_start()
        self.wait()

    def wait(self) -> None:
        """Until it hears."""
        assert self._subscribed.wait(30), "it does not listen"

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        self.heard.append(json.loads(message.payload))
        self.properties.append(dict(message.properties.UserProperty))  # type: ignore[union-attr]
