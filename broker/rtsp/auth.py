"""Digest (RFC 2617, RFC 7616) and basic authentication for RTSP.

Belongs here: challenges in, an Authorization header out. Does not belong here: where credentials come from; they are
never part of an exception or a `repr` of this module.
"""

from __future__ import annotations

import base64
import hashlib
import re
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


_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9-]*)(?:\s+(?=[^\s,=])|\s*(?=,|$))")
_PARAMETER = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9_-]*)\s*=\s*")


def parse_challenges(value: str) -> list[Challenge]:
    """Splits a WWW-Authenticate header, which may hold several challenges; what makes no sense is skipped."""
    found: list[Challenge] = []
    position = 0
    while position < len(value):
        if found and (parameter := _PARAMETER.match(value, position)):
            text, position = _value(value, parameter.end())
            found[-1].parameters.setdefault(parameter.group(1).lower(), text)
        elif scheme := _SCHEME.match(value, position):
            found.append(Challenge(scheme.group(1).lower(), {}))
            position = scheme.end()
        else:
            comma = value.find(",", position + 1)
            position = len(value) if comma < 0 else comma
    return found


def _value(text: str, position: int) -> tuple[str, int]:
    if position < len(text) and text[position] == '"':
        return _quoted(text, position + 1)
    end = text.find(",", position)
    end = len(text) if end < 0 else end
    return text[position:end].strip(), end


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
        offered = [challenge for header in challenges for challenge in parse_challenges(header)]
        best = max(offered, key=_strength, default=None)
        if best is None or _strength(best) == 0:
            return False
        is_stale = best.parameters.get("stale", "").lower() == "true"
        # A camera that refuses a right answer would otherwise be asked for ever.
        deserves_another = self._challenge is None or is_stale or self._was_accepted
        self._challenge, self._count, self._was_accepted = best, 0, False
        return deserves_another

    def accepted(self, information: str = "") -> None:
        """A request got through: a later 401 brings a new nonce and deserves another try.

        `information` is the answer's Authentication-Info, which may name the nonce of the next request.
        """
        self._was_accepted = True
        if self._challenge is not None and self._challenge.scheme == "digest" and information:
            # It is a challenge's list of parameters without the scheme.
            (said,) = parse_challenges(f"Digest {information}")[:1] or (Challenge("", {}),)
            if nonce := said.parameters.get("nextnonce"):
                self._challenge = Challenge("digest", {**self._challenge.parameters, "nonce": nonce})
                self._count = 0

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
        protection = _protection(parameters)
        # Requests have no body: integrity protection hashes nothing.
        body = f":{digest(b'')}" if protection == "auth-int" else ""
        ha2 = digest(f"{method}:{url}{body}".encode())
        fields = [
            f'username="{_escaped(user)}"',
            f'realm="{_escaped(realm)}"',
            f'nonce="{_escaped(nonce)}"',
            f'uri="{url}"',
        ]
        if protection:
            self._count += 1
            count = f"{self._count:08x}"
            fields += [f'response="{digest(f"{ha1}:{nonce}:{count}:{client_nonce}:{protection}:{ha2}".encode())}"']
            fields += [f"qop={protection}", f"nc={count}", f'cnonce="{client_nonce}"']
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


def _protection(parameters: dict[str, str]) -> str:
    """The quality of protection to answer with: `auth`, else `auth-int`, else none."""
    offered = {option.strip().lower() for option in parameters.get("qop", "").split(",")}
    return "auth" if "auth" in offered else "auth-int" if "auth-int" in offered else ""


def _strength(challenge: Challenge) -> int:
    """0 for what cannot be answered; digest before basic, SHA-256 before MD5."""
    if challenge.scheme == "basic":
        return 1
    if challenge.scheme != "digest" or "nonce" not in challenge.parameters:
        return 0
    if challenge.parameters.get("qop", "").strip() and not _protection(challenge.parameters):
        return 0
    return {"MD5": 2, "SHA-256": 3}.get(challenge.parameters.get("algorithm", "MD5").upper().removesuffix("-SESS"), 0)
