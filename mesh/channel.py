"""Channels to services: token on every call, keep-alive, message limits, one place for TLS.

Token and certificates are read from their files again when those change, so that renewing them needs no restart. TLS is
spoken to every TCP endpoint if the caller has certificates; without, only Unix sockets and loopback are called.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from mesh.config import Config
from mesh.errors import InvalidArgument, TrueframeError
from mesh.files import read_secret
from mesh.logs import get_logger
from mesh.tls import ClientTls

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


# Of a channel whose certificate was renewed: connections on which streams may still be open. Idle ones end by
# themselves after half an hour (gRPC's own rule); the oldest beyond these is closed.
_MAX_OLD_LINES = 16


class Credentials:
    """What a caller shows: a token, fixed or from a file that may be renewed, and certificates where there are some."""

    def __init__(self, token: str, path: Path | None = None, tls: ClientTls | None = None) -> None:
        self.tls = tls
        self._token = token
        self._path = path
        self._stamp = _stamp(path)
        self._lock = threading.Lock()

    @classmethod
    def from_file(cls, path: Path | str, tls: ClientTls | None = None) -> Credentials:
        """Raises NotFound and PermissionDenied as `mesh.files.read_secret`."""
        return cls(read_secret(Path(path)), Path(path), tls)

    @classmethod
    def from_config(cls, config: Config) -> Credentials:
        """A service's own. Raises NotFound, PermissionDenied, FailedPrecondition naming the file."""
        return cls.from_file(config.token_file, ClientTls.from_config(config.security.tls))

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
    tls: ClientTls | None = None,
    options: Iterable[tuple[str, Any]] = (),
) -> grpc.aio.Channel:
    """An asynchronous channel. `token`: a Credentials, a token's text, or the Path of its file; None for health only.

    `tls`: certificates, if the Credentials have none. Nothing is sent before the first call. Close it when done, or use
    `async with`. Raises InvalidArgument (a token would cross a network in the clear).
    """
    credentials, line = _line(grpc.aio.insecure_channel, grpc.aio.secure_channel, endpoint, token, tls, options)
    return _AioChannel(line, credentials)


def connect_sync(
    endpoint: str,
    token: Token | None,
    *,
    tls: ClientTls | None = None,
    options: Iterable[tuple[str, Any]] = (),
) -> grpc.Channel:
    """A channel of the synchronous API; as `connect`."""
    credentials, line = _line(grpc.insecure_channel, grpc.secure_channel, endpoint, token, tls, options)
    return _SyncChannel(line, credentials)


def is_local(endpoint: str) -> bool:
    """Whether what is sent there crosses no network: a Unix socket, or a loopback address."""
    if endpoint.startswith("unix:"):
        return True
    return endpoint.rpartition(":")[0].strip("[]") in ("127.0.0.1", "::1", "localhost")


def _line(
    plain: Callable[..., Any],
    secure: Callable[..., Any],
    endpoint: str,
    token: Token | None,
    tls: ClientTls | None,
    options: Iterable[tuple[str, Any]],
) -> tuple[Credentials | None, _Line]:
    credentials = None if token is None else _credentials(token)
    tls = tls or (credentials.tls if credentials else None)
    merged = [*OPTIONS, *options]
    if tls is None or endpoint.startswith("unix:"):
        if credentials is not None and not is_local(endpoint):
            raise InvalidArgument(
                f"endpoint {endpoint!r}", "would get the token in the clear over a network", "Name the site's ca.crt."
            )
        return credentials, _Line(lambda: plain(endpoint, options=merged), None)
    known = tls
    return credentials, _Line(lambda: secure(endpoint, known.credentials(), options=merged), known)


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


class _Line:
    """The connection that calls go over now: a new one once certificates were renewed; old ones stay for streams."""

    def __init__(self, make: Callable[[], Any], tls: ClientTls | None) -> None:
        self._make = make
        self._tls = tls
        self._generation = tls.generation if tls else 0
        self._lock = threading.Lock()
        self._present = make()
        self._old: deque[Any] = deque(maxlen=_MAX_OLD_LINES)

    def present(self) -> tuple[int, Any]:
        """Number and channel of the present connection."""
        if self._tls is None:
            return 0, self._present
        generation = self._tls.generation
        with self._lock:
            if generation > self._generation:
                # One that is pushed out closes when it is forgotten.
                self._old.append(self._present)
                self._present, self._generation = self._make(), generation
            return self._generation, self._present

    def all(self) -> list[Any]:
        """Every channel there is, the present one last."""
        with self._lock:
            return [*self._old, self._present]


# Why not interceptors: grpc.aio's put a queue and a second generator around every stream, and leave both pending when a
# stream is cancelled; adding metadata where the call is made costs nothing per message.
class _Call:
    """A multi-callable that adds the token to the metadata of each call and makes it over the present connection."""

    def __init__(
        self,
        line: _Line,
        make: Callable[[Any], Any],
        credentials: Credentials | None,
        deadline_s: float | None = None,
    ) -> None:
        self._line = line
        self._make = make
        self._credentials = credentials
        self._deadline_s = deadline_s
        self._made = self._fresh()

    def _call(self) -> Any:
        generation, call = self._made
        if self._line.present()[0] != generation:
            self._made = _, call = self._fresh()
        return call

    def _fresh(self) -> tuple[int, Any]:
        generation, channel = self._line.present()
        return generation, self._make(channel)

    def _named(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        if self._deadline_s is not None and len(arguments) < 2 and named.get("timeout") is None:
            named["timeout"] = self._deadline_s
        if self._credentials is None:
            return named
        return {**named, "metadata": (*(named.get("metadata") or ()), self._credentials.metadata())}

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._call()(*arguments, **self._named(arguments, named))

    def with_call(self, *arguments: Any, **named: Any) -> Any:
        """The synchronous API's call that also gives the call object."""
        return self._call().with_call(*arguments, **self._named(arguments, named))

    def future(self, *arguments: Any, **named: Any) -> Any:
        """The synchronous API's call that does not wait."""
        return self._call().future(*arguments, **self._named(arguments, named))


class _Calls:
    """The four ways to make a call, for both kinds of channel."""

    def __init__(self, line: _Line, credentials: Credentials | None) -> None:
        self._line = line
        self._credentials = credentials

    @property
    def _channel(self) -> Any:
        return self._line.present()[1]

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        return self._calls(lambda channel: channel.unary_unary(*arguments, **named), DEADLINE_S)

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        return self._calls(lambda channel: channel.unary_stream(*arguments, **named))

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        return self._calls(lambda channel: channel.stream_unary(*arguments, **named))

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        return self._calls(lambda channel: channel.stream_stream(*arguments, **named))

    def _calls(self, make: Callable[[Any], Any], deadline_s: float | None = None) -> _Call:
        return _Call(self._line, make, self._credentials, deadline_s)


class _AioChannel(_Calls, grpc.aio.Channel):
    async def __aenter__(self) -> _AioChannel:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        for channel in self._line.all():
            await channel.close(grace)

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
        for channel in self._line.all():
            channel.close()

    def subscribe(self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False) -> None:
        self._channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        self._channel.unsubscribe(callback)
