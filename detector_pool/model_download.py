"""Models fetched from a web server: bounded, and only what a pinned hash names.

zip_file = fetch("https://models.example/yolox-nano.zip", "3fa2…", Path("/tmp"))
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import secrets
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any

from detector_pool.models import MAX_MODEL_BYTES
from mesh.errors import DataLoss, DeadlineExceeded, InvalidArgument, Unavailable

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[\w][\w.+-]{0,99}")
_SCHEMES = ("http", "https")
_CHUNK = 1 << 18
_TIMEOUT_S = 20.0
_MAX_TIME_S = 1800.0
_MAX_REDIRECTS = 5

Progress = Callable[[int, int], None]
"""Called with the bytes that have come, and those of the whole file (0 where the server does not say)."""


def fetch(url: str, sha256: str, into: Path, *, progress: Progress | None = None) -> Path:
    """Downloads a file into a folder and returns its path; nothing stays behind of one that has another hash.

    `sha256`: in hexadecimal, as whoever publishes the file tells it elsewhere. Raises InvalidArgument (no http or https
    URL, no hash, larger than a model may be), Unavailable (nobody answers, or not with the file), DeadlineExceeded,
    DataLoss (another content than the hash names).
    """
    wanted = sha256.strip().lower().removeprefix("sha256:")
    if not _DIGEST.fullmatch(wanted):
        remedy = "Give the 64 hexadecimal digits that `sha256sum` prints for the right file."
        raise InvalidArgument("SHA-256 of the model", f"{sha256!r:.80} is none", remedy)
    name = _checked_url(url)
    partial = into / f".{name}.{secrets.token_hex(4)}.part"
    try:
        with _opened(url) as response, partial.open("xb") as file:
            found = _copied(url, response, file, progress)
            file.flush()
            os.fsync(file.fileno())
        if found != wanted:
            remedy = "Do not use it: ask whoever publishes it which hash is right."
            raise DataLoss(f"file at {_bare(url)}", f"has SHA-256 {found}, not {wanted}", remedy)
        target = into / name
        partial.replace(target)
        return target
    finally:
        partial.unlink(missing_ok=True)


def _checked_url(url: str) -> str:
    """The file's name. Raises InvalidArgument."""
    try:
        parts = urllib.parse.urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        raise InvalidArgument("URL of the model", f"{url!r:.120} is none") from None
    if parts.scheme not in _SCHEMES or not parts.hostname or not port_is_good or not url.isprintable() or " " in url:
        remedy = "It begins with https:// or http://; a file of this machine is named by its path."
        raise InvalidArgument("URL of the model", f"{url!r:.120} is none that can be fetched", remedy)
    if parts.username or parts.password:
        raise InvalidArgument("URL of the model", "has a password in it", "Fetch such a file yourself and add that.")
    name = PurePosixPath(urllib.parse.unquote(parts.path)).name
    return name if _NAME.fullmatch(name) else "model.zip"


class _SameSchemes(urllib.request.HTTPRedirectHandler):
    """Redirections stay with http and https, and never lead from https back to http."""

    max_redirections = _MAX_REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _checked_url(newurl)
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise Unavailable(f"server of {_bare(req.full_url)}", "leads from https to http")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opened(url: str) -> Any:
    # No handler for files, FTP or data: whatever a redirection says.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SameSchemes(),
    ):
        opener.add_handler(handler)
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "trueframe", "Accept-Encoding": "identity"})
        response: Any = opener.open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise Unavailable(f"file at {_bare(url)}", f"the server answers {error.code}", "Is the URL right?") from None
    except TimeoutError:
        raise DeadlineExceeded(f"server of {_bare(url)}", f"did not answer within {_TIMEOUT_S:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise Unavailable(f"server of {_bare(url)}", f"cannot be reached ({str(reason)[:160]})") from None
    return response


def _copied(url: str, response: Any, file: IO[bytes], progress: Progress | None) -> str:
    """Copies what comes, within bounds; returns its SHA-256."""
    digest, come = hashlib.sha256(), 0
    declared = response.headers.get("Content-Length", "")
    whole = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 16 else 0
    deadline = time.monotonic() + _MAX_TIME_S
    try:
        while True:
            if max(come, whole) > MAX_MODEL_BYTES:
                raise InvalidArgument(f"file at {_bare(url)}", f"is larger than {MAX_MODEL_BYTES >> 20} MiB")
            # One read is one wait for the socket: a server that trickles cannot hold it beyond the deadline.
            chunk = response.read1(_CHUNK)
            if not chunk:
                break
            come += len(chunk)
            digest.update(chunk)
            file.write(chunk)
            if progress is not None:
                progress(come, whole)
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"file at {_bare(url)}", f"did not come within {_MAX_TIME_S / 60:g} minutes")
    except TimeoutError:
        raise DeadlineExceeded(f"server of {_bare(url)}", f"sent nothing for {_TIMEOUT_S:g} s") from None
    except http.client.HTTPException as error:
        raise Unavailable(f"file at {_bare(url)}", f"ended early ({type(error).__name__})", "Try again.") from None
    except ConnectionError as error:
        raise Unavailable(f"file at {_bare(url)}", f"ended early ({error.strerror})", "Try again.") from None
    if whole and come < whole:
        raise Unavailable(f"file at {_bare(url)}", f"ended after {come} of {whole} bytes", "Try again.")
    return digest.hexdigest()


def _bare(url: str) -> str:
    """The URL without what may be secret in it."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"[:200]
