"""Channels to services: token on every call, keep-alive, message limits, one place for TLS.

The token is read from its file again when that changes, so that a renewed token needs no restart.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from mesh.errors import TrueframeError
from mesh.files import read_secret
from mesh.logs import get_logger

log = get_logger("mesh.channel")

MAX_MESSAGE_BYTES = 64 << 20
# Of unary calls that name none. Streams have none: they last.
DEADLINE_S = 30.0
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A service that restarts is back within a second; the default back-off grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Subchannels shared between channels share their back-off too: a new client would inherit the wait of an old one.
    ("grpc.use_local_subchannel_pool", 1),
)


class Credentials:
    """A token for calls: fixed, or from a file that may be renewed."""

    def __init__(self, token: str, path: Path | None = None) -> None:
        self._token = token
        self._path = path
        self._stamp = _stamp(path)
        self._lock = threading.Lock()

    @classmethod
    def from_file(cls, path: Path | str) -> Credentials:
        """Raises NotFound and PermissionDenied as `mesh.files.read_secret`."""
        return cls(read_secret(Path(path)), Path(path))

    @property
    def token(self) -> str:
        """The present token."""
        if self._path is not None:
            stamp = _stamp(self._path)
            with self._lock:
                if stamp is not None and stamp != self._stamp:
                    try:
                        self._token = read_secret(self._path)
                        self._stamp = stamp
                    except TrueframeError as error:
                        log.warning("renewed token cannot be read", reason=str(error))
        return self._token

    def metadata(self) -> tuple[str, str]:
        """The metadata entry of a call."""
        return ("authorization", f"Bearer {self.token}")

    def __repr__(self) -> str:
        return f"Credentials({'***' if self._path is None else str(self._path)!r})"


Token = Credentials | str | Path


def connect(
    endpoint: str,
    token: Token | None,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    options: Iterable[tuple[str, Any]] = (),
) -> grpc.aio.Channel:
    """An asynchronous channel. `token`: a Credentials, a token's text, or the Path of its file; None for health only.

    Nothing is sent before the first call. Close it when done, or use `async with`.
    """
    merged = [*OPTIONS, *options]
    if credentials is not None:
        channel = grpc.aio.secure_channel(endpoint, credentials, options=merged)
    else:
        channel = grpc.aio.insecure_channel(endpoint, options=merged)
    return channel if token is None else _AioChannel(channel, _credentials(token))


def connect_sync(
    endpoint: str,
    token: Token | None,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    options: Iterable[tuple[str, Any]] = (),
) -> grpc.Channel:
    """A channel of the synchronous API; as `connect`."""
    merged = [*OPTIONS, *options]
    if credentials is not None:
        channel = grpc.secure_channel(endpoint, credentials, options=merged)
    else:
        channel = grpc.insecure_channel(endpoint, options=merged)
    return channel if token is None else _SyncChannel(channel, _credentials(token))


def _credentials(token: Token) -> Credentials:
    if isinstance(token, Credentials):
        return token
    return Credentials.from_file(token) if isinstance(token, Path) else Credentials(token)


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        status = os.stat(path)  # noqa: PTH116 - on every call: a Path would cost more than the system call
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


# Why not interceptors: grpc.aio's put a queue and a second generator around every stream, and leave both pending when a
# stream is cancelled; adding metadata where the call is made costs nothing per message.
class _Call:
    """A multi-callable that adds the token to the metadata of each call."""

    def __init__(self, call: Any, credentials: Credentials, deadline_s: float | None = None) -> None:
        self._call = call
        self._credentials = credentials
        self._deadline_s = deadline_s

    def _named(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        if self._deadline_s is not None and len(arguments) < 2 and named.get("timeout") is None:
            named["timeout"] = self._deadline_s
        return {**named, "metadata": self._metadata(named.get("metadata"))}

    def _metadata(self, metadata: Any) -> tuple[tuple[str, str | bytes], ...]:
        return (*(metadata or ()), self._credentials.metadata())

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._call(*arguments, **self._named(arguments, named))

    def with_call(self, *arguments: Any, **named: Any) -> Any:
        """The synchronous API's call that also gives the call object."""
        return self._call.with_call(*arguments, **self._named(arguments, named))

    def future(self, *arguments: Any, **named: Any) -> Any:
        """The synchronous API's call that does not wait."""
        return self._call.future(*arguments, **self._named(arguments, named))


class _Calls:
    """The four ways to make a call, for both kinds of channel."""

    def __init__(self, channel: Any, credentials: Credentials) -> None:
        self._channel = channel
        self._credentials = credentials

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        return _Call(self._channel.unary_unary(*arguments, **named), self._credentials, DEADLINE_S)

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        return _Call(self._channel.unary_stream(*arguments, **named), self._credentials)

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        return _Call(self._channel.stream_unary(*arguments, **named), self._credentials)

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        return _Call(self._channel.stream_stream(*arguments, **named), self._credentials)


class _AioChannel(_Calls, grpc.aio.Channel):
    async def __aenter__(self) -> _AioChannel:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        state: grpc.ChannelConnectivity = self._channel.get_state(try_to_connect)
        return state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()


class _SyncChannel(_Calls, grpc.Channel):
    def __enter__(self) -> _SyncChannel:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def subscribe(self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False) -> None:
        self._channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        self._channel.unsubscribe(callback)
