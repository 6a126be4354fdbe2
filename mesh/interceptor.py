"""The gRPC side of security and errors: every call passes here before it reaches a servicer.

A call without a valid token, or whose role has no row for the rpc, is refused before its first message is read. What a
servicer raises becomes a status: our own errors by the table of `mesh.errors`, anything else INTERNAL with a reference
number that stands in the log beside the traceback, and with no word of the exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio

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
from mesh.logs import get_logger, rate_limited
from mesh.metrics import rpc_finished
from mesh.roles import roles_for
from mesh.security import set_principal
from mesh.tokens import Principal, Verifier

log = get_logger("mesh.interceptor")

_SCHEME = "bearer "
# A token of 30 days must not overflow the event loop's timers.
_LONGEST_TIMER_S = 7 * 24 * 3600.0
Behaviour = Callable[[Any, Any], Any]


class SecurityInterceptor(grpc.aio.ServerInterceptor):
    """Authenticates, authorises, names the caller to the servicer, and turns errors into statuses."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._streams = _OpenStreams()

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
        refusal: TrueframeError | None = None
        principal: Principal | None = None
        try:
            principal = self._verifier.verify(_bearer_token(handler_call_details.invocation_metadata))
            if principal.role not in allowed:
                raise _not_allowed(method, principal)
        except TrueframeError as error:
            refusal = error
        return _wrap(handler, method, principal, refusal, self._streams)


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
    """The tasks of the streams being served, so that stopping can end them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.ending = False

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        if self.ending:
            raise _stopping()
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self.ending:
                raise
            raise _stopping() from None
        finally:
            self._tasks.discard(task)

    def end(self) -> None:
        self.ending = True
        for task in self._tasks:
            task.cancel()


def _stopping() -> Unavailable:
    return Unavailable("service", "is stopping", "Connect again, from where the stream ended.")


def _wrap(
    handler: Any, method: str, principal: Principal | None, refusal: TrueframeError | None, streams: _OpenStreams
) -> Any:
    behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

    async def unary_response(request: Any, context: Any) -> Any:
        async with _guard(method, context, principal, refusal, streams if handler.request_streaming else None):
            answer = behaviour(request, context)
            return await answer if inspect.isawaitable(answer) else answer

    # One coroutine that writes for itself: no second generator between the servicer and the transport.
    async def stream_response(request: Any, context: Any) -> None:
        async with _guard(method, context, principal, refusal, streams):
            answer = behaviour(request, context)
            if inspect.isasyncgen(answer):
                async with contextlib.aclosing(answer):
                    async for message in answer:
                        await context.write(message)
            elif inspect.isawaitable(answer):
                await answer
            else:
                raise TypeError(f"{method} is neither a coroutine function nor an asynchronous generator")

    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(
        stream_response if handler.response_streaming else unary_response,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


@contextlib.asynccontextmanager
async def _guard(
    method: str,
    context: Any,
    principal: Principal | None,
    refusal: TrueframeError | None,
    streams: _OpenStreams | None,
) -> AsyncIterator[None]:
    """Runs a servicer's method: names the caller, bounds a stream by its token's life, turns errors into statuses."""
    started_s = time.monotonic()
    status = "OK"
    try:
        if refusal is not None or principal is None:
            raise refusal or Unauthenticated("call", "carries no token")
        set_principal(principal)
        if streams is not None:
            with streams.one_more():
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
            log.info("call refused", method=method, error=type(known).__name__, reason=str(known))
        status = status_of(known).name
        await context.abort(status_of(known), rpc_details(known), rpc_metadata(known))
    finally:
        rpc_finished(method, status, time.monotonic() - started_s)


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
