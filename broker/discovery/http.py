"""One HTTP request to a device: asyncio, bounded in time and bytes, with digest and basic authentication.

Belongs here: HTTP/1.1 as small devices speak it, one request a connection. Does not belong here: SOAP.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from broker.discovery.addresses import HttpAddress
from broker.discovery.errors import DeviceUnauthorised, DeviceUnreachable, NotADevice
from broker.rtsp.auth import Authenticator, Credentials

_MAX_HEAD_BYTES = 32 << 10
_MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a device answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The first header of that name; empty if there is none."""
        return next((value for key, value in self.headers if key == name.lower()), "")


class DeviceHttp:
    """Requests to one device. `timeout_s`: longest wait for each answer."""

    def __init__(self, device: HttpAddress, credentials: Credentials | None, timeout_s: float) -> None:
        self.thing = f"device at {device.host}:{device.port}"
        self._authenticator = Authenticator(credentials) if credentials else None
        self._timeout_s = timeout_s

    async def post(self, address: HttpAddress, body: bytes, content_type: str) -> HttpAnswer:
        """Posts and returns the answer, whatever its status but 401.

        Raises DeviceUnreachable, DeviceUnauthorised (401 in the end), NotADevice (no HTTP).
        """
        for _ in range(3):
            answer = await self._exchange(address, body, content_type)
            if answer.status != 401:
                if self._authenticator is not None:
                    self._authenticator.accepted()
                return answer
            challenges = [value for name, value in answer.headers if name == "www-authenticate"]
            if self._authenticator is None or not self._authenticator.accept(challenges):
                break
        raise unauthorised(self.thing, self._authenticator is not None)

    async def _exchange(self, address: HttpAddress, body: bytes, content_type: str) -> HttpAnswer:
        lines = [
            f"POST {address.path} HTTP/1.1",
            f"Host: {address.authority}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            "User-Agent: trueframe",
            "Connection: close",
        ]
        if self._authenticator is not None and (value := self._authenticator.header("POST", address.path)):
            lines.append(f"Authorization: {value}")
        request = "\r\n".join([*lines, "", ""]).encode() + body
        context = ssl.create_default_context() if address.scheme == "https" else None
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_connection(
                    address.host, address.port, ssl=context, limit=_MAX_HEAD_BYTES
                )
                try:
                    writer.write(request)
                    return await self._read(reader)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            reason = f"does not answer within {self._timeout_s:g} s"
            raise DeviceUnreachable(self.thing, reason, "Check the address, the device and the network.") from None
        except ssl.SSLCertVerificationError as error:
            reason = f"shows a certificate that this host does not believe ({error.verify_message})"
            raise DeviceUnreachable(self.thing, reason, "Use its http:// address, or install its authority.") from None
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise NotADevice(
                self.thing, f"does not speak HTTP ({type(error).__name__})", "Give the address of its device service."
            ) from None
        except OSError as error:
            reason = f"cannot be reached ({error.strerror or error})"
            raise DeviceUnreachable(self.thing, reason, "Check the address, the device and the network.") from None

    async def _read(self, reader: asyncio.StreamReader) -> HttpAnswer:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *rest = head.rstrip("\r\n").split("\r\n")
            version, _, after = first.partition(" ")
            status = int(after[:3])
            if not version.startswith("HTTP/1.") or not 100 <= status <= 599:
                raise ValueError("no status line")
            if status >= 200:
                break
        pairs = (line.partition(":") for line in rest)
        headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
        answer = HttpAnswer(status, headers, b"")
        if "chunked" in answer.header("transfer-encoding").lower():
            body = await _read_chunks(reader)
        elif length := answer.header("content-length"):
            if not 0 <= int(length) <= _MAX_BODY_BYTES:
                raise ValueError("longer than any answer")
            body = await reader.readexactly(int(length))
        else:
            body = await _read_to_end(reader)
        return HttpAnswer(status, headers, body)


def unauthorised(thing: str, has_credentials: bool) -> DeviceUnauthorised:
    """The device wants credentials, or others."""
    if has_credentials:
        return DeviceUnauthorised(thing, "refuses user or password", "Give those of an ONVIF user of the device.")
    return DeviceUnauthorised(thing, "wants user and password", "Give those of an ONVIF user of the device.")


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        if size < 0 or len(body) + size > _MAX_BODY_BYTES:
            raise ValueError("longer than any answer")
        body += await reader.readexactly(size)
        await reader.readuntil(b"\r\n")
    return bytes(body)


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while data := await reader.read(65_536):
        body += data
        if len(body) > _MAX_BODY_BYTES:
            raise ValueError("longer than any answer")
    return bytes(body)
