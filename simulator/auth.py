"""Logins as cameras do them: basic (RFC 7617) and digest (RFC 2069, RFC 2617, RFC 7616).

What belongs here: challenges and the check of an answer. What does not: which requests need one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets

REALM = "trueframe simulator"
_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')
_USES_OF_A_NONCE = 3


class Login:
    """One user with one password, asked for in one way (trait `auth`)."""

    def __init__(self, user: str, password: str, kind: str = "digest") -> None:
        self._user = user
        self._password = password
        self._kind = kind
        self._hash = "SHA-256" if kind == "digest-sha256" else "MD5"
        self._nonce = secrets.token_hex(16)
        self._uses = 0
        self._last_count = 0
        self._is_stale = False

    def challenges(self) -> list[str]:
        """Values of the WWW-Authenticate headers, in order."""
        digest = f'Digest realm="{REALM}", nonce="{self._nonce}", algorithm={self._hash}'
        if self._kind in ("digest-qop", "digest-sha256"):
            digest += ', qop="auth"'
        if self._is_stale:
            digest += ", stale=true"
        basic = f'Basic realm="{REALM}"'
        return {"basic": [basic], "both": [basic, digest]}.get(self._kind, [digest])

    def accepts(self, method: str, authorization: str | None) -> bool:
        """Whether the Authorization header of a request proves the password."""
        scheme, _, rest = (authorization or "").partition(" ")
        if scheme.lower() == "basic":
            return self._kind in ("basic", "both") and self._accepts_basic(rest)
        return scheme.lower() == "digest" and self._kind != "basic" and self._accepts_digest(method, rest)

    def _accepts_basic(self, credentials: str) -> bool:
        try:
            given = base64.b64decode(credentials.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return secrets.compare_digest(given, f"{self._user}:{self._password}".encode())

    def _accepts_digest(self, method: str, rest: str) -> bool:
        fields = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(rest)}
        if fields.get("nonce") != self._nonce or fields.get("username") != self._user:
            return False
        secret = self._hashed(f"{self._user}:{REALM}:{self._password}")
        request = self._hashed(f"{method}:{fields.get('uri', '')}")
        middle = self._nonce
        if "qop" in fields:
            middle += f":{fields.get('nc', '')}:{fields.get('cnonce', '')}:{fields['qop']}"
        elif self._kind in ("digest-qop", "digest-sha256"):
            return False
        if not secrets.compare_digest(self._hashed(f"{secret}:{middle}:{request}"), fields.get("response", "")):
            return False
        return self._is_fresh(fields.get("nc", ""))

    def _is_fresh(self, count: str) -> bool:
        """Whether this use of the nonce is one that a strict camera grants."""
        if count:
            try:
                number = int(count, 16)
            except ValueError:
                return False
            if number <= self._last_count:
                return False
            self._last_count = number
        self._uses += 1
        if self._kind == "digest-stale" and self._uses > _USES_OF_A_NONCE:
            self._nonce, self._uses, self._is_stale = secrets.token_hex(16), 0, True
            return False
        return True

    def _hashed(self, text: str) -> str:
        if self._hash == "SHA-256":
            return hashlib.sha256(text.encode()).hexdigest()
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def login_for(kind: str, login: tuple[str, str] | None, *, refuses_all: bool = False) -> Login | None:
    """The login of a camera with trait `auth`; None where nobody has to log in.

    `refuses_all` gives one that nobody can know the password of.
    """
    if refuses_all:
        return Login("nobody", secrets.token_hex(8), "digest" if kind in ("auto", "none") else kind)
    if login is None or kind == "none":
        return None
    return Login(*login, "digest" if kind == "auto" else kind)
