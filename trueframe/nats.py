"""nats-server under the supervisor: its configuration and how one sees that it is ready.

What should not be in this module: subjects and streams (`mesh.bus`).
"""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path

from mesh.errors import NotFound
from mesh.files import read_secret, write_private

# The stream of events reserves 1 GiB of it, that of revocations 64 MiB.
MAX_STORE_BYTES = (1 << 30) + (256 << 20)
MAX_MESSAGE_BYTES = 1 << 20


def nats_token(path: Path) -> str:
    """The token of this data folder's NATS, made when there is none."""
    try:
        return read_secret(path)
    except NotFound:
        token = secrets.token_urlsafe(32)
        write_private(path, token.encode())
        return token


def _quoted(text: str) -> str:
    # Of JSON's escapes NATS knows those for quotes and backslashes, and none for letters.
    return json.dumps(text, ensure_ascii=False)


def write_nats_config(path: Path, port: int, store_dir: Path, token: str) -> None:
    """Writes the configuration file (0600: it holds the token)."""
    # Every message is synced: events are few and must not be lost.
    text = f"""
host: "127.0.0.1"
port: {port}
server_name: "trueframe"
max_payload: {MAX_MESSAGE_BYTES}
jetstream {{
  store_dir: {_quoted(str(store_dir))}
  max_file_store: {MAX_STORE_BYTES}
  max_memory_store: {64 << 20}
  sync_interval: always
}}
authorization {{ token: {_quoted(token)} }}
"""
    write_private(path, text.encode())


async def answers_as_nats(port: int) -> bool:
    """Whether a NATS server with JetStream on greets on 127.0.0.1:port."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                greeting = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return greeting.startswith(b"INFO ") and b'"jetstream":true' in greeting
