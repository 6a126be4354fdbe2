"""SOAP 1.2 as ONVIF uses it: envelopes, WS-UsernameToken digests, faults. Pure.

Belongs here: text in, text out. Does not belong here: HTTP, and what is asked (`onvif`).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

from broker.discovery.xmltree import Element, escaped
from broker.rtsp.auth import Credentials

CONTENT_TYPE = "application/soap+xml; charset=utf-8"
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_SECEXT = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_UTILITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"


def envelope(body: str, security: str = "") -> bytes:
    """A message with this body; `security` as `username_token` makes it."""
    header = f"<s:Header>{security}</s:Header>" if security else ""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_ENVELOPE}">'
        f"{header}<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def username_token(credentials: Credentials, nonce: bytes, created_utc_ns: int) -> str:
    """The security header. `created_utc_ns`: by the device's clock, or it takes the message for an old one."""
    created = datetime.fromtimestamp(created_utc_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # SHA-1 is what the profile prescribes; it protects a password on a private network.
    digest = hashlib.sha1(nonce + created.encode() + credentials.password.encode(), usedforsecurity=False).digest()
    return (
        f'<w:Security xmlns:w="{_SECEXT}" xmlns:u="{_UTILITY}" s:mustUnderstand="1"><w:UsernameToken>'
        f"<w:Username>{escaped(credentials.user)}</w:Username>"
        f'<w:Password Type="{_DIGEST}">{base64.b64encode(digest).decode()}</w:Password>'
        f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>'
        f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
    )


def fault_of(root: Element) -> tuple[str, str] | None:
    """(codes, text) of a fault, None if the answer is none. Codes are joined by spaces, outermost first."""
    fault = root.find("Body", "Fault")
    if fault is None:
        return None
    codes = " ".join(element.text.strip() for element in fault.walk() if element.name in ("Value", "faultcode"))
    text = fault.value("Reason", "Text") or fault.value("faultstring") or fault.value("Detail")
    return codes, " ".join(text.split())[:200]


def is_unauthorised(codes: str) -> bool:
    """Whether a fault says that credentials are missing or wrong."""
    return any(word in codes for word in ("NotAuthorized", "FailedAuthentication", "InvalidSecurity"))
