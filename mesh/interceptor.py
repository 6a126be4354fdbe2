"""The gRPC side of security and errors: every call passes here before it reaches a servicer.

A call without a valid token, whose role has no row for the rpc, or that comes too often, is refused before its first
message is read; where callers show certificates, the role service has to have one of a service. What a servicer raises
becomes a status: our own errors by the table of `mesh.errors`, anything else INTERNAL with a reference
number that stands in the log beside the traceback, and with no word of the exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from mesh.audit import AuditedCall, AuditTrail
from mesh.certificates import Kind
from mesh.config_security import LimitsConfig
from mesh.errors import (
    Internal,
    PermissionDenied,
    TrueframeError,
    Unauthenticated,
    Unavailable,
    first_known,
    rpc_details,
    rpc_metadata,
    status_of,
)
from mesh.limits import RETRY_METADATA_KEY, CallClass, CallerLimits, TooMuch, class_of
from mesh.logs import get_logger, rate_limited
from mesh.metrics import rpc_finished
from mesh.roles import Role, roles_for
from mesh.security import set_principal
from mesh.tls import caller_of
from mesh.tokens import Principal, Verifier, revoked_error

log = get_logger("mesh.interceptor")

_SCHEME = "bearer "
# A token of 30 days must not overflow the event loop's timers.
_LONGEST_TIMER_S = 7 * 24 * 3600.0
Behaviour = Callable[[Any, Any], Any]


class SecurityInterceptor(grpc.aio.ServerInterceptor):
    """Authenticates, authorises, names the caller to the servicer, and turns errors into statuses."""

    def __init__(
        self,
        verifier: Verifier,
        limits: CallerLimits | None = None,
        *,
        services_show_certificates: bool = False,
        audit: AuditTrail | None = None,
    ) -> None:
        self._audit = audit
        self._verifier = verifier
        self._limits = limits or CallerLimits(LimitsConfig())
        self._services_show_certificates = services_show_certificates
        self._streams = _OpenStreams(self._limits)

    def end_revoked_streams(self) -> int:
        """Ends the streams whose tokens are revoked by now, with UNAUTHENTICATED; gives how many."""
        return self._streams.end_those(self._verifier.is_revoked)

    def end_streams(self) -> None:
        """Ends every open stream with UNAVAILABLE, and those that come: the service is stopping.

        They would not end by themselves, and their clients are better off looking elsewhere at once.
        """
        self._streams.end()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the rpc's handler."""
        method: str = handler_call_details.method
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        allowed = roles_for(method)
        if allowed is None:
            return handler
        kind = class_of(method, is_stream=handler.request_streaming or handler.response_streaming)
        refusal: TrueframeError | None = None
        principal: Principal | None = None
        try:
            principal = self._verifier.verify(_bearer_token(handler_call_details.invocation_metadata))
            # First: what is refused counts as well, or a caller could fill the audit log with refusals.
            self._limits.admit(principal.name, principal.role, kind, time.monotonic())
            if principal.role not in allowed:
                raise _not_allowed(method, principal)
        except TrueframeError as error:
            refusal = error
        call = _Call(
            method,
            principal,
            refusal,
            self._streams if handler.request_streaming or handler.response_streaming else None,
            self._services_show_certificates,
            self._verifier.is_revoked,
            self._audit.call(method) if self._audit is not None else None,
        )
        return _wrap(handler, call, _Bound(self._limits, kind))


def _bearer_token(metadata: Any) -> str:
    for key, value in metadata or ():
        if key == "authorization":
            text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            if text[: len(_SCHEME)].lower() == _SCHEME:
                return text[len(_SCHEME) :].strip()
            raise Unauthenticated("call", "its authorization metadata is not 'Bearer TOKEN'")
    raise Unauthenticated("call", "carries no token", "Send metadata `authorization: Bearer TOKEN`.")


def _not_allowed(method: str, principal: Principal) -> PermissionDenied:
    roles = roles_for(method) or ()
    needed = ", ".join(sorted(roles)) if roles else "none: it has no row in the role table"
    return PermissionDenied(
        method.rpartition("/")[2],
        f"is not allowed to {principal.name!r} as {principal.role}",
        f"Roles that may: {needed}.",
    )


class _OpenStreams:
    """The tasks of the streams being served and whose they are, so that stopping and revoking can end them."""

    def __init__(self, limits: CallerLimits) -> None:
        self._limits = limits
        self._tasks: dict[asyncio.Task[Any], Principal] = {}
        self._revoked: set[asyncio.Task[Any]] = set()
        self.ending = False

    @contextlib.contextmanager
    def one_more(self, principal: Principal) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        if self.ending:
            raise _stopping()
        self._limits.stream_opened(principal.name, principal.role)
        self._tasks[task] = principal
        try:
            yield
        except asyncio.CancelledError:
            if self.ending:
                raise _stopping() from None
            if task in self._revoked:
                raise revoked_error() from None
            raise
        finally:
            del self._tasks[task]
            self._revoked.discard(task)
            self._limits.stream_closed(principal.name)

    def end(self) -> None:
        self.ending = True
        for task in self._tasks:
            task.cancel()

    def end_those(self, is_meant: Callable[[Principal], bool]) -> int:
        meant = [task for task, principal in self._tasks.items() if task not in self._revoked and is_meant(principal)]
        for task in meant:
            self._revoked.add(task)
            task.cancel()
        return len(meant)


def _stopping() -> Unavailable:
    return Unavailable("service", "is stopping", "Connect again, from where the stream ended.")


@dataclass(frozen=True, slots=True)
class _Call:
    """One call, as it is known before its first message. `streams`: where it is counted; None for unary calls."""

    method: str
    principal: Principal | None
    refusal: TrueframeError | None
    streams: _OpenStreams | None
    services_show_certificates: bool
    is_revoked: Callable[[Principal], bool]
    audited: AuditedCall | None = None


class _TooLarge:
    """Stands for a message that was not even decoded."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes


class _Bound:
    """How large a message of a class of calls may be."""

    def __init__(self, limits: CallerLimits, call_class: CallClass) -> None:
        self._limits = limits
        self._class = call_class
        self._max_bytes = limits.max_bytes(call_class)

    def decoder(self, decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
        def bounded(data: bytes) -> Any:
            if len(data) > self._max_bytes:
                return _TooLarge(len(data))
            return data if decode is None else decode(data)

        return bounded

    def checked(self, message: Any) -> Any:
        """The message. Raises TooMuch."""
        if isinstance(message, _TooLarge):
            raise self._limits.too_large(self._class, message.size_bytes)
        return message


class _CheckedMessages:
    """What a caller streams. No generator: one that is left behind would be pending when a stream is cancelled."""

    def __init__(self, messages: Any, bound: _Bound, audited: AuditedCall | None) -> None:
        self._audited = audited
        self._messages = messages
        self._iterator: Any = None
        self._bound = bound

    def __aiter__(self) -> _CheckedMessages:
        return self

    async def __anext__(self) -> Any:
        if self._iterator is None:
            # Not before: gRPC's own would be left behind by a servicer that reads nothing.
            self._iterator = aiter(self._messages)
        message = self._bound.checked(await anext(self._iterator))
        if self._audited is not None:
            await self._audited.saw(message)
        return message


def _wrap(handler: Any, call: _Call, bound: _Bound) -> Any:
    behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

    async def checked(request: Any) -> Any:
        if handler.request_streaming:
            return _CheckedMessages(request, bound, call.audited)
        message = bound.checked(request)
        if call.audited is not None:
            await call.audited.saw(message)
        return message

    def came(request: Any) -> None:
        if call.audited is not None and not handler.request_streaming:
            call.audited.came(request)

    async def unary_response(request: Any, context: Any) -> Any:
        came(request)
        async with _guard(call, context):
            answer = behaviour(await checked(request), context)
            return await answer if inspect.isawaitable(answer) else answer

    # One coroutine that writes for itself: no second generator between the servicer and the transport.
    async def stream_response(request: Any, context: Any) -> None:
        came(request)
        async with _guard(call, context):
            answer = behaviour(await checked(request), context)
            if inspect.isasyncgen(answer):
                async with contextlib.aclosing(answer):
                    async for message in answer:
                        await context.write(message)
            elif inspect.isawaitable(answer):
                await answer
            else:
                raise TypeError(f"{call.method} is neither a coroutine function nor an asynchronous generator")

    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(
        stream_response if handler.response_streaming else unary_response,
        request_deserializer=bound.decoder(handler.request_deserializer),
        response_serializer=handler.response_serializer,
    )


@contextlib.asynccontextmanager
async def _guard(call: _Call, context: Any) -> AsyncIterator[None]:
    """Runs a servicer's method: names the caller, bounds a stream by its token's life, turns errors into statuses."""
    method, principal = call.method, call.principal
    started_s = time.monotonic()
    status = "OK"
    failure: Exception | None = None
    if call.audited is not None:
        call.audited.called_by(principal, context.peer() or "")
    try:
        if call.refusal is not None or principal is None:
            raise call.refusal or Unauthenticated("call", "carries no token")
        # Again: the caller may have kept its first message back until now.
        if call.is_revoked(principal):
            raise revoked_error()
        if call.services_show_certificates and principal.role is Role.SERVICE:
            _require_service_certificate(context)
        set_principal(principal)
        if call.audited is not None:
            call.audited.require_writable()
        if call.streams is not None:
            with call.streams.one_more(principal):
                async with _until_token_ends(principal):
                    yield
        else:
            yield
    except grpc.aio.AbortError:
        status = getattr(context.code(), "name", "UNKNOWN")
        raise
    except asyncio.CancelledError:
        status = "CANCELLED"
        raise
    except Exception as error:
        known = first_known(error)
        if known is None:
            known = _unexpected(method, error)
        elif rate_limited(f"rpc {method} {type(known).__name__}", 1.0):
            caller = principal.name if principal else ""
            log.info("call refused", method=method, caller=caller, error=type(known).__name__, reason=str(known))
        status, failure = status_of(known).name, known
        await context.abort(status_of(known), rpc_details(known), (*rpc_metadata(known), *_retry_metadata(known)))
    finally:
        if call.audited is not None:
            await call.audited.ended(status, failure)
        rpc_finished(method, status, time.monotonic() - started_s)


def _require_service_certificate(context: Any) -> None:
    kind, _ = caller_of(context.auth_context())
    if kind is not Kind.SERVICE:
        raise Unauthenticated("call", "the role service is believed only of who shows a certificate of a service")


def _retry_metadata(error: TrueframeError) -> tuple[tuple[str, str], ...]:
    if isinstance(error, TooMuch) and error.retry_after_s is not None:
        return ((RETRY_METADATA_KEY, str(math.ceil(error.retry_after_s * 1000))),)
    return ()


@contextlib.asynccontextmanager
async def _until_token_ends(principal: Principal) -> AsyncIterator[None]:
    left_s = principal.expires_s - time.time()
    if left_s > _LONGEST_TIMER_S:
        # Such a stream is far older than any connection; the next one shows its token again.
        yield
        return
    bound = asyncio.timeout(max(left_s, 0.0))
    try:
        async with bound:
            yield
    except TimeoutError:
        if bound.expired():
            raise Unauthenticated("token", "has expired while the stream was open", "Open it anew.") from None
        raise


def _unexpected(method: str, error: Exception) -> Internal:
    reference = secrets.token_hex(4)
    log.exception("call failed", method=method, reference=reference, error=type(error).__name__)
    return Internal(method.rpartition("/")[2], f"failed inside the service (reference {reference})")
