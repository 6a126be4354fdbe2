"""Webhooks: a signed JSON message to a URL, or the forms that Discord and Slack take.

    Trueframe-Id          the delivery's id; the same whenever the same is told again
    Trueframe-Timestamp   seconds since 1970, of this attempt
    Trueframe-Signature   v1=<hexadecimal HMAC-SHA256 of "TIMESTAMP.BODY" under the shared secret>

`docs/guide/notifications.md` has a verifier of ten lines.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import tzinfo
from functools import partial
from urllib.parse import urlsplit

from event_center.notifications import forms
from event_center.notifications.errors import Deferred, Refused
from event_center.notifications.line import Line, talk
from event_center.notifications.outlet import Parcel
from event_center.notifications.posting import Answer, post
from event_center.notifications.secret import secret_of
from mesh.config_notifications import NotificationChannel

_TRY_AGAIN = frozenset({401, 403, 407, 408, 421, 423, 425, 429})
"""Statuses that say something of the channel, or of the moment, and not of the message."""


class Webhook:
    """Carries to a URL. Secrets are read at every attempt: a new one needs no restart."""

    def __init__(self, channel: NotificationChannel, zone: tzinfo) -> None:
        self._channel = channel
        self._zone = zone
        self.carries_stills = channel.form != "slack"

    async def carry(self, parcel: Parcel) -> str:
        """Posts it. Raises Refused, Deferred."""
        channel = self._channel
        url = channel.url or secret_of(channel.url_file)
        body, headers = self._body(parcel)
        headers["Trueframe-Id"] = parcel.id
        if channel.secret_file is not None:
            stamp = str(parcel.sent_ns // 1_000_000_000)
            headers["Trueframe-Timestamp"] = stamp
            headers["Trueframe-Signature"] = signature(secret_of(channel.secret_file), stamp, body)
        line, host = Line(), urlsplit(url).hostname or ""
        posting = partial(
            post, line, url, body, headers,
            timeout_s=channel.timeout_s, allow_private=channel.allow_private, ca_file=channel.ca_file,
        )  # fmt: skip
        _judge(await talk(line, posting, channel.timeout_s, host), host)
        return ""

    def _body(self, parcel: Parcel) -> tuple[bytes, dict[str, str]]:
        match self._channel.form:
            case "discord":
                boundary = f"trueframe-{secrets.token_hex(12)}"
                parts = [
                    _part(boundary, 'name="payload_json"', "application/json", forms.discord_json(parcel, self._zone))
                ]
                if parcel.still is not None:
                    name = f'name="files[0]"; filename="{forms.STILL_NAME}"'
                    parts.append(_part(boundary, name, "image/jpeg", parcel.still.jpeg))
                body = b"".join(parts) + f"--{boundary}--\r\n".encode()
                return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
            case "slack":
                return forms.slack_json(parcel, self._zone), {"Content-Type": "application/json"}
            case _:
                return forms.plain_json(parcel), {"Content-Type": "application/json"}


def signature(secret: str, stamp: str, body: bytes) -> str:
    """What `Trueframe-Signature` holds."""
    return "v1=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _part(boundary: str, name: str, kind: str, data: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\nContent-Type: {kind}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def _judge(answer: Answer, host: str) -> None:
    """Raises Refused or Deferred unless the message was taken."""
    if 200 <= answer.status < 300:
        return
    # What it wrote may quote the request, and with it the URL: only the status is told.
    said = f"{host} answered {answer.status}"
    if answer.status >= 500 or answer.status in _TRY_AGAIN:
        raise Deferred(said, answer.retry_after_s)
    if answer.status < 400:
        raise Refused(f"{said}: redirects are not followed; configure the URL that it leads to")
    raise Refused(said)
