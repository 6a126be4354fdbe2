"""The ONVIF responder: HTTP and logins in front of simulated devices.

What belongs here: requests read, the login checked, the answer written. What does not: the answers (`onvif_device`).
`python -m simulator onvif` is in `onvif_command`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import secrets
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from simulator import auth
from simulator.onvif_device import PRE_AUTH, SimulatedDevice, fault, message

LOGINS = ("both", "digest", "token")
_WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
_MAX_BYTES = 1 << 20
# How old the time of a token may be, by the device's own clock.
_TOKEN_AGE_S = 10.0


@dataclass(slots=True)
class Login:
    """User and password, and which proofs of them are taken: HTTP digest, WS-UsernameToken, or either."""

    user: str
    password: str
    kind: str = "both"
    digest: auth.Login = field(init=False)

    def __post_init__(self) -> None:
        self.digest = auth.Login(self.user, self.password, "digest-qop")

    def accepts_token(self, header: ET.Element | None, now_s: float) -> bool:
        """Whether the security header of a message proves the password, by the device's time."""
        token = header.find(f"{_WSSE}Security/{_WSSE}UsernameToken") if header is not None else None
        if token is None or token.findtext(f"{_WSSE}Username") != self.user:
            return False
        created = (token.findtext(f"{_WSU}Created") or "").strip()
        try:
            nonce = base64.b64decode(token.findtext(f"{_WSSE}Nonce") or "", validate=True)
            at_s = datetime.fromisoformat(created.replace("Z", "+00:00")).astimezone(UTC).timestamp()
        except ValueError:
            return False
        proof = hashlib.sha1(nonce + created.encode() + self.password.encode(), usedforsecurity=False).digest()
        given = (token.findtext(f"{_WSSE}Password") or "").strip()
        return secrets.compare_digest(base64.b64encode(proof).decode(), given) and abs(at_s - now_s) < _TOKEN_AGE_S


class OnvifServer:
    """Serves devices at `/onvif/ID/device_service`, the first of them at `/onvif/device_service`, too."""

    def __init__(self, devices: Sequence[SimulatedDevice], login: Login | None = None) -> None:
        self._devices = {device.id: device for device in devices}
        self._login = login
        self._server: asyncio.Server | None = None
        self._scheme = "http"
        self.host = ""
        self.port = 0
        self.asked: list[str] = []
        """Every question that was answered, in order."""
        self.refused = 0
        """Questions refused for want of a login."""

    async def start(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Begins to listen, encrypted if a context is given. Raises OSError when it cannot."""
        self._scheme = "https" if tls else "http"
        self._server = await asyncio.start_server(self._serve, host, port, limit=65_536, ssl=tls)
        self.host, self.port = host, self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    @property
    def addresses(self) -> dict[str, str]:
        """Address of every device's service."""
        return {name: f"{self._scheme}://{self.host}:{self.port}/onvif/{name}/device_service" for name in self._devices}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
                }
                length = int(headers.get("content-length", "0"))
                if not 0 <= length <= _MAX_BYTES:
                    return
                body = await reader.readexactly(length)
                method, path = head[0].split(" ")[:2]
                status, answer, more = self._answer(method, path, headers, body)
                lines = [f"HTTP/1.1 {status}", "Content-Type: application/soap+xml; charset=utf-8", *more]
                writer.write("\r\n".join([*lines, f"Content-Length: {len(answer)}", "", ""]).encode() + answer)
                await writer.drain()
                if headers.get("connection", "").lower() == "close":
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # gone, or no HTTP
        finally:
            with contextlib.suppress(ConnectionError):
                writer.close()

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[str, bytes, list[str]]:
        device = self._device_at(path)
        if device is None or method != "POST":
            return "404 Not Found", b"", []
        try:
            root = ET.fromstring(body)
        except ET.ParseError:
            return "400 Bad Request", fault("Sender", "WellFormed", "no XML"), []
        content = root.find("{*}Body")
        asked = content[0] if content is not None and len(content) else None
        if asked is None:
            return "400 Bad Request", fault("Sender", "WellFormed", "no question"), []
        namespace, _, question = asked.tag.removeprefix("{").partition("}")
        if question not in PRE_AUTH and self._login is not None:
            refusal = self._refusal(self._login, device, method, headers, root.find("{*}Header"))
            if refusal is not None:
                self.refused += 1
                return refusal
        self.asked.append(question)
        # As it was asked: behind address translation a device knows only its inner address.
        base = f"{self._scheme}://{headers.get('host', f'{self.host}:{self.port}')}{path.rpartition('/')[0]}"
        token = next((element.text or "" for element in asked.iter() if element.tag.endswith("ProfileToken")), "")
        answer = device.answer(namespace, question, token.strip(), base)
        if answer is None:
            return "500 Internal Server Error", fault("Receiver", "ActionNotSupported", f"{question}: unknown"), []
        return "200 OK", message(answer), []

    def _device_at(self, path: str) -> SimulatedDevice | None:
        parts = path.partition("?")[0].strip("/").split("/")
        if len(parts) == 2 and parts[0] == "onvif":
            return next(iter(self._devices.values()), None)
        return self._devices.get(parts[1]) if len(parts) == 3 and parts[0] == "onvif" else None

    @staticmethod
    def _refusal(
        login: Login, device: SimulatedDevice, method: str, headers: dict[str, str], header: ET.Element | None
    ) -> tuple[str, bytes, list[str]] | None:
        if login.kind in ("both", "digest") and login.digest.accepts(method, headers.get("authorization")):
            return None
        if login.kind in ("both", "token") and login.accepts_token(header, device.utc_s()):
            return None
        more = [f"WWW-Authenticate: {text}" for text in login.digest.challenges()] if login.kind != "token" else []
        status = "400 Bad Request" if login.kind == "token" else "401 Unauthorized"
        return status, fault("Sender", "NotAuthorized", "Sender not authorized"), more
