"""Takes secrets and addresses out of texts that leave the site. Pure: texts and known secrets in, texts out.

Three nets, one behind the other: what looks like a credential (`mesh.redact`), what is known to be a secret in any of
the forms it may have been written in, and runs of base64 that hold either. What should not be in this module: where
secrets are found (`hoard`), what is put into a bundle (`bundle`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from mesh.redact import HIDDEN, redact, redact_url

SHORTEST_SECRET = 4
_SHORTEST_CORE = 8
_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]+")
_AUTHORITY = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<host>\[[0-9a-fA-F:.%]+\]|[^\s/:?#\"'<>\]]+)")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}(?![\w:])|(?<![\w:])[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4})*::[0-9a-fA-F:]*"
)
_SECRET_KEY = re.compile(r"(?:pass(?:word|wd|phrase)?|secret|token|credential|private_?key|api_?key|pwd)s?$", re.I)
_HERE = ("127.", "0.0.0.0", "localhost", "[::1]", "::1")  # noqa: S104 - known, not bound to


class Cleaner:
    """Cleans texts. `secrets`: values that must appear nowhere; `hosts`: names that are addresses of this site.

    The same address has the same stand-in throughout, so that a reader can still tell two apart.
    """

    def __init__(self, secrets: Iterable[str], hosts: Iterable[str] = (), *, keeps_addresses: bool = False) -> None:
        self._secrets = sorted({one for one in secrets if len(one) >= SHORTEST_SECRET}, key=len, reverse=True)
        forms = {form for secret in self._secrets for form in forms_of(secret)}
        self._known = _any_of(forms)
        names = {host for host in hosts if len(host) >= SHORTEST_SECRET and not host.startswith(_HERE)}
        self._hosts = None if keeps_addresses else _any_of(names, whole=True)
        self._keeps_addresses = keeps_addresses
        self._stand_ins: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text without secrets; and without addresses, unless they are to be kept."""
        text = _PEM.sub(HIDDEN, text)
        text = _RUN.sub(self._run, text)
        text = self._plain(text)
        return text if self._keeps_addresses else self._without_addresses(text)

    def value(self, value: object, key: str = "") -> object:
        """JSON with every text in it cleaned, and what stands under the name of a secret hidden."""
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(inside, str(name)) for name, inside in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inside, key) for inside in value]
        if not isinstance(value, str):
            return value
        if _SECRET_KEY.search(key) and value:
            return HIDDEN
        # A whole value can be read better than one in a sentence: a password may hold anything.
        return self.text(redact_url(value) if "://" in value else value)

    def _plain(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = _URL.sub(lambda found: redact_url(found.group()), text)
        return redact(text)

    def _run(self, found: re.Match[str]) -> str:
        run = found.group()
        for start in range(4):
            for decoded in _decoded(run[start:]):
                if self._plain(decoded) != decoded or _PEM.search(decoded):
                    return HIDDEN
        return run

    def _without_addresses(self, text: str) -> str:
        text = _AUTHORITY.sub(lambda found: found["scheme"] + self._stand_in(found["host"]), text)
        if self._hosts is not None:
            text = self._hosts.sub(lambda found: self._stand_in(found.group()), text)
        text = _IPV4.sub(lambda found: self._stand_in(found.group()), text)
        return _IPV6.sub(lambda found: self._stand_in(found.group()), text)

    def _stand_in(self, host: str) -> str:
        if host.lower().startswith(_HERE) or host.startswith(("address-", HIDDEN, "/", "%2F")):
            return host
        return self._stand_ins.setdefault(host.lower(), f"address-{len(self._stand_ins) + 1}")


def forms_of(secret: str) -> set[str]:
    """A secret as it may stand in a text: plain, in JSON, in a URL, in hexadecimal, within base64."""
    data = secret.encode()
    forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe=""),
             quote(secret), quote_plus(secret), data.hex(), data.hex().upper()}  # fmt: skip
    for lead in range(3):
        # Of a secret within a longer text, only these characters do not depend on what stands around it.
        first = (lead * 8 + 5) // 6
        last = (lead + len(data)) * 8 // 6
        core = base64.b64encode(bytes(lead) + data + bytes(3))[first:last].decode()
        if len(core) >= _SHORTEST_CORE:
            forms |= {core, core.replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= SHORTEST_SECRET}


def _any_of(texts: Iterable[str], *, whole: bool = False) -> re.Pattern[str] | None:
    parts = [re.escape(text) for text in sorted(texts, key=len, reverse=True)]
    if not parts:
        return None
    pattern = "|".join(parts)
    return re.compile(rf"(?<![\w.-])(?:{pattern})(?![\w-])", re.IGNORECASE) if whole else re.compile(pattern)


def _decoded(run: str) -> list[str]:
    """What a run of base64 may say, if that is text."""
    body = run.rstrip("=").replace("-", "+").replace("_", "/")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        decoded = base64.b64decode(body + "=" * (-len(body) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return []
    return [decoded]
