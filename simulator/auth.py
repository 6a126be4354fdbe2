"""Digest authentication as cameras do it (RFC 2069 and RFC 2617, MD5).

What belongs here: the challenge and the check of an answer. What does not: which requests need one.
"""

from __future__ import annotations

import hashlib
import re
import secrets

REALM = "trueframe simulator"
_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


class Digest:
    """One user with one password."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password
        self._nonce = secrets.token_hex(16)

    def challenge(self) -> str:
        """Value of the WWW-Authenticate header."""
        return f'Digest realm="{REALM}", nonce="{self._nonce}", algorithm=MD5'

    def accepts(self, method: str, authorization: str | None) -> bool:
        """Whether the Authorization header of a request proves the password."""
        scheme, _, rest = (authorization or "").partition(" ")
        if scheme.lower() != "digest":
            return False
        fields = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(rest)}
        if fields.get("nonce") != self._nonce or fields.get("username") != self._user:
            return False
        secret = _md5(f"{self._user}:{REALM}:{self._password}")
        request = _md5(f"{method}:{fields.get('uri', '')}")
        middle = self._nonce
        if "qop" in fields:
            middle += f":{fields.get('nc', '')}:{fields.get('cnonce', '')}:{fields['qop']}"
        return secrets.compare_digest(_md5(f"{secret}:{middle}:{request}"), fields.get("response", ""))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
