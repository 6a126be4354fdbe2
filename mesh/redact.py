"""Takes credentials out of texts before they reach logs, listings, events or errors."""

from __future__ import annotations

import re

# Greedy up to the last '@' before the path: passwords often hold an unescaped '@' or ':'.
_USER_INFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#]*@")
# Cameras also take credentials in the query: ?user=admin&password=secret, &pwd=…, &token=…
_SECRET_PARAMETER = re.compile(
    r"(?P<name>(?:^|[?&;])[^=&;\s]*?(?:user(?:name)?|usr|login|pass(?:word|wd)?|pwd|psw|token|secret|key|auth|sig)[^=&;\s]*)="
    r"[^&;\s#]*",
    re.IGNORECASE,
)
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.%]+\]|[\w-]+(?:\.[\w-]+)+\.?|localhost|)(?::\d{0,5})?", re.ASCII)
# A header is hidden to its end: digest authentication has secrets in several of its parts.
_HEADER = re.compile(r"(?P<name>\b(?:proxy-)?authorization\b[\"']?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
_BEARER = re.compile(r"(?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{12,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+")
HIDDEN = "***"


def redact_url(url: str) -> str:
    """The URL without user, password and secret query parameters; any other text comes back as it is.

    >>> redact_url("rtsp://admin:p@ss@10.0.0.7/live?token=abc&channel=1")
    'rtsp://10.0.0.7/live?token=***&channel=1'
    """
    # A password may hold '@', '/', '?' or '#' as it is: then everything up to the last '@' of the whole text has to go.
    scheme, separator, rest = url.partition("://")
    if separator and "@" in rest:
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        user_info, at, host = authority.rpartition("@")
        if at and (_is_host(host) or rest.rindex("@") == len(user_info)):
            url = f"{scheme}://{rest[len(user_info) + 1 :]}"
        elif at or (":" in authority and not _is_host(authority)):
            url = f"{scheme}://{rest[rest.rindex('@') + 1 :]}"
    return _SECRET_PARAMETER.sub(rf"\g<name>={HIDDEN}", url)


def redact(text: str) -> str:
    """Free text with every URL's credentials, bearer token and JWT taken out."""
    text = _USER_INFO.sub(r"\g<scheme>", text)
    text = re.sub(r"[?&][^\s]*", lambda found: _SECRET_PARAMETER.sub(rf"\g<name>={HIDDEN}", found.group()), text)
    text = _HEADER.sub(rf"\g<name>{HIDDEN}", text)
    text = _JWT.sub(HIDDEN, text)
    return _BEARER.sub(rf"\g<scheme>{HIDDEN}", text)


def _is_host(authority: str) -> bool:
    """Whether this is a host, with or without port, rather than a user and the beginning of a password."""
    return _HOST.fullmatch(authority) is not None
