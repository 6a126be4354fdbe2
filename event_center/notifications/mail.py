"""E-mail: SMTP with verified TLS, login, text and HTML, the still inside.

The Message-ID is made of the delivery's id, so that a mail which went out twice is seen to be one. What the server says
to a recipient or to the message is about this message (5xx: for good, 4xx: later, and then only to those who have not
got it); what it says to the login or the encryption is about the channel, and is tried again until somebody has put it
right.
"""

from __future__ import annotations

import email.utils
import hashlib
import smtplib
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from email.message import EmailMessage
from functools import partial

from event_center.notifications.errors import Deferred, Refused
from event_center.notifications.forms import STILL_NAME, html_of, subject_of, text_of
from event_center.notifications.line import Line, talk
from event_center.notifications.outlet import Parcel
from event_center.notifications.secret import secret_of
from mesh.config_notifications import NotificationChannel

_REMEMBERED = 1000
_PORTS = {"tls": 465, "starttls": 587, "none": 587}


class Mail:
    """Carries over SMTP. The password is read at every attempt."""

    carries_stills = True

    def __init__(self, channel: NotificationChannel, zone: tzinfo) -> None:
        self._channel = channel
        self._zone = zone
        # Of mails that some are still to get: who has them. Forgotten with the process; then all get them once more.
        self._have: dict[str, frozenset[str]] = {}

    async def carry(self, parcel: Parcel) -> str:
        """Sends one mail to all who have not got it; returns whom the server did not want. Raises Refused, Deferred."""
        channel, host = self._channel, self._channel.host
        have = self._have.get(parcel.id, frozenset())
        lacking = [one for one in channel.recipients if one not in have]
        message, password, line = message_of(parcel, channel, self._zone), secret_of(channel.secret_file), Line()
        sending = partial(_send, line, channel, message, password, lacking)
        refused = await talk(line, sending, channel.timeout_s, host)
        have |= set(lacking) - refused.keys()
        later = sorted(one for one, code in refused.items() if code < 500)
        if later and have:
            self._have[parcel.id] = have
            while len(self._have) > _REMEMBERED:
                del self._have[next(iter(self._have))]
            raise Deferred(f"{host} does not take it yet for {', '.join(later)}")
        self._have.pop(parcel.id, None)
        if not have:
            said = f"{host} wants no recipient ({', '.join(map(str, sorted(set(refused.values()))))})"
            raise Deferred(said) if later else Refused(said)
        return f"{host} did not want {', '.join(sorted(refused))}" if refused else ""


def message_of(parcel: Parcel, channel: NotificationChannel, zone: tzinfo) -> EmailMessage:
    """The mail: plain text, HTML, and the still that the HTML shows."""
    content, host = parcel.content, channel.sender.rpartition("@")[2].rstrip(">")
    message = EmailMessage()
    message["From"] = channel.sender
    message["To"] = ", ".join(channel.recipients)
    message["Subject"] = subject_of(content)
    message["Date"] = email.utils.format_datetime(datetime.fromtimestamp(parcel.sent_ns / 1e9, UTC))
    message["Message-ID"] = f"<{_local(parcel.id)}@{host}>"
    if content.event:
        # All mails of an alarm stand together in the inbox.
        message["References"] = f"<{_local(content.event)}@{host}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Trueframe-Id"] = parcel.id
    message.set_content(text_of(parcel, zone))
    cid = f"still.{_local(parcel.id)}@{host}"
    message.add_alternative(html_of(parcel, zone, f"cid:{cid}"), subtype="html")
    if parcel.still is not None:
        html = message.get_payload()[1]  # type: ignore[index]
        html.add_related(  # type: ignore[union-attr]
            parcel.still.jpeg, "image", "jpeg", cid=f"<{cid}>", filename=STILL_NAME, disposition="inline"
        )
    return message


def _local(text: str) -> str:
    """A part of a Message-ID; ids of ours are letters, digits and dots, but may come from elsewhere."""
    is_plain = text.isascii() and all(one.isalnum() or one in ".-_" for one in text)
    return text if is_plain else hashlib.sha256(text.encode()).hexdigest()[:32]


class _Plain(smtplib.SMTP):
    """A connection whose socket can be cut off from outside."""

    line: Line

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = socket.create_connection((host, port), timeout)
        self.line.hold(connected)
        return connected


class _Tls(smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""

    line: Line

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = socket.create_connection((host, port), timeout)
        self.line.hold(connected)
        connected = self.context.wrap_socket(connected, server_hostname=host)
        self.line.hold(connected)
        return connected


def _send(
    line: Line, channel: NotificationChannel, message: EmailMessage, password: str, recipients: list[str]
) -> Mapping[str, int]:
    """Sends it once; returns the recipients whom the server did not take, with its codes."""
    security, host = channel.security or "starttls", channel.host
    try:
        context = ssl.create_default_context(cafile=str(channel.ca_file) if channel.ca_file else None)
    except OSError as error:
        raise Deferred(f"ca_file {channel.ca_file}: {error.strerror or type(error).__name__}") from None
    timeout_s = channel.timeout_s
    server = _Tls(timeout=timeout_s, context=context) if security == "tls" else _Plain(timeout=timeout_s)
    server.line = line
    # What `connect` would have done if it had been given the host: TLS asks for this name.
    server._host = host  # type: ignore[union-attr]
    try:
        code, _ = server.connect(host, channel.port or _PORTS[security])
        if code != 220:
            raise Deferred(f"{host} answered {code}")
        if security == "starttls":
            server.starttls(context=context)
            assert server.sock is not None
            line.hold(server.sock)
        if channel.user:
            server.login(channel.user, password)
        refused = server.send_message(message, channel.sender, recipients)
        return {one: code for one, (code, _) in refused.items()}
    except smtplib.SMTPRecipientsRefused as error:
        # Nobody has it. After a 421 not even all were asked.
        return {one: error.recipients.get(one, (421, b""))[0] for one in recipients}
    except (smtplib.SMTPException, ssl.SSLError, OSError, ValueError) as error:
        raise _judged(host, error) from None
    finally:
        server.close()


def _judged(host: str, error: Exception) -> Deferred | Refused:
    """What a failure means."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return Deferred(f"{host} does not let us in ({error.smtp_code})")
        case smtplib.SMTPNotSupportedError():
            return Deferred(f"{host} offers no encryption or no login that we know")
        case smtplib.SMTPSenderRefused() | smtplib.SMTPDataError():
            said = f"{host} does not take the mail ({error.smtp_code})"
            # 530: log in first. That is about the channel.
            return Refused(said) if error.smtp_code >= 500 and error.smtp_code != 530 else Deferred(said)
        case smtplib.SMTPResponseException():
            return Deferred(f"{host} answered {error.smtp_code}")
        case ssl.SSLCertVerificationError():
            return Deferred(f"{host}: its certificate is not believed ({error.verify_message})")
        case TimeoutError():
            return Deferred(f"{host} did not answer in time")
        case OSError() if error.strerror:
            return Deferred(f"{host}: {error.strerror}")
        case _:
            return Deferred(f"{host}: {type(error).__name__}")
