"""An SMTP server with TLS and login in the event loop of a test, which can be away and say no."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mesh.certificates import Kind, issue, make_authority
from tests.real_peers import free_port

PASSWORD = "correct horse"


@dataclass
class Post:
    """An SMTP server of this event loop. `answers`: replies to the next mails, then it takes everything."""

    folder: Path
    is_tls: bool = False
    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    greylists: int = 0
    """So often an address that begins with "grey" is put off."""
    port: int = field(default_factory=free_port)
    password: str = PASSWORD
    _server: asyncio.Server | None = None

    def __post_init__(self) -> None:
        now, life = datetime.now(UTC), timedelta(days=1)
        authority = make_authority("test", life, now)
        pair = issue(authority, Kind.SERVICE, "smtp", ["localhost"], life, now)
        files = {"ca.pem": authority.certificate, "server.pem": pair.certificate, "key.pem": pair.key}
        for name, data in files.items():
            (self.folder / name).write_bytes(data)
            (self.folder / name).chmod(0o600)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(self.folder / "server.pem", self.folder / "key.pem")

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such user"
        if address.startswith("grey") and self.greylists > 0:
            self.greylists -= 1
            return "450 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        self.taken.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.recipients.append(envelope.rcpt_tos)
        return "250 taken"

    def _judge(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        is_right = isinstance(data, LoginPassword) and data.password == self.password.encode()
        return AuthResult(success=is_right, handled=False)

    async def start(self) -> None:
        def made() -> SMTP:
            is_encrypted_later = not self.is_tls
            return SMTP(
                self,
                hostname="localhost",
                authenticator=self._judge,
                auth_required=True,
                auth_require_tls=is_encrypted_later,
                tls_context=self._context if is_encrypted_later else None,
                require_starttls=is_encrypted_later,
            )

        context = self._context if self.is_tls else None
        self._server = await asyncio.get_running_loop().create_server(made, "localhost", self.port, ssl=context)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
