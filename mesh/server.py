"""The gRPC server of a service: options, health, reflection, security, sockets, graceful stop.

What does not belong here: what a service answers, and how its process starts (`mesh.runner`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from mesh.audit import AuditTrail
from mesh.audit_key import signer_of
from mesh.channel import is_local
from mesh.clocks import SystemClock
from mesh.config import Config
from mesh.errors import FailedPrecondition, InvalidArgument, PermissionDenied, PortInUse
from mesh.files import private_folder
from mesh.interceptor import SecurityInterceptor
from mesh.limits import CallerLimits
from mesh.logs import get_logger
from mesh.runner import run_service
from mesh.security_watch import SecurityWatch
from mesh.tls import ServerTls, TlsFiles
from mesh.tokens import Verifier

__all__ = ["Registration", "RunningServer", "run_service", "serve"]

log = get_logger("mesh.server")

MAX_MESSAGE_BYTES = 64 << 20
# Beyond these, calls are answered RESOURCE_EXHAUSTED.
MAX_CALLS = 1024
# (add_XServicer_to_server, servicer, "package.Service")
Registration = tuple[Callable[[Any, Any], None], Any, str]

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Clients ping every 20 s even when idle (mesh.channel); by default a server answers that with GOAWAY.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    # Otherwise a second server binds the same TCP port in silence and takes half of the calls.
    ("grpc.so_reuseport", 0),
]


class RunningServer:
    """A server that serves. `endpoint` is where: with the port that was taken, if 0 was asked for."""

    def __init__(
        self, server: grpc.aio.Server, endpoint: str, health: health_aio.HealthServicer, services: Sequence[str]
    ) -> None:
        self._server = server
        self._health = health
        self._services = services
        self.endpoint = endpoint

    async def set_serving(self, serving: bool, service: str | None = None) -> None:
        """What health tells of one service, or of all."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._services) if service is None else (service,):
            await self._health.set(name, status)

    async def wait(self) -> None:
        """Returns when the server has stopped."""
        await self._server.wait_for_termination()


@contextlib.asynccontextmanager
async def serve(
    endpoint: str,
    config: Config,
    servicers: Iterable[Registration],
    generic: Iterable[grpc.GenericRpcHandler] = (),
    *,
    verifier: Verifier | None = None,
    options: Iterable[tuple[str, Any]] = (),
    grace_s: float = 2.0,
    audit: str = "",
) -> AsyncIterator[RunningServer]:
    """Serves until the block is left; then tells NOT_SERVING, ends streams with UNAVAILABLE, takes no new calls, and
    cancels those that are left after `grace_s`.

    `endpoint` is "unix:/path" or "host:port". `generic` handlers outrank a servicer's method of the same name (see
    `mesh.grpc_bytes`). `verifier` is by default that of the configuration. `audit` names the log of changes and views,
    in `audit` in the data folder; empty for none. A TCP endpoint speaks TLS if `security.tls` names certificates;
    without, only Unix sockets and loopback addresses are accepted, since a token must not cross a network in the clear.
    Certificates and revoked tokens are looked after for as long as it serves.

    Raises PortInUse (somebody serves there), FailedPrecondition (the path cannot be a socket, or a certificate does not
    hold), NotFound (a key or certificate), InvalidArgument.
    """
    with audit_trail(config, audit) as trail:
        async with _serve(endpoint, config, servicers, generic, verifier, options, grace_s, trail) as running:
            yield running


@contextlib.contextmanager
def audit_trail(config: Config, name: str) -> Iterator[AuditTrail | None]:
    """The audit log of a service; None without a name. Raises FailedPrecondition, PermissionDenied."""
    if not name:
        yield None
        return
    folder = config.run.data_dir / "audit"
    try:
        private_folder(folder)
        trail = AuditTrail(folder / name, SystemClock(), signer_of(config.run.data_dir / "keys"))
    except OSError as error:
        raise FailedPrecondition(f"audit log {folder / name}", f"cannot be opened ({error.strerror})") from None
    with trail:
        yield trail


@contextlib.asynccontextmanager
async def _serve(
    endpoint: str,
    config: Config,
    servicers: Iterable[Registration],
    generic: Iterable[grpc.GenericRpcHandler],
    verifier: Verifier | None,
    options: Iterable[tuple[str, Any]],
    grace_s: float,
    audit: AuditTrail | None,
) -> AsyncIterator[RunningServer]:
    registrations = list(servicers)
    names = [name for _, _, name in registrations]
    verifier = verifier or Verifier.from_config(config)
    is_secure = unix_path(endpoint) is None and config.security.tls.is_on
    files = TlsFiles.from_config(config.security.tls) if is_secure else None
    shows = files is not None and config.security.tls.client_certificates
    interceptor = SecurityInterceptor(
        verifier, CallerLimits(config.security.limits), services_show_certificates=shows, audit=audit
    )  # fmt: skip
    _require_private(endpoint, is_secure=files is not None)
    _clear_stale_socket(endpoint)
    server = grpc.aio.server(
        interceptors=[interceptor], options=[*_OPTIONS, *options], maximum_concurrent_rpcs=MAX_CALLS
    )
    registrar = _Registrar(server, list(generic))
    for add, servicer, _ in registrations:
        add(servicer, registrar)
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection([*names, "grpc.health.v1.Health", reflection.SERVICE_NAME], server)
    tls = ServerTls(files) if files is not None else None
    bound = _bind(server, endpoint, tls.credentials(client_certificates=shows) if tls else None)
    if tls is not None and config.security.tls.users_port_offset:
        users = _beside(bound, config.security.tls.users_port_offset)
        log.info("serving users without certificates", endpoint=_bind(server, users, tls.credentials()))
    watch = SecurityWatch(config, verifier, files, interceptor.end_revoked_streams, names[0] if names else "")
    running = RunningServer(server, bound, health, names)
    await running.set_serving(True)
    await server.start()
    log.info("serving", endpoint=bound, services=",".join(names))
    watching = asyncio.create_task(watch.run(), name="security watch")
    try:
        yield running
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        # Shielded: a second cancellation must not leave calls and the socket behind.
        await asyncio.shield(_stop(server, interceptor, health, grace_s))
        log.info("stopped serving", endpoint=bound)


async def _stop(
    server: grpc.aio.Server, interceptor: SecurityInterceptor, health: health_aio.HealthServicer, grace_s: float
) -> None:
    await health.enter_graceful_shutdown()
    interceptor.end_streams()
    await server.stop(grace_s)


class _Registrar:
    """Stands in for the server while servicers register, so that generic handlers outrank their methods.

    gRPC itself gives precedence to the registered ones.
    """

    def __init__(self, server: grpc.aio.Server, overriding: list[grpc.GenericRpcHandler]) -> None:
        self._server = server
        self._overriding = overriding
        if overriding:
            server.add_generic_rpc_handlers(tuple(overriding))

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._server.add_generic_rpc_handlers(tuple(handlers))

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, Any]) -> None:
        kept = {name: handler for name, handler in methods.items() if not self._is_overridden(f"/{service}/{name}")}
        self._server.add_registered_method_handlers(service, kept)

    def _is_overridden(self, method: str) -> bool:
        details: Any = _CallDetails(method)
        return any(handler.service(details) is not None for handler in self._overriding)


class _CallDetails:
    """What a generic handler looks at to say whether a method is its own."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


def unix_path(endpoint: str) -> Path | None:
    """The path of a "unix:" endpoint; None for any other."""
    if not endpoint.startswith("unix:"):
        return None
    rest = endpoint.removeprefix("unix:")
    return Path(rest.removeprefix("//") if rest.startswith("///") else rest)


def _require_private(endpoint: str, *, is_secure: bool) -> None:
    if not is_secure and not is_local(endpoint):
        raise InvalidArgument(
            f"endpoint {endpoint!r}",
            "would carry tokens in the clear over a network",
            "Name certificates in security.tls, or use unix:/path or 127.0.0.1.",
        )


def _beside(endpoint: str, offset: int) -> str:
    host, _, port = endpoint.rpartition(":")
    if int(port) + offset > 65_535:
        raise InvalidArgument(f"security.tls.users_port_offset {offset}", f"leads beyond the ports from {port}")
    return f"{host}:{int(port) + offset}"


def _clear_stale_socket(endpoint: str) -> None:
    path = unix_path(endpoint)
    if path is None:
        return
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise FailedPrecondition(f"endpoint {endpoint}", f"the folder {path.parent} does not exist") from None
        return
    if not stat.S_ISSOCK(mode):
        raise FailedPrecondition(f"endpoint {endpoint}", "the path is taken by something that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, errno.ENOENT):
                raise PermissionDenied(f"endpoint {endpoint}", f"cannot be taken over ({error.strerror})") from None
        else:
            raise _in_use(endpoint)
    # Left behind by a process that was killed.
    path.unlink(missing_ok=True)


def _bind(server: grpc.aio.Server, endpoint: str, credentials: grpc.ServerCredentials | None) -> str:
    try:
        if credentials is not None:
            port = server.add_secure_port(endpoint, credentials)
        else:
            port = server.add_insecure_port(endpoint)
    except RuntimeError:
        if unix_path(endpoint) is not None:
            raise FailedPrecondition(
                f"endpoint {endpoint}", "cannot be bound: too long a path, or a folder that may not be written"
            ) from None
        raise _in_use(endpoint) from None
    path = unix_path(endpoint)
    if path is not None:
        path.chmod(0o600)
        return endpoint
    return f"{endpoint.rpartition(':')[0]}:{port}"


def _in_use(endpoint: str) -> PortInUse:
    return PortInUse(
        f"endpoint {endpoint}", "another process serves there", "Stop it, or choose another endpoint or data folder."
    )
