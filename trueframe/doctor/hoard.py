"""Everything of an instance that must not leave it: secrets and hosts, gathered from where they lie, held in memory.

What should not be in this module: what is done with them (`cleaning`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from urllib.parse import unquote

from mesh.config import Config, dump
from trueframe.layout import Layout

LARGEST_FILE = 64 << 10
LARGEST_DATABASE = 32 << 20
SHORTEST_PATH = 16
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>\x00-\x1f]+")
_SECRET_WORD = re.compile(r"pass|secret|token|key|credential|pwd|auth", re.IGNORECASE)
_PUBLIC = (".pub", ".crt", ".pem.pub", ".jws")
_SECRET_PARAMETER = re.compile(r"[?&][^=&]*(?:pass|pwd|psw|token|secret|key|auth|sig)[^=&]*=([^&#\s]+)", re.IGNORECASE)


class Hoard:
    """Secrets and hosts of one instance. `repr` tells nothing."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.hosts: set[str] = set()

    def __repr__(self) -> str:
        return f"<Hoard of {len(self.secrets)} secrets, {len(self.hosts)} hosts>"

    def take_url(self, url: str) -> None:
        """Its password, its secret parameters, its host."""
        rest = url.partition("://")[2]
        # A password may hold any character: everything up to the last @ is credentials.
        user_info, at, place = rest.rpartition("@")
        if at:
            user, colon, password = user_info.partition(":")
            secret = password if colon else user
            self.secrets |= {secret, unquote(secret)}
        for value in _SECRET_PARAMETER.findall(place):
            self.secrets |= {value, unquote(value)}
        host = re.split(r"[/?#]", place, maxsplit=1)[0]
        self.hosts.add(host.strip("[]") if host.startswith("[") else host.partition(":")[0])

    def take_secret_file(self, path: Path) -> None:
        """Whole, and line by line: keys, tokens, passwords, URLs, `name = value`."""
        try:
            if path.stat().st_size > LARGEST_FILE:
                return
            text = path.read_text(errors="replace")
        except OSError:
            return
        for url in _URL.findall(text):
            self.take_url(url)
        if "-----BEGIN" not in text:
            self.secrets.add(text.strip())
        for line in text.splitlines():
            line = line.strip()
            if line and not line.startswith(("-----", "#", "[")):
                self.secrets.add(line)
                self.secrets.add(line.partition("=")[2].strip().strip("\"'"))

    def take_values(self, value: object, key: str = "") -> None:
        """A tree of settings: URLs anywhere, and texts under the name of a secret."""
        if isinstance(value, Mapping):
            for name, inside in value.items():
                self.take_values(inside, str(name))
        elif isinstance(value, list | tuple):
            for inside in value:
                self.take_values(inside, key)
        elif isinstance(value, str):
            if "://" in value:
                self.take_url(value)
            elif _SECRET_WORD.search(key) and not key.endswith("_file"):
                self.secrets.add(value)


def hoard_of(layout: Layout, config: Config) -> Hoard:
    """Reads key files, files of secrets that the configuration names, sources of cameras, and the environment."""
    hoard = Hoard()
    if layout.keys.is_dir():
        for path in layout.keys.iterdir():
            if path.is_file() and path.suffix not in _PUBLIC and path.suffix != ".json":
                hoard.take_secret_file(path)
    for path in _secret_files(config):
        hoard.take_secret_file(path)
    with contextlib.suppress(OSError, ValueError):
        hoard.take_values(tomllib.loads(layout.config.read_text()))
    hoard.take_values(tomllib.loads(dump(config)))
    for camera in config.cameras:
        hoard.take_url(camera.source)
    for channel in config.notifications.channels:
        if channel.url:
            hoard.take_url(channel.url)
            # Webhooks of chats have their secret in the path; a short one is a word that stands elsewhere, too.
            way = channel.url.partition("://")[2].partition("/")[2]
            hoard.secrets |= {way} if len(way) >= SHORTEST_PATH else set()
    for name, value in os.environ.items():
        if "://" in value:
            hoard.take_url(value)
        elif _SECRET_WORD.search(name) and not Path(value).exists():
            hoard.secrets.add(value)
    for path in sorted((layout.data / "broker").glob("broker.db*")):
        _take_database(hoard, path)
    with contextlib.suppress(OSError, ValueError):
        hoard.take_values(json.loads(layout.run_json.read_text()))
    # A word that every log holds is no secret worth the log.
    hoard.secrets -= {"", "true", "false", "none", "auto", "token", "password", "trueframe"}
    hoard.hosts -= {""}
    return hoard


def _secret_files(settings: object) -> Iterator[Path]:
    for one in fields(settings) if is_dataclass(settings) else ():
        value = getattr(settings, one.name)
        if isinstance(value, Path) and one.name.endswith("_file") and value.suffix not in _PUBLIC:
            if one.name not in ("ca_file", "certificate_file", "public_key_file"):
                yield value
        else:
            for inside in value if isinstance(value, tuple) else (value,):
                yield from _secret_files(inside)


def _take_database(hoard: Hoard, path: Path) -> None:
    """Sources of cameras: by its table, and whatever its form; what was overwritten still stands in it as it was."""
    with contextlib.suppress(sqlite3.Error):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=3)
        try:
            for (source,) in connection.execute("SELECT source FROM camera"):
                hoard.take_url(str(source))
        finally:
            connection.close()
    try:
        if path.stat().st_size > LARGEST_DATABASE:
            return
        text = path.read_bytes().decode("latin-1")
    except OSError:
        return
    for url in set(_URL.findall(text)):
        hoard.take_url(url.encode("latin-1").decode(errors="replace"))
