"""Tokens, keys and certificates: there, private, valid, and for how long still. No secret is ever part of a finding.

What should not be in this module: making or renewing them (`trueframe token`, `trueframe certs`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mesh.config import Config
from mesh.errors import NotFound, TrueframeError
from mesh.files import read_secret
from trueframe.doctor.finding import Area, Finding
from trueframe.times import show_duration
from trueframe.token_book import entry_of

_here = Area("secrets")

SOON_S = 2 * 86_400
_AGAIN = "Start the instance: `trueframe up` mints new ones for itself; users: `trueframe token create`."


def examine_secrets(config: Config) -> Iterator[Finding]:
    """All checks of what proves who is who."""
    keys = config.run.data_dir / "keys"
    if not config.public_key_file.exists() and not keys.exists():
        yield _here.warning("keys", f"there are none in {keys}.", "They are made at the first start.")
        return
    yield _public_key(config)
    # Files that nobody but the owner may read are looked at by name: more lie in the folder from time to time.
    for path in sorted({config.token_file, *keys.glob("*.token")}):
        if path.name != "nats.token":
            yield _token(config, path)
    for path in sorted(keys.glob("*.key")) if keys.is_dir() else ():
        yield _private_file(path)
    yield from _certificates(config)


def _public_key(config: Config) -> Finding:
    from mesh.tokens import Verifier

    try:
        Verifier.from_config(config)
    except TrueframeError as error:
        return _here.failure(
            "public key", f"{error.thing} {error.reason}.", error.remedy or "Restore it from a backup."
        )
    return _here.ok("public key", f"{config.public_key_file} can be read.")


def _token(config: Config, path: Path) -> Finding:
    from mesh.tokens import Verifier

    check = f"token {path.name}"
    try:
        text = read_secret(path)
        entry = entry_of(text, str(path))
        Verifier.from_config(config).verify(text.strip())
    except NotFound:
        return _here.failure(check, f"{path} is not there.", _AGAIN)
    except TrueframeError as error:
        return _here.failure(check, f"{error.thing} {error.reason}.", error.remedy or _AGAIN)
    return judge_token(check, entry.user, entry.role, entry.ends_s - time.time())


def judge_token(check: str, user: str, role: str, left_s: float) -> Finding:
    """Whether it holds for long enough."""
    text = f"holds for {show_duration(max(left_s, 0))}, {user} as {role}."
    if left_s < SOON_S:
        return _here.warning(check, text, _AGAIN)
    return _here.ok(check, text)


def _private_file(path: Path) -> Finding:
    check = f"key {path.name}"
    try:
        is_open = path.stat().st_mode & 0o077
        with path.open("rb"):
            pass
    except OSError as error:
        return _here.failure(check, f"{path} cannot be read ({error.strerror}).", "Run this as the instance's user.")
    if is_open:
        return _here.failure(check, f"{path} can be read by others.", f"`chmod 600 {path}`, and make a new one.")
    return _here.ok(check, "can be read by its owner only.")


def _certificates(config: Config) -> Iterator[Finding]:
    from mesh.tls import TlsFiles

    try:
        files = TlsFiles.from_config(config.security.tls)
        found = files.ends() if files is not None else {}
    except TrueframeError as error:
        yield _here.failure("certificates", f"{error.thing} {error.reason}.", error.remedy)
        return
    for what, told in found.items():
        left = told.left(datetime.now(UTC))
        yield judge_certificate(what, told.name, left, timedelta(days=config.security.tls.warn_days))


def judge_certificate(what: str, name: str, left: timedelta, warns: timedelta) -> Finding:
    """Whether it holds for long enough."""
    check, remedy = f"{what} {name}", "Renew it with `trueframe certs renew`."
    if left <= timedelta(0):
        return _here.failure(check, "has ended.", remedy)
    text = f"ends in {left.days} days."
    return _here.warning(check, text, remedy) if left <= warns else _here.ok(check, text)
