"""Digest (RFC 2617, RFC 7616) and basic authentication for RTSP.

Belongs here: challenges in, an Authorization header out. Does not belong here: where credentials come from; they are
never part of an exception or a `repr` of this module.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

_HASHES: dict[str, Callable[[bytes], str]] = {
    # RFC 2617 has only MD5, and most cameras speak nothing newer; it protects a password on a private network.
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """User and password. `repr` shows neither."""

    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate header."""

    scheme: str
    parameters: dict[str, str]


def parse_challenge(value: str) -> Challenge:
    """Splits a WWW-Authenticate header into its scheme (lower case) and parameters (lower-case names)."""
    scheme, _, rest = value.strip().partition(" ")
    parameters: dict[str, str] = {}
    position = 0
    while position < len(rest):
        equals = rest.find("=", position)
        if equals < 0:
            break
        name = rest[position:equals].strip(" ,\t").lower()
        position = equals + 1
        while position < len(rest) and rest[position] in " \t":
            position += 1
        if position < len(rest) and rest[position] == '"':
            text, position = _quoted(rest, position + 1)
        else:
            end = rest.find(",", position)
            end = len(rest) if end < 0 else end
            text, position = rest[position:end].strip(), end
        parameters[name] = text
        position = rest.find(",", position) + 1 or len(rest)
    return Challenge(scheme.lower(), parameters)


def _quoted(text: str, start: int) -> tuple[str, int]:
    out: list[str] = []
    position = start
    while position < len(text) and text[position] != '"':
        if text[position] == "\\" and position + 1 < len(text):
            position += 1
        out.append(text[position])
        position += 1
    return "".join(out), position + 1


class Authenticator:
    """Answers challenges for one connection: the strongest supported scheme, and a nonce count that grows."""

    def __init__(
        self, credentials: Credentials, client_nonce: Callable[[], str] = lambda: secrets.token_hex(8)
    ) -> None:
        self._credentials = credentials
        self._client_nonce = client_nonce
        self._challenge: Challenge | None = None
        self._was_accepted = False
        self._count = 0

    def __repr__(self) -> str:
        return "Authenticator(…)"

    def accept(self, challenges: list[str]) -> bool:
        """Takes the WWW-Authenticate headers of a 401.

        True if another try makes sense: a supported scheme, and not the same nonce refused again.
        """
        best = max((parse_challenge(c) for c in challenges), key=_strength, default=None)
        if best is None or _strength(best) == 0:
            return False
        is_stale = best.parameters.get("stale", "").lower() == "true"
        # A camera that refuses a right answer would otherwise be asked for ever.
        deserves_another = self._challenge is None or is_stale or self._was_accepted
        self._challenge, self._count, self._was_accepted = best, 0, False
        return deserves_another

    def accepted(self) -> None:
        """A request got through: a later 401 brings a new nonce and deserves another try."""
        self._was_accepted = True

    def header(self, method: str, url: str) -> str | None:
        """The value of Authorization for one request; None before the first challenge."""
        challenge = self._challenge
        if challenge is None:
            return None
        user, password = self._credentials.user, self._credentials.password
        if challenge.scheme == "basic":
            return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        parameters = challenge.parameters
        algorithm = parameters.get("algorithm", "MD5")
        digest = _HASHES[algorithm.upper().removesuffix("-SESS")]
        realm, nonce = parameters.get("realm", ""), parameters.get("nonce", "")
        client_nonce = self._client_nonce()
        ha1 = digest(f"{user}:{realm}:{password}".encode())
        if algorithm.upper().endswith("-SESS"):
            ha1 = digest(f"{ha1}:{nonce}:{client_nonce}".encode())
        ha2 = digest(f"{method}:{url}".encode())
        fields = [
            f'username="{_escaped(user)}"',
            f'realm="{_escaped(realm)}"',
            f'nonce="{_escaped(nonce)}"',
            f'uri="{url}"',
        ]
        if _offers_auth(parameters):
            self._count += 1
            count = f"{self._count:08x}"
            fields += [f'response="{digest(f"{ha1}:{nonce}:{count}:{client_nonce}:auth:{ha2}".encode())}"']
            fields += ["qop=auth", f"nc={count}", f'cnonce="{client_nonce}"']
        else:
            fields += [f'response="{digest(f"{ha1}:{nonce}:{ha2}".encode())}"']
            if algorithm.upper().endswith("-SESS"):
                fields += [f'cnonce="{client_nonce}"']
        if "algorithm" in parameters:
            fields += [f"algorithm={algorithm}"]
        if "opaque" in parameters:
            fields += [f'opaque="{_escaped(parameters["opaque"])}"']
        return "Digest " + ", ".join(fields)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _offers_auth(parameters: dict[str, str]) -> bool:
    return "auth" in (option.strip() for option in parameters.get("qop", "").split(","))


def _strength(challenge: Challenge) -> int:
    """0 for what cannot be answered; digest before basic, SHA-256 before MD5."""
    if challenge.scheme == "basic":
        return 1
    if challenge.scheme != "digest" or "nonce" not in challenge.parameters:
        return 0
    if "qop" in challenge.parameters and not _offers_auth(challenge.parameters):
        return 0
    return {"MD5": 2, "SHA-256": 3}.get(challenge.parameters.get("algorithm", "MD5").upper().removesuffix("-SESS"), 0)
